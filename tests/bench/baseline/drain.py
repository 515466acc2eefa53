"""The plain way to drain a container instance: one invocation for each interruption warning.

It works like the public samples for Lambda in Python: go through the clusters, list and describe
their container instances page by page until it finds the instance, and set it to DRAINING.
"""

import boto3

ecs = boto3.client("ecs")


def find(instance_id):
    for clusters in ecs.get_paginator("list_clusters").paginate():
        for cluster in clusters["clusterArns"]:
            pages = ecs.get_paginator("list_container_instances").paginate(cluster=cluster)
            for page in pages:
                arns = page["containerInstanceArns"]
                if not arns:
                    continue
                described = ecs.describe_container_instances(
                    cluster=cluster, containerInstances=arns
                )
                for container_instance in described["containerInstances"]:
                    if container_instance["ec2InstanceId"] == instance_id:
                        return cluster, container_instance
    return None, None


def handler(event, context):
    instance_id = event["detail"]["instance-id"]
    cluster, container_instance = find(instance_id)
    if cluster is None:
        print(f"{instance_id} is in no cluster")
        return
    if container_instance["status"] == "ACTIVE":
        ecs.update_container_instances_state(
            cluster=cluster,
            containerInstances=[container_instance["containerInstanceArn"]],
            status="DRAINING",
        )
    print(f"draining {instance_id} in {cluster}")
