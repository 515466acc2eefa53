"""Capacity Rebalancing: a replacement first, and then the instance at risk is terminated.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-capacity-rebalancing.html
"""

from .. import pace
from ..world import WORLD
from . import capacity, launching, leaving, replacing


def recommended(instance_id):
    """The instance is at an elevated risk: its group launches another, if it rebalances."""
    old = _at_risk(instance_id)
    if old is not None:
        _replace(old)


def interrupted(instance_id):
    """The notice has come. Auto Scaling calls the hook and tries a replacement at once."""
    old = _at_risk(instance_id)
    if old is None or pace.variant("rebalance-on-notice", instance_id) == "no":
        return
    group = old.auto_scaling_group
    new = getattr(old, "replaced_by", None)
    if new is not None and capacity.alive(new):
        leaving.begin_termination(old)
        return
    leaving.begin_termination(old)
    capacity.settle(group)


def _at_risk(instance_id):
    old = capacity.state_of(instance_id)
    if old is None or old.lifecycle_state != "InService":
        return None
    group = old.auto_scaling_group
    return old if group.capacity_rebalance and not capacity.suspended(group, "Launch") else None


def _replace(old):
    """Launches beside the old instance, and keeps trying while the old one is there."""
    group = old.auto_scaling_group
    new = getattr(old, "replaced_by", None)
    if old.lifecycle_state != "InService" or (new is not None and capacity.alive(new)):
        return
    new = None
    if replacing.has_room(group):
        others = [state for state in capacity.counted(group) if state is not old]
        new = launching.launch_one(group, others)
    if new is None:
        group.failed_launches = getattr(group, "failed_launches", 0) + 1
        WORLD.autonomous(launching.seconds_to_next_try(group), lambda: _replace(old))
        return
    group.failed_launches = 0
    old.replaced_by = new
    replacing.retire_later(old, new, failed=lambda: _replace(old))
