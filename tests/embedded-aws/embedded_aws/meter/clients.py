"""Clients of one target group, and which of their requests fail.

Nothing is sent. Between two pictures of the world nothing changes, so the requests of that time
are a rate: each target that gets new requests has its share. When a target is cut off, some
requests are still under way there. How many follows from when they began and how long they take.
The counts are expectations, so half a request may fail.
"""

from collections import defaultdict
from dataclasses import dataclass

CAUSES = ("no-target", "gone", "cut")


@dataclass(frozen=True)
class Stream:
    per_second: float
    # How long each request takes, or how long each connection stays.
    seconds: float


class Clients:
    def __init__(self, streams):
        self.streams = [Stream(**stream) for stream in streams]
        self.sent = 0.0
        self.failed = dict.fromkeys(CAUSES, 0.0)
        # Seconds without a target that takes new requests.
        self.dark = 0.0
        # Seconds without a target that is known to: AWS itself shows none that is healthy.
        self.in_doubt = 0.0
        self._at = None
        # For each stream, by target: [from, until, how many begin in a second].
        self._begun = [defaultdict(list) for _ in self.streams]

    def begin(self, at, targets):
        """Everything has been like this for longer than any request takes."""
        self._at = at
        serving = [name for name, target in targets.items() if target.serves]
        for stream, begun in zip(self.streams, self._begun, strict=True):
            for name in serving:
                share = stream.per_second / len(serving)
                begun[name].append([at - stream.seconds, at, share])

    def pass_until(self, at, targets):
        """From the last moment until `at` the targets were these."""
        began, self._at = self._at, at
        span = at - began
        if span <= 0:
            return
        routed = [name for name, target in targets.items() if target.routed]
        if not any(targets[name].accepts for name in routed):
            self.dark += span
        if not any(target.healthy for target in targets.values()):
            self.in_doubt += span
        for stream, begun in zip(self.streams, self._begun, strict=True):
            self.sent += stream.per_second * span
            if not routed:
                self.failed["no-target"] += stream.per_second * span
                continue
            share = stream.per_second / len(routed)
            for name in routed:
                if targets[name].accepts:
                    _add(begun[name], began, at, share)
                else:
                    self.failed["gone"] += share * span

    def change(self, before, after):
        """At this moment the targets of `before` became those of `after`."""
        for name, target in before.items():
            now = after.get(name)
            if target.open and (now is None or not now.open):
                for stream, begun in zip(self.streams, self._begun, strict=True):
                    self.failed["cut"] += _under_way(begun.pop(name, []), self._at, stream.seconds)


def _add(spans, began, at, share):
    if spans and spans[-1][1] == began and spans[-1][2] == share:
        spans[-1][1] = at
    else:
        spans.append([began, at, share])


def _under_way(spans, at, seconds):
    """How many of the requests that began in these spans have not ended by this moment."""
    return sum(
        max(0.0, min(until, at) - max(began, at - seconds)) * share for began, until, share in spans
    )
