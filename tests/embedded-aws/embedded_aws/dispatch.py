"""From a call to moto and back."""

import json
import time

from moto.autoscaling.responses import AutoScalingResponse
from moto.core.request import Request
from moto.dynamodb.responses import DynamoHandler
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.elbv2.responses import ELBV2Response
from moto.events.responses import EventsHandler
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sqs.responses import SQSResponse
from moto.ssm.responses import SimpleSystemManagerResponse
from werkzeug.test import EnvironBuilder, run_wsgi_app

from . import staleness
from .services import functions, sqs
from .world import WORLD

# The services of the functions are called directly. This takes half the time of the way through
# Flask, which everything else takes.
DIRECT = {
    "autoscaling": AutoScalingResponse,
    "dynamodb": DynamoHandler,
    "ecs": EC2ContainerServiceResponse,
    "elasticloadbalancing": ELBV2Response,
    "events": EventsHandler,
    "sqs": SQSResponse,
    "ssm": SimpleSystemManagerResponse,
}

# Headers that the server sets, or that are moto's own.
NOT_SENT = {"status", "date", "server"}

_everything_else = DomainDispatcherApplication(create_backend_app)

# The suffix of the names of those who poll queues for the functions.
POLLER = ".poller"

# Calls that change nothing which the meter looks at.
_READS = ("Describe", "List", "Get", "Receive", "DeleteMessage", "ChangeMessage", "Filter", "Query")

# After these calls, a waiting reader finds nothing new.
_WAKES_NOBODY = ("Describe", "List", "Get", "Receive", "DeleteMessage", "Filter", "Query")

# Every call wakes a reader of a queue, and so does everything that time brings. In between, it
# looks when time makes a message visible, and now and then for safety.
LOOK_AGAIN_SECONDS = 0.25


def answer(call, url):
    """(status, headers, body), under the lock that guards all of moto."""
    if call.service == "sqs" and call.action == "ReceiveMessage" and not _wait_for_message(call):
        return 200, {"Content-Type": "application/x-amz-json-1.0"}, b"{}"
    if functions.is_invocation(call):
        return functions.invoke(call)
    with WORLD.changed:
        something_happened = WORLD.agenda.catch_up()
        try:
            with staleness.around(call):
                answered = _moto(call, url)
            if WORLD.meter is not None and not call.action.startswith(_READS):
                WORLD.meter.look()
            if call.action == "ReceiveMessage" and call.caller.endswith(POLLER):
                WORLD.handed_out += answered[2].count(b'"ReceiptHandle"')
            return answered
        finally:
            if something_happened or not call.action.startswith(_WAKES_NOBODY):
                WORLD.changed.notify_all()


def _wait_for_message(call):
    """Long polling, with the lock given up while there is nothing to receive.

    False for a poller of Lambda whose mapping is Disabled: Lambda would not poll.
    """
    parameters = call.parameters
    queue = sqs.queue_of(parameters.get("QueueUrl", ""))
    if queue is None:
        return True
    polls = call.caller.endswith(sqs.POLLER)
    seconds = parameters.get("WaitTimeSeconds", queue.receive_message_wait_time_seconds)
    until = time.monotonic() + WORLD.clock.real_seconds(int(seconds or 0))
    with WORLD.changed:
        while time.monotonic() < until:
            switched_off = polls and sqs.is_switched_off(queue)
            if sqs.has_visible_message(queue) and not switched_off:
                break
            WORLD.changed.wait(_seconds_until_visible(queue))
            WORLD.agenda.catch_up()
        switched_off = polls and sqs.is_switched_off(queue)
    # moto must not wait again: it would wait while it holds the lock.
    call.body = json.dumps({**parameters, "WaitTimeSeconds": 0}).encode()
    return not switched_off


def _seconds_until_visible(queue):
    """How long a reader of the queue waits for messages that only time makes visible."""
    next_ms = sqs.next_visible_ms(queue)
    if next_ms is None:
        return LOOK_AGAIN_SECONDS
    seconds = WORLD.clock.real_seconds((next_ms - WORLD.clock.now_ms()) / 1000)
    return min(max(seconds, 0.001), LOOK_AGAIN_SECONDS)


def _moto(call, url):
    headers = {k: v for k, v in call.headers.items() if k.lower() != "content-length"}
    builder = EnvironBuilder(
        path=call.path, base_url=url, method=call.method, headers=headers, data=call.body
    )
    environ = builder.get_environ()
    handler = DIRECT.get(call.service)
    if handler is None:
        app_iter, status, headers = run_wsgi_app(_everything_else, environ, buffered=True)
        return int(status.split()[0]), dict(headers), b"".join(app_iter)
    status, headers, body = handler.dispatch(Request(environ))
    if isinstance(body, str):
        body = body.encode()
    headers = {k: str(v) for k, v in headers.items() if k.lower() not in NOT_SENT}
    return int(status), headers, body
