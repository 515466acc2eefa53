"""Auto Scaling at its real pace."""

import json
import time

from .aws import MovingWorldTest, still_clock, warning


class RealPace(MovingWorldTest):
    seed = 1
    variants = {"event-delivery": "at-once", "contention": "no", "interruption": "on-time"}
    numbers = {}

    def order(self):
        return {
            "clock": still_clock(),
            "pace": "real",
            "seed": self.seed,
            "variants": {**RealPace.variants, **self.variants},
            "numbers": {"stale-reads": 0, **self.numbers},
        }

    def lifecycles(self, group):
        return {i["id"]: i["lifecycle"] for i in self.group(group)["instances"]}

    def lifecycle(self, instance, group):
        return self.lifecycles(group).get(instance)

    def running(self, instance):
        return {i["id"]: i["state"] for i in self.state()["instances"]}[instance] == "running"

    def newest(self, group):
        return self.members(group)[-1]

    def activities(self, group):
        asked = self.autoscaling.describe_scaling_activities(AutoScalingGroupName=group)
        return asked["Activities"]

    def warn(self, instance):
        now = self.state()["now_ms"] / 1000
        time_ = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        return self.post("events", {**warning(instance), "time": time_})

    def set_delay(self, target_group, seconds):
        self.elbv2.modify_target_group_attributes(
            TargetGroupArn=self.target_group_arn(target_group),
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}],
        )

    def events(self, detail_type):
        """Events of this kind in the queue that a rule of the test delivers to."""
        url = self.queue("notices")["url"]
        found = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            found += [json.loads(message["Body"]) for message in messages]
        return [event for event in found if event["detail-type"] == detail_type]


class Launches(RealPace):
    def test_an_instance_is_in_service_after_one_to_two_minutes_and_in_its_cluster_later(self):
        known = set(self.members("inference"))
        self.happen("set-desired", group="inference", desired=10)
        new = [i for i in self.members("inference") if i not in known]
        self.pass_time(59)
        self.assertEqual({self.lifecycle(i, "inference") for i in new}, {"Pending"})
        self.pass_time(31)
        states = [self.lifecycle(i, "inference") for i in new]
        self.assertEqual(set(states), {"Pending", "InService"}, "each takes its own time")
        self.pass_time(31)
        self.assertEqual({self.lifecycle(i, "inference") for i in new}, {"InService"})
        self.pass_time(30)
        registered = {c["instance"] for c in self.cluster()["container_instances"]}
        self.assertLessEqual(set(new), registered)

    def test_activities_tell_of_launches_and_terminations(self):
        self.happen("set-desired", group="web", desired=4)
        new = self.newest("web")
        (activity,) = self.activities("web")
        self.assertEqual(activity["Description"], f"Launching a new EC2 instance: {new}")
        self.assertEqual(activity["StatusCode"], "PreInService")
        self.assertIn("increasing the capacity from 3 to 4", activity["Cause"])
        self.pass_time(121)
        (activity,) = self.activities("web")
        self.assertEqual((activity["StatusCode"], activity["Progress"]), ("Successful", 100))
        self.assertIn("EndTime", activity)


class DetachedBeforeDrained(RealPace):
    variants = {"replacement-launches": "before-drain"}

    def test_a_detached_instance_stays_detaching_while_its_targets_drain(self):
        self.set_delay("web", 40)
        instance = self.first("web")
        self.detach(instance, group="web")
        self.assertEqual(self.targets("web", id=instance)[0]["state"], "draining")
        self.assertEqual(len(self.members("web")), 4, "the replacement is launched at once")
        self.pass_time(39)
        self.assertEqual(self.lifecycle(instance, "web"), "Detaching")
        self.pass_time(8)
        self.assertIsNone(self.lifecycle(instance, "web"))
        self.assertTrue(self.running(instance))

    def test_without_targets_it_has_left_within_seconds(self):
        instance = self.first("legacy")
        self.detach(instance, group="legacy")
        self.pass_time(6)
        self.assertIsNone(self.lifecycle(instance, "legacy"))


class DetachedAfterDrained(RealPace):
    variants = {"replacement-launches": "after-drain"}

    def test_the_replacement_is_launched_when_the_targets_have_drained(self):
        self.set_delay("web", 40)
        instance = self.first("web")
        self.detach(instance, group="web")
        # Nothing that has the group look at its size launches it sooner.
        self.happen("set-desired", group="web", desired=3)
        self.pass_time(39)
        self.assertEqual(len(self.members("web")), 3)
        self.pass_time(8)
        self.assertEqual(sorted(self.lifecycles("web").values()), ["InService"] * 2 + ["Pending"])

    def test_one_that_is_detached_with_its_place_costs_no_other(self):
        self.set_delay("web", 40)
        self.happen("set-desired", group="web", desired=3)
        before = set(self.members("web"))
        instance = self.first("web")
        self.autoscaling.detach_instances(
            AutoScalingGroupName="web",
            InstanceIds=[instance],
            ShouldDecrementDesiredCapacity=True,
        )
        self.pass_time(50)
        self.assertEqual(set(self.members("web")), before - {instance})

    def test_a_group_that_shrinks_meanwhile_leaves_it_detaching(self):
        self.set_delay("web", 40)
        instance = self.first("web")
        self.detach(instance, group="web")
        self.happen("set-desired", group="web", desired=1, min=0)
        states = sorted(self.lifecycles("web").values())
        self.assertEqual(states, ["Detaching", "Terminating", "Terminating"])
        self.pass_time(121)
        self.assertEqual(list(self.lifecycles("web").values()), ["Pending"])


class Terminations(RealPace):
    def test_targets_drain_before_the_hook_is_called(self):
        self.set_delay("hooked", 20)
        instance = self.first("hooked")
        self.autoscaling.terminate_instance_in_auto_scaling_group(
            InstanceId=instance, ShouldDecrementDesiredCapacity=True
        )
        self.pass_time(19)
        self.assertEqual(self.lifecycle(instance, "hooked"), "Terminating")
        self.assertEqual(self.state()["lifecycle_actions"], [])
        self.pass_time(2)
        self.assertEqual(self.lifecycle(instance, "hooked"), "Terminating:Wait")
        self.assertTrue(self.running(instance))

    def test_the_default_policy_takes_from_the_zone_with_most_and_spares_the_protected(self):
        self.happen("set-desired", group="web", desired=4)
        zones = [i["zone"] for i in self.group("web")["instances"]]
        fullest = max(set(zones), key=zones.count)
        there = [i["id"] for i in self.group("web")["instances"] if i["zone"] == fullest]
        self.autoscaling.set_instance_protection(
            AutoScalingGroupName="web", InstanceIds=there[:1], ProtectedFromScaleIn=True
        )
        self.happen("set-desired", group="web", desired=3)
        leaving = [i for i, state in self.lifecycles("web").items() if state == "Terminating"]
        self.assertEqual(leaving, there[1:])

    def test_the_default_policy_prefers_the_oldest_launch_template(self):
        self.client("ec2").create_launch_template_version(
            LaunchTemplateName="web", SourceVersion="1", LaunchTemplateData={}
        )
        old = set(self.members("web"))
        self.happen("set-desired", group="web", desired=6)
        self.happen("set-desired", group="web", desired=3)
        leaving = {i for i, state in self.lifecycles("web").items() if state == "Terminating"}
        self.assertEqual(leaving, old)


class NoSpotCapacity(RealPace):
    variants = {"no-spot-message": "unfulfillable"}

    def setUp(self):
        super().setUp()
        events = self.client("events")
        pattern = {
            "source": ["aws.autoscaling"],
            "detail-type": ["EC2 Instance Launch Unsuccessful"],
        }
        # The queue of the template lets in whatever comes by this rule.
        rules = [r["Name"] for r in events.list_rules()["Rules"]]
        self.rule = next(name for name in rules if "Terminating" in name)
        events.put_rule(Name=self.rule, EventPattern=json.dumps(pattern), State="ENABLED")

    def test_a_group_says_so_and_goes_on_trying_ever_less_often(self):
        self.happen("no-spot-capacity", seconds=600)
        self.happen("set-desired", group="web", desired=4)
        self.assertEqual(len(self.members("web")), 3)
        (activity,) = self.activities("web")
        message = (
            "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due "
            "to your request configuration. Please adjust your request and try again. Launching EC2 "
            "instance failed."
        )
        self.assertEqual((activity["StatusCode"], activity["StatusMessage"]), ("Failed", message))
        self.assertEqual(
            activity["Description"], f"Launching a new EC2 instance.  Status Reason: {message}"
        )
        self.pass_time(599)
        times = [a["StartTime"].timestamp() for a in reversed(self.activities("web"))]
        gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
        self.assertTrue(12 <= gaps[0] <= 17, gaps)
        self.assertTrue(gaps[0] < gaps[2] < gaps[4], gaps)
        self.assertGreater(gaps[-1], 100)
        self.pass_time(161)
        self.assertEqual(len(self.members("web")), 4, "room is found when there is room again")

    def test_the_event_has_the_shape_that_auto_scaling_sends(self):
        self.happen("no-spot-capacity", seconds=600)
        self.happen("set-desired", group="web", desired=4)
        event = self.events("EC2 Instance Launch Unsuccessful")[0]
        detail = event["detail"]
        self.assertEqual(event["source"], "aws.autoscaling")
        self.assertIn(":autoScalingGroup:", event["resources"][0])
        self.assertEqual((detail["StatusCode"], detail["AutoScalingGroupName"]), ("Failed", "web"))
        self.assertIn("UnfulfillableCapacity", detail["StatusMessage"])
        self.assertEqual(set(detail["Details"]), {"Availability Zone", "Subnet ID"})
        self.assertEqual((detail["Origin"], detail["Destination"]), ("EC2", "AutoScalingGroup"))
        self.assertEqual(detail["ActivityId"], self.activities("web")[0]["ActivityId"])

    def test_pools_that_have_room_are_used(self):
        self.happen("no-spot-capacity", pools=["*/us-east-1a", "*/us-east-1b"], seconds=600)
        known = set(self.members("web"))
        self.happen("set-desired", group="web", desired=5)
        new = [i for i in self.group("web")["instances"] if i["id"] not in known]
        self.assertEqual([i["zone"] for i in new], ["us-east-1c"] * 2)

    def test_on_demand_is_launched_all_the_same(self):
        self.happen("no-spot-capacity", seconds=600)
        self.autoscaling.update_auto_scaling_group(
            AutoScalingGroupName="web",
            DesiredCapacity=4,
            MixedInstancesPolicy={
                "InstancesDistribution": {
                    "OnDemandBaseCapacity": 1,
                    "OnDemandPercentageAboveBaseCapacity": 0,
                }
            },
        )
        self.assertEqual(len(self.members("web")), 4)


class Mixture(RealPace):
    def markets(self):
        ids = [i for i, s in self.lifecycles("web").items() if s in ("Pending", "InService")]
        found = self.client("ec2").describe_instances(InstanceIds=ids)["Reservations"]
        spot = [i.get("InstanceLifecycle") == "spot" for r in found for i in r["Instances"]]
        return sum(spot), len(spot) - sum(spot)

    def change(self, base):
        self.autoscaling.update_auto_scaling_group(
            AutoScalingGroupName="web",
            MixedInstancesPolicy={
                "InstancesDistribution": {
                    "OnDemandBaseCapacity": base,
                    "OnDemandPercentageAboveBaseCapacity": 0,
                }
            },
        )

    def test_a_new_base_replaces_gradually_new_before_old(self):
        self.set_delay("web", 5)
        self.change(2)
        self.pass_time(61)
        self.assertEqual(self.markets(), (3, 1), "one at a time, beside the old ones")
        seen = []
        for _ in range(60):
            self.pass_time(10)
            seen.append(self.markets())
            serving = sum(s == "InService" for s in self.lifecycles("web").values())
            self.assertGreaterEqual(serving, 3)
        self.assertEqual(seen[-1], (1, 2))
        self.change(0)
        for _ in range(60):
            self.pass_time(10)
        self.assertEqual(self.markets(), (3, 0))


class Zones(RealPace):
    def zones(self):
        there = [i for i in self.group("web")["instances"] if i["lifecycle"] == "InService"]
        return sorted(i["zone"][-1] for i in there)

    def unbalance(self, seconds):
        """The instance of one zone goes, and its zone has no capacity for so long."""
        self.set_delay("web", 5)
        zone = self.group("web")["instances"][0]["zone"]
        self.happen("no-spot-capacity", pools=[f"*/{zone}"], seconds=seconds)
        self.detach(self.first("web"), group="web")
        self.pass_time(121)
        self.assertEqual(len(set(self.zones())), 2)

    def test_zones_are_balanced_again_new_before_old(self):
        self.unbalance(121)
        least = 3
        for _ in range(60):
            self.pass_time(10)
            least = min(least, len(self.zones()))
        self.assertEqual((self.zones(), least), (["a", "b", "c"], 3))
        causes = " ".join(activity["Cause"] for activity in self.activities("web"))
        self.assertIn("An instance was launched to aid in balancing the group's zones.", causes)
        self.assertIn("resulting in more than desired number of instances", causes)

    def test_launches_fail_in_a_group_that_lacks_nothing(self):
        self.unbalance(3600)
        self.pass_time(900)
        self.assertEqual(len(self.zones()), 3)
        failed = [a for a in self.activities("web") if a["StatusCode"] == "Failed"]
        self.assertGreater(len(failed), 2)
        self.assertIn("to aid in balancing", failed[0]["Cause"])

    def test_a_group_with_that_suspended_stays_as_it_is(self):
        self.happen("suspend", group="web", processes=["AZRebalance"])
        self.unbalance(121)
        self.pass_time(900)
        self.assertEqual(len(set(self.zones())), 2)


class CapacityRebalancing(RealPace):
    def recommend(self, instance):
        event = warning(instance)
        event["detail-type"] = "EC2 Instance Rebalance Recommendation"
        event["detail"] = {"instance-id": instance}
        self.post("events", event)

    def setUp(self):
        super().setUp()
        self.set_delay("rebalancing", 10)

    def test_the_old_one_is_terminated_when_the_new_one_has_passed_its_check(self):
        old = self.first("rebalancing")
        self.recommend(old)
        self.pass_time(16)
        new = self.newest("rebalancing")
        self.assertEqual(self.lifecycle(new, "rebalancing"), "Pending")
        while self.lifecycle(new, "rebalancing") == "Pending":
            self.pass_time(2)
        self.pass_time(10)
        self.assertEqual(self.lifecycle(old, "rebalancing"), "InService")
        self.pass_time(25)
        self.assertIn(self.lifecycle(old, "rebalancing"), ("Terminating", None))
        self.pass_time(60)
        self.assertEqual(len(self.members("rebalancing")), 3)
        self.assertFalse(self.running(old))

    def test_a_size_that_is_set_meanwhile_keeps_both(self):
        old = self.first("rebalancing")
        self.recommend(old)
        self.pass_time(16)
        self.happen("set-desired", group="rebalancing", desired=3)
        self.assertEqual(len(self.members("rebalancing")), 4)
        self.assertEqual(self.lifecycle(old, "rebalancing"), "InService")

    def test_on_the_notice_it_is_terminated_at_once_through_its_hook_and_replaced(self):
        self.happen("add-hook", group="rebalancing", hook="save")
        old = self.first("rebalancing")
        self.warn(old)
        self.pass_time(6)
        self.assertEqual(self.lifecycle(old, "rebalancing"), "Terminating")
        self.assertEqual(self.lifecycle(self.newest("rebalancing"), "rebalancing"), "Pending")
        self.pass_time(10)
        self.assertEqual(self.lifecycle(old, "rebalancing"), "Terminating:Wait")
        self.pass_time(110)
        self.assertFalse(self.running(old), "EC2 does not wait for the hook")
        self.assertEqual(len(self.members("rebalancing")), 4)

    def test_without_capacity_it_goes_on_trying_until_the_old_one_is_gone(self):
        self.happen("no-spot-capacity", seconds=200)
        old = self.first("rebalancing")
        self.recommend(old)
        self.pass_time(150)
        failed = [a for a in self.activities("rebalancing") if a["StatusCode"] == "Failed"]
        self.assertGreater(len(failed), 2)
        self.assertEqual(self.lifecycle(old, "rebalancing"), "InService")
        self.pass_time(400)
        self.assertIsNone(self.lifecycle(old, "rebalancing"))
        self.assertEqual(len(self.members("rebalancing")), 3)


class HealthChecks(RealPace):
    def test_what_the_load_balancer_finds_unhealthy_is_replaced_after_the_grace_period(self):
        self.autoscaling.update_auto_scaling_group(
            AutoScalingGroupName="web", HealthCheckType="ELB", HealthCheckGracePeriod=300
        )
        self.happen("new-instances-fail", group="web", what="targets")
        self.happen("set-desired", group="web", desired=4)
        failing = self.newest("web")
        self.pass_time(400)
        self.assertEqual(self.lifecycle(failing, "web"), "InService")
        self.pass_time(100)
        self.assertIn(self.lifecycle(failing, "web"), ("Terminating", None))
        (activity,) = [a for a in self.activities("web") if failing in a["Description"]][:1]
        self.assertIn("ELB system health check failure", activity["Cause"])
        self.assertEqual(self.lifecycle(self.newest("web"), "web"), "Pending")

    def test_a_group_without_them_keeps_it(self):
        self.happen("new-instances-fail", group="web", what="targets")
        self.happen("set-desired", group="web", desired=4)
        failing = self.newest("web")
        self.pass_time(1200)
        self.assertEqual(self.lifecycle(failing, "web"), "InService")

    def test_an_instance_that_somebody_calls_unhealthy_is_replaced(self):
        instance = self.first("web")
        self.autoscaling.set_instance_health(InstanceId=instance, HealthStatus="Unhealthy")
        self.pass_time(91)
        self.assertEqual(self.lifecycle(instance, "web"), "Terminating")
        self.assertEqual(len(self.members("web")), 4)


class Contention(RealPace):
    variants = {"contention": "yes"}
    numbers = {"contention-lasts": 20}

    def test_a_second_change_meanwhile_is_a_fault_of_the_server(self):
        resize = self.autoscaling.set_desired_capacity
        order = {"AutoScalingGroupName": "web", "DesiredCapacity": 4}
        resize(**order)
        self.assert_refused("ResourceContention", "pending update", resize, **order)
        (call,) = [c for c in self.get("calls") if c["error"]]
        self.assertEqual(call["status"], 500)
        self.autoscaling.set_desired_capacity(AutoScalingGroupName="hooked", DesiredCapacity=3)
        self.pass_time(21)
        resize(**order)


class Orders(RealPace):
    def test_a_schedule_sets_the_size_again_and_again(self):
        steps = [{"after": 10, "desired": 5}, {"after": 20, "desired": 2, "min": 1}]
        self.happen("set-desired", group="web", steps=steps)
        self.assertEqual(self.group("web")["desired"], 3)
        self.pass_time(11)
        self.assertEqual(self.group("web")["desired"], 5)
        self.pass_time(10)
        self.assertEqual((self.group("web")["desired"], self.group("web")["min"]), (2, 1))

    def test_an_agent_can_register_after_the_warning(self):
        self.happen("new-instances-fail", group="web", what="agent")
        self.happen("set-desired", group="web", desired=4)
        self.pass_time(150)
        instance = self.newest("web")
        joined = lambda: [c["instance"] for c in self.cluster("web")["container_instances"]]
        self.assertNotIn(instance, joined())
        self.warn(instance)
        self.happen("agent-registers", instance=instance, after=30)
        self.pass_time(29)
        self.assertNotIn(instance, joined())
        self.pass_time(2)
        self.assertEqual(joined().count(instance), 1)


class Interrupted(RealPace):
    def warned(self):
        instance = self.first("inference")
        self.warn(instance)
        return instance


class InterruptedEarly(Interrupted):
    variants = {"interruption": "early"}

    def test_the_instance_goes_up_to_twelve_seconds_early(self):
        instance = self.warned()
        self.pass_time(106)
        self.assertTrue(self.running(instance))
        self.pass_time(14)
        self.assertFalse(self.running(instance))


class InterruptedLate(Interrupted):
    variants = {"interruption": "late"}

    def test_the_instance_goes_late(self):
        instance = self.warned()
        self.pass_time(121)
        self.assertTrue(self.running(instance))
        self.pass_time(60)
        self.assertFalse(self.running(instance))


class InterruptedNever(Interrupted):
    variants = {"interruption": "never"}

    def test_the_instance_stays(self):
        instance = self.warned()
        self.pass_time(1200)
        self.assertTrue(self.running(instance))


class EventsTwice(RealPace):
    variants = {"event-delivery": "twice"}

    def test_an_event_can_come_a_second_time(self):
        url = self.queue("notices")["url"]
        self.warn(self.first())
        (first,) = self.sqs.receive_message(QueueUrl=url)["Messages"]
        self.pass_time(11)
        found = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        self.assertEqual([m["Body"] for m in found], [first["Body"]])
        self.assertNotEqual(found[0]["MessageId"], first["MessageId"])


class LateEvents(RealPace):
    variants = {"event-delivery": "late"}

    def test_an_event_comes_up_to_ten_seconds_late(self):
        url = self.queue("notices")["url"]
        instance = self.first()
        matched = self.warn(instance)["matched"]
        self.assertEqual(len(matched), 1)
        self.assertNotIn("Messages", self.sqs.receive_message(QueueUrl=url))
        self.pass_time(11)
        (message,) = self.sqs.receive_message(QueueUrl=url)["Messages"]
        self.assertEqual(json.loads(message["Body"])["detail"]["instance-id"], instance)
