"""Which instances a group terminates when it has too many.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-termination-policies.html
"""

from .. import pace
from ..world import WORLD
from . import market

HOUR_MS = 3600 * 1000  # not of AWS


def to_terminate(group, there, number, among=None):
    """The instances that go, of all or `among` some. An instance that is protected from scale-in
    always stays."""
    there = [state for state in there if state.lifecycle_state != "Detaching"]
    leaving = []
    for _ in range(number):
        staying = [state for state in there if state not in leaving]
        free = [state for state in staying if not state.protected_from_scale_in]
        free = [state for state in free if among is None or state in among]
        if not free:
            break
        # The quick pace takes the oldest.
        leaving.append(_default_policy(group, staying, free) if pace.is_real() else free[0])
    return leaving


def _default_policy(group, staying, free):
    """Zone with the most, surplus market, oldest template, closest to the billing hour."""
    zones = {s.availability_zone for s in free}
    counts = {z: sum(s.availability_zone == z for s in staying) for z in zones}
    most = max(counts.values())
    free = [s for s in free if counts[s.availability_zone] == most]
    if 0 < market.on_demand_percentage(group) < 100:
        on_demand = sum(not market.is_spot(s) for s in staying)
        surplus_is_spot = on_demand <= market.on_demand_wanted(group)
        free = [s for s in free if market.is_spot(s) == surplus_is_spot] or free
    oldest = min(_version(s) for s in free)
    free = [s for s in free if _version(s) == oldest]
    return min(free, key=lambda s: (_ms_to_billing_hour(s), s.instance_id))


def _version(state):
    return getattr(state, "launched_from", 0)


def _ms_to_billing_hour(state):
    now = WORLD.agenda.now_ms()
    return HOUR_MS - (now - getattr(state, "launched_ms", 0)) % HOUR_MS
