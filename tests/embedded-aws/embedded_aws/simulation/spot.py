"""What AWS does around its own events: an event that arrives has its cause in this world."""

import datetime

from .. import backends, pace
from ..world import WORLD
from . import capacity, hooks

INTERRUPTION = "EC2 Spot Instance Interruption Warning"
REBALANCE = "EC2 Instance Rebalance Recommendation"
STATE_CHANGE = "EC2 Instance State-change Notification"


def follow(event):
    """Makes true what the event says: the reclaim it warns of, the hook somebody waits at."""
    kind, detail = event.get("detail-type"), event.get("detail") or {}
    instance_id = detail.get("instance-id")
    if kind == INTERRUPTION and detail.get("instance-action") == "terminate":
        _reclaim_at(instance_id, event.get("time"))
    elif kind == REBALANCE:
        WORLD.autonomous(
            pace.seconds("rebalance-to-launch", instance_id), lambda: rebalance(instance_id)
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
    until = pace.seconds("notice-to-reclaim", instance_id)
    WORLD.agenda.at_ms(noticed + until * 1000, lambda: reclaim(instance_id))


def reclaim(instance_id):
    state = capacity.state_of(instance_id)
    capacity.end_instance(instance_id)
    if state is not None:
        capacity.lose(state)


def rebalance(instance_id):
    """A group with Capacity Rebalancing launches first and terminates the instance after."""
    old = capacity.state_of(instance_id)
    if old is None or old.lifecycle_state != "InService":
        return
    group = old.auto_scaling_group
    if not group.capacity_rebalance or capacity.suspended(group, "Launch"):
        return
    new = capacity.launch(group, capacity.emptiest_subnet(group))

    def retire():
        if new.lifecycle_state == "InService" and old.lifecycle_state == "InService":
            capacity.begin_termination(old)

    WORLD.autonomous(capacity.seconds_until_in_service(new) + 1, retire)


def _wait_at_hook(detail):
    """The instance of a lifecycle event given from outside really waits, under its token."""
    state = capacity.state_of(detail.get("EC2InstanceId"))
    if state is None or state.lifecycle_state != "InService":
        return
    group = state.auto_scaling_group
    named = (detail.get("AutoScalingGroupName"), detail.get("LifecycleHookName"))
    for hook in backends.autoscaling().describe_lifecycle_hooks(group.name):
        if (group.name, hook.name) == named:
            capacity.hold(state, hook, detail.get("LifecycleActionToken"))
