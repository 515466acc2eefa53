from .aws import MovingWorldTest, WorldTest


class Membership(WorldTest):
    def test_detaching_without_decrement_launches_a_replacement(self):
        instance = self.first()
        self.detach(instance)
        group = self.group()
        self.assertNotIn(instance, self.members())
        self.assertEqual((group["desired"], len(group["instances"])), (6, 6))
        self.assertEqual(group["instances"][-1]["lifecycle"], "Pending")
        self.assertEqual(self.targets("inference", id=instance)[0]["state"], "draining")

    def test_detaching_with_decrement_launches_nothing(self):
        self.detach(self.first(), decrement=True)
        group = self.group()
        self.assertEqual((group["desired"], len(group["instances"])), (5, 5))

    def test_detaching_a_foreign_instance_fails_and_detaches_none(self):
        instance, foreign = self.first(), self.first("web")
        self.assert_refused(
            "ValidationError",
            f"The instance {foreign} is not part of Auto Scaling group inference.",
            self.detach,
            instance,
            foreign,
        )
        self.assertIn(instance, self.members())

    def test_more_than_twenty_instances_cannot_be_detached_at_once(self):
        ids = [f"i-{n:017x}" for n in range(21)]
        self.assert_refused("ValidationError", "maximum number of instances", self.detach, *ids)

    def test_unknown_instances_are_left_out_and_more_than_fifty_refused(self):
        describe = self.autoscaling.describe_auto_scaling_instances
        ids = [self.first(), "i-0123456789abcdef0"]
        found = describe(InstanceIds=ids)["AutoScalingInstances"]
        self.assertEqual([i["InstanceId"] for i in found], ids[:1])
        many = [f"i-{n:017x}" for n in range(51)]
        self.assert_refused("ValidationError", "50", describe, InstanceIds=many)

    def test_small_pages_make_a_small_fleet_need_several(self):
        self.post("settings", {"page_size": 2})
        pages = self.autoscaling.get_paginator("describe_auto_scaling_groups").paginate()
        sizes = [len(page["AutoScalingGroups"]) for page in pages]
        self.assertEqual(sizes, [2, 2, 2])

    def test_desired_capacity_stays_within_the_size_of_the_group(self):
        resize = self.autoscaling.set_desired_capacity
        self.assert_refused(
            "ValidationError",
            "above max value 12",
            resize,
            AutoScalingGroupName="inference",
            DesiredCapacity=13,
        )
        resize(AutoScalingGroupName="inference", DesiredCapacity=7)
        self.assertEqual(len(self.members()), 7)

    def test_a_group_with_launch_suspended_replaces_nothing(self):
        self.autoscaling.suspend_processes(
            AutoScalingGroupName="inference", ScalingProcesses=["Launch"]
        )
        self.detach(self.first())
        self.assertEqual(len(self.members()), 5)

    def test_traffic_sources_are_the_target_groups(self):
        found = self.autoscaling.describe_traffic_sources(AutoScalingGroupName="inference")
        (source,) = found["TrafficSources"]
        self.assertEqual(source["Identifier"], self.target_group_arn("inference"))


class LaunchInstances(WorldTest):
    def launch(self, group="inference", token="t-1", zones=("us-east-1b",), **more):
        if zones:
            more["AvailabilityZones"] = list(zones)
        return self.autoscaling.launch_instances(
            AutoScalingGroupName=group, RequestedCapacity=1, ClientToken=token, **more
        )

    def test_answers_with_the_new_instance_and_raises_the_desired_capacity(self):
        (launched,) = self.launch()["Instances"]
        self.assertEqual(launched["AvailabilityZone"], "us-east-1b")
        self.assertEqual(self.members()[-1:], launched["InstanceIds"])
        self.assertEqual(self.group()["desired"], 7)

    def test_the_same_token_launches_once(self):
        self.assertEqual(self.launch()["Instances"], self.launch()["Instances"])
        self.assertEqual(len(self.members()), 7)

    def test_the_same_token_with_another_zone_is_refused(self):
        self.launch()
        self.assert_refused(
            "IdempotentParameterMismatch", "token", self.launch, zones=("us-east-1a",)
        )

    def test_a_group_over_several_zones_needs_one_named(self):
        self.assert_refused("ValidationError", "must be specified", self.launch, zones=())

    def test_groups_that_mix_or_have_a_launch_configuration_are_refused(self):
        self.assert_refused("ValidationError", "mixed", self.launch, "mixed")
        self.assert_refused("ValidationError", "launch template", self.launch, "legacy")

    def test_max_size_is_a_limit(self):
        self.autoscaling.update_auto_scaling_group(AutoScalingGroupName="inference", MaxSize=6)
        self.assert_refused("ValidationError", "max size", self.launch)

    def test_no_capacity_comes_back_as_an_error_of_the_answer(self):
        self.post("faults", [{"action": "LaunchInstances", "fault": {"kind": "no-capacity"}}])
        answer = self.launch()
        self.assertEqual(answer["Instances"], [])
        self.assertEqual(answer["Errors"][0]["ErrorCode"], "InsufficientInstanceCapacity")
        self.assertEqual(self.group()["desired"], 6)


class LifecycleHooks(MovingWorldTest):
    def terminate(self, instance, decrement=False):
        return self.autoscaling.terminate_instance_in_auto_scaling_group(
            InstanceId=instance, ShouldDecrementDesiredCapacity=decrement
        )

    def lifecycle(self, instance, group="hooked"):
        found = {i["id"]: i["lifecycle"] for i in self.group(group)["instances"]}
        return found.get(instance)

    def action(self):
        return self.state()["lifecycle_actions"][-1]

    def named_action(self, **more):
        action = self.action()
        return {
            "AutoScalingGroupName": action["group"],
            "LifecycleHookName": action["hook"],
            "LifecycleActionToken": action["token"],
            **more,
        }

    def test_a_scale_in_waits_at_the_hook_and_says_so_on_the_bus(self):
        instance = self.happen("scale-in")["instance"]
        self.assertEqual(self.lifecycle(instance), "Terminating:Wait")
        message = self.sqs.receive_message(QueueUrl=self.queue("notices")["url"])["Messages"][0]
        self.assertIn(self.action()["token"], message["Body"])
        self.assertIn("autoscaling:EC2_INSTANCE_TERMINATING", message["Body"])

    def test_an_event_from_outside_has_its_instance_wait_under_its_token(self):
        instance = self.first("hooked")
        detail = {
            "LifecycleActionToken": "87654321-4321-4321-4321-210987654321",
            "AutoScalingGroupName": "hooked",
            "LifecycleHookName": "spot-handoff-drain",
            "EC2InstanceId": instance,
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        }
        event = {
            "source": "aws.autoscaling",
            "detail-type": "EC2 Instance-terminate Lifecycle Action",
            "detail": detail,
        }
        self.post("events", event)
        self.assertEqual(self.lifecycle(instance), "Terminating:Wait")
        self.assertEqual(self.action()["token"], detail["LifecycleActionToken"])

    def test_completing_the_action_lets_the_instance_go(self):
        instance = self.happen("scale-in")["instance"]
        complete = self.autoscaling.complete_lifecycle_action
        order = self.named_action(LifecycleActionResult="CONTINUE")
        complete(**order)
        self.pass_time(2)
        self.assertIsNone(self.lifecycle(instance))
        self.assertEqual(self.group("hooked")["desired"], 2)
        self.assert_refused(
            "ValidationError",
            f"No active Lifecycle Action found with token {order['LifecycleActionToken']}",
            complete,
            **order,
        )

    def test_what_is_abandoned_stays_where_the_group_retains_it(self):
        retain = {"RetentionTriggers": {"TerminateHookAbandon": "retain"}}
        for result, policy, expected in (
            ("ABANDON", None, None),
            ("CONTINUE", retain, None),
            ("ABANDON", retain, "Terminating:Retained"),
        ):
            with self.subTest(result=result, policy=policy):
                if policy:
                    self.autoscaling.update_auto_scaling_group(
                        AutoScalingGroupName="hooked", InstanceLifecyclePolicy=policy
                    )
                instance = self.happen("scale-in")["instance"]
                self.autoscaling.complete_lifecycle_action(
                    **self.named_action(LifecycleActionResult=result)
                )
                self.pass_time(2)
                self.assertEqual(self.lifecycle(instance), expected)
        shown = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["hooked"])
        self.assertEqual(shown["AutoScalingGroups"][0]["InstanceLifecyclePolicy"], retain)
        self.autoscaling.terminate_instance_in_auto_scaling_group(
            InstanceId=instance, ShouldDecrementDesiredCapacity=False
        )
        self.assertIsNone(self.lifecycle(instance))

    def test_heartbeats_keep_the_instance_waiting_beyond_the_timeout(self):
        instance = self.happen("scale-in")["instance"]
        self.pass_time(200)
        self.autoscaling.record_lifecycle_action_heartbeat(**self.named_action())
        self.pass_time(200)
        self.assertEqual(self.lifecycle(instance), "Terminating:Wait")
        self.assertEqual(self.action()["heartbeats"], 1)
        self.pass_time(102)
        self.assertIsNone(self.lifecycle(instance))

    def test_terminating_without_decrement_launches_a_replacement_beside_the_waiting_instance(self):
        instance = self.first("hooked")
        self.terminate(instance)
        self.assertEqual(self.lifecycle(instance), "Terminating:Wait")
        self.assertEqual(len(self.members("hooked")), 4)

    def test_terminating_without_a_hook_ends_the_instance(self):
        instance = self.first()
        self.terminate(instance, decrement=True)
        self.pass_time(2)
        self.assertNotIn(instance, self.members())
        states = {i["id"]: i["state"] for i in self.state()["instances"]}
        self.assertEqual(states[instance], "terminated")
