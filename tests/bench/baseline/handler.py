"""The plain way to answer a Spot interruption warning, in the shape of the public Python samples.

EventBridge invokes it once for each warning, asynchronously. It detaches the instance from its Auto Scaling group,
which takes it out of the group's target groups and launches a replacement, and then looks through every cluster for
the container instance and drains it. It keeps boto3's defaults: retries in legacy mode, five attempts.
"""

import boto3

autoscaling = boto3.client("autoscaling")
ec2 = boto3.client("ec2")
ecs = boto3.client("ecs")


def handle(event, _context):
    instance_id = event["detail"]["instance-id"]
    group = group_of(instance_id)
    if group:
        detach(instance_id, group)
    cluster, container_instance = container_instance_of(instance_id)
    if container_instance:
        ecs.update_container_instances_state(
            cluster=cluster, containerInstances=[container_instance], status="DRAINING"
        )
    print(f"{instance_id}: group {group}, cluster {cluster}")


def group_of(instance_id):
    """The group that EC2's tags name, as long as the instance is still in it."""
    reservations = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    tags = reservations[0]["Instances"][0].get("Tags", [])
    name = next((tag["Value"] for tag in tags if tag["Key"] == "aws:autoscaling:groupName"), None)
    if name is None:
        return None
    groups = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    members = [member["InstanceId"] for group in groups for member in group["Instances"]]
    return name if instance_id in members else None


def detach(instance_id, group):
    autoscaling.detach_instances(
        InstanceIds=[instance_id], AutoScalingGroupName=group, ShouldDecrementDesiredCapacity=False
    )


def container_instance_of(instance_id):
    for cluster_page in ecs.get_paginator("list_clusters").paginate():
        for cluster in cluster_page["clusterArns"]:
            for page in ecs.get_paginator("list_container_instances").paginate(cluster=cluster):
                arns = page["containerInstanceArns"]
                if not arns:
                    continue
                described = ecs.describe_container_instances(cluster=cluster, containerInstances=arns)
                for container_instance in described["containerInstances"]:
                    if container_instance["ec2InstanceId"] == instance_id:
                        return cluster, container_instance["containerInstanceArn"]
    return None, None
