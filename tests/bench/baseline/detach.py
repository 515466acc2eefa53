"""The plain way to launch a replacement: one invocation for each interruption warning.

It works like the public samples for Lambda in Python: look the instance up, find its group by its
tag, describe the group, detach the instance. Its targets in the group's target groups leave with
it. Targets of ECS services stay.
"""

import boto3

ec2 = boto3.client("ec2")
autoscaling = boto3.client("autoscaling")

GROUP_TAG = "aws:autoscaling:groupName"


def handler(event, context):
    instance_id = event["detail"]["instance-id"]
    reservations = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    tags = {tag["Key"]: tag["Value"] for tag in reservations[0]["Instances"][0].get("Tags", [])}
    if GROUP_TAG not in tags:
        print(f"{instance_id} is in no Auto Scaling group")
        return
    name = tags[GROUP_TAG]
    groups = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    members = [i["InstanceId"] for i in groups["AutoScalingGroups"][0]["Instances"]]
    if instance_id in members:
        autoscaling.detach_instances(
            InstanceIds=[instance_id],
            AutoScalingGroupName=name,
            ShouldDecrementDesiredCapacity=False,
        )
    print(f"detached {instance_id} from {name}")
