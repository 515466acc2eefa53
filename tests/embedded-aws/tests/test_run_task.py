from .aws import WorldTest
from .ecs_world import EcsWorld

HOUR = 3600


class Tokens(EcsWorld):
    variants = {"token-after-failures": "same-again"}

    def run_one(self, token, family="report", **more):
        return self.ecs.run_task(
            cluster="inference", taskDefinition=family, clientToken=token, **more
        )

    def arns(self, token):
        return [task["taskArn"] for task in self.run_one(token)["tasks"]]

    def test_a_token_is_kept_for_a_day_while_its_task_runs(self):
        first = self.arns("t")
        self.pass_time(24 * HOUR - 60)
        self.assertEqual(self.arns("t"), first)
        self.pass_time(120)
        self.assertNotEqual(self.arns("t"), first)

    def test_it_is_kept_for_an_hour_when_its_task_has_ended(self):
        first = self.arns("t")
        self.pass_time(60)
        self.stop(first[0])
        self.pass_time(HOUR - 60)
        self.assertEqual(self.arns("t"), first)
        self.pass_time(120)
        self.assertNotEqual(self.arns("t"), first)

    def test_partial_failures_are_answered_again(self):
        # Four of the fleet's instances have a GPU left.
        first = self.run_one("t", "fine-tune", count=6)
        self.assertEqual((len(first["tasks"]), len(first["failures"])), (4, 7))
        self.stop(first["tasks"][0]["taskArn"])
        self.pass_time(60)
        again = self.run_one("t", "fine-tune", count=6)
        self.assertEqual(
            [task["taskArn"] for task in again["tasks"]],
            [task["taskArn"] for task in first["tasks"]],
        )

    def test_a_conflict_names_the_tasks_that_the_token_has_run(self):
        first = self.arns("t")
        with self.assertRaises(self.ecs.exceptions.ConflictException) as raised:
            self.run_one("t", startedBy="else")
        self.assertEqual(raised.exception.response["resourceIds"], first)

    def run_without_room(self):
        """The answers to one token: without room, and with."""
        self.post("faults", [{"action": "RunTask", "fault": {"kind": "no-capacity"}, "times": 1}])
        return [len(self.run_one("t")["tasks"]) for _ in range(2)]

    def test_a_token_without_a_task_may_be_spent(self):
        self.assertEqual(self.run_without_room(), [0, 0])


class TokensTriedAnew(Tokens):
    variants = {"token-after-failures": "tried-anew"}

    def test_a_token_without_a_task_may_be_spent(self):
        """Not in this variant."""

    def test_or_may_be_tried_anew(self):
        self.assertEqual(self.run_without_room(), [0, 1])


class Forgotten(EcsWorld):
    def test_a_task_that_ecs_has_forgotten_is_missing(self):
        (task,) = self.of("family:report", self.first())
        self.stop(task)
        self.post("happen", {"kind": "forget-task", "task": task})
        answer = self.ecs.describe_tasks(cluster="inference", tasks=[task])
        self.assertEqual([one["reason"] for one in answer["failures"]], ["MISSING"])


class StartTask(WorldTest):
    def test_a_started_task_is_seen_like_any_other(self):
        place = self.container_instance(self.first())
        answer = self.ecs.start_task(
            cluster="inference",
            taskDefinition="report",
            containerInstances=[place["arn"]],
            tags=[{"key": "team", "value": "reporting"}],
        )
        (task,) = answer["tasks"]
        seen = next(t for t in self.cluster()["tasks"] if t["arn"] == task["taskArn"])
        self.assertEqual((seen["instance"], seen["kind"]), (self.first(), "standalone"))
        self.assertEqual(seen["tags"], {"team": "reporting"})
        after = self.container_instance(self.first())
        self.assertEqual(after["running_tasks"], place["running_tasks"] + 1)

    def test_an_instance_that_is_not_there_is_a_failure_of_the_answer(self):
        answer = self.ecs.start_task(
            cluster="inference", taskDefinition="report", containerInstances=["0" * 32]
        )
        self.assertEqual(answer["failures"][0]["reason"], "MISSING")


class Services(WorldTest):
    def test_a_service_tells_its_deployment_configuration(self):
        def told():
            found = self.ecs.describe_services(cluster="inference", services=["classifier"])
            return found["services"][0]["deploymentConfiguration"]

        self.assertEqual(told(), {"minimumHealthyPercent": 100, "maximumPercent": 200})
        self.ecs.update_service(
            cluster="inference",
            service="classifier",
            deploymentConfiguration={"minimumHealthyPercent": 50},
        )
        self.assertEqual(told(), {"minimumHealthyPercent": 50, "maximumPercent": 200})


class Mappings(WorldTest):
    def received(self, caller):
        queue = self.queue("notices")["url"]
        answer = self.client("sqs", caller=caller).receive_message(
            QueueUrl=queue, WaitTimeSeconds=1, VisibilityTimeout=0
        )
        return len(answer.get("Messages", []))

    def test_lambda_does_not_poll_while_the_mapping_is_disabled(self):
        self.sqs.send_message(QueueUrl=self.queue("notices")["url"], MessageBody="{}")
        functions = self.client("lambda")
        (mapping,) = functions.list_event_source_mappings()["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        self.assertEqual((self.received("watcher.poller"), self.received("me")), (0, 1))
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
        self.assertEqual(self.received("watcher.poller"), 1)
