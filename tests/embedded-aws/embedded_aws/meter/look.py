"""Reads the picture of a scenario's fleet from the world."""

from .. import backends
from ..simulation import routing, targets, tasks
from ..simulation.health_checks import HEALTHY, INITIAL, UNHEALTHY
from ..world import WORLD
from .pictures import Instance, Picture, Target, Task

PENDING = {"PROVISIONING", "PENDING", "ACTIVATING"}
# ECS takes the target out in DEACTIVATING; SIGTERM comes with STOPPING.
RUNNING = {"RUNNING", "DEACTIVATING"}


# After this long, a failed check has had all its effects on a load balancer.
SETTLES_MS = 60_000


class Looker:
    def __init__(self, groups, clusters, target_groups):
        """`groups` and `clusters` by name; `target_groups`: name to ARN."""
        self._groups = groups
        self._clusters = clusters
        self._target_groups = target_groups
        # Every instance that was ever in a group, since a detached one is still paid for.
        self._instances = {}
        # Tasks that were seen stopped: they stay so.
        self._over = set()
        # The targets of a task do not change.
        self._targets_of = {}
        # By the last look: when time alone may next change the picture.
        self.next_ms = None

    def look(self):
        self.next_ms = None
        lifecycles = self._lifecycles()
        instances = {
            id_: Instance(
                group,
                runs=instance.state in ("pending", "running"),
                in_service=instance.state == "running" and lifecycles.get(id_) == "InService",
            )
            for id_, (group, instance) in self._instances.items()
        }
        seen, behind = self._tasks()
        return Picture(
            targets={
                name: self._targets(arn, instances, behind)
                for name, arn in self._target_groups.items()
            },
            tasks=seen,
            services={
                service.name: service.desired_count
                for service in backends.ecs().services.values()
                if service.cluster_name in self._clusters
            },
            instances=instances,
        )

    def _lifecycles(self):
        lifecycles = {}
        for name in self._groups:
            for state in backends.autoscaling().autoscaling_groups[name].instance_states:
                lifecycles[state.instance_id] = state.lifecycle_state
                self._instances.setdefault(state.instance_id, (name, state.instance))
        return lifecycles

    def _tasks(self):
        """The tasks, and which of them is behind which target."""
        seen, behind = {}, {}
        for cluster in self._clusters:
            for arn, task in backends.ecs().tasks.get(cluster, {}).items():
                if arn in self._over:
                    continue
                state = _state(task)
                if state == "stopped":
                    self._over.add(arn)
                service = tasks.service_of(task)
                of = service.name if service else tasks.definition_of(task).family
                seen[arn] = Task(of, state, task.ec2_instance_id)
                for target in self._targets_behind(arn, task):
                    behind[target] = seen[arn]
        return seen, behind

    def _targets_behind(self, arn, task):
        if arn not in self._targets_of:
            self._targets_of[arn] = [
                (group, target["Id"], target["Port"]) for group, target in tasks._targets(task)
            ]
        return self._targets_of[arn]

    def _targets(self, arn, instances, behind):
        found = {}
        for route in routing.routes(targets.group_of(arn)):
            self._look_again(route)
            key = route.target.id, route.target.port
            task = behind.get((arn, *key))
            instance = instances.get(task.instance if task else route.target.id)
            runs = instance is not None and instance.runs
            accepts = runs and route.answers and (task is None or task.state == "running")
            found[f"{key[0]}:{key[1]}"] = Target(
                routed=route.new,
                accepts=accepts,
                open=runs and route.open and (task is None or task.state != "stopped"),
                healthy=accepts and _is_healthy(route.target),
            )
        return found


    def _look_again(self, route):
        now = WORLD.agenda.now_ms()
        moments = [route.new_until_ms, route.cut_ms]
        checks = route.target.checks
        finds_out = checks and (checks.state == INITIAL or (checks.state == HEALTHY) != route.answers)
        if route.target.registered and finds_out:
            moments.append(checks.next_ms)
        elif checks and checks.state == UNHEALTHY and now < (checks.since_ms or 0) + SETTLES_MS:
            # What follows from a failed check some time after it.
            moments.append(now + 1000)
        moments = [moment for moment in moments if moment is not None and moment > now]
        if self.next_ms is not None:
            moments.append(self.next_ms)
        self.next_ms = min(moments, default=None)


def _is_healthy(target):
    return target.registered and (target.checks is None or target.checks.state == HEALTHY)


def _state(task):
    if task.last_status in PENDING:
        return "pending"
    if task.last_status in RUNNING:
        return "running"
    return "stopped" if task.last_status == "STOPPED" else "stopping"
