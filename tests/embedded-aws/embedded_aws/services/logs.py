"""CloudWatch Logs: FilterLogEvents with the filter patterns that `cargo handoff` uses.

moto ignores every pattern that is not a plain term, and answers with all events: a pattern that
would find nothing in AWS would seem to work here.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import functools
import json
import re

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException
from moto.logs import models
from moto.logs.exceptions import InvalidParameterException

from .. import pace
from ..patching import replaces
from ..world import WORLD

# `$.field = "value"`, the value without quotes or stars in it.
_SELECTOR = r'\$\.([A-Za-z_]\w*)\s*=\s*"([^"*]*)"'
_ONE = re.compile(rf"\s*{_SELECTOR}\s*")
_SEVERAL = re.compile(rf"\s*\(\s*{_SELECTOR}\s*\)\s*")
_PHRASE = re.compile(r'"([^"]+)"')
_ANY_OF = re.compile(r'\?"([^"]+)"')


class EventMessageFilter:
    """A filter pattern: nothing, `"a phrase"`, `?"one" ?"or another"`, `{ $.field = "value" }`,
    and selectors in parentheses joined by `&&` or by `||`."""

    def __init__(self, pattern):
        self.matches = _compile((pattern or "").strip())


# moto makes a filter for every event.
@functools.cache
def _compile(pattern):
    if not pattern:
        return lambda message: True
    if _PHRASE.fullmatch(pattern):
        return lambda message: pattern[1:-1] in message
    phrases = _ANY_OF.findall(pattern)
    if phrases and not _ANY_OF.sub("", pattern).strip():
        return lambda message: any(phrase in message for phrase in phrases)
    if pattern.startswith("{") and pattern.endswith("}"):
        return _compile_json(pattern[1:-1])
    raise _unsupported(pattern)


def _compile_json(inner):
    one = _ONE.fullmatch(inner)
    if one:
        return lambda message: _has(_parse(message), *one.groups())
    for operator, combine in (("&&", all), ("||", any)):
        found = [_SEVERAL.fullmatch(part) for part in inner.split(operator)]
        if len(found) > 1 and all(found):
            wanted = [match.groups() for match in found]

            def matches(message, combine=combine, wanted=wanted):
                fields = _parse(message)
                return combine(_has(fields, *one) for one in wanted)

            return matches
    raise _unsupported("{" + inner + "}")


def _parse(message):
    try:
        fields = json.loads(message)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _has(fields, name, value):
    return fields.get(name) == value


def _unsupported(pattern):
    # AWS knows more patterns. A pattern that is unknown here must not seem to match.
    return InvalidParameterException(
        parameter="filterPattern",
        value=pattern,
        constraint="Member must be a pattern that the embedded AWS knows",
    )


models.EventMessageFilter = EventMessageFilter

_moto_filter = models.LogGroup.filter_log_events
_moto_search = models.LogStream.filter_log_events


@replaces(models.LogStream)
def filter_log_events(self, *arguments):
    """A line can be found once it is indexed, some time after it came in."""
    now = WORLD.clock.now_ms()
    indexed = {
        str(event.event_id)
        for event in self.events
        if event.ingestion_time + 1000 * pace.seconds("line-to-searchable", event.event_id) <= now
    }
    return [found for found in _moto_search(self, *arguments) if found["eventId"] in indexed]


@replaces(models.LogGroup)
def filter_log_events(self, *arguments):
    *given, _interleaved = arguments
    # AWS mixes the streams by time whatever is asked for.
    return _moto_filter(self, *given, True)


@replaces(models.LogGroup)
def get_cfn_attribute(self, attribute_name):
    # CloudFormation's ARN of a log group ends in a star for its streams; policies rely on it.
    if attribute_name != "Arn":
        raise UnformattedGetAttTemplateException()
    return f"{self.arn}:*"
