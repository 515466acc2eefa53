"""Tasks of ECS, with what moto leaves out of them: all containers, ports, accelerators."""

from moto.ecs import models
from moto.ecs.models import Task
from moto.moto_api import state_manager
from moto.moto_api._internal import mock_random

from .. import backends, pace
from ..services import elbv2
from ..world import WORLD

# moto moves a task on each time it is described; here only the simulation does.
NEVER = 10**9  # not of AWS
state_manager.set_transition("ecs::task", {"progression": "manual", "times": NEVER})

# moto would give a task's network interface any address; without one it takes one of the subnet.
models.random_private_ip = lambda: None

FIRST_DYNAMIC_PORT = 32768  # belief: dynamic-ports


def container_instance_of(task):
    cluster = backends.ecs().container_instances.get(task.cluster_name, {})
    return cluster.get((task.container_instance_arn or "").split("/")[-1])


def service_of(task):
    if not (task.group or "").startswith("service:"):
        return None
    name = task.group[len("service:") :]
    return backends.ecs().services.get(f"{task.cluster_name}:{name}")


def definition_of(task):
    return backends.ecs().describe_task_definition(task.task_definition_arn)


def needs_of(definition):
    """What the task takes from its instance.

    No host ports: moto would take a dynamic one for port 0, and would have two tasks with
    network interfaces of their own quarrel over a port.
    """
    needs = backends.ecs()._calculate_task_resource_requirements(definition)
    return {**needs, "PORTS": []}


def start(
    cluster,
    definition,
    container_instance,
    group,
    started_by="",
    overrides=None,
    tags=None,
    launch_type=None,
    capacity_provider=None,
    network=None,
):
    ecs = backends.ecs()
    instance = backends.ec2().get_instance(container_instance.ec2_instance_id)
    needs = needs_of(definition)
    WORLD.name_anew("task")
    task = Task(
        cluster,
        definition,
        container_instance.container_instance_arn,
        needs,
        backend=ecs,
        group=group,
        started_by=started_by,
        overrides=overrides,
        tags=[dict(tag) for tag in tags or []],
        # Said by AWS for tasks of a capacity provider too, though RunTask takes only one of
        # the two.
        launch_type=launch_type or "EC2",
        capacity_provider_name=capacity_provider,
        networking_configuration=_in_zone_of(instance, network),
    )
    # The ids of ECS are UUIDs without the dashes.
    task.id = task.id.replace("-", "")
    # moto sets these only on some paths; AWS answers with all of them.
    task.ec2_instance_id = instance.id
    task.availability_zone = instance.availability_zone
    task.created_at = task.started_at = WORLD.clock.utcnow()
    task.network_configuration = network
    task.inference_accelerators = _inference_accelerators(definition, overrides)
    task.containers = _containers(task, definition, container_instance)
    ecs.tasks.setdefault(cluster.name, {})[task.task_arn] = task
    ecs.update_container_instance_resources(container_instance, needs)
    _register_targets(task)
    count(task.cluster_name)
    return task


def _in_zone_of(instance, network):
    """The task's network interface goes to the subnet in its instance's zone."""
    if not network:
        return network
    config = network["awsvpcConfiguration"]
    subnets = backends.ec2().describe_subnets(subnet_ids=config["subnets"])
    here = [s.id for s in subnets if s.availability_zone == instance.availability_zone]
    return {
        "awsvpcConfiguration": {
            **config,
            "subnets": here or config["subnets"],
            "securityGroups": config.get("securityGroups", []),
        }
    }


def _inference_accelerators(definition, overrides):
    types = {a["deviceName"]: a["deviceType"] for a in definition.inference_accelerators or []}
    for override in (overrides or {}).get("inferenceAcceleratorOverrides", []):
        types[override["deviceName"]] = override["deviceType"]
    return [{"deviceName": name, "deviceType": type_} for name, type_ in types.items()]


def _containers(task, definition, container_instance):
    address = address_of(task)
    arn = task.task_arn.replace(":task/", ":container/")
    containers = []
    for wanted in definition.container_definitions:
        bindings = []
        for mapping in wanted.get("portMappings", []):
            if definition.network_mode == "awsvpc":
                continue
            bindings.append(
                {
                    "bindIP": "0.0.0.0",
                    "containerPort": mapping["containerPort"],
                    "hostPort": mapping.get("hostPort") or _free_port(container_instance),
                    "protocol": mapping.get("protocol", "tcp"),
                }
            )
        containers.append(
            {
                "containerArn": f"{arn}/{mock_random.uuid4()}",
                "taskArn": task.task_arn,
                "name": wanted["name"],
                "image": wanted.get("image"),
                "lastStatus": "RUNNING",
                "networkBindings": bindings,
                "networkInterfaces": [{"privateIpv4Address": address}] if address else [],
                "healthStatus": "UNKNOWN",
                "cpu": str(wanted.get("cpu", 0)),
                "memory": str(wanted.get("memory") or wanted.get("memoryReservation") or ""),
            }
        )
    return containers


def _free_port(container_instance):
    port = getattr(container_instance, "next_port", FIRST_DYNAMIC_PORT)
    container_instance.next_port = port + 1
    return port


def address_of(task):
    """The address of the task's own network interface, in awsvpc mode."""
    for attachment in task.attachments:
        for detail in attachment["details"]:
            if detail["name"] == "privateIPv4Address":
                return detail["value"]
    return None


def _targets(task):
    """(target group, target) for each of the service's load balancers."""
    service = service_of(task)
    for balancer in service.load_balancers if service else []:
        if address_of(task):
            yield (
                balancer["targetGroupArn"],
                {"Id": address_of(task), "Port": balancer["containerPort"]},
            )
            continue
        instance = container_instance_of(task).ec2_instance_id
        for container in task.containers:
            for binding in container["networkBindings"]:
                port = binding["containerPort"]
                if (container["name"], port) == (
                    balancer["containerName"],
                    balancer["containerPort"],
                ):
                    yield balancer["targetGroupArn"], {"Id": instance, "Port": binding["hostPort"]}


def _register_targets(task):
    for arn, target in _targets(task):
        elbv2.register(arn, [target])


def begin_stop(task, code, reason):
    """Stopping: out of its target groups at once, gone when its containers have ended."""
    if task.desired_status == "STOPPED":
        return
    task.desired_status = "STOPPED"
    task.last_status = "DEACTIVATING"
    task.stop_code = code
    task.stopped_reason = reason
    task.stopping_at = WORLD.clock.utcnow()
    for arn, target in _targets(task):
        elbv2.deregister(arn, [target])
    WORLD.consequence(_seconds_to_stop(task), lambda: finish_stop(task))


def _seconds_to_stop(task):
    """The agent sends SIGTERM, and SIGKILL after stopTimeout: nothing takes longer."""
    definition = definition_of(task)
    if definition.family in WORLD.endings:
        return WORLD.endings[definition.family]
    longest = max(int(c.get("stopTimeout") or 30) for c in definition.container_definitions)
    return min(pace.seconds("task-ends", task.task_arn), longest)


def finish_stop(task):
    if task.last_status == "STOPPED":
        return
    task.last_status = "STOPPED"
    task.stopped_at = WORLD.clock.utcnow()
    for container in task.containers:
        container["lastStatus"] = "STOPPED"
    container_instance = container_instance_of(task)
    if container_instance is not None:
        backends.ecs().update_container_instance_resources(
            container_instance, task.resource_requirements, removing=True
        )
    count(task.cluster_name)


def running(cluster_name):
    """Tasks that are meant to run, and do."""
    return [
        task
        for task in backends.ecs().tasks.get(cluster_name, {}).values()
        if task.desired_status == "RUNNING"
    ]


def count(cluster_name):
    """Keeps the counts of the cluster and its services, which moto only ever adds to."""
    if WORLD.seeding:
        return  # once is enough, when the fleet stands
    ecs = backends.ecs()
    tasks = running(cluster_name)
    ecs.clusters[cluster_name].running_tasks_count = len(tasks)
    for service in ecs.services.values():
        if service.cluster_name == cluster_name:
            service.running_count = sum(task.group == f"service:{service.name}" for task in tasks)
            service.pending_count = max(0, service.desired_count - service.running_count)
