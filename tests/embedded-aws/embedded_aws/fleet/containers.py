"""Clusters, task definitions, services and standalone tasks.

The first instance of `inference` runs a task of every kind. A replay takes this instance.
"""

from .. import backends
from ..simulation import containers, tasks


def build(aws, net):
    _capacity_provider(aws)
    for name in ("web", "hooked"):
        service(aws, name, "api", 3, container("api", port=80))
    lone = next(i for i in backends.ec2().all_instances() if _named(i, "lone"))
    network = {
        "awsvpcConfiguration": {"subnets": net.subnets, "securityGroups": [net.security_group]}
    }
    service(
        aws,
        "inference",
        "classifier",
        12,  # two on each instance of the group: two ports of one instance in one target group
        container("model", port=8080, stop_timeout=20),
        target_group=net.target_groups["classifier"],
    )
    service(
        aws,
        "inference",
        "ranker",
        6,
        container("ranker", port=8080, stop_timeout=10),
        target_group=net.target_groups["ranker"],
        network=network,
    )
    service(
        aws,
        "inference",
        "embedder",
        3,
        container("embedder", accelerator="eia", stop_timeout=30),
        accelerators=["eia2.medium"],
    )
    _standalone(aws)
    # Registered last, so that the services have spread over the group's instances only.
    containers.register_instance("inference", lone.id)
    _run("batch-score", lone.id)


def _capacity_provider(aws):
    group = backends.autoscaling().autoscaling_groups["inference"]
    aws.ecs.create_capacity_provider(
        name="inference", autoScalingGroupProvider={"autoScalingGroupArn": group.arn}
    )
    aws.ecs.put_cluster_capacity_providers(
        cluster="inference",
        capacityProviders=["inference"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "inference", "weight": 1}],
    )


def _named(instance, name):
    return any(t["key"] == "Name" and t["value"] == name for t in instance.get_tags())


def _standalone(aws):
    score = container("score", accelerator="eia", stop_timeout=60)
    define(aws, "batch-score", score, ["eia2.large"])
    define(aws, "fine-tune", container("trainer", gpus=1, stop_timeout=90))
    define(aws, "compile", container("neuron", neuron=True, stop_timeout=45))
    upload = container("upload", stop_timeout=120)
    roles = {"taskRoleArn": _role("report"), "executionRoleArn": _role("ecs-tasks")}
    define(aws, "report", container("report"), more=[upload], **roles)
    group = backends.autoscaling().autoscaling_groups["inference"]
    first, second = (state.instance_id for state in group.instance_states[:2])
    _run("batch-score", first, started_by="nightly")
    _run("fine-tune", first)
    _run("compile", first)
    rerun = [{"key": "spot-handoff:rerun", "value": "true"}, {"key": "team", "value": "reporting"}]
    _run("report", first, started_by="nightly", tags=rerun, capacity_provider="inference")
    _run("batch-score", second, started_by="nightly")
    _run("fine-tune", second)


def container(name, port=None, accelerator=None, gpus=None, neuron=False, stop_timeout=None):
    definition = {
        "name": name,
        "image": f"{backends.ACCOUNT}.dkr.ecr.{backends.REGION}.amazonaws.com/{name}:latest",
        "cpu": 128,
        "memory": 256,
        "essential": True,
    }
    if port:
        # Host port 0 in bridge mode: ECS picks one.
        definition["portMappings"] = [{"containerPort": port, "hostPort": 0}]
    requirements = []
    if accelerator:
        requirements.append({"type": "InferenceAccelerator", "value": accelerator})
    if gpus:
        requirements.append({"type": "GPU", "value": str(gpus)})
    if requirements:
        definition["resourceRequirements"] = requirements
    if neuron:
        device = {"hostPath": "/dev/neuron0", "containerPath": "/dev/neuron0"}
        definition["linuxParameters"] = {"devices": [device]}
    if stop_timeout:
        definition["stopTimeout"] = stop_timeout
    return definition


def _role(name):
    return f"arn:aws:iam::{backends.ACCOUNT}:role/{name}"


def define(aws, family, definition, accelerators=(), network_mode="bridge", more=(), **roles):
    if network_mode == "awsvpc":
        for mapping in definition.get("portMappings", []):
            mapping["hostPort"] = mapping["containerPort"]
    aws.ecs.register_task_definition(
        family=family,
        networkMode=network_mode,
        requiresCompatibilities=["EC2"],
        containerDefinitions=[definition, *more],
        inferenceAccelerators=[
            {"deviceName": "eia", "deviceType": type_} for type_ in accelerators
        ],
        **roles,
    )


def service(
    aws, cluster, name, count, definition, accelerators=(), target_group=None, network=None
):
    mode = "awsvpc" if network else "bridge"
    define(aws, name, definition, accelerators, mode)
    more = {"networkConfiguration": network} if network else {}
    if target_group:
        port = definition["portMappings"][0]["containerPort"]
        more["loadBalancers"] = [
            {
                "targetGroupArn": target_group,
                "containerName": definition["name"],
                "containerPort": port,
            }
        ]
    aws.ecs.create_service(
        cluster=cluster,
        serviceName=name,
        taskDefinition=name,
        desiredCount=count,
        launchType="EC2",
        **more,
    )


def _run(family, instance_id, tags=(), **more):
    """Puts a standalone task on this instance. RunTask would not promise this instance."""
    ecs = backends.ecs()
    known = ecs.container_instances["inference"].values()
    tasks.start(
        ecs.clusters["inference"],
        ecs.describe_task_definition(family),
        next(i for i in known if i.ec2_instance_id == instance_id),
        f"family:{family}",
        # ECS's own tags, as with enableECSManagedTags. Nobody else may set them.
        tags=[{"key": "aws:ecs:clusterName", "value": "inference"}, *tags],
        **more,
    )
