"""SQS: only a queue's numbers, and no Lambda inside moto.

Delays and visibility are right in moto once it uses the world's clock. Long polling is done in
the server, outside the lock that all calls share.
"""

from moto.sqs.models import Queue

from .. import backends
from ..patching import replaces

_moto_add_message = Queue.add_message


@replaces(Queue)
def add_message(self, message):
    # moto would run the event source mapping itself, with Docker. Ours is in the test bed.
    self.lambda_event_source_mappings = {}
    _moto_add_message(self, message)


def queue_of(url):
    return backends.sqs().queues.get(url.rstrip("/").split("/")[-1])


def has_visible_message(queue):
    return any(message.visible and not message.delayed for message in queue._messages)


# How the pollers of an event source mapping sign: with the name of their function, followed by
# this.
POLLER = ".poller"


def is_switched_off(queue):
    """Whether this queue has event source mappings, and all of them are Disabled."""
    mappings = backends.lambda_().list_event_source_mappings(queue.queue_arn, None)
    return bool(mappings) and not any(mapping.enabled for mapping in mappings)


def next_visible_ms(queue):
    """When the next message that is hidden or delayed can be received; None where there is none."""
    hidden = [
        # moto shows a message after its moment, not at it.
        max(message.visible_at + 1, message.delayed_until)
        for message in queue._messages
        if message.delayed or not message.visible
    ]
    return min(hidden, default=None)


def counts(queue):
    delayed = sum(message.delayed for message in queue._messages)
    in_flight = sum(not message.visible for message in queue._messages)
    return {
        "visible": len(queue._messages) - delayed - in_flight,
        "in_flight": in_flight,
        "delayed": delayed,
    }
