"""What the scheduler of ECS does next for one service: from facts to numbers, without a world.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-draining.html
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """A task of the service that nobody has told to stop."""

    task: object
    # On a DRAINING instance.
    draining: bool = False
    # RUNNING, and healthy in its target groups or for long enough.
    healthy: bool = True
    # Its target fails the checks of the load balancer.
    unhealthy: bool = False
    # UpdateTaskProtection: the scheduler must not stop it.
    protected: bool = False

    @property
    def leaving(self):
        return self.draining or self.unhealthy


@dataclass(frozen=True)
class Plan:
    starts: int
    stops: tuple = ()


def plan(desired, minimum_percent, maximum_percent, members, stopping=0):
    """Starts missing tasks as far as the maximum allows, and stops tasks as far as the minimum
    allows.

    `stopping` tasks were told to stop and have not ended. They count for the maximum.
    """
    lower = math.ceil(desired * minimum_percent / 100)
    upper = math.floor(desired * maximum_percent / 100)
    staying = [member for member in members if not member.leaving]
    missing = max(0, desired - len(staying))
    starts = max(0, min(missing, upper - len(members) - stopping))
    healthy = sum(member.healthy for member in members)
    stops = []
    # The newest of the surplus tasks, and the tasks that must leave. Tasks that do not serve go
    # first.
    surplus = staying[desired:] if len(staying) > desired else []
    leaving = [member for member in members if member.leaving]
    full = starts < missing
    for member in [*surplus, *sorted(leaving, key=lambda member: member.healthy)]:
        if member.protected:
            continue
        least = lower
        if member.unhealthy and not member.draining and not full:
            # It stays until a successor serves, if there is a place for one.
            least = desired
        if healthy - member.healthy < least:
            continue
        healthy -= member.healthy
        stops.append(member.task)
    return Plan(starts, tuple(stops))


def daemon_plan(active, occupied, leaving):
    """For a DAEMON service: the instances on which to start it, and the tasks to stop.

    `active` are the ACTIVE instances. `occupied` are the instances that have its task. `leaving`
    are its tasks on DRAINING instances, each with whether it is the last task there.
    """
    starts = [instance for instance in active if instance not in occupied]
    return starts, [task for task, is_last in leaving if is_last]
