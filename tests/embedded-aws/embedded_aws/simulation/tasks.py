"""Tasks of ECS, with what moto leaves out: all containers, ports, accelerators."""

from moto.ecs import models
from moto.ecs.models import Task
from moto.moto_api import state_manager
from moto.moto_api._internal import mock_random

from .. import backends, pace
from ..services import elbv2
from ..world import WORLD
from . import applications, room
from .life import Life

# moto moves a task on each time it is described; here only the simulation does.
NEVER = 10**9  # not of AWS
state_manager.set_transition("ecs::task", {"progression": "manual", "times": NEVER})

# moto would give a task's network interface any address. Without an address, it takes one of the
# subnet.
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
    needs = room.needs_of(definition)
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
        # AWS also says this for tasks of a capacity provider, though RunTask only takes one of
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
    task.created_at = WORLD.utcnow()
    task.life = Life(WORLD.agenda.now_ms())
    task.network_configuration = network
    task.inference_accelerators = _inference_accelerators(definition, overrides)
    task.containers = _containers(task, definition, container_instance)
    ecs.tasks.setdefault(cluster.name, {})[task.task_arn] = task
    container_instance.__dict__.setdefault("placed", []).append(task)
    room.take(container_instance, definition)
    if WORLD.seeding or not (WORLD.simulate and pace.is_real()):
        _images(container_instance).update((c["image"], 0) for c in task.containers)
        become_running(task)
    else:
        _become(task, "PROVISIONING" if definition.network_mode == "awsvpc" else "PENDING")
        seconds = _seconds_to_start(task, definition)
        WORLD.agenda.after(seconds, lambda: become_running(task))
    count(task.cluster_name)
    return task


def _become(task, status):
    task.last_status = status
    for container in task.containers:
        container["lastStatus"] = status


def _seconds_to_start(task, definition):
    """The network interface, the pull of the images, and the start."""
    seconds = pace.seconds("pull-to-running", task.task_arn)
    if definition.network_mode == "awsvpc":
        seconds += pace.seconds("network-interface", task.task_arn)
    return seconds + sum(
        _seconds_to_pull(container_instance_of(task), container.get("image"))
        for container in definition.container_definitions
    )


def _seconds_to_pull(container_instance, image):
    """Only the first task on an instance pulls an image. Tasks that come meanwhile wait for
    it."""
    subject = f"{container_instance.ec2_instance_id} {image}"
    now = WORLD.agenda.now_ms()
    pulled = _images(container_instance)
    if image not in pulled:
        pulled[image] = now + pace.seconds("image-pull", subject) * 1000
        return (pulled[image] - now) / 1000
    return max(0, pulled[image] - now) / 1000 + pace.seconds("image-again", subject)


def _images(container_instance):
    """When each image was, or will have been, pulled to the instance."""
    return container_instance.__dict__.setdefault("images", {})


def become_running(task):
    """Its containers run, and ECS registers its targets."""
    if task.desired_status == "STOPPED" or container_instance_of(task) is None:
        return
    now = WORLD.agenda.now_ms()
    task.life.running_ms = now
    task.started_at = WORLD.utcnow()
    _become(task, "RUNNING")
    up_ms = 0 if WORLD.seeding else now + pace.seconds("running-to-answering", task.task_arn) * 1000
    for _, id_, port in endpoints(task):
        applications.starts(id_, port, up_ms, task.ec2_instance_id)
    register_targets(task)
    count(task.cluster_name)


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
                "lastStatus": "PENDING",
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
        instance = task.ec2_instance_id
        for container in task.containers:
            for binding in container["networkBindings"]:
                port = binding["containerPort"]
                if (container["name"], port) == (
                    balancer["containerName"],
                    balancer["containerPort"],
                ):
                    yield balancer["targetGroupArn"], {"Id": instance, "Port": binding["hostPort"]}


def register_targets(task):
    """For a task that runs. ECS also does so again if somebody else took its targets out."""
    for arn, target in _targets(task):
        elbv2.register(arn, [target])


def deregister_targets(task):
    for arn, target in _targets(task):
        elbv2.deregister(arn, [target])
    task.life.targets_out_ms = WORLD.agenda.now_ms()


def endpoints(task):
    """(container, address, port) of everything that the task's containers listen on."""
    address = address_of(task)
    definition = definition_of(task)
    for container in task.containers:
        for binding in container["networkBindings"]:
            yield container["name"], task.ec2_instance_id, binding["hostPort"]
    for container in definition.container_definitions if address else []:
        for mapping in container.get("portMappings", []):
            yield container["name"], address, mapping["containerPort"]


def on(container_instance):
    """Tasks on the instance that have not ended."""
    placed = container_instance.__dict__.setdefault("placed", [])
    placed[:] = [task for task in placed if task.last_status != "STOPPED"]
    return list(placed)


def running(cluster_name):
    """Tasks that are meant to run, and do."""
    return [
        task
        for task in backends.ecs().tasks.get(cluster_name, {}).values()
        if task.desired_status == "RUNNING"
    ]


def count(cluster_name):
    """Keeps the counts of the cluster and its services. moto only ever adds to them."""
    if WORLD.seeding:
        return  # once is enough, when the fleet stands
    ecs = backends.ecs()
    tasks = running(cluster_name)
    running_now = sum(task.last_status == "RUNNING" for task in tasks)
    ecs.clusters[cluster_name].running_tasks_count = running_now
    ecs.clusters[cluster_name].pending_tasks_count = len(tasks) - running_now
    if pace.is_real():
        _count_on_instances(cluster_name)
    for service in ecs.services.values():
        if service.cluster_name == cluster_name:
            mine = [task for task in tasks if task.group == f"service:{service.name}"]
            service.running_count = sum(task.last_status == "RUNNING" for task in mine)
            service.pending_count = len(mine) - service.running_count
            if not pace.is_real():
                service.pending_count = max(0, service.desired_count - service.running_count)


def _count_on_instances(cluster_name):
    """moto takes every task on an instance for one that runs."""
    counts = {}
    for task in backends.ecs().tasks.get(cluster_name, {}).values():
        if task.last_status != "STOPPED":
            waits = task.last_status in ("PROVISIONING", "PENDING")
            counted = counts.setdefault(task.container_instance_arn, [0, 0])
            counted[waits] += 1
    for instance in backends.ecs().container_instances.get(cluster_name, {}).values():
        running, pending = counts.get(instance.container_instance_arn, (0, 0))
        instance.running_tasks_count, instance.pending_tasks_count = running, pending
