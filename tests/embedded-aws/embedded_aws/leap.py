"""Leaps of the clock over times in which only AWS itself does anything.

While functions are at work, a world can be as slow as they need, if the minutes between two
invocations cost nothing. During a leap, AWS still does everything at its own time.
"""

from .services import sqs
from .world import WORLD


def leap(order):
    """Leaps to the moment at which one of `queues` has a message to receive, at the latest to
    `until_ms`.

    Whoever keeps time by the clock has to start anew from its `setting`. `received` is how many
    messages the pollers of the queues have got so far. While a message is on its way to them,
    they are about to work."""
    queues = [sqs.queue_of(url) for url in order.get("queues", [])]
    until = order["until_ms"]
    clock = WORLD.clock
    before = clock.now_ms()
    if WORLD.handed_out != order.get("received", WORLD.handed_out):
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
