"""What the meter sees of the world at one moment. These are plain values, so that computing needs
no world."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    # The load balancer sends it new requests.
    routed: bool = True
    # What is behind it takes new requests and answers them.
    accepts: bool = True
    # Requests that began before can still end: nobody has cut the connections.
    open: bool = True
    # It is registered, its load balancer has found it healthy, and it answers.
    healthy: bool = True

    @property
    def serves(self):
        return self.routed and self.accepts


@dataclass(frozen=True)
class Task:
    # The service, or the family of a standalone task.
    of: str
    # pending, running, stopping (it has had SIGTERM) or stopped.
    state: str
    instance: str


@dataclass(frozen=True)
class Instance:
    # The group that launched it, even after it has left the group.
    group: str
    # Running and paid for.
    runs: bool = True
    in_service: bool = True


@dataclass(frozen=True)
class Picture:
    # By target group, by target.
    targets: dict = field(default_factory=dict)
    # By ARN. Stopped tasks are left out sooner or later.
    tasks: dict = field(default_factory=dict)
    # The desired count by service.
    services: dict = field(default_factory=dict)
    # By id.
    instances: dict = field(default_factory=dict)

    def runs(self, instance):
        seen = self.instances.get(instance)
        return seen is not None and seen.runs

    def row(self):
        """The three numbers of the time line: serving targets, running tasks, instances in service."""
        return (
            sum(t.serves for group in self.targets.values() for t in group.values()),
            sum(t.state == "running" for t in self.tasks.values()),
            sum(i.in_service for i in self.instances.values()),
        )
