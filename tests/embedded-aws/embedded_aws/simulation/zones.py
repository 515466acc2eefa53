"""Balances a group whose zones differ by two instances or more.

It launches first, then terminates. If a zone has no capacity, Auto Scaling keeps trying, so
launches fail in a group that has enough instances.
https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-benefits.html
"""

from .. import backends, pace
from ..world import WORLD
from . import activities, capacity, choosing, launching, market, replacing


def look_later(group, seconds=None):
    """Call this when the group has gained or lost an instance. The quick pace balances
    nothing."""
    if pace.is_real() and not WORLD.seeding and not getattr(group, "zones_looked_at", False):
        group.zones_looked_at = True
        seconds = pace.seconds("zones-to-next", group.name) if seconds is None else seconds
        WORLD.autonomous(seconds, lambda: _look(group))


def _look(group):
    group.zones_looked_at = False
    if backends.autoscaling().autoscaling_groups.get(group.name) is not group:
        return
    if any(
        capacity.suspended(group, process) for process in ("AZRebalance", "Launch", "Terminate")
    ):
        return
    there = capacity.counted(group)
    if len(there) != group.desired_capacity or any(s.lifecycle_state != "InService" for s in there):
        look_later(group)
        return
    loads = {s.availability_zone: 0 for s in capacity.subnets_of(group)}
    for state in there:
        loads[state.availability_zone] += 1
    emptiest, fullest = min(loads, key=loads.get), max(loads, key=loads.get)
    if loads[fullest] - loads[emptiest] < 2 or not replacing.has_room(group):
        return
    surplus = [state for state in there if state.availability_zone == fullest]
    old = next(iter(choosing.to_terminate(group, surplus, 1)), None)
    if old is None:
        return
    cause = activities.balancing(loads)
    spot = market.is_spot(old)
    new = launching.launch_one(group, there, spot, only=emptiest, cause=cause)
    if new is None:
        group.failed_launches = getattr(group, "failed_launches", 0) + 1
        look_later(group, launching.seconds_to_next_try(group))
        return
    old.replaced_by = new
    replacing.retire_later(old, new, activities.balanced(emptiest))
