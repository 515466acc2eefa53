import http.client
import time
import urllib.request

from botocore.exceptions import BotoCoreError, ClientError

from .aws import WorldTest


class Faults(WorldTest):
    def fault(self, kind, **more):
        fault = {key: more.pop(key) for key in ("code", "status", "ms") if key in more}
        order = {"action": "ListClusters", "fault": {"kind": kind, **fault}, **more}
        self.post("faults", [order])

    def failing(self, **more):
        with self.assertRaises((ClientError, BotoCoreError)) as raised:
            self.client("ecs", **more).list_clusters()
        response = getattr(raised.exception, "response", None) or {}
        return response.get("Error", {}).get("Code")

    def test_throttling_is_worded_as_each_service_words_it(self):
        self.fault("throttle", action=None)
        self.assertEqual(self.failing(), "ThrottlingException")
        with self.assertRaises(ClientError) as raised:
            self.autoscaling.describe_auto_scaling_groups()
        self.assertEqual(raised.exception.response["Error"]["Code"], "Throttling")

    def test_an_ordered_error_comes_with_its_code(self):
        self.fault("error", code="AccessDeniedException")
        self.assertEqual(self.failing(), "AccessDeniedException")

    def test_a_fault_strikes_as_often_as_ordered_after_the_ones_it_skips(self):
        self.fault("error", code="ServerException", skip=1, times=1)
        self.ecs.list_clusters()
        self.assertEqual(self.failing(), "ServerException")
        self.ecs.list_clusters()

    def test_a_fault_can_be_meant_for_one_caller(self):
        self.fault("error", code="ServerException", caller="drain-tasks")
        self.ecs.list_clusters()
        self.assertEqual(self.failing(caller="drain-tasks"), "ServerException")

    def test_connections_break_in_every_way(self):
        for kind in ("reset", "lost-answer", "http"):
            with self.subTest(kind):
                self.fault(kind, times=1)
                self.failing()
                self.ecs.list_clusters()

    def test_a_truncated_answer_is_shorter_than_it_says(self):
        self.fault("truncate", action=None, times=1)
        with self.assertRaises(http.client.IncompleteRead):
            urllib.request.urlopen(f"{self.url}/", data=b"{}").read()

    def test_a_lost_answer_is_carried_out_and_a_reset_is_not(self):
        for kind, size in (("reset", 6), ("lost-answer", 7)):
            self.fault(kind, action="SetDesiredCapacity", times=1)
            with self.assertRaises(BotoCoreError):
                self.autoscaling.set_desired_capacity(
                    AutoScalingGroupName="inference", DesiredCapacity=7
                )
            self.assertEqual(self.group()["desired"], size)

    def test_hanging_outlasts_the_patience_of_a_client(self):
        self.fault("hang", ms=20_000, times=1)
        began = time.monotonic()
        self.failing(read_timeout=0.2)
        self.assertLess(time.monotonic() - began, 20)

    def test_an_action_nobody_has_fails_like_a_service(self):
        with self.assertRaises(ClientError) as raised:
            self.ecs.list_services_by_namespace(namespace="none")
        self.assertEqual(raised.exception.response["ResponseMetadata"]["HTTPStatusCode"], 500)

    def test_calls_are_logged_with_caller_and_outcome(self):
        self.client("ecs", caller="drain-tasks").list_clusters()
        self.fault("error", code="ServerException", status=500)
        self.failing()
        (first, second) = self.get("calls")
        self.assertEqual(
            (first["caller"], first["service"], first["action"], first["status"]),
            ("drain-tasks", "ecs", "ListClusters", 200),
        )
        self.assertEqual((second["status"], second["error"]), (500, "ServerException"))


class Limits(WorldTest):
    def test_actions_can_share_a_bucket(self):
        bucket = {"burst": 2, "per_second": 0}
        key = "autoscaling:DescribeAutoScalingGroups,DescribeAutoScalingInstances"
        self.post("limits", {"buckets": {key: bucket}})
        self.autoscaling.describe_auto_scaling_groups()
        self.autoscaling.describe_auto_scaling_instances()
        self.assert_refused(
            "Throttling", "Rate exceeded", self.autoscaling.describe_auto_scaling_groups
        )
        self.autoscaling.describe_policies()

    def test_latency_is_added(self):
        self.post("limits", {"latency_ms": [80, 90]})
        began = time.monotonic()
        self.ecs.list_clusters()
        self.assertGreater(time.monotonic() - began, 0.08)


class Permissions(WorldTest):
    def setUp(self):
        super().setUp()
        self.post("settings", {"enforce_iam": True})

    def test_a_function_may_do_what_its_role_allows(self):
        self.client("autoscaling", "watcher").describe_auto_scaling_groups()
        self.client("sqs", "watcher").receive_message(QueueUrl=self.queue("notices")["url"])
        self.client("ecs", "watcher").list_tasks(cluster="inference")

    def test_everything_else_is_denied(self):
        self.assert_refused(
            "AccessDeniedException",
            "not authorized to perform: ecs:ListClusters",
            self.client("ecs", "watcher").list_clusters,
        )
        queue = self.queue("closed")["url"]
        self.assert_refused(
            "AccessDeniedException",
            "sqs:ReceiveMessage",
            self.client("sqs", "watcher").receive_message,
            QueueUrl=queue,
        )

    def test_conditions_on_clusters_and_tags_are_looked_at(self):
        self.assert_refused(
            "AccessDeniedException",
            "ecs:ListTasks",
            self.client("ecs", "watcher").list_tasks,
            cluster="web",
        )
        self.autoscaling.create_or_update_tags(
            Tags=[
                {
                    "ResourceId": "inference",
                    "ResourceType": "auto-scaling-group",
                    "Key": "spot-handoff:ignore",
                    "Value": "",
                    "PropagateAtLaunch": False,
                }
            ]
        )
        self.autoscaling = self.client("autoscaling", "watcher")
        self.detach(self.first("web"), group="web")
        self.assert_refused("AccessDenied", "DetachInstances", self.detach, self.first())

    def test_a_batch_needs_the_permission_of_what_it_is_a_batch_of(self):
        self.assert_refused(
            "AccessDeniedException",
            "sqs:SendMessage on",
            self.client("sqs", "watcher").send_message_batch,
            QueueUrl=self.queue("notices")["url"],
            Entries=[{"Id": "1", "MessageBody": "one"}],
        )

    def test_strangers_are_not_held_to_any_role(self):
        self.ecs.list_clusters()
