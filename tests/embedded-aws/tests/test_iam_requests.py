"""What each call asks of IAM, by table; the worlds of `test_server` hold real calls to real roles."""

import json
import unittest
from types import SimpleNamespace
from unittest import mock
from urllib.parse import urlencode

from embedded_aws import backends, iam_requests
from embedded_aws.call import Call
from embedded_aws.simulation import capacity

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/inference"
TASK = "arn:aws:ecs:us-east-1:123456789012:task/inference"
IN_CLUSTER = {"ecs:cluster": [CLUSTER]}
TOPIC = "arn:aws:sns:us-east-1:123456789012:told"
TARGETS = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/ranker/1"
LOGS = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/one:*"
QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/notices"
QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:notices"
ROLES = "arn:aws:iam::123456789012:role"
BUS = "arn:aws:events:us-east-1:123456789012:event-bus/default"


def asked(service, action, parameters, form=False):
    body = urlencode(parameters) if form else json.dumps(parameters)
    call = Call("POST", "/", {}, body.encode(), service=service, action=action)
    return iam_requests.of(call)


class ResourcesAndConditions(unittest.TestCase):
    def check(self, service, action, parameters, *expected, form=False):
        with self.subTest(service=service, action=action, parameters=parameters):
            self.assertEqual(asked(service, action, parameters, form), list(expected))

    def test_ecs_is_asked_about_clusters_and_what_is_in_them(self):
        listed = ("ecs:ListContainerInstances", CLUSTER, {})
        self.check("ecs", "ListContainerInstances", {"cluster": "inference"}, listed)
        self.check("ecs", "ListContainerInstances", {"cluster": CLUSTER}, listed)
        self.check(
            "ecs",
            "DescribeClusters",
            {"clusters": ["inference", CLUSTER.replace("inference", "web")]},
            ("ecs:DescribeClusters", CLUSTER, {}),
            ("ecs:DescribeClusters", CLUSTER.replace("inference", "web"), {}),
        )
        self.check("ecs", "ListClusters", {}, ("ecs:ListClusters", "*", {}))
        instance = CLUSTER.replace(":cluster/", ":container-instance/")
        self.check(
            "ecs",
            "UpdateContainerInstancesState",
            {"cluster": "inference", "containerInstances": ["a1", f"{instance}/b2"]},
            ("ecs:UpdateContainerInstancesState", f"{instance}/a1", IN_CLUSTER),
            ("ecs:UpdateContainerInstancesState", f"{instance}/b2", IN_CLUSTER),
        )
        self.check(
            "ecs",
            "ListTasks",
            {"cluster": "inference", "containerInstance": "a1"},
            ("ecs:ListTasks", f"{instance}/a1", IN_CLUSTER),
        )
        self.check(
            "ecs", "ListTasks", {"cluster": "inference"}, ("ecs:ListTasks", "*", IN_CLUSTER)
        )
        self.check(
            "ecs",
            "StopTask",
            {"cluster": "inference", "task": "t1"},
            ("ecs:StopTask", f"{TASK}/t1", IN_CLUSTER),
        )

    def test_a_batch_is_asked_for_as_what_it_is_a_batch_of(self):
        for action in ("SendMessage", "SendMessageBatch"):
            self.check("sqs", action, {"QueueUrl": QUEUE}, ("sqs:SendMessage", QUEUE_ARN, {}))
        for action in ("Publish", "PublishBatch"):
            self.check("sns", action, {"TopicArn": TOPIC}, ("sns:Publish", TOPIC, {}), form=True)

    def test_each_entry_of_put_events_has_its_source_and_detail_type(self):
        entries = [{"Source": "spot-handoff", "DetailType": kind} for kind in ("One", "Two")]
        self.check(
            "events",
            "PutEvents",
            {"Entries": entries},
            *[
                (
                    "events:PutEvents",
                    BUS,
                    {"events:source": ["spot-handoff"], "events:detail-type": [kind]},
                )
                for kind in ("One", "Two")
            ],
        )

    def test_log_groups_are_told_by_name_or_arn(self):
        for named in (
            {"logGroupName": "/aws/lambda/one"},
            {"logGroupIdentifier": LOGS.removesuffix(":*")},
            {"logGroupIdentifier": LOGS},
        ):
            self.check("logs", "FilterLogEvents", named, ("logs:FilterLogEvents", LOGS, {}))

    def test_only_changes_of_targets_know_a_target_group(self):
        parameters = {"TargetGroupArn": TARGETS}
        for action, resource in (("DeregisterTargets", TARGETS), ("DescribeTargetHealth", "*")):
            expected = (f"elasticloadbalancing:{action}", resource, {})
            self.check("elasticloadbalancing", action, parameters, expected, form=True)

    def test_a_service_that_is_not_known_here_is_asked_for_on_everything(self):
        self.check("lambda", "Invoke", {}, ("lambda:Invoke", "*", {}))


class RunTask(unittest.TestCase):
    def asked(self, task_role, execution_role, parameters):
        definition = SimpleNamespace(
            arn="arn:definition", task_role_arn=task_role, execution_role_arn=execution_role
        )
        ecs = SimpleNamespace(describe_task_definition=lambda _: definition)
        with mock.patch.object(backends, "ecs", return_value=ecs):
            order = {"cluster": "inference", "taskDefinition": "report:1", **parameters}
            return asked("ecs", "RunTask", order)

    def test_a_task_without_roles_and_tags_needs_no_more_than_itself(self):
        run = ("ecs:RunTask", "arn:definition", IN_CLUSTER)
        self.assertEqual(self.asked(None, None, {}), [run])

    def test_tags_and_each_role_are_asked_for(self):
        found = self.asked(f"{ROLES}/task", f"{ROLES}/agent", {"tags": [{"key": "a"}]})
        passed = {"iam:PassedToService": ["ecs-tasks.amazonaws.com"]}
        self.assertEqual(
            found[1:],
            [
                ("ecs:TagResource", f"{TASK}/*", {"ecs:CreateAction": ["RunTask"]}),
                ("iam:PassRole", f"{ROLES}/agent", passed),
                ("iam:PassRole", f"{ROLES}/task", passed),
            ],
        )

    def test_an_override_takes_the_place_of_a_role(self):
        overrides = {"taskRoleArn": f"{ROLES}/other", "executionRoleArn": f"{ROLES}/other"}
        found = self.asked(f"{ROLES}/task", f"{ROLES}/agent", {"overrides": overrides})
        self.assertEqual([resource for _, resource, _ in found[1:]], [f"{ROLES}/other"])


class AutoScaling(unittest.TestCase):
    def setUp(self):
        tags = [{"Key": "spot-handoff:managed", "Value": "true"}]
        self.group = SimpleNamespace(
            name="inference", arn="arn:group", tags=tags, ec2_launch_template=None
        )
        known = SimpleNamespace(autoscaling_groups={"inference": self.group})
        member = SimpleNamespace(auto_scaling_group=self.group)
        members = {"i-1": member}
        for owner, name, value in (
            (backends, "autoscaling", lambda: known),
            (capacity, "state_of", members.get),
        ):
            patched = mock.patch.object(owner, name, value)
            patched.start()
            self.addCleanup(patched.stop)
        self.tagged = {"aws:ResourceTag/spot-handoff:managed": ["true"]}

    def asked(self, action, parameters):
        return asked("autoscaling", action, parameters, form=True)

    def test_reads_know_no_group(self):
        name = {"AutoScalingGroupName": "inference"}
        self.assertEqual(
            self.asked("DescribeAutoScalingGroups", name),
            [("autoscaling:DescribeAutoScalingGroups", "*", {})],
        )

    def test_a_group_is_told_by_its_name_or_by_an_instance_and_brings_its_tags(self):
        for parameters in ({"AutoScalingGroupName": "inference"}, {"InstanceId": "i-1"}):
            self.assertEqual(
                self.asked("TerminateInstanceInAutoScalingGroup", parameters),
                [("autoscaling:TerminateInstanceInAutoScalingGroup", "arn:group", self.tagged)],
            )

    def test_a_group_or_an_instance_that_is_not_there_is_for_auto_scaling_to_refuse(self):
        for parameters in ({"AutoScalingGroupName": "gone"}, {"InstanceId": "i-2"}):
            self.assertEqual(self.asked("SetDesiredCapacity", parameters), [])

    def test_tag_keys_of_a_request_are_a_condition(self):
        tags = {
            "Tags.member.1.ResourceId": "inference",
            "Tags.member.1.Key": "spot-handoff:replacing:i-1",
        }
        context = {**self.tagged, "aws:TagKeys": ["spot-handoff:replacing:i-1"]}
        self.assertEqual(
            self.asked("CreateOrUpdateTags", tags),
            [("autoscaling:CreateOrUpdateTags", "arn:group", context)],
        )

    def test_an_update_asks_for_launches_only_where_it_names_a_launch_template(self):
        self.launched({})
        update = {
            "AutoScalingGroupName": "inference",
            "MixedInstancesPolicy.InstancesDistribution.OnDemandBaseCapacity": "1",
        }
        alone = ("autoscaling:UpdateAutoScalingGroup", "arn:group", self.tagged)
        self.assertEqual(self.asked("UpdateAutoScalingGroup", update), [alone])
        template = "MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification"
        update[f"{template}.LaunchTemplateName"] = "web"
        actions = {action for action, _, _ in self.asked("UpdateAutoScalingGroup", update)}
        self.assertEqual(actions, {"autoscaling:UpdateAutoScalingGroup", "ec2:RunInstances"})

    def launched(self, data):
        version = SimpleNamespace(data=data)
        self.group.ec2_launch_template = SimpleNamespace(
            id="lt-1", latest_version=lambda: version
        )
        return self.asked("LaunchInstances", {"AutoScalingGroupName": "inference"})

    def test_a_launch_asks_for_a_fleet_of_instances_from_the_launch_template(self):
        found = self.launched({"ImageId": "ami-1"})
        template = "arn:aws:ec2:us-east-1:123456789012:launch-template/lt-1"
        self.assertEqual(found[0], ("autoscaling:LaunchInstances", "arn:group", self.tagged))
        self.assertIn(("ec2:CreateFleet", template, {}), found)
        runs = [one for one in found if one[0] == "ec2:RunInstances"]
        self.assertIn("arn:aws:ec2:us-east-1::image/ami-1", [resource for _, resource, _ in runs])
        self.assertTrue(all(c == {"ec2:LaunchTemplate": [template]} for _, _, c in runs), runs)
        others = {action for action, _, _ in found}
        self.assertTrue(others.isdisjoint({"ec2:CreateTags", "iam:PassRole"}), others)

    def test_an_image_that_a_parameter_names_is_asked_for_there(self):
        public = "arn:aws:ssm:us-east-1::parameter/aws/service/ecs/image_id"
        own = "arn:aws:ssm:us-east-1:123456789012:parameter/golden/image"
        for named, parameter in (
            ("/aws/service/ecs/image_id", public),
            ("/golden/image", own),
            ("golden/image:3", own),
        ):
            with self.subTest(named=named):
                found = self.launched({"ImageId": f"resolve:ssm:{named}"})
                self.assertIn(("ssm:GetParameters", parameter, {}), found)
                resources = [resource for action, resource, _ in found if action.startswith("ec2:")]
                self.assertIn("arn:aws:ec2:us-east-1::image/*", resources)

    def test_accelerators_tags_and_a_profile_are_asked_for_by_themselves(self):
        profile = SimpleNamespace(roles=[SimpleNamespace(arn=f"{ROLES}/instance")])
        iam = SimpleNamespace(get_instance_profile_by_arn=lambda _: profile)
        with mock.patch.object(backends, "iam", return_value=iam):
            found = self.launched(
                {
                    "ElasticInferenceAccelerators": [{"Type": "eia2.medium"}],
                    "TagSpecifications": [{"ResourceType": "instance"}],
                    "IamInstanceProfile": {"Arn": "arn:profile"},
                }
            )
        accelerators = (
            "arn:aws:elastic-inference:us-east-1:123456789012:elastic-inference-accelerator/*"
        )
        instances = "arn:aws:ec2:us-east-1:123456789012:instance/*"
        self.assertEqual(
            found[-3:],
            [
                ("ec2:RunInstances", accelerators, {}),
                ("ec2:CreateTags", instances, {"ec2:CreateAction": ["RunInstances"]}),
                (
                    "iam:PassRole",
                    f"{ROLES}/instance",
                    {"iam:PassedToService": ["ec2.amazonaws.com"]},
                ),
            ],
        )
