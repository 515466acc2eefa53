"""Reads that answer as if the last change had not been."""

from .aws import MovingWorldTest, WorldTest, still_clock

TABLE = "spot-handoff-memory"


class Ordered(MovingWorldTest):
    def order(self):
        return {"clock": still_clock()}

    def setUp(self):
        super().setUp()
        self.post("settings", {"stale_reads": 5})

    def sizes(self):
        (group,) = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])[
            "AutoScalingGroups"
        ]
        return group["DesiredCapacity"], len(group["Instances"])

    def test_a_group_is_read_as_it_was_and_then_as_it_is(self):
        self.autoscaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=4)
        self.assertEqual(self.sizes(), (3, 3))
        self.assertEqual(self.group("web")["desired"], 4)
        self.pass_time(6)
        self.assertEqual(self.sizes(), (4, 4))

    def test_a_change_is_made_to_what_is_and_not_to_what_is_read(self):
        instance = self.first("web")
        self.detach(instance, group="web")
        found = self.autoscaling.describe_auto_scaling_instances(InstanceIds=[instance])
        self.assertEqual(found["AutoScalingInstances"][0]["LifecycleState"], "InService")
        self.assert_refused(
            "ValidationError", "not in InService", self.detach, instance, group="web"
        )

    def test_tags_of_a_group_are_read_as_they_were(self):
        tag = {"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": "held"}
        tag.update(Value="yes", PropagateAtLaunch=False)
        self.autoscaling.create_or_update_tags(Tags=[tag])
        keys = lambda: {t["Key"] for t in self.autoscaling.describe_tags()["Tags"]}
        self.assertNotIn("held", keys())
        self.pass_time(6)
        self.assertIn("held", keys())

    def test_tasks_and_container_instances_are_read_as_they_were(self):
        there = self.cluster()["container_instances"][0]
        task = next(t for t in self.cluster()["tasks"] if t["instance"] == there["instance"])
        self.ecs.update_container_instances_state(
            cluster="inference", containerInstances=[there["arn"]], status="DRAINING"
        )
        self.ecs.stop_task(cluster="inference", task=task["arn"])
        read = lambda: (
            self.ecs.describe_container_instances(
                cluster="inference", containerInstances=[there["arn"]]
            )["containerInstances"][0]["status"],
            self.ecs.describe_tasks(cluster="inference", tasks=[task["arn"]])["tasks"][0][
                "desiredStatus"
            ],
        )
        # The last change is not seen, the one before it is.
        self.assertEqual(read(), ("DRAINING", "RUNNING"))
        self.pass_time(6)
        self.assertEqual(read(), ("DRAINING", "STOPPED"))

    def test_target_health_is_read_as_it_was(self):
        arn, target = self.target_group_arn("web"), {"Id": self.first("web")}
        self.elbv2.deregister_targets(TargetGroupArn=arn, Targets=[target])
        read = lambda: self.elbv2.describe_target_health(TargetGroupArn=arn, Targets=[target])[
            "TargetHealthDescriptions"
        ][0]["TargetHealth"]["State"]
        self.assertEqual(read(), "healthy")
        self.pass_time(6)
        self.assertEqual(read(), "draining")

    def test_an_item_is_read_as_it_was_unless_the_read_is_to_be_consistent(self):
        dynamodb = self.client("dynamodb")
        key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
        read = lambda **more: dynamodb.get_item(TableName=TABLE, Key=key, **more).get("Item")
        dynamodb.put_item(TableName=TABLE, Item=key)
        self.assertIsNone(read())
        self.assertEqual(read(ConsistentRead=True), key)
        add = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
        self.pass_time(6)
        dynamodb.update_item(TableName=TABLE, Key=key, **add)
        self.assertEqual(read(), key)
        self.assertEqual(read(ConsistentRead=True)["n"], {"N": "1"})
        self.pass_time(6)
        self.assertEqual(read()["n"], {"N": "1"})


class Drawn(MovingWorldTest):
    def order(self):
        return {"clock": still_clock(), "pace": "real", "numbers": {"stale-reads": 4}}

    def test_at_the_real_pace_a_read_may_be_stale_or_not(self):
        self.autoscaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=4)
        read = lambda: self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])
        found = {read()["AutoScalingGroups"][0]["DesiredCapacity"] for _ in range(12)}
        self.assertEqual(found, {3, 4})
        self.pass_time(5)
        found = {read()["AutoScalingGroups"][0]["DesiredCapacity"] for _ in range(6)}
        self.assertEqual(found, {4})


class Quick(MovingWorldTest):
    def test_at_the_quick_pace_no_read_is_stale(self):
        self.autoscaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=4)
        found = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])
        self.assertEqual(found["AutoScalingGroups"][0]["DesiredCapacity"], 4)


class Mail(WorldTest):
    def order(self):
        return {"clock": still_clock()}

    def setUp(self):
        super().setUp()
        self.sns = self.client("sns")
        self.topic = self.sns.create_topic(Name="people")["TopicArn"]
        self.sns.subscribe(TopicArn=self.topic, Protocol="email", Endpoint="me@example.com")

    def suspended(self):
        return [s["suspended"] for s in self.state()["subscriptions"]]

    def publish(self, number):
        for start in range(0, number, 10):
            entries = [{"Id": str(n), "Message": "x"} for n in range(min(10, number - start))]
            self.sns.publish_batch(TopicArn=self.topic, PublishBatchRequestEntries=entries)

    def test_ten_messages_a_second_are_delivered_and_eleven_suspend_the_subscription(self):
        self.publish(10)
        self.happen("pass-time", seconds=1)
        self.publish(10)
        self.assertEqual(self.suspended(), [False])
        self.publish(1)
        self.assertEqual(self.suspended(), [True])
        (told,) = self.sns.list_subscriptions_by_topic(TopicArn=self.topic)["Subscriptions"]
        self.assertEqual(told["SubscriptionArn"], "PendingConfirmation")


class Logs(MovingWorldTest):
    def order(self):
        return {"clock": still_clock(), "pace": "real"}

    def setUp(self):
        super().setUp()
        self.logs = self.client("logs")
        self.logs.create_log_group(logGroupName="g")
        self.logs.create_log_stream(logGroupName="g", logStreamName="s")

    def test_a_line_is_found_seconds_to_a_minute_after_it_was_written(self):
        now = self.state()["now_ms"]
        lines = [{"timestamp": now, "message": str(n)} for n in range(20)]
        self.logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=lines)
        find = lambda: len(self.logs.filter_log_events(logGroupName="g")["events"])
        self.assertEqual(find(), 0)
        self.pass_time(31)
        self.assertIn(find(), range(1, 20))
        self.pass_time(30)
        self.assertEqual(find(), 20)

    def test_five_searches_a_second_are_answered(self):
        find = lambda: self.logs.filter_log_events(logGroupName="g")
        for _ in range(5):
            find()
        self.assert_refused("ThrottlingException", "Rate exceeded", find)
        self.pass_time(1)
        find()
