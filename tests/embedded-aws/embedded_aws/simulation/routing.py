"""What happens to requests: which targets get new ones, and until when the old ones are
answered."""

from dataclasses import dataclass

from .. import pace
from ..world import WORLD
from . import applications, targets
from .health_checks import HEALTHY


@dataclass(frozen=True)
class Route:
    """What becomes of requests to one target."""

    target: targets.Target
    # New requests go to it.
    new: bool
    # Until when, if its load balancer has been told to stop; None while nobody has said so.
    new_until_ms: float | None
    # Its application answers new requests.
    answers: bool
    # Its requests are still being answered, and nobody has cut them off.
    open: bool
    # When the remaining requests are cut off; None if that is not settled.
    cut_ms: float | None


def routes(group):
    """Every target that gets requests, or has some left."""
    now = WORLD.agenda.now_ms()
    getting = {id(target) for target in targets.routed(group)}
    group.lingering = [t for t in group.lingering if applications.is_up(t.id, t.port, now)]
    return [
        Route(
            target,
            new=id(target) in getting,
            new_until_ms=target.new_until_ms,
            answers=target.answers(now),
            open=applications.is_up(target.id, target.port, now),
            cut_ms=_cut_ms(group, target),
        )
        for target in [*group.lingering, *group.members.values()]
    ]


def _cut_ms(group, target):
    if target.registered or (pace.is_real() and targets.keeps_connections(group)):
        return None
    return target.deregistered_ms + targets.seconds_until_unused(group, target) * 1000


def routing(arn):
    """For each target of a group: whether it gets new requests, and whether it serves."""
    group = targets.group_of(arn)
    if pace.is_real() and WORLD.simulate:
        for route in routes(group):
            yield route.target, route.new, route.answers
        return
    seen = targets.members_of(group)
    any_healthy = any(state == HEALTHY for _, state in seen)
    for target, state in seen:
        new = state == HEALTHY if any_healthy else target.registered
        yield target, new, state in ("healthy", "draining")
