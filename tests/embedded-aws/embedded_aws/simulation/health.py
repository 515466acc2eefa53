"""Health checks of a group by its load balancers, for groups of HealthCheckType ELB.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-health-checks.html
"""

from .. import backends, pace
from ..services import elbv2
from ..world import WORLD
from . import capacity, leaving

ELB_FAILED = "an ELB system health check failure"


def asks_load_balancers(group):
    return "ELB" in (group.health_check_type or "")


def passes(state):
    """Whether the instance is healthy as its group sees it."""
    if not capacity.alive(state) or state.health_status != "Healthy":
        return False
    group = state.auto_scaling_group
    return not asks_load_balancers(group) or set(_states(state)) <= {"healthy", "unused"}


def watch(group):
    """Looks at the group's instances from now on. Starting it twice changes nothing."""
    if asks_load_balancers(group) and not getattr(group, "watched", False):
        group.watched = True
        _look_later(group)


def _look_later(group):
    WORLD.autonomous(pace.seconds("health-check-interval", group.name), lambda: _look(group))


def _look(group):
    known = backends.autoscaling().autoscaling_groups.get(group.name)
    group.watched = known is group and asks_load_balancers(group)
    if not group.watched:
        return
    if not capacity.suspended(group, "HealthCheck"):
        _replace_some(group)
    _look_later(group)


def _replace_some(group):
    """A tenth of the group at a time, or one instance; and none while the group lacks that
    many."""
    most = max(1, (group.desired_capacity or 0) // 10)
    ready = sum(s.lifecycle_state == "InService" for s in capacity.counted(group))
    room = most - max(0, (group.desired_capacity or 0) - ready)
    if capacity.suspended(group, "ReplaceUnhealthy"):
        return
    for state in [s for s in group.instance_states if _is_unhealthy(s)][: max(0, room)]:
        leaving.replace_unhealthy(state, ELB_FAILED)


def _is_unhealthy(state):
    if state.lifecycle_state != "InService" or state.instance.state != "running":
        return False
    grace_ms = 1000 * float(state.auto_scaling_group.health_check_grace_period or 0)
    age_ms = WORLD.agenda.now_ms() - getattr(state, "in_service_ms", 0)
    return age_ms >= grace_ms and "unhealthy" in _states(state)


def _states(state):
    for arn in state.auto_scaling_group.target_group_arns:
        yield elbv2.state_of(arn, state.instance_id)
