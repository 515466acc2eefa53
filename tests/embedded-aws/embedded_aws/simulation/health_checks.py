"""The health checks of one target by its load balancer. It needs no world and no clock.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
"""

from dataclasses import dataclass

INITIAL = "initial"
HEALTHY = "healthy"
UNHEALTHY = "unhealthy"


@dataclass
class Checks:
    """The state of a target by the checks that were made of it so far."""

    next_ms: float
    interval_ms: float
    # How many in a row make an unhealthy target healthy, and a healthy one unhealthy.
    healthy_after: int
    unhealthy_after: int
    # So many have a new target be healthy.
    first_healthy_after: int = 1
    state: str = INITIAL
    # Since when it has been in its state, if that is not its first state.
    since_ms: float | None = None
    made: int = 0
    _passed: bool = True
    _in_a_row: int = 0

    def make_until(self, now_ms, answers):
        """Makes the checks that are due; `answers` tells whether one at a given moment passes."""
        while self.next_ms <= now_ms:
            self._make(self.next_ms, answers(self.next_ms))
            self.next_ms += self.interval_ms
        return self.state

    def _make(self, at_ms, passed):
        self.made += 1
        self._in_a_row = self._in_a_row + 1 if passed == self._passed else 1
        self._passed = passed
        if passed and self.state != HEALTHY:
            needed = self.first_healthy_after if self.state == INITIAL else self.healthy_after
            self._become(HEALTHY, at_ms, needed)
        elif not passed and self.state != UNHEALTHY:
            self._become(UNHEALTHY, at_ms, self.unhealthy_after)

    def _become(self, state, at_ms, needed):
        if self._in_a_row >= needed:
            self.state, self.since_ms = state, at_ms
