#!/usr/bin/env python3
"""Tests the JSON of docs/notifications.md with the sample events: the filters and patterns let the right events
through, and the input transformers make what a chat and a webhook expect. The templates of docs/deploy have to have
the same JSON.

https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
"""

import copy
import json
import re
import sys
from pathlib import Path

import jsonschema

from cloudformation import load

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "notifications.md"
DEPLOY = ROOT / "docs" / "deploy"
BLOCK = re.compile(r"<!-- ([a-z-]+(?:: [a-z]+)?) -->\n```json\n(.*?)\n```\n", re.DOTALL)

# The outcomes that somebody wants to hear of.
BAD = ("failed", "handed-off-with-losses", "still-short")

# The parts of CloudWatch's message to a topic by which anybody filters.
ALARM = {"AlarmName": "spot-handoff-drain-tasks-dead-letters", "NewStateValue": "ALARM", "OldStateValue": "OK"}

# The form of a custom notification. A message of another form is dropped without a word.
NOTIFICATION = {
    "type": "object",
    "required": ["version", "source", "content"],
    "additionalProperties": False,
    "properties": {
        "version": {"const": "1.0"},
        "source": {"const": "custom"},
        "id": {"type": "string"},
        "content": {
            "type": "object",
            "required": ["description"],
            "additionalProperties": False,
            "properties": {
                "textType": {"const": "client-markdown"},
                "title": {"type": "string", "minLength": 1},
                "description": {"type": "string", "minLength": 1},
                "nextSteps": {"type": "array", "items": {"type": "string"}},
                "keywords": {"type": "array", "items": {"type": "string"}},
            },
        },
        "metadata": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "threadId": {"type": "string"},
                "summary": {"type": "string"},
                "eventType": {"type": "string"},
                "relatedResources": {"type": "array", "items": {"type": "string"}},
                "additionalContext": {"type": "object"},
            },
        },
    },
}
SLACK = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}


def lets_through(pattern, value):
    """Whether a pattern of EventBridge, or a filter policy of SNS, lets something through."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(key in value and lets_through(pattern[key], value[key]) for key in pattern)
    return any(is_meant(one, value) for one in pattern)


def is_meant(one, value):
    if not isinstance(one, dict):
        return type(one) is type(value) and one == value
    ((how, part),) = one.items()
    return isinstance(value, str) and {"prefix": value.startswith, "suffix": value.endswith}[how](part)


def at(path, event):
    for key in path.removeprefix("$.").split("."):
        event = event[key]
    return event


def transformed(paths, template, event):
    """What EventBridge makes of an event. A variable in quotes is a part of a text. A variable without quotes is a
    value."""
    values = {name: at(path, event) for name, path in paths.items()}
    names = "|".join(values)

    def in_text(match):
        return re.sub(f"<({names})>", lambda name: json.dumps(str(values[name[1]]))[1:-1], match[0])

    text = re.sub(r'"(?:[^"\\]|\\.)*"', in_text, template)
    text = re.sub(f"<({names})>", lambda name: json.dumps(values[name[1]]), text)
    unknown = re.search(r"^[^\"]*<\w+>", text)
    if unknown:
        raise ValueError(f"{unknown[0]} is none of the paths")
    return json.loads(text)


def without(event, **details):
    other = copy.deepcopy(event)
    other["detail"].update(details)
    return other


def of_the_central_bus(pattern):
    """Both templates of the central bus know every event that is announced. Its mail has the same pattern as the
    page."""
    bus = load((DEPLOY / "central-bus.yaml").read_text())["Resources"]
    forwards = load((DEPLOY / "forward-hand-offs.yaml").read_text())["Resources"]["HandOffs"]["Properties"]["EventPattern"]
    announced = sorted(
        json.loads(schema.read_text())["properties"]["detail-type"]["const"]
        for schema in sorted((ROOT / "docs").glob("hand-off-*event.schema.json"))
    )
    admitted = bus["BusPolicy"]["Properties"]["Statement"]["Condition"]["StringEquals"]["events:detail-type"]
    for file, known in (("central-bus.yaml", admitted), ("forward-hand-offs.yaml", forwards["detail-type"])):
        if sorted(known) != announced:
            yield f"docs/deploy/{file} knows {known}; announced are {announced}"
    if bus["BadHandOffs"]["Properties"]["EventPattern"] != pattern:
        yield "docs/deploy/central-bus.yaml has another pattern than docs/notifications.md"


def problems():
    blocks = dict(BLOCK.findall(PAGE.read_text()))
    good, failed = (json.loads((ROOT / "docs" / name).read_text()) for name in ("hand-off-event.json", "hand-off-event-failed.json"))
    drill = without(failed, drill=True)
    attributes = [{"outcome": event["detail"]["outcome"], "drill": json.dumps(event["detail"]["drill"])} for event in (failed, good, drill)]
    cases = {
        "sns-filter-policy: alarm": (ALARM, [{**ALARM, "NewStateValue": "OK"}, {**ALARM, "AlarmName": "spot-handoff-drain-tasks-errors"}]),
        "sns-filter-policy: attributes": (attributes[0], attributes[1:]),
        "sns-filter-policy: event": (failed, [good, without(failed, **{"auto-scaling-group": "web"})]),
        "event-pattern": (failed, [good, drill]),
    }
    for outcome in BAD:
        for name in ("sns-filter-policy: event", "event-pattern"):
            if not lets_through(json.loads(blocks[name]), without(failed, outcome=outcome)):
                yield f"{name} keeps {outcome} back"
        if not lets_through(json.loads(blocks["sns-filter-policy: attributes"]), {**attributes[0], "outcome": outcome}):
            yield f"sns-filter-policy: attributes keeps {outcome} back"
    yield from of_the_central_bus(json.loads(blocks["event-pattern"]))
    for name, (wanted, others) in cases.items():
        pattern = json.loads(blocks.pop(name))
        if not lets_through(pattern, wanted):
            yield f"{name} lets nothing through"
        for other in others:
            if lets_through(pattern, other):
                yield f"{name} lets {json.dumps(other)[:100]} through"
        if name == "event-pattern":
            rule = load((DEPLOY / "webhook.yaml").read_text())["Resources"]["BadHandOffs"]["Properties"]
            if rule["EventPattern"] != pattern:
                yield "docs/deploy/webhook.yaml has another pattern than docs/notifications.md"
    for name, schema in (("chat", NOTIFICATION), ("webhook", SLACK)):
        paths, template = json.loads(blocks.pop(f"input-paths: {name}")), blocks.pop(f"input-template: {name}")
        for event in (good, failed):
            jsonschema.validate(transformed(paths, template, event), schema)
        if name == "webhook":
            (target,) = rule["Targets"]
            if target["InputTransformer"] != {"InputPathsMap": paths, "InputTemplate": template + "\n"}:
                yield "docs/deploy/webhook.yaml has another input transformer than docs/notifications.md"
    for name in blocks:
        yield f"nobody tests {name} of docs/notifications.md"


def main():
    found = list(problems())
    for problem in found:
        print(f"examples: {problem}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
