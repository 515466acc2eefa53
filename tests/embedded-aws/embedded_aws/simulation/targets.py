"""Targets of load balancers by id *and* port, their health, and which of them get requests.

moto knows a target only by its id, so an instance that serves two dynamic ports would be one
target. And it forgets a target as soon as it is deregistered.
"""

from dataclasses import dataclass

from moto.elbv2.exceptions import TargetGroupNotFoundError, TargetNotRunning

from .. import backends, pace
from ..world import WORLD
from . import applications
from .health_checks import HEALTHY, INITIAL, UNHEALTHY, Checks

# The protocols of target groups behind a Network Load Balancer.
NETWORK = {"TCP", "UDP", "TLS", "TCP_UDP", "QUIC", "TCP_QUIC"}


@dataclass
class Target:
    id: str
    port: int
    registered_ms: float
    deregistered_ms: float | None = None
    # Whether its health checks fail for ever.
    fails: bool = False
    # In the real pace, the checks that were made of it.
    checks: Checks | None = None
    # If a target that is taken out got requests before, it gets new ones for a little longer.
    new_until_ms: float | None = None

    @property
    def registered(self):
        return self.deregistered_ms is None

    @property
    def name(self):
        return f"{self.id}:{self.port}"

    def answers(self, at_ms):
        return not self.fails and applications.answers(self.id, self.port, at_ms)


def group_of(arn):
    group = backends.elbv2().target_groups.get(arn)
    if group is None:
        raise TargetGroupNotFoundError()
    return group


def is_network(group):
    return group.protocol in NETWORK


def seconds_until_unused(group, target):
    """From the deregistration of a target until it is out of its group."""
    delay = float(group.attributes.get("deregistration_delay.timeout_seconds", 300))
    if pace.is_real() and is_network(group):
        return max(delay, _lag(group, target))
    return delay


def _lag(group, target):
    """Seconds for which a deregistered target still gets new requests."""
    kind = "nlb" if is_network(group) else "alb"
    return pace.seconds(f"{kind}-deregistered-to-no-new", f"{group.name} {target.name}")


def members(group):
    """The group's targets by (id, port), including those still draining."""
    if not hasattr(group, "members"):
        group.members, group.lingering, group.swept_ms = {}, [], None
    now = WORLD.agenda.now_ms()
    if group.swept_ms == now:
        return group.members
    group.swept_ms = now
    for key, target in list(group.members.items()):
        if target.registered:
            continue
        if now >= target.deregistered_ms + seconds_until_unused(group, target) * 1000:
            del group.members[key]
            if pace.is_real() and keeps_connections(group):
                group.lingering.append(target)
    return group.members


def keeps_connections(group):
    """A Network Load Balancer leaves connections open after the delay, unless told otherwise.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html
    """
    cut = group.attributes.get("deregistration_delay.connection_termination.enabled", "false")
    return is_network(group) and str(cut).lower() != "true"


def key_of(group, target):
    # Without a port, registering and deregistering mean the group's own port.
    return target["Id"], int(target.get("Port") or group.port)


def register(arn, targets, fails=False):
    group = group_of(arn)
    known = members(group)
    for target in targets:
        if group.target_type == "instance":
            instance = backends.ec2().get_instance_by_id(target["Id"])
            if instance is None or instance.state != "running":
                raise TargetNotRunning(instance_id=target["Id"])
        id_, port = key_of(group, target)
        if (id_, port) not in known or not known[id_, port].registered:
            # The sample fleet has been serving for long.
            now = 0 if WORLD.seeding else WORLD.agenda.now_ms()
            known[id_, port] = Target(id_, port, now, fails=fails)


def deregister(arn, targets):
    """A target that is not registered is left out without an error, as AWS does."""
    group = group_of(arn)
    known = members(group)
    for target in targets:
        found = known.get(key_of(group, target))
        if found is not None and found.registered:
            now = WORLD.agenda.now_ms()
            if pace.is_real() and any(found is target for target in routed(group)):
                found.new_until_ms = now + _lag(group, found) * 1000
            found.deregistered_ms = now
            group.swept_ms = None


def deregister_everywhere(target_id):
    for arn, group in backends.elbv2().target_groups.items():
        held = [{"Id": t.id, "Port": t.port} for t in members(group).values() if t.id == target_id]
        if held:
            deregister(arn, held)


def is_registered(arn, instance_id):
    """Whether the instance itself is registered, on the port of the group."""
    group = backends.elbv2().target_groups.get(arn)
    target = members(group).get((instance_id, int(group.port))) if group else None
    return target is not None and target.registered


def state_of(arn, instance_id):
    """The health of the instance's own target."""
    group = group_of(arn)
    return health(group, members(group).get((instance_id, int(group.port))))[0]


def delay_of(arn):
    """How many seconds a target of the group drains."""
    group = group_of(arn)
    delay = float(group.attributes.get("deregistration_delay.timeout_seconds", 300))
    if pace.is_real() and is_network(group):
        return max(delay, pace.seconds("nlb-deregistered-to-no-new", group.name))
    return delay


def health(group, target):
    """(state, reason, description) of one member of the group, or of a stranger."""
    if target is None:
        return "unused", "Target.NotRegistered", "Target is not registered to the target group"
    if not target.registered:
        return (
            "draining",
            "Target.DeregistrationInProgress",
            "Target deregistration is in progress",
        )
    if group.target_type == "instance":
        instance = backends.ec2().get_instance_by_id(target.id)
        if instance is None or instance.state != "running":
            state = instance.state if instance else "terminated"
            return "unused", "Target.InvalidState", f"Target is in the {state} state"
    if pace.is_real() and WORLD.simulate:
        return _checked(group, target)
    if target.fails:
        return "unhealthy", "Target.FailedHealthChecks", "Health checks failed"
    age_ms = WORLD.agenda.now_ms() - target.registered_ms
    if WORLD.simulate and age_ms < pace.seconds("initial-target", target.id) * 1000:
        return "initial", "Elb.RegistrationInProgress", "Target registration is in progress"
    return "healthy", None, None


def _checked(group, target):
    state = _state_by_checks(group, target)
    if state == UNHEALTHY:
        return state, "Target.FailedHealthChecks", "Health checks failed"
    if state == INITIAL and target.checks.made:
        return state, "Elb.InitialHealthChecking", "Initial health checks in progress"
    if state == INITIAL:
        return state, "Elb.RegistrationInProgress", "Target registration is in progress"
    return state, None, None


def _state_by_checks(group, target):
    if target.checks is None:
        target.checks = _checks(group, target)
    return target.checks.make_until(WORLD.agenda.now_ms(), target.answers)


def _checks(group, target):
    subject = f"{group.name} {target.name}"
    interval = float(group.health_check_interval_seconds)
    healthy_after = int(group.healthy_threshold_count)
    kind = "nlb" if is_network(group) else "alb"
    if target.registered_ms:
        first = target.registered_ms + pace.seconds(f"{kind}-first-check", subject) * 1000
    else:
        # It has been healthy since long before the world began.
        first = WORLD.began_ms + interval * 1000 * pace.draw("next check", subject)
    return Checks(
        next_ms=first,
        interval_ms=interval * 1000,
        healthy_after=healthy_after,
        unhealthy_after=int(group.unhealthy_threshold_count),
        first_healthy_after=healthy_after if kind == "nlb" else 1,
        state=INITIAL if target.registered_ms else HEALTHY,
    )


def members_of(group):
    """Every target with its health, draining ones too."""
    return [(target, health(group, target)[0]) for target in members(group).values()]


def routed(group):
    """The targets that get new requests now.

    These are healthy ones, or all registered ones if none is healthy, and those to which the load
    balancer has not yet stopped sending.
    """
    now = WORLD.agenda.now_ms()
    seen = [(target, state) for target, state in members_of(group) if state != "unused"]
    any_healthy = any(state == HEALTHY for _, state in seen)
    return [
        target
        for target, state in seen
        if (state == HEALTHY if any_healthy else target.registered)
        or (target.new_until_ms is not None and now < target.new_until_ms)
        or _still_taken_for_healthy(group, target, state, now)
    ]


def _still_taken_for_healthy(group, target, state, now):
    """A Network Load Balancer sends connections to an unhealthy target for a while."""
    if state != UNHEALTHY or target.checks is None or not is_network(group):
        return False
    if target.checks.since_ms is None:
        return False
    lag = pace.seconds("nlb-unhealthy-to-no-new", f"{group.name} {target.name}")
    was_healthy = target.checks.made > target.checks.unhealthy_after or not target.registered_ms
    return was_healthy and now < target.checks.since_ms + lag * 1000
