"""What an Auto Scaling group has, and what it lacks."""

from .. import backends
from . import choosing, launching, leaving


def state_of(instance_id):
    """The instance's place in its group, or None when it is in none."""
    for group in backends.autoscaling().autoscaling_groups.values():
        for state in group.instance_states:
            if state.instance_id == instance_id:
                return state
    return None


def suspended(group, process):
    return any(p["ProcessName"] == process for p in group.suspended_processes)


def counted(group):
    """The instances that count as capacity.

    Instances that are leaving or in standby do not count. Neither does an instance whose own
    replacement is already there: for a while the group has one too many on purpose.
    """
    return [state for state in group.instance_states if _counts(state)]


def _counts(state):
    if state.lifecycle_state == "Detaching":
        return getattr(state, "place_held", False)
    if state.lifecycle_state not in ("Pending", "InService"):
        return False
    new = getattr(state, "replaced_by", None)
    return new is None or not alive(new)


def alive(state):
    return state.lifecycle_state in ("Pending", "InService") and state.instance.state == "running"


def settle(group):
    """Launches what the group lacks, and terminates what is too many."""
    there = counted(group)
    missing = (group.desired_capacity or 0) - len(there)
    if missing > 0 and not suspended(group, "Launch"):
        launching.attempt(group, missing)
    elif missing < 0 and not suspended(group, "Terminate"):
        for state in choosing.to_terminate(group, there, -missing):
            leaving.begin_termination(state)


def load_of(group, zone):
    return sum(state.availability_zone == zone for state in counted(group))


def subnets_of(group):
    ids = [id_ for id_ in (group.vpc_zone_identifier or "").split(",") if id_]
    return backends.ec2().describe_subnets(subnet_ids=ids)
