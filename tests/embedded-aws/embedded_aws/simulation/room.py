"""Where a task has room: CPU, memory, host ports and GPUs of container instances.

moto tracks CPU and memory. Ports and GPUs only count at the real pace.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement.html
"""

from moto.ec2.models.instance_types import INSTANCE_TYPES

from .. import backends, pace

# Ports that the agent and Docker keep for themselves.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PortMapping.html
RESERVED = {(port, "tcp") for port in (22, 2375, 2376, 51678, 51679, 51680)}


def needs_of(definition):
    """What moto takes of an instance for the task.

    It gets no host ports: moto would use port 0 for a dynamic port. And two tasks with their own
    network interfaces would conflict over a port.
    """
    if not hasattr(definition, "needs"):
        needs = backends.ecs()._calculate_task_resource_requirements(definition)
        definition.needs = {**needs, "PORTS": []}
    return definition.needs


def host_ports(definition):
    """{(port, protocol)} that the task wants on its instance. No other task can have them."""
    if definition.network_mode == "awsvpc":
        return set()
    wanted = set()
    for container in definition.container_definitions:
        for mapping in container.get("portMappings", []):
            port = mapping.get("hostPort") or 0
            if definition.network_mode == "host":
                port = port or mapping["containerPort"]
            if port:
                wanted.add((port, mapping.get("protocol", "tcp")))
    return wanted


def gpus(definition):
    return sum(
        int(requirement["value"])
        for container in definition.container_definitions
        for requirement in container.get("resourceRequirements", [])
        if requirement["type"] == "GPU"
    )


def gpus_of(container_instance):
    instance = backends.ec2().get_instance_by_id(container_instance.ec2_instance_id)
    described = INSTANCE_TYPES.get(instance.instance_type, {}).get("GpuInfo", {})
    return sum(gpu["Count"] for gpu in described.get("Gpus", []))


class Held:
    """The ports and GPUs that tasks hold on an instance."""

    def __init__(self):
        self.ports = set(RESERVED)
        self.gpus = 0


def held(container_instance):
    if not hasattr(container_instance, "held"):
        container_instance.held = Held()
    return container_instance.held


def take(container_instance, definition):
    mine = held(container_instance)
    mine.ports |= host_ports(definition)
    mine.gpus += gpus(definition)
    backends.ecs().update_container_instance_resources(container_instance, needs_of(definition))
    tell_gpus(container_instance)


def give_back(container_instance, definition):
    mine = held(container_instance)
    mine.ports -= host_ports(definition)
    mine.gpus -= gpus(definition)
    backends.ecs().update_container_instance_resources(
        container_instance, needs_of(definition), removing=True
    )
    tell_gpus(container_instance)


def tell_gpus(container_instance):
    """For DescribeContainerInstances, which lists them among the resources, with made-up ids."""
    if not pace.is_real():
        return
    there = gpus_of(container_instance)
    ids = [f"GPU-{container_instance.id[:8]}-{number}" for number in range(there)]
    for resources, known in (
        (container_instance.registered_resources, ids),
        (container_instance.remaining_resources, ids[held(container_instance).gpus :]),
    ):
        resources[:] = [resource for resource in resources if resource["name"] != "GPU"]
        if there:
            resources.append(
                {
                    "name": "GPU",
                    "type": "STRINGSET",
                    "integerValue": 0,
                    "longValue": 0,
                    "doubleValue": 0.0,
                    "stringSetValue": known,
                }
            )


def lacking(container_instance, definition):
    """What the instance lacks for the task, as RunTask tells it; None if there is room."""
    left = {r["name"]: r["integerValue"] for r in container_instance.remaining_resources}
    needs = needs_of(definition)
    if needs["CPU"] > left["CPU"]:
        return "RESOURCE:CPU"
    if needs["MEMORY"] > left["MEMORY"]:
        return "RESOURCE:MEMORY"
    if pace.is_real():
        mine = held(container_instance)
        if mine.ports & host_ports(definition):
            return "RESOURCE:PORTS"
        wanted = gpus(definition)
        if wanted and mine.gpus + wanted > gpus_of(container_instance):
            return "RESOURCE:GPU"
    return None


def placeable(cluster_name, definition):
    """The ACTIVE instances with room for the task, the emptiest first."""
    known = backends.ecs().container_instances.get(cluster_name, {}).values()
    instances = [i for i in known if i.status == "ACTIVE" and lacking(i, definition) is None]
    return sorted(instances, key=lambda i: i.running_tasks_count + i.pending_tasks_count)
