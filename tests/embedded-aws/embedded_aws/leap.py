"""Leaps of the clock over times in which nobody does anything but AWS itself.

A world in which functions are at work can go as slowly as they need, if the minutes between two
invocations cost nothing. Everything AWS does by itself meanwhile is done at its own time.
"""

import time

from .services import sqs
from .world import WORLD

# A message that was received so recently may still be on its way to whoever asked for it.
SECONDS_ON_THE_WAY = 0.1


def leap(order):
    """On to the moment in which one of `queues` has a message to receive, at the latest to
    `until_ms`. Whoever keeps time by the clock has to start anew from its `setting`."""
    queues = [sqs.queue_of(url) for url in order.get("queues", [])]
    until = order["until_ms"]
    clock = WORLD.clock
    before = clock.now_ms()
    if queues and time.monotonic() - WORLD.received_at < SECONDS_ON_THE_WAY:
        return _told(before, "busy")
    while not any(sqs.has_visible_message(queue) for queue in queues):
        now = clock.now_ms()
        if now >= until:
            return _told(before, "until")
        moments = [until, WORLD.agenda.next_ms(), *map(sqs.next_visible_ms, queues)]
        due = min(moment for moment in moments if moment is not None)
        clock.advance(max(0, due - now) / 1000)
        WORLD.agenda.catch_up()
    return _told(before, "message")


def _told(before, why):
    WORLD.clock.settle()
    return {"why": why, "ms": WORLD.clock.now_ms() - before, "setting": WORLD.clock.setting()}
