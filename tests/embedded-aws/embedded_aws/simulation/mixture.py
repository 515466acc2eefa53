"""A group whose mixture of Spot and On-Demand changed. Its instances are replaced gradually, new
ones before old ones.

https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html
"""

from .. import backends, pace
from ..world import WORLD
from . import capacity, choosing, launching, market, replacing


def changed(group):
    """Somebody gave the group another policy."""
    group.policy_changed = True
    if not getattr(group, "mixes_anew", False):
        group.mixes_anew = True
        _later(group, "mixture-to-next")


def _later(group, number):
    WORLD.autonomous(pace.seconds(number, group.name), lambda: _step(group))


def _step(group):
    """A tenth of the group at a time, or one."""
    group.mixes_anew = False
    if backends.autoscaling().autoscaling_groups.get(group.name) is not group:
        return
    there = capacity.counted(group)
    wanted = market.on_demand_wanted(group)
    has = sum(not market.is_spot(state) for state in there)
    if has == wanted and len(there) == group.desired_capacity:
        return
    group.mixes_anew = True
    # First the group has to have as many instances as it wants, of whatever kind.
    pending = any(state.lifecycle_state == "Pending" for state in there)
    if pending or len(there) != group.desired_capacity or capacity.suspended(group, "Launch"):
        _later(group, "mixture-to-next")
        return
    spot_goes = has < wanted
    most = max(1, (group.desired_capacity or 0) // 10)
    surplus = [s for s in there if market.is_spot(s) == spot_goes]
    for old in choosing.to_terminate(group, there, min(abs(wanted - has), most), among=surplus):
        new = launching.launch_one(group, there, not spot_goes, near=old.availability_zone)
        if new is None:
            group.failed_launches = getattr(group, "failed_launches", 0) + 1
            WORLD.autonomous(launching.seconds_to_next_try(group), lambda: _step(group))
            return
        old.replaced_by = new
        replacing.retire_later(old, new)
    _later(group, "mixture-to-next")
