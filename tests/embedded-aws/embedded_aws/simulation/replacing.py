"""An instance for which another one is launched. It goes when the other one has passed its
check."""

from .. import pace
from ..world import WORLD
from . import capacity, health, launching, leaving


def has_room(group):
    """A group may go beyond its maximum size by a tenth, or by one."""
    there = [s for s in group.instance_states if s.lifecycle_state in ("Pending", "InService")]
    return len(there) < group.max_size + max(1, group.max_size // 10)


def retire_later(old, new, cause=None, failed=None):
    """Terminates the old instance when the new one serves. Calls `failed` if the new one is lost
    before."""
    seconds = launching.seconds_until_in_service(new)
    seconds += pace.seconds("in-service-to-checked", new.instance_id)
    WORLD.autonomous(seconds, lambda: _retire(old, new, cause, failed))


def _retire(old, new, cause, failed):
    if old.lifecycle_state != "InService":
        return
    if not capacity.alive(new):
        if failed is not None:
            failed()
    elif new.lifecycle_state == "InService" and health.passes(new):
        leaving.begin_termination(old, cause)
    else:
        again = pace.seconds("health-check-interval", new.instance_id)
        WORLD.autonomous(again, lambda: _retire(old, new, cause, failed))
