"""The fleet as it stands, for the fast AWS to start with (`tests/fast-aws/src/fleet.rs`)."""

from datetime import datetime

from .. import backends
from ..services import elbv2


def export(aws):
    """`aws` are clients. What ECS describes is handed on unchanged."""
    return {
        "instances": [_instance(instance) for instance in backends.ec2().all_instances()],
        "groups": [
            _group(group)
            for group in aws.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        ],
        "target_groups": [_target_group(g) for g in backends.elbv2().target_groups.values()],
        "clusters": [_cluster(aws.ecs, name) for name in backends.ecs().clusters],
        "task_definitions": [
            _plain(aws.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"])
            for arn in aws.ecs.list_task_definitions()["taskDefinitionArns"]
        ],
    }


def _plain(value):
    """Times as the protocol of ECS has them: seconds since the epoch."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.timestamp() if isinstance(value, datetime) else value


def _instance(instance):
    return {
        "id": instance.id,
        "zone": instance.availability_zone,
        "state": instance.state,
        "private_ip": instance.private_ip,
        "tags": {tag["key"]: tag["value"] for tag in instance.get_tags()},
    }


def _group(group):
    policy = group.get("MixedInstancesPolicy", {})
    template = policy.get("LaunchTemplate", {}).get("LaunchTemplateSpecification")
    template = template or group.get("LaunchTemplate", {})
    mixed = policy.get("InstancesDistribution")
    return {
        "name": group["AutoScalingGroupName"],
        "min": group["MinSize"],
        "max": group["MaxSize"],
        "desired": group["DesiredCapacity"],
        "zones": group["AvailabilityZones"],
        "target_groups": group.get("TargetGroupARNs", []),
        "capacity_rebalance": group.get("CapacityRebalance", False),
        "suspended": [process["ProcessName"] for process in group["SuspendedProcesses"]],
        "tags": {tag["Key"]: tag.get("Value", "") for tag in group["Tags"]},
        "launch_template": template.get("LaunchTemplateName"),
        "distribution": mixed
        and (mixed["OnDemandBaseCapacity"], mixed["OnDemandPercentageAboveBaseCapacity"]),
        "members": [
            {
                "id": member["InstanceId"],
                "zone": member["AvailabilityZone"],
                "lifecycle": member["LifecycleState"],
            }
            for member in group["Instances"]
        ],
    }


def _target_group(group):
    return {
        "arn": group.arn,
        "name": group.name,
        "target_type": group.target_type,
        "port": int(group.port),
        "delay": int(group.attributes.get("deregistration_delay.timeout_seconds", 300)),
        "targets": [(target.id, target.port) for target, _ in elbv2.members_of(group)],
    }


def _cluster(ecs, name):
    services = ecs.list_services(cluster=name, maxResults=100)["serviceArns"]
    instances = ecs.list_container_instances(cluster=name)["containerInstanceArns"]
    tasks = ecs.list_tasks(cluster=name)["taskArns"]
    return {
        "name": name,
        "arn": backends.ecs().clusters[name].arn,
        "container_instances": _plain(
            ecs.describe_container_instances(cluster=name, containerInstances=instances)[
                "containerInstances"
            ]
            if instances
            else []
        ),
        "tasks": _plain(
            ecs.describe_tasks(cluster=name, tasks=tasks, include=["TAGS"])["tasks"]
            if tasks
            else []
        ),
        "services": _plain(
            ecs.describe_services(cluster=name, services=services)["services"] if services else []
        ),
    }
