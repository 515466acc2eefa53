"""What a test can make happen: things that AWS or a task does by itself."""

import copy
import json

from . import backends, happenings_capacity, iam
from .simulation import (
    agent,
    applications,
    capacity,
    containers,
    hooks,
    launching,
    leaving,
    scheduler,
    scripts,
    spot,
    stopping,
    tasks,
)
from .world import WORLD


def happen(order):
    kind = order.get("kind")
    if kind not in KINDS:
        raise ValueError(f"kind is one of {sorted(KINDS)}, not {kind!r}")
    return KINDS[kind](order) or {}


def _member(order):
    state = capacity.state_of(order.get("instance"))
    if state is None:
        raise ValueError(f"{order.get('instance')} is in no Auto Scaling group")
    return state


def _reclaim(order):
    """EC2 takes the instance, without waiting for the end of the notice."""
    spot.reclaim(order["instance"])


def _scale_in(order):
    """The group shrinks by one: the given instance leaves, or the oldest of `group`."""
    if order.get("instance"):
        state = _member(order)
    else:
        group = backends.autoscaling().autoscaling_groups[order.get("group", "hooked")]
        state = capacity.counted(group)[0]
    state.auto_scaling_group.desired_capacity -= 1
    leaving.begin_termination(state)
    return {"instance": state.instance_id}


def _terminate_with_hook(order):
    """Auto Scaling replaces the instance, as an instance refresh or AZ rebalancing would."""
    state = _member(order)
    leaving.begin_termination(state)
    capacity.settle(state.auto_scaling_group)


def _enter_service(order):
    """In a world that does not simulate: a launched instance gets ready."""
    state = _member(order)
    launching.enter_service(state)
    launching.join_cluster(state)


def _task_stops(order):
    """A task ends by itself: its work is done."""
    for cluster in backends.ecs().tasks.values():
        task = cluster.get(order["task"])
        if task is not None:
            stopping.end_by_itself(task)


def _service_moves(order):
    """In a world that does not simulate: ECS moves a draining instance's service tasks."""
    for cluster in backends.ecs().container_instances.values():
        for instance in cluster.values():
            if instance.ec2_instance_id == order["instance"]:
                scheduler.move_services_off(instance)


def _run_batch_job(order):
    """The instance is in the cluster of a compute environment of AWS Batch, and a job runs
    there."""
    ecs = backends.ecs()
    cluster = ecs.create_cluster("AWSBatch-training-2b9d1f6e-7108-3c4e-99f7-2fd92e1a8941")
    instance = containers.register_instance(cluster.name, order["instance"])
    job = ecs.describe_task_definition("batch-score")
    return {"task": tasks.start(cluster, job, instance, "family:batch-score").task_arn}


def _add_hook(order):
    """Somebody gives the group a termination hook."""
    hook, group = order["hook"], order["group"]
    known = backends.autoscaling()
    known.create_lifecycle_hook(hook, group, hooks.TERMINATING, 300, "CONTINUE")


def _limit_size(order):
    """Somebody changes the group's MaxSize."""
    backends.autoscaling().autoscaling_groups[order["group"]].max_size = order["max"]


def _retain_abandoned(order):
    """Somebody sets the group to keep instances whose termination hook is abandoned."""
    group = backends.autoscaling().autoscaling_groups[order["group"]]
    group.instance_lifecycle_policy = {"RetentionTriggers": {"TerminateHookAbandon": "retain"}}


def _suspend(order):
    """Processes of the group are suspended, such as Launch."""
    backends.autoscaling().suspend_processes(order["group"], order["processes"])


def _new_instances_fail(order):
    """Instances that the group launches from now on are useless: their ECS `agent` does not
    start, or their `targets` stay unhealthy."""
    backends.autoscaling().autoscaling_groups[order["group"]].failing = order["what"]


def _configure_agent(order):
    """Somebody configures the ECS agent of one instance, or of all: `{"ECS_CONTAINER_STOP_TIMEOUT": "90s"}`."""
    for name, value in order["settings"].items():
        if name == agent.STOP_TIMEOUT:
            agent.duration(value)
    agent.configure(order.get("instance"), order["settings"])


def _managed_by_ecs(order):
    """The instance is a Managed Instance of ECS: its provider says so, and its tasks do."""
    ecs = backends.ecs()
    provider = copy.copy(next(iter(ecs.capacity_providers.values())))
    provider.name = "managed"
    provider.capacity_provider_arn = provider.capacity_provider_arn.rsplit("/", 1)[0] + "/managed"
    provider.auto_scaling_group_provider = None
    provider.managed_instances_provider = {"propagateTags": "NONE"}
    provider.type = "MANAGED_INSTANCES"
    ecs.capacity_providers[provider.name] = provider
    for instances in ecs.container_instances.values():
        for instance in instances.values():
            if instance.ec2_instance_id == order["instance"]:
                instance.capacity_provider_name = provider.name
                for task in tasks.on(instance):
                    task.launch_type = provider.type


def _target_fails(order):
    """What runs on the instance, or at the address, no longer answers requests and checks."""
    now = WORLD.agenda.now_ms()
    applications.starts(order["instance"], order.get("port"), 0, order["instance"])
    applications.refuses(order["instance"], order.get("port"), now)


def _lose_permission(order):
    """Somebody takes an action out of the role of a function."""
    iam.forget(order["function"], order["action"])


def _ssm_agent(order):
    """The agent of Systems Manager on an instance is `missing`, `silent` or `undeliverable`."""
    WORLD.ssm_agents[order["instance"]] = order["what"]


def _stop_script(order):
    """Somebody writes a Command document, tags it (unless `tagged` is false), and lets a group
    name it.

    A shell runs the `lines`. `files` are what an instance has in its directory.
    """
    name, group = order.get("document", "stop-and-save"), order["group"]
    content = {
        "schemaVersion": "2.2",
        "parameters": {p: {"type": "String", **about} for p, about in order.get("parameters", {}).items()},
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "script",
                "inputs": {"timeoutSeconds": str(order.get("timeout", 3600)), "runCommand": order["lines"]},
            }
        ],
    }
    tags = [{"Key": "spot-handoff:document", "Value": "true"}] if order.get("tagged", True) else []
    if name not in backends.ssm()._documents:
        backends.ssm().create_document(json.dumps(content), None, None, name, None, "Command", "JSON", None, tags)
    wanted = {"spot-handoff:stop-document": name, **order.get("tags", {})}
    known = backends.autoscaling().autoscaling_groups[group]
    known.tags = [tag for tag in known.tags if tag["Key"] not in wanted]
    known.tags += [
        {
            "Key": key,
            "Value": value,
            "ResourceId": group,
            "ResourceType": "auto-scaling-group",
            "PropagateAtLaunch": "false",
        }
        for key, value in wanted.items()
    ]
    for state in known.instance_states:
        scripts.files_of(state.instance_id).update(order.get("files", {}))


def _cancel_command(order):
    """Somebody cancels a command."""
    scripts.cancel(order["command"])


def _forget_task(order):
    """ECS has forgotten a stopped task, as it does after an hour."""
    known = backends.ecs().tasks[order.get("cluster", "inference")]
    for key, task in list(known.items()):
        if task.task_arn == order["task"]:
            del known[key]


def _pass_time(order):
    """The world's clock jumps forward."""
    WORLD.clock.advance(order["seconds"])
    WORLD.agenda.catch_up()


KINDS = {
    "reclaim": _reclaim,
    "scale-in": _scale_in,
    "terminate-with-hook": _terminate_with_hook,
    "enter-service": _enter_service,
    "task-stops": _task_stops,
    "forget-task": _forget_task,
    "service-moves": _service_moves,
    "run-batch-job": _run_batch_job,
    "add-hook": _add_hook,
    "limit-size": _limit_size,
    "lose-permission": _lose_permission,
    "new-instances-fail": _new_instances_fail,
    "retain-abandoned": _retain_abandoned,
    "suspend": _suspend,
    "configure-agent": _configure_agent,
    "managed-by-ecs": _managed_by_ecs,
    "target-fails": _target_fails,
    "ssm-agent": _ssm_agent,
    "stop-script": _stop_script,
    "cancel-command": _cancel_command,
    "pass-time": _pass_time,
    **happenings_capacity.KINDS,
}
