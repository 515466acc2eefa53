"""What AWS does around its own events: an event that arrives has its cause in this world."""

import datetime

from .. import backends, pace
from ..world import WORLD
from . import capacity, containers, hooks, hosts, leaving, rebalancing

INTERRUPTION = "EC2 Spot Instance Interruption Warning"
REBALANCE = "EC2 Instance Rebalance Recommendation"
STATE_CHANGE = "EC2 Instance State-change Notification"


def follow(event):
    """Makes true what the event says: the end that it warns of, the hook at which an instance
    waits."""
    kind, detail = event.get("detail-type"), event.get("detail") or {}
    instance_id = detail.get("instance-id")
    if kind == INTERRUPTION and detail.get("instance-action") == "terminate":
        _reclaim_at(instance_id, event.get("time"))
        containers.warned(instance_id)
        WORLD.autonomous(
            pace.seconds("notice-to-launch", instance_id),
            lambda: rebalancing.interrupted(instance_id),
        )
    elif kind == REBALANCE:
        WORLD.autonomous(
            pace.seconds("rebalance-to-launch", instance_id),
            lambda: rebalancing.recommended(instance_id),
        )
    elif kind == STATE_CHANGE and detail.get("state") == "shutting-down":
        WORLD.autonomous(
            pace.seconds("shutting-down-to-terminated", instance_id), lambda: reclaim(instance_id)
        )
    elif kind == hooks.DETAIL_TYPE:
        _wait_at_hook(detail)


def _reclaim_at(instance_id, time):
    if not WORLD.simulate:
        return
    try:
        noticed = datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1000
    except (AttributeError, ValueError):
        noticed = WORLD.clock.now_ms()
    until = seconds_of_notice(instance_id)
    if until is not None:
        WORLD.ends_ms[instance_id] = noticed + until * 1000
        WORLD.agenda.at_ms(noticed + until * 1000, lambda: reclaim(instance_id))


def seconds_of_notice(instance_id):
    """Notices are best effort: EC2 may take the instance earlier, later, or not at all."""
    seconds = pace.seconds("notice-to-reclaim", instance_id)
    kept = pace.variant("interruption", instance_id)
    if kept == "early":
        return seconds - pace.seconds("reclaimed-early", instance_id)
    if kept == "late":
        return seconds + pace.seconds("reclaimed-late", instance_id)
    return None if kept == "never" else seconds


def reclaim(instance_id):
    state = capacity.state_of(instance_id)
    hosts.end(instance_id)
    if state is not None:
        leaving.lose(state)


def _wait_at_hook(detail):
    """For a lifecycle event from outside, the instance really waits, with the token of the
    event."""
    state = capacity.state_of(detail.get("EC2InstanceId"))
    if state is None or state.lifecycle_state != "InService":
        return
    group = state.auto_scaling_group
    named = (detail.get("AutoScalingGroupName"), detail.get("LifecycleHookName"))
    for hook in backends.autoscaling().describe_lifecycle_hooks(group.name):
        if (group.name, hook.name) == named:
            leaving.hold(state, hook, detail.get("LifecycleActionToken"))
