"""What answers behind an address and a port, and until when.

Whether a target is healthy depends on what its application answers to the load balancer's checks.
A request fails if the application no longer takes it. If nothing is known about an address, such
as an instance of the sample fleet, its application counts as having been up for long.
"""

from dataclasses import dataclass

from .. import backends
from ..world import WORLD


@dataclass
class Application:
    up_ms: float
    # The instance that it runs on.
    instance: str
    # From SIGTERM on it takes no new requests, but answers those that it has.
    refuses_ms: float | None = None
    # It has ended, and so have the requests that it had.
    ended_ms: float | None = None


def starts(id_, port, up_ms, instance):
    """`port` is None for an instance as a whole."""
    WORLD.applications[id_, port] = Application(up_ms, instance)


def refuses(id_, port, at_ms):
    application = WORLD.applications.get((id_, port))
    if application is not None and application.refuses_ms is None:
        application.refuses_ms = at_ms


def ends(id_, port, at_ms):
    refuses(id_, port, at_ms)
    application = WORLD.applications.get((id_, port))
    if application is not None and application.ended_ms is None:
        application.ended_ms = at_ms


def host_gone(instance_id, at_ms):
    """The instance is gone, and all applications on it."""
    WORLD.applications.setdefault((instance_id, None), Application(0, instance_id))
    for (id_, port), application in WORLD.applications.items():
        if application.instance == instance_id:
            ends(id_, port, at_ms)


def answers(id_, port, at_ms):
    """Whether a request, or a check, that arrives at this moment is answered."""
    application = _of(id_, port)
    if application is None:
        return _instance_runs(id_)
    refused = application.refuses_ms is not None and at_ms >= application.refuses_ms
    return application.up_ms <= at_ms and not refused


def is_up(id_, port, at_ms):
    """Whether requests that began before this moment are still being answered."""
    application = _of(id_, port)
    if application is None:
        return _instance_runs(id_)
    ended = application.ended_ms is not None and at_ms >= application.ended_ms
    return application.up_ms <= at_ms and not ended


def _of(id_, port):
    known = WORLD.applications
    return known.get((id_, port)) or known.get((id_, None))


def _instance_runs(id_):
    if not id_.startswith("i-"):
        return True
    instance = backends.ec2().get_instance_by_id(id_)
    return instance is not None and instance.state == "running"
