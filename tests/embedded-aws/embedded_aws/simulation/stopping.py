"""How a task of ECS ends: told to stop, killed, or cut off with its instance.

At the real pace, a task that the scheduler stops is DEACTIVATING while its targets drain, and its
containers only get SIGTERM after that. A task that a client stops gets SIGTERM at once, and its
targets are taken out a moment later.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/load-balancer-connection-draining.html
https://github.com/aws/amazon-ecs-agent/issues/2316
"""

from .. import pace
from ..world import WORLD
from . import agent, applications, grace, room, targets, tasks

USER = "UserInitiated"
# In a container's docker labels: the seconds it takes to end after SIGTERM, or `never`.
ENDS_AFTER = "embedded-aws.ends-after"


def begin(task, code, reason):
    """Somebody tells the task to stop: its scheduler, a client, or itself."""
    if task.desired_status == "STOPPED":
        return
    waits = task.last_status != "RUNNING"
    _told(task, code, reason)
    if waits:
        # Nothing of it runs yet.
        end(task)
    elif not (pace.is_real() and WORLD.simulate):
        tasks.deregister_targets(task)
        _terminate(task)
    elif code == USER:
        WORLD.agenda.after(pace.seconds("stop-to-sigterm", task.task_arn), lambda: _terminate(task))
        WORLD.agenda.after(
            pace.seconds("stop-to-targets-out", task.task_arn),
            lambda: tasks.deregister_targets(task),
        )
    else:
        drained = _deregister(task)
        WORLD.agenda.after(drained, lambda: _terminate(task))


def _told(task, code, reason):
    task.desired_status = "STOPPED"
    task.last_status = "DEACTIVATING"
    task.stop_code = code
    task.stopped_reason = reason
    task.stopping_at = WORLD.utcnow()
    task.life.stopping_ms = WORLD.agenda.now_ms()
    tasks.count(task.cluster_name)


def _deregister(task):
    """Takes the targets out. Answers with the seconds until the last of them is unused."""
    tasks.deregister_targets(task)
    now, longest = WORLD.agenda.now_ms(), 0
    for arn, target in tasks._targets(task):
        group = targets.group_of(arn)
        known = targets.members(group).get(targets.key_of(group, target))
        if known is not None:
            gone_ms = known.deregistered_ms + targets.seconds_until_unused(group, known) * 1000
            longest = max(longest, (gone_ms - now) / 1000)
    return longest


def _terminate(task):
    """The agent stops the containers one after the other, and the task has ended with the last."""
    if task.last_status == "STOPPED":
        return
    now = WORLD.agenda.now_ms()
    task.life.terminated_ms = now
    if pace.is_real():
        task.last_status = "STOPPING"
    definitions = tasks.definition_of(task).container_definitions
    stops = grace.stops(
        definitions, lambda d: _grace_of(task, d), lambda d: _seconds_needed(task, d)
    )
    for stop in stops:
        WORLD.consequence(stop.terminated, lambda stop=stop: _refuse(task, stop.container))
        WORLD.consequence(stop.ended, lambda stop=stop: _container_ended(task, stop))
    WORLD.consequence(max((stop.ended for stop in stops), default=0), lambda: end(task))


def _grace_of(task, definition):
    told = definition.get("stopTimeout")
    return float(told) if told else agent.stop_timeout(task.ec2_instance_id)


def _seconds_needed(task, definition):
    """From SIGTERM until the container has ended by itself."""
    family = tasks.definition_of(task).family
    if family in WORLD.endings:
        return WORLD.endings[family]
    label = definition.get("dockerLabels", {}).get(ENDS_AFTER)
    if label == "never":
        return float("inf")
    return float(label) if label else pace.seconds("task-ends", task.task_arn)


def _refuse(task, container):
    """A server that gets SIGTERM takes no new requests, and finishes those that it has."""
    if task.last_status != "STOPPED":
        for name, id_, port in tasks.endpoints(task):
            if name == container:
                applications.refuses(id_, port, WORLD.agenda.now_ms())


def _container_ended(task, stop):
    if task.last_status == "STOPPED":
        return
    task.life.killed |= stop.killed
    for name, id_, port in tasks.endpoints(task):
        if name == stop.container:
            applications.ends(id_, port, WORLD.agenda.now_ms())
    for container in task.containers:
        if container["name"] == stop.container:
            container["lastStatus"] = "STOPPED"
            container["exitCode"] = 137 if stop.killed else 0


def end(task):
    """All of it has ended."""
    if task.last_status == "STOPPED":
        return
    task.last_status = "STOPPED"
    task.stopped_at = task.execution_stopped_at = WORLD.utcnow()
    task.life.ended_ms = WORLD.agenda.now_ms()
    for container in task.containers:
        container["lastStatus"] = "STOPPED"
    for _, id_, port in tasks.endpoints(task):
        applications.ends(id_, port, WORLD.agenda.now_ms())
    container_instance = tasks.container_instance_of(task)
    if container_instance is not None:
        room.give_back(container_instance, tasks.definition_of(task))
    tasks.count(task.cluster_name)


def end_by_itself(task, code="EssentialContainerExited"):
    """Its work is done, or it has crashed. Nobody told it to stop."""
    if task.desired_status == "STOPPED":
        return
    _told(task, code, "Essential container in task exited")
    tasks.deregister_targets(task)
    end(task)


def cut_off(task, code, reason):
    """Its instance is gone. What it was doing is lost, whatever grace it was promised."""
    if task.last_status == "STOPPED":
        return
    task.life.cut = task.life.running_ms is not None
    if task.desired_status != "STOPPED":
        _told(task, code, reason)
    tasks.deregister_targets(task)
    end(task)
