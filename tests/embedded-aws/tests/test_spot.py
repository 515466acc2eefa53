import json
import time

from .aws import MovingWorldTest, WorldTest, warning


class Interruption(MovingWorldTest):
    def test_the_instance_is_taken_two_minutes_after_the_warning(self):
        instance = self.first()
        self.post("events", warning(instance))
        self.pass_time(115)
        self.assertIn("ACTIVE", self.container_instance(instance)["status"])
        self.pass_time(10)
        states = {i["id"]: i["state"] for i in self.state()["instances"]}
        self.assertEqual(states[instance], "terminated")
        tasks = [t for t in self.cluster()["tasks"] if t["instance"] == instance]
        self.assertEqual({t["last_status"] for t in tasks}, {"STOPPED"})
        self.assertIn("Host EC2", tasks[0]["stopped_reason"])

    def test_the_group_replaces_what_it_lost(self):
        instance = self.first()
        self.post("events", warning(instance))
        self.pass_time(180)
        self.assertNotIn(instance, self.members())
        self.assertEqual(len(self.members()), 6)

    def test_a_detached_instance_is_not_replaced_a_second_time(self):
        instance = self.first()
        self.post("events", warning(instance))
        self.detach(instance)
        before = set(self.members()) - {instance}
        self.pass_time(300)
        self.assertEqual(set(self.members()), before)

    def test_a_replacement_comes_into_service_and_into_the_cluster(self):
        self.detach(self.first())
        new = self.members()[-1]
        self.pass_time(11)
        self.assertEqual(self.group()["instances"][-1]["lifecycle"], "InService")
        self.assertEqual(self.targets("inference", id=new)[0]["state"], "initial")
        self.pass_time(6)
        self.assertEqual(self.container_instance(new)["status"], "ACTIVE")
        self.assertEqual(self.targets("inference", id=new)[0]["state"], "healthy")

    def test_capacity_rebalancing_launches_first(self):
        old = self.first("rebalancing")
        event = warning(old)
        event["detail-type"] = "EC2 Instance Rebalance Recommendation"
        event["detail"] = {"instance-id": old}
        self.post("events", event)
        self.pass_time(4)
        self.assertEqual(len(self.members("rebalancing")), 4)
        self.pass_time(20)
        self.assertNotIn(old, self.members("rebalancing"))
        self.assertEqual(len(self.members("rebalancing")), 3)

    def test_terminated_instances_are_announced_when_asked_for(self):
        self.post("settings", {"state_change_events": True})
        self.happen("reclaim", instance=self.first())
        (message,) = self.sqs.receive_message(QueueUrl=self.queue("notices")["url"])["Messages"]
        self.assertEqual(json.loads(message["Body"])["detail"]["state"], "shutting-down")


class FastWorld(MovingWorldTest):
    def order(self):
        return {"clock": f"{int(time.time() * 1000)}x50"}

    def test_minutes_pass_in_seconds(self):
        instance = self.first()
        event = warning(instance)
        began = time.monotonic()
        self.post("events", event)

        def state():
            return {i["id"]: i["state"] for i in self.state()["instances"]}[instance]

        while state() == "running" and time.monotonic() - began < 60:
            time.sleep(0.05)
        self.assertEqual(state(), "terminated")
        # Two minutes at fifty times the pace; the event's time is cut to a second, and a busy machine takes longer.
        self.assertGreater(time.monotonic() - began, 1)


class StillWorld(WorldTest):
    def test_nothing_happens_by_itself(self):
        instance = self.first()
        self.post("events", warning(instance))
        self.detach(self.members()[1])
        self.happen("pass-time", seconds=600)
        states = {i["id"]: i["state"] for i in self.state()["instances"]}
        self.assertEqual(states[instance], "running")
        self.assertEqual(self.group()["instances"][-1]["lifecycle"], "Pending")


class EventsAndQueues(WorldTest):
    def receive(self, queue="notices", **more):
        url = self.queue(queue)["url"]
        return self.sqs.receive_message(QueueUrl=url, **more).get("Messages", [])

    def test_an_event_arrives_as_it_was_sent(self):
        event = warning(self.first())
        answer = self.post("events", event)
        self.assertEqual(len(answer["matched"]), 1)
        (message,) = self.receive()
        self.assertEqual(json.loads(message["Body"]), event)

    def test_a_queue_that_admits_no_rule_gets_nothing_and_its_dead_letter_queue_does(self):
        self.post("events", warning(self.first()))
        self.assertEqual(self.receive("closed"), [])
        (message,) = self.receive("undelivered", MessageAttributeNames=["All"])
        told = {name: a["StringValue"] for name, a in message["MessageAttributes"].items()}
        self.assertEqual(told["ERROR_CODE"], "NO_PERMISSIONS")
        self.assertEqual(told["TARGET_ARN"].split(":")[-1], "closed")
        self.assertIn(":rule/", told["RULE_ARN"])

    def test_nobody_else_speaks_as_aws(self):
        def put(source):
            entry = {
                "Source": source,
                "DetailType": "EC2 Spot Instance Interruption Warning",
                "Detail": json.dumps({"instance-id": "i-0123456789abcdef0"}),
            }
            return self.client("events").put_events(Entries=[entry])

        refused = put("aws.ec2")["Entries"][0]
        self.assertEqual(refused["ErrorCode"], "NotAuthorizedForSourceException")
        self.assertEqual(self.receive(), [])
        put("spot-handoff.drill")
        self.assertEqual(json.loads(self.receive()[0]["Body"])["source"], "spot-handoff.drill")

    def test_delays_and_visibility_go_by_the_clock_of_the_world(self):
        url = self.queue("notices")["url"]
        self.sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=60)
        self.assertEqual(self.receive(), [])
        self.happen("pass-time", seconds=61)
        self.assertEqual(len(self.receive()), 1)
        self.assertEqual(self.receive(), [])
        self.happen("pass-time", seconds=21)
        self.assertEqual(len(self.receive()), 1)
        self.happen("pass-time", seconds=21)
        self.assertEqual(self.receive(), [])
        (queue,) = [q for q in self.state()["queues"] if q["name"] == "notices-dead-letters"]
        self.assertEqual(queue["bodies"], ["later"])


class Targets(WorldTest):
    def test_a_deregistered_target_drains_for_the_delay_of_its_group(self):
        arn, instance = self.target_group_arn("classifier"), self.first()
        target = {"Id": instance, "Port": 32768}
        self.elbv2.deregister_targets(TargetGroupArn=arn, Targets=[target])
        found = self.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        states = {
            d["Target"]["Port"]: d["TargetHealth"]["State"]
            for d in found
            if d["Target"]["Id"] == instance
        }
        self.assertEqual(states, {32768: "draining", 32769: "healthy"})
        self.happen("pass-time", seconds=301)
        asked = self.elbv2.describe_target_health(TargetGroupArn=arn, Targets=[target])
        self.assertEqual(
            asked["TargetHealthDescriptions"][0]["TargetHealth"]["Reason"], "Target.NotRegistered"
        )

    def test_deregistering_what_is_not_registered_succeeds(self):
        arn = self.target_group_arn("inference")
        self.elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": self.first("web")}])
