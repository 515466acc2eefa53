"""The least possible loss, with a hand-off that acts at the first signal and knows what follows.

It is computed only from the numbers of the world: when AWS takes each instance, how long a
successor takes, how long a load balancer keeps sending. Each number is the least on its own. To
reach the others, a hand-off pays `instance_seconds_twice`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Doomed:
    """An instance that AWS takes, and what is known about it at the first signal."""

    notice: float
    gone: float

    @property
    def left(self):
        return self.gone - self.notice


@dataclass(frozen=True)
class Leaving:
    """A target on a doomed instance."""

    doomed: Doomed
    # Seconds for which it gets new requests after it was taken out.
    lingers: float


@dataclass(frozen=True)
class Balanced:
    """A target group at the start."""

    # Targets that stay.
    staying: int
    leaving: tuple
    # When the first successor can serve, at the earliest.
    successor: float
    # The deregistration delay; None where connections stay open until the instance is gone.
    delay: float | None
    # (how many begin in a second, how long each takes).
    streams: tuple


def requests(group):
    """(seconds without a target, requests without one, gone, cut off) of a target group."""
    dark = cut = gone = 0.0
    rate = sum(per_second for per_second, _ in group.streams)
    if not group.staying and group.leaving:
        dark = max(0.0, group.successor - max(t.doomed.gone for t in group.leaving))
    for target in group.leaving:
        share = 1 / (group.staying + len(group.leaving))
        taken = target.doomed.gone
        # It may go as soon as another one serves.
        free = target.doomed.notice if group.staying else max(target.doomed.notice, _other(group, target))
        if free < taken:
            gone += rate * share * max(0.0, free + target.lingers - taken)
        for per_second, seconds in group.streams:
            cut += per_second * share * _under_way(free, target, taken, group.delay, seconds)
    return dark, rate * dark, gone, cut


def _other(group, target):
    """When another target serves that outlives this one. For the last target without a successor:
    never."""
    later = [t for t in group.leaving if t is not target and t.doomed.gone > target.doomed.gone]
    return target.doomed.notice if later else group.successor


def _under_way(free, target, taken, delay, seconds):
    """Seconds of requests that are still under way when they are cut off, if the target is taken
    out at the best moment."""
    if free >= taken:
        return seconds
    rest = taken - free
    allowed = rest if delay is None else min(delay, rest)
    return max(0.0, min(target.lingers, allowed) + seconds - allowed)


def missing(successor, doomed):
    """Seconds for which a task is missing, if its successor runs at this moment at the
    earliest."""
    return max(0.0, successor - doomed.gone)


def job(done, needs, doomed, began=0.0):
    """(cut off, seconds of work lost) of a job that needs this long to save its work. None: it
    cannot save it."""
    if needs is not None and needs <= doomed.left:
        return 0, 0.0
    return 1, done + doomed.gone - began


def at_hand(length, elapsed, doomed, began=0.0):
    """Seconds lost of the job that a worker works on. If the worker is told in time, it takes no
    other job."""
    start = began - elapsed * length
    done = (doomed.notice - start) % length
    return 0.0 if length - done <= doomed.left else (doomed.gone - start) % length


def paid_twice(takes, doomed):
    """Seconds for which a successor is paid if it is launched just in time."""
    return min(max(0.0, doomed.left), takes)
