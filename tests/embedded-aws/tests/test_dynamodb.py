from botocore.exceptions import ClientError

from .aws import WorldTest

TABLE = "spot-handoff-memory"


class TableTest(WorldTest):
    def setUp(self):
        super().setUp()
        self.dynamodb = self.client("dynamodb")

    def put(self, sk, **more):
        numbers = {name: {"N": str(value)} for name, value in more.pop("numbers", {}).items()}
        item = {"pk": {"S": "exchange"}, "sk": {"S": sk}, **numbers}
        return self.dynamodb.put_item(TableName=TABLE, Item=item, **more)

    def read(self, sk):
        key = {"pk": {"S": "exchange"}, "sk": {"S": sk}}
        return self.dynamodb.get_item(TableName=TABLE, Key=key, ConsistentRead=True).get("Item")


class Deployed(TableTest):
    def test_a_table_of_the_template_stands_as_written(self):
        table = self.dynamodb.describe_table(TableName=TABLE)["Table"]
        self.assertEqual(table["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST")
        ttl = self.dynamodb.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"]
        self.assertEqual(ttl, {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"})
        backups = self.dynamodb.describe_continuous_backups(TableName=TABLE)
        recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        self.assertEqual(recovery["PointInTimeRecoveryStatus"], "ENABLED")
        (told,) = self.get("stack")["tables"]
        self.assertEqual((told["name"], told["key"]), (TABLE, ["pk", "sk"]))
        self.assertEqual((told["arn"], told["expires_by"]), (table["TableArn"], "expires"))


class Redeployed(TableTest):
    parameters = {"DryRun": "true"}

    def test_another_deployment_has_an_empty_table_of_the_same_name(self):
        self.put("a")
        self.assertEqual(self.read("a")["sk"], {"S": "a"})


class Written(TableTest):
    def test_a_condition_lets_only_the_first_of_two_writers_in(self):
        once = {"ConditionExpression": "attribute_not_exists(pk)"}
        self.put("a", numbers={"n": 1}, **once)
        with self.assertRaises(ClientError) as raised:
            self.put("a", numbers={"n": 2}, ReturnValuesOnConditionCheckFailure="ALL_OLD", **once)
        self.assertEqual(
            raised.exception.response["Error"]["Code"], "ConditionalCheckFailedException"
        )
        self.assertEqual(raised.exception.response["Item"]["n"], {"N": "1"})
        self.assertEqual(self.read("a")["n"], {"N": "1"})

    def test_an_update_adds_and_tells_what_came_of_it(self):
        self.put("a", numbers={"n": 1, "version": 3})
        changed = self.dynamodb.update_item(
            TableName=TABLE,
            Key={"pk": {"S": "exchange"}, "sk": {"S": "a"}},
            UpdateExpression="SET #s = :s, #v = #v + :one REMOVE n",
            ConditionExpression="#v = :three OR attribute_not_exists(#v)",
            ExpressionAttributeNames={"#s": "state", "#v": "version"},
            ExpressionAttributeValues={
                ":s": {"S": "launched"},
                ":one": {"N": "1"},
                ":three": {"N": "3"},
            },
            ReturnValues="ALL_NEW",
        )["Attributes"]
        self.assertEqual((changed["state"], changed["version"]), ({"S": "launched"}, {"N": "4"}))
        self.assertNotIn("n", changed)

    def test_a_transaction_is_carried_out_as_a_whole_or_not_at_all(self):
        self.put("b")
        item = lambda sk: {"pk": {"S": "exchange"}, "sk": {"S": sk}}
        once = {"ConditionExpression": "attribute_not_exists(pk)"}
        writes = [{"Put": {"TableName": TABLE, "Item": item(sk), **once}} for sk in ("a", "b")]
        with self.assertRaises(ClientError) as raised:
            self.dynamodb.transact_write_items(TransactItems=writes)
        reasons = [r["Code"] for r in raised.exception.response["CancellationReasons"]]
        self.assertEqual(reasons, ["None", "ConditionalCheckFailed"])
        self.assertIsNone(self.read("a"))
        self.dynamodb.transact_write_items(TransactItems=writes[:1])
        self.assertIsNotNone(self.read("a"))

    def test_a_batch_has_no_key_twice_and_at_most_25(self):
        request = lambda sk, n: {
            "PutRequest": {"Item": {"pk": {"S": "e"}, "sk": {"S": sk}, "n": {"N": str(n)}}}
        }
        write = lambda requests: self.dynamodb.batch_write_item(RequestItems={TABLE: requests})
        duplicates = "contains duplicates"
        self.assert_refused(
            "ValidationException", duplicates, write, [request("a", 1), request("a", 2)]
        )
        many = [request(str(n), n) for n in range(26)]
        self.assert_refused("ValidationException", "less than or equal to 25", write, many)
        write(many[:25])
        keys = [{"pk": {"S": "e"}, "sk": {"S": sk}} for sk in ("3", "40")]
        found = self.dynamodb.batch_get_item(
            RequestItems={TABLE: {"Keys": keys, "ConsistentRead": True}}
        )
        self.assertEqual([item["n"]["N"] for item in found["Responses"][TABLE]], ["3"])


class Read(TableTest):
    def test_a_query_answers_in_order_and_in_pages(self):
        for sk in ("b#2", "a#1", "a#2", "a#3"):
            self.put(sk)
        asked = {
            "TableName": TABLE,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :a)",
            "ExpressionAttributeValues": {":pk": {"S": "exchange"}, ":a": {"S": "a#"}},
            "ConsistentRead": True,
        }
        first = self.dynamodb.query(**asked, Limit=2)
        rest = self.dynamodb.query(**asked, ExclusiveStartKey=first["LastEvaluatedKey"])
        self.assertEqual(
            [i["sk"]["S"] for i in first["Items"] + rest["Items"]], ["a#1", "a#2", "a#3"]
        )
        self.assertNotIn("LastEvaluatedKey", rest)

    def test_an_expired_item_is_still_read(self):
        self.put("old", numbers={"expires": 1})
        self.happen("pass-time", seconds=3600)
        self.assertEqual(self.read("old")["expires"], {"N": "1"})

    def test_the_state_shows_items_as_plain_values(self):
        self.put("a", numbers={"n": 2})
        (table,) = [t for t in self.state()["tables"] if t["name"] == TABLE]
        self.assertEqual(table["items"], [{"pk": "exchange", "sk": "a", "n": 2}])


class Permitted(TableTest):
    def order(self):
        return {"enforce_iam": True}

    def test_a_function_does_what_its_role_allows_on_this_table_and_no_more(self):
        dynamodb = self.client("dynamodb", caller="watcher")
        key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
        dynamodb.put_item(TableName=TABLE, Item=key)
        dynamodb.batch_write_item(RequestItems={TABLE: [{"DeleteRequest": {"Key": key}}]})
        denied = "AccessDeniedException"
        self.assert_refused(denied, "DeleteItem", dynamodb.delete_item, TableName=TABLE, Key=key)
        self.assert_refused(denied, "Scan", dynamodb.scan, TableName=TABLE)
        self.assert_refused(denied, "table/other", dynamodb.get_item, TableName="other", Key=key)
        put = {"Put": {"TableName": TABLE, "Item": key}}
        delete = {"Delete": {"TableName": TABLE, "Key": {**key, "sk": {"S": "c"}}}}
        dynamodb.transact_write_items(TransactItems=[put])
        transact = dynamodb.transact_write_items
        self.assert_refused(denied, "DeleteItem", transact, TransactItems=[put, delete])


class Faulty(TableTest):
    def failing(self):
        with self.assertRaises(ClientError) as raised:
            self.put("a")
        return raised.exception.response["Error"]["Code"]

    def test_faults_strike_and_calls_are_told(self):
        self.post(
            "faults",
            {"service": "dynamodb", "action": "PutItem", "times": 1, "fault": {"kind": "throttle"}},
        )
        self.assertEqual(self.failing(), "ThrottlingException")
        self.post(
            "faults",
            {
                "action": "PutItem",
                "times": 1,
                "fault": {"kind": "error", "code": "ProvisionedThroughputExceededException"},
            },
        )
        self.assertEqual(self.failing(), "ProvisionedThroughputExceededException")
        self.client("dynamodb", caller="drain-tasks").list_tables()
        told = [(c["caller"], c["action"], c["error"]) for c in self.get("calls")]
        self.assertEqual(
            told,
            [
                ("test", "PutItem", "ThrottlingException"),
                ("test", "PutItem", "ProvisionedThroughputExceededException"),
                ("drain-tasks", "ListTables", None),
            ],
        )

    def test_a_table_takes_as_many_units_a_second_as_it_has(self):
        size = {"burst": 3, "per_second": 0.001}
        self.post("limits", {"buckets": {"dynamodb:PutItem,BatchWriteItem": size}})
        requests = [
            {"PutRequest": {"Item": {"pk": {"S": "a"}, "sk": {"S": str(n)}}}} for n in range(2)
        ]
        self.dynamodb.batch_write_item(RequestItems={TABLE: requests})
        self.put("a")
        self.assertEqual(self.failing(), "ThrottlingException")

    def test_its_errors_are_known_from_the_model(self):
        codes = {error["code"] for error in self.get("errors")["dynamodb"]["PutItem"]}
        self.assertLessEqual({"ConditionalCheckFailedException", "ThrottlingException"}, codes)
