"""EventBridge: whole events as AWS delivers them, and PutEvents without `aws.` sources.

moto adds a field of its own to every event, rewrites its time, and lets anybody speak as AWS.
"""

import json

from moto.core.utils import iso_8601_datetime_without_milliseconds
from moto.events.models import EventsBackend

from .. import backends, pace
from ..patching import replaces
from ..world import WORLD

COMPARISONS = {"ArnEquals", "ArnLike", "StringEquals"}


def put_on_bus(event, bus="default"):
    """Hands `event` to every rule whose pattern it matches; returns the rules' names."""
    matched = []
    for rule in backends.events().event_buses[bus].rules.values():
        if rule.state != "ENABLED" or not rule.event_pattern.matches_event(event):
            continue
        matched.append(rule)
    how = _delivery(event)
    if how in ("late", "twice"):
        late = pace.seconds("event-late", event.get("id", ""))
        WORLD.agenda.after(late, lambda: _deliver_all(matched, event))
    if how != "late":
        _deliver_all(matched, event)
    return [rule.name for rule in matched]


def _delivery(event):
    return pace.variant("event-delivery", event.get("id", "")) if WORLD.simulate else "at-once"


def seconds_late(event):
    """The delay of the first delivery."""
    return pace.seconds("event-late", event.get("id", "")) if _delivery(event) == "late" else 0


def _deliver_all(rules, event):
    for rule in rules:
        for target in rule.targets:
            _deliver(rule, target, event)


def _deliver(rule, target, event):
    # If a target does not let an event in, EventBridge sends the event to the target's
    # dead-letter queue. If that fails too, it drops the event, and there is no error anywhere.
    # So, as in AWS, a template without its queue policies does not work here.
    body = json.dumps(event, separators=(",", ":"))
    queue = _queue(target["Arn"])
    if queue is not None and _admits(queue, rule.arn):
        backends.sqs().send_message(queue.name, body)
        return
    dead_letters = _queue(target.get("DeadLetterConfig", {}).get("Arn"))
    if dead_letters is not None and _admits(dead_letters, rule.arn):
        attributes = _undelivered(rule, target, exists=queue is not None)
        backends.sqs().send_message(dead_letters.name, body, message_attributes=attributes)


def _queue(arn):
    return backends.sqs().queues.get((arn or "").split(":")[-1])


def _undelivered(rule, target, exists):
    """What EventBridge writes on an event for a dead-letter queue.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/rule-dlq.html
    """
    code, message = (
        ("NO_PERMISSIONS", "Lack of permissions to invoke the target.")
        if exists
        else ("NO_RESOURCE", "The target does not exist.")
    )
    told = {
        "RULE_ARN": rule.arn,
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": code,
        "ERROR_MESSAGE": message,
    }
    return {name: {"DataType": "String", "StringValue": value} for name, value in told.items()}


def _admits(queue, rule_arn):
    policy = queue.policy
    if isinstance(policy, str):
        policy = json.loads(policy)
    return any(_allows(statement, rule_arn) for statement in (policy or {}).get("Statement", []))


def _allows(statement, rule_arn):
    def listed(value):
        return value if isinstance(value, list) else [value]

    principal = statement.get("Principal", {})
    services = ["*"] if principal == "*" else listed(principal.get("Service", []))
    if statement.get("Effect") != "Allow":
        return False
    if not {"*", "events.amazonaws.com"} & set(services):
        return False
    if not {"*", "sqs:*", "sqs:SendMessage"} & set(listed(statement.get("Action", []))):
        return False
    for operator, keys in statement.get("Condition", {}).items():
        for key, wanted in keys.items():
            about_source = key.lower() == "aws:sourcearn" and operator in COMPARISONS
            if about_source and rule_arn not in listed(wanted):
                return False
    return True


def aws_event(source, detail_type, resources, detail):
    """An event as AWS's own services send it, of now."""
    return {
        "version": "0",
        "id": WORLD.uuid("event"),
        "detail-type": detail_type,
        "source": source,
        "account": backends.ACCOUNT,
        "time": iso_8601_datetime_without_milliseconds(WORLD.utcnow()),
        "region": backends.REGION,
        "resources": resources,
        "detail": detail,
    }


_moto_put_events = EventsBackend.put_events


@replaces(EventsBackend)
def put_events(self, events):
    if len(events) > 10:
        return _moto_put_events(self, events)
    return [_put_event(self, entry) for entry in events]


def _put_event(backend, entry):
    if entry.get("Source", "").startswith("aws."):
        return {
            "ErrorCode": "NotAuthorizedForSourceException",
            "ErrorMessage": "Not authorized for the source.",
        }
    try:
        detail = json.loads(entry.get("Detail") or "null")
    except ValueError:
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    for field, value in (
        ("Source", entry.get("Source")),
        ("DetailType", entry.get("DetailType")),
        ("Detail", detail),
    ):
        if not value:
            return {
                "ErrorCode": "InvalidArgument",
                "ErrorMessage": f"Parameter {field} is not valid. "
                f"Reason: {field} is a required argument.",
            }
    event = aws_event(entry["Source"], entry["DetailType"], entry.get("Resources", []), detail)
    WORLD.put_events.append(event)
    put_on_bus(event, (entry.get("EventBusName") or "default").split("/")[-1])
    return {"EventId": event["id"]}
