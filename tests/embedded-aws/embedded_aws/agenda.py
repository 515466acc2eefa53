"""What AWS is going to do by itself, and when."""

import heapq
import itertools


class Agenda:
    """A heap of dated actions.

    Nothing runs unless somebody calls `catch_up`. If an action plans another one, the time counts
    from its own date, not from the moment at which it ran. So a world that nobody looked at for a
    minute ends up exactly like a world that was watched all along.
    """

    def __init__(self, now_ms):
        self._now_ms = now_ms
        self._running_at = None
        self._order = itertools.count()
        self._heap = []
        # Called after each action, at its date.
        self.observer = None

    def now_ms(self):
        return self._now_ms() if self._running_at is None else self._running_at

    def at_ms(self, due_ms, action):
        heapq.heappush(self._heap, (due_ms, next(self._order), action))

    def after(self, seconds, action):
        self.at_ms(self.now_ms() + seconds * 1000, action)

    def next_ms(self):
        """When the next action is due; None where there is none."""
        return self._heap[0][0] if self._heap else None

    def catch_up(self):
        """Runs everything that is due; True if that was anything."""
        ran = False
        while self._heap and self._heap[0][0] <= self._now_ms():
            self._running_at, _, action = heapq.heappop(self._heap)
            try:
                action()
                if self.observer is not None:
                    self.observer()
            finally:
                self._running_at = None
            ran = True
        return ran
