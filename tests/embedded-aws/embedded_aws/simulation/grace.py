"""In what order the containers of a task stop, and how long each has. It needs no world and no
clock.

The agent stops a container when all that depend on it have stopped: by `dependsOn`, `links` and
`volumesFrom`. Each gets SIGTERM, and SIGKILL when its own grace is over, so the graces of a chain
add up.
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html
"""

from dataclasses import dataclass

# Conditions of a dependency that only hold when the other container has ended.
ENDED = ("COMPLETE", "SUCCESS")


@dataclass(frozen=True)
class Stop:
    """How one container stops, in seconds after the agent is told to stop the task."""

    container: str
    terminated: float
    ended: float
    # By SIGKILL, since it needed longer than its grace.
    killed: bool


def stops(definitions, grace_of, needs_of):
    """`grace_of` and `needs_of`: seconds by the definition of a container."""
    by_name = {definition["name"]: definition for definition in definitions}
    over = {
        dependency["containerName"]
        for definition in definitions
        for dependency in definition.get("dependsOn", [])
        if dependency.get("condition") in ENDED
    }
    waiting = {name: d for name, d in by_name.items() if name not in over}
    found = {}

    def stop(name):
        if name not in found:
            later = [other for other, d in waiting.items() if name in _needed_by(d)]
            begins = max((stop(other).ended for other in later), default=0)
            grace, needs = grace_of(by_name[name]), needs_of(by_name[name])
            found[name] = Stop(name, begins, begins + min(grace, needs), needs > grace)
        return found[name]

    return [stop(name) for name in waiting]


def _needed_by(definition):
    """The containers that one of this definition depends on."""
    yield from (one["containerName"] for one in definition.get("dependsOn", []))
    yield from (link.split(":")[0] for link in definition.get("links", []))
    yield from (one["sourceContainer"] for one in definition.get("volumesFrom", []))
