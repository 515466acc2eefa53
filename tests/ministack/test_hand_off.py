"""The stack on MiniStack: what lies between the functions and AWS."""

import datetime
import json
import unittest
import uuid

from botocore.exceptions import ClientError

from double import ACCOUNT, REGION, Double

DOUBLE = BAD_BATCH = REFUSED_CALL = None
# What MiniStack does not have, with a call that shows it.
LACKS = [
    ("autoscaling", "detach_instances", {"AutoScalingGroupName": "g", "ShouldDecrementDesiredCapacity": False}),
    ("autoscaling", "terminate_instance_in_auto_scaling_group", {"InstanceId": "i", "ShouldDecrementDesiredCapacity": True}),
    ("autoscaling", "launch_instances", {"AutoScalingGroupName": "g", "RequestedCapacity": 1, "ClientToken": "t"}),
    ("autoscaling", "describe_traffic_sources", {"AutoScalingGroupName": "g"}),
    ("ecs", "register_container_instance", {}),
    ("ecs", "update_container_instances_state", {"containerInstances": ["a"], "status": "DRAINING"}),
    ("ecs", "start_task", {"containerInstances": ["a"], "taskDefinition": "t"}),
]
NOT_KNOWN = "InvalidAction"


def setUpModule():
    global DOUBLE, BAD_BATCH, REFUSED_CALL
    DOUBLE = Double()
    unittest.addModuleCleanup(DOUBLE.end)
    DOUBLE.deploy()
    sqs = DOUBLE.client("sqs")
    for function in ("deregister-targets", "drain-tasks", "replace-capacity"):
        policy = sqs.get_queue_attributes(QueueUrl=DOUBLE.queue(function), AttributeNames=["RedrivePolicy"])
        policy = json.loads(policy["Attributes"]["RedrivePolicy"])
        # Two tries instead of the template's five, which take two minutes.
        policy["maxReceiveCount"] = 2
        sqs.set_queue_attributes(QueueUrl=DOUBLE.queue(function), Attributes={"RedrivePolicy": json.dumps(policy)})
    BAD_BATCH, REFUSED_CALL = BadBatch(), RefusedCall()


def warning(instance):
    """A warning as a rule delivers it, from a drill for real: only AWS can send AWS's events."""
    return {
        "version": "0", "id": str(uuid.uuid4()), "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "spot-handoff.drill", "account": ACCOUNT, "region": REGION, "resources": [],
        "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "detail": {"instance-id": instance, "instance-action": "terminate", "for-real": True},
    }


def put(event):
    entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
    return DOUBLE.client("events").put_events(Entries=[entry])


def target_group_with_instance(name):
    """(ARN of a target group that a load balancer sends to, one of the two instances registered in it by hand).

    Instances of nobody are looked for only where a load balancer sends requests, and the other one carries the load.
    """
    ec2, elb = DOUBLE.client("ec2"), DOUBLE.client("elbv2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    instances = ec2.run_instances(ImageId=image, InstanceType="m5.large", MinCount=2, MaxCount=2)["Instances"]
    ids = [instance["InstanceId"] for instance in instances]
    network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    made = elb.create_target_group(Name=name, Protocol="HTTP", Port=80, TargetType="instance", VpcId=network)
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    balancer = elb.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    forward = [{"Type": "forward", "TargetGroupArn": arn}]
    elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=forward)
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": id, "Port": 80} for id in ids])
    return arn, ids[0]


def serves(arn, instance):
    found = DOUBLE.client("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return any(t["Target"]["Id"] == instance and t["TargetHealth"]["State"] != "draining" for t in found)


def about(instance, queue):
    """The messages of a queue that name an instance."""
    return [body for body in DOUBLE.waiting(queue) if instance in body]


def notices_about(instance, function):
    """The messages in a function's queue that are not follow-ups: a look at the instance waits
    there until its time."""
    return [body for body in about(instance, function) if json.loads(body)["source"] != "spot-handoff"]


class BadBatch:
    """A message that is no JSON among two good ones."""

    def __init__(self):
        self.known, self.unknown = target_group_with_instance("in-a-batch"), "i-0fedcba9876543210"
        bodies = [json.dumps(warning(self.known[1])), "{ no JSON", json.dumps(warning(self.unknown))]
        DOUBLE.client("sqs").send_message_batch(
            QueueUrl=DOUBLE.queue("deregister-targets"),
            Entries=[{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)],
        )


class RefusedCall:
    """A warning for an instance of a group, which MiniStack cannot detach."""

    def __init__(self):
        scaling = DOUBLE.client("autoscaling")
        scaling.create_launch_configuration(LaunchConfigurationName="c", ImageId="ami-1", InstanceType="m5.large")
        scaling.create_auto_scaling_group(
            AutoScalingGroupName="g", LaunchConfigurationName="c", MinSize=1, MaxSize=2, DesiredCapacity=1,
            AvailabilityZones=[f"{REGION}a"],
        )
        group = scaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]
        self.instance = group["Instances"][0]["InstanceId"]
        put(warning(self.instance))


class HandOff(unittest.TestCase):
    def test_a_warning_goes_by_rule_queue_and_mapping_to_all_three_and_takes_the_target_out(self):
        arn, instance = target_group_with_instance("by-hand")
        _, bystander = target_group_with_instance("untouched")
        self.assertTrue(serves(arn, instance))
        self.assertEqual(0, put(warning(instance))["FailedEntryCount"])
        DOUBLE.until("the target is out", lambda: not serves(arn, instance))
        DOUBLE.until("three reports", lambda: len(DOUBLE.reports(instance)) >= 3)
        for function, report in DOUBLE.reports(instance).items():
            self.assertNotEqual("failed", report["outcome"], report["message"])
            DOUBLE.until(f"{function} has deleted its message", lambda: not notices_about(instance, function))
            self.assertEqual([], about(instance, f"{function}-dead-letters"))
        self.assertEqual({}, DOUBLE.reports(bystander))

    def test_a_function_answers_with_the_bad_messages_of_a_batch_and_no_others(self):
        arn, instance = target_group_with_instance("invoked")
        record = {
            "receiptHandle": "h", "attributes": {}, "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": REGION,
            "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:spot-handoff-deregister-targets",
        }
        bodies = {"good": json.dumps(warning(instance)), "bad": "{}", "worse": "no JSON"}
        records = [{**record, "messageId": id, "body": body, "md5OfBody": ""} for id, body in bodies.items()]
        answer = DOUBLE.client("lambda").invoke(
            FunctionName="spot-handoff-deregister-targets", Payload=json.dumps({"Records": records})
        )
        self.assertNotIn("FunctionError", answer)
        failures = json.loads(answer["Payload"].read())["batchItemFailures"]
        self.assertEqual(["bad", "worse"], sorted(failure["itemIdentifier"] for failure in failures))
        self.assertFalse(serves(arn, instance))

    def test_nobody_but_aws_speaks_as_aws(self):
        answer = put({**warning("i-0fedcba9876543211"), "source": "aws.ec2"})
        self.assertEqual("NotAuthorizedForSourceException", answer["Entries"][0]["ErrorCode"])

    def test_the_plain_template_deploys_as_a_second_stack(self):
        DOUBLE.deploy_plain("plain")
        made = {f["FunctionName"] for f in DOUBLE.client("lambda").list_functions()["Functions"]}
        of_sam = {name for name in made if name.startswith("spot-handoff-")}
        self.assertEqual({name.replace("spot-handoff", "plain") for name in of_sam}, made - of_sam)

    def test_what_ministack_lacks_it_lacks(self):
        for service, call, parameters in LACKS:
            with self.subTest(call), self.assertRaises(ClientError) as refused:
                getattr(DOUBLE.client(service), call)(**parameters)
            self.assertEqual(NOT_KNOWN, refused.exception.response["Error"]["Code"], f"{call} is known by now")


class WhatFails(unittest.TestCase):
    """Begun before all other tests, since a message comes back twice, 20 s apart, until it is a dead letter."""

    def test_of_a_batch_only_the_bad_message_fails_and_ends_as_a_dead_letter(self):
        known, unknown = BAD_BATCH.known, BAD_BATCH.unknown
        DOUBLE.until("the good ones are done", lambda: len(DOUBLE.reports(unknown)) and not serves(*known))
        dead = DOUBLE.until("a dead letter", lambda: DOUBLE.waiting("deregister-targets-dead-letters"), seconds=180)
        self.assertEqual(["{ no JSON"], dead)
        for instance in (unknown, known[1]):
            self.assertEqual([], notices_about(instance, "deregister-targets"))
            self.assertEqual([], about(instance, "deregister-targets-dead-letters"))

    def test_a_call_that_aws_does_not_take_ends_as_a_dead_letter_with_its_reason(self):
        instance = REFUSED_CALL.instance
        dead = DOUBLE.until("a dead letter", lambda: about(instance, "replace-capacity-dead-letters"), seconds=180)
        self.assertEqual(1, len(dead))
        report = DOUBLE.reports(instance)["replace-capacity"]
        self.assertEqual("failed", report["outcome"])
        self.assertIn("DetachInstances", json.dumps(report))
        self.assertNotEqual("failed", DOUBLE.reports(instance)["drain-tasks"]["outcome"])


if __name__ == "__main__":
    unittest.main()
