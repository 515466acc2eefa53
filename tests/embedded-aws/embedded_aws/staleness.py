"""Reads that answer as if the last change had not happened: AWS's APIs are eventually consistent.

For a while after each change, a read may get the state from before it. The world's pace says how
long, and the seed draws whether a read in that time is stale. The setting `stale_reads` makes all
reads stale for this many seconds. Consistent reads are never stale.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html
"""

import contextlib
import copy
from urllib.parse import parse_qsl

from . import backends, pace
from .simulation import targets
from .world import WORLD

READS = {
    "autoscaling": {
        "DescribeAutoScalingGroups",
        "DescribeAutoScalingInstances",
        "DescribeTags",
    },
    "dynamodb": {"BatchGetItem", "GetItem", "Query", "Scan"},
    "ecs": {
        "DescribeContainerInstances",
        "DescribeServices",
        "DescribeTasks",
        "ListContainerInstances",
        "ListTagsForResource",
        "ListTasks",
    },
    "elasticloadbalancing": {"DescribeTargetHealth"},
}
_NO_CHANGE = ("Describe", "List", "Get", "BatchGet", "Query", "Scan", "TransactGet")


def around(call):
    """The context in which to carry a call out: a stale read finds an older state."""
    if call.service not in READS or not _possible():
        return contextlib.nullcontext()
    if not call.action.startswith(_NO_CHANGE):
        _remember(call)
        return contextlib.nullcontext()
    if call.action not in READS[call.service] or _is_consistent(call):
        return contextlib.nullcontext()
    before = _state_for(call.service)
    return contextlib.nullcontext() if before is None else _swapped(before)


def _possible():
    ordered = WORLD.settings["stale_reads"]
    return WORLD.simulate and (pace.is_real() or ordered or "stale-reads" in WORLD.numbers)


def _is_consistent(call):
    if call.service != "dynamodb":
        return False
    parameters = call.parameters
    tables = parameters.get("RequestItems", {}).values()
    return parameters.get("ConsistentRead") or any(t.get("ConsistentRead") for t in tables)


def _remember(call):
    """The state of a service as it is before a change."""
    service = call.service
    WORLD.changes += 1
    seconds = WORLD.settings["stale_reads"]
    if seconds is None:
        seconds = pace.seconds("stale-reads", f"{service} {WORLD.changes}")
    now = WORLD.clock.now_ms()
    kept = [(until, state) for until, state in WORLD.before.get(service, []) if until > now]
    if seconds:
        kept.append((now + seconds * 1000, _FROZEN[service](_named(call), call.action)))
    WORLD.before[service] = kept


def _state_for(service):
    """An older state for this read, or None."""
    now = WORLD.clock.now_ms()
    states = [state for until, state in WORLD.before.get(service, []) if until > now]
    if not states:
        return None
    WORLD.stale_chances += 1
    if WORLD.settings["stale_reads"] is None and pace.draw("stale", WORLD.stale_chances) < 0.5:
        return None
    return states[-1]


@contextlib.contextmanager
def _swapped(state):
    """moto holds the older state while it answers: [(object, attribute, value)]."""
    present = [(owner, name, getattr(owner, name)) for owner, name, _ in state]
    try:
        for owner, name, value in state:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in present:
            setattr(owner, name, value)


# What a change does not name is not copied. The older state shares it with the present one.


def _groups(named, action):
    groups = dict(backends.autoscaling().autoscaling_groups)
    for name, group in groups.items():
        if name in named or any(state.instance_id in named for state in group.instance_states):
            groups[name] = _copied(group)
            groups[name].instance_states = [_copied(state) for state in group.instance_states]
    return [(backends.autoscaling(), "autoscaling_groups", groups)]


def _containers(named, action):
    ecs = backends.ecs()

    def older(known):
        return {
            id_: _copied(one) if id_.rsplit("/", 1)[-1] in named else one
            for id_, one in known.items()
        }

    two_deep = [
        (ecs, name, {cluster: older(known) for cluster, known in getattr(ecs, name).items()})
        for name in ("tasks", "container_instances")
    ]
    services = {
        id_: _copied(service) if service.name in named else service
        for id_, service in ecs.services.items()
    }
    return [*two_deep, (ecs, "services", services)]


def _tables(named, action):
    tables = dict(backends.dynamodb().tables)
    for name, table in tables.items():
        if name in named:
            tables[name] = copy.copy(table)
            tables[name].items = _items(table, is_replaced=action in _REPLACES)
    return [(backends.dynamodb(), "tables", tables)]


_REPLACES = {"BatchWriteItem", "DeleteItem", "PutItem"}


def _items(table, is_replaced):
    if not is_replaced:
        # An update changes an item where it is.
        return copy.deepcopy(table.items)
    items = copy.copy(table.items)
    if table.has_range_key:
        items.update((partition, dict(known)) for partition, known in table.items.items())
    return items


def _targets(named, action):
    return [
        (group, "members", {key: copy.deepcopy(one) for key, one in targets.members(group).items()})
        for group in backends.elbv2().target_groups.values()
        if group.arn.rsplit("/", 1)[-1] in named
    ]


def _named(call):
    """All texts in a call's parameters. For ARNs and paths: their last part."""
    if call.body.startswith(b"{"):
        texts = _texts(call.parameters)
    else:
        texts = (value for _, value in parse_qsl(call.body.decode()))
    return {text.rsplit("/", 1)[-1] for text in texts}


def _texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


_FROZEN = {
    "autoscaling": _groups,
    "dynamodb": _tables,
    "ecs": _containers,
    "elasticloadbalancing": _targets,
}


def _copied(one):
    """A copy that later changes of the object do not reach."""
    copied = copy.copy(one)
    for name, value in vars(one).items():
        if isinstance(value, (dict, list)):
            vars(copied)[name] = _plain(value)
    return copied


def _plain(value):
    if type(value) is dict:
        return {name: _plain(inner) for name, inner in value.items()}
    if type(value) is list:
        return [_plain(inner) for inner in value]
    return value
