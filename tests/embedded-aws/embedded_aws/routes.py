"""The control interface of a world, under /_embedded: what a test sees and what it can order."""

from . import backends, fleet, iam, leap, meter, modelled_errors, pace, state
from .happenings import happen
from .services.events import put_on_bus
from .simulation import routing, spot, targets, tasks
from .world import WORLD


class BadOrder(ValueError):
    """An order of a test that cannot be carried out. The message says why."""


def answer(method, path, order, url):
    """The dictionary to answer with."""
    route = ROUTES.get((method, path))
    if route is None:
        known = ", ".join(f"{m} {p}" for m, p in ROUTES)
        raise BadOrder(f"there is no {method} {path}; there are {known}")
    with WORLD.changed:
        something_happened = WORLD.agenda.catch_up()
        try:
            return route(order, url)
        finally:
            # Who only looks wakes nobody.
            if something_happened or method != "GET":
                WORLD.changed.notify_all()


def _events(order, url):
    matched = []
    for event in order if isinstance(order, list) else [order]:
        # First the cause and then the event, so that whoever reads the event finds the world like
        # that.
        spot.follow(event)
        matched += put_on_bus(event)
    return {"matched": matched}


def _settings(order, url):
    unknown = set(order) - set(WORLD.settings)
    if unknown:
        raise BadOrder(f"unknown settings {sorted(unknown)}; there are {sorted(WORLD.settings)}")
    WORLD.settings.update(order)
    return WORLD.settings


def _functions(order, url):
    WORLD.functions_url = order["url"]
    return {}


def _notifications():
    """What was published to topics. moto remembers it as (id, message, subject, attributes,
    group)."""
    return [
        {
            "topic": topic.arn,
            "subject": subject,
            "message": message,
            "attributes": {name: value["Value"] for name, value in (attributes or {}).items()},
        }
        for topic in backends.sns().topics.values()
        for _, message, subject, attributes, _ in topic.sent_notifications
    ]


def _routing():
    """Where load balancers send requests at the moment, and what happens to those that are under
    way."""
    return [
        {
            "arn": group.arn,
            "name": group.name,
            "balancer": "network" if targets.is_network(group) else "application",
            "targets": [
                {
                    "id": route.target.id,
                    "port": route.target.port,
                    "state": targets.health(group, route.target)[0],
                    "new": route.new,
                    "new_until_ms": route.new_until_ms,
                    "answers": route.answers,
                    "open": route.open,
                    "cut_ms": route.cut_ms,
                }
                for route in routing.routes(group)
            ],
        }
        for group in backends.elbv2().target_groups.values()
    ]


def _tasks():
    """Every task that there ever was, and when what happened to it."""
    return [
        {
            "arn": task.task_arn,
            "family": tasks.definition_of(task).family,
            "group": task.group,
            "instance": task.ec2_instance_id,
            "stop_code": getattr(task, "stop_code", None),
            "end": task.life.end,
            **vars(task.life),
        }
        for cluster in backends.ecs().tasks.values()
        for task in cluster.values()
    ]


def _done(function):
    def route(order, url):
        function(order)
        return {}

    return route


ROUTES = {
    ("GET", "/_embedded/stack"): lambda order, url: WORLD.stack.describe(url),
    ("GET", "/_embedded/state"): lambda order, url: state.snapshot(),
    ("GET", "/_embedded/queues"): lambda order, url: state.queues(),
    ("GET", "/_embedded/pace"): lambda order, url: pace.ordered(),
    ("GET", "/_embedded/routing"): lambda order, url: _routing(),
    ("GET", "/_embedded/tasks"): lambda order, url: _tasks(),
    ("GET", "/_embedded/fleet"): lambda order, url: fleet.exported(),
    ("GET", "/_embedded/calls"): lambda order, url: WORLD.calls.entries(),
    ("DELETE", "/_embedded/calls"): _done(lambda order: WORLD.calls.clear()),
    ("GET", "/_embedded/events"): lambda order, url: WORLD.put_events,
    ("POST", "/_embedded/events"): _events,
    ("GET", "/_embedded/notifications"): lambda order, url: _notifications(),
    ("POST", "/_embedded/functions"): _functions,
    ("POST", "/_embedded/faults"): _done(
        lambda order: WORLD.faults.order(order if isinstance(order, list) else [order])
    ),
    ("GET", "/_embedded/faults"): lambda order, url: {"struck": WORLD.faults.struck()},
    ("DELETE", "/_embedded/faults"): _done(lambda order: WORLD.faults.clear()),
    ("GET", "/_embedded/errors"): lambda order, url: modelled_errors.all_of_them(),
    ("GET", "/_embedded/permissions"): lambda order, url: iam.permissions(),
    ("POST", "/_embedded/limits"): _done(lambda order: WORLD.limits.set(order)),
    ("POST", "/_embedded/settings"): _settings,
    ("POST", "/_embedded/happen"): lambda order, url: happen(order),
    ("POST", "/_embedded/leap"): lambda order, url: leap.leap(order),
    ("POST", "/_embedded/meter"): lambda order, url: meter.start(order),
    ("GET", "/_embedded/meter"): lambda order, url: meter.result(),
}
