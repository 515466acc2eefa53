"""ECS task protection: service tasks that the scheduler is not to stop for a while.

StopTask stops them all the same.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection.html
"""

import datetime

from moto.core.responses import ActionResult
from moto.ecs.exceptions import InvalidParameterException
from moto.ecs.responses import EC2ContainerServiceResponse

from ..patching import replaces
from ..simulation import scheduler, tasks
from ..world import WORLD
from .ecs import at_most, cluster_of, some
from .ecs_tasks import task_named

# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateTaskProtection.html
DEFAULT_MINUTES = 120  # belief: task-protection
LONGEST_MINUTES = 2880  # belief: task-protection


@replaces(EC2ContainerServiceResponse)
def update_task_protection(self):
    names = at_most(some(self._get_param("tasks", []), "Tasks"), 10, "Tasks")
    minutes = self._get_int_param("expiresInMinutes") or DEFAULT_MINUTES
    if not 1 <= minutes <= LONGEST_MINUTES:
        raise InvalidParameterException(
            f"expiresInMinutes must be between 1 and {LONGEST_MINUTES}."
        )
    until = WORLD.utcnow() + datetime.timedelta(minutes=minutes)
    enabled = self._get_bool_param("protectionEnabled", False)
    found, failures = _service_tasks(cluster_of(self), names)
    for task in found:
        task.protected_until = until if enabled else None
        scheduler.look_after(tasks.service_of(task), "scheduler-looks")
    return _answer(found, failures)


@replaces(EC2ContainerServiceResponse)
def get_task_protection(self):
    cluster = cluster_of(self)
    names = at_most(self._get_param("tasks", []), 100, "Tasks")
    running = [task.task_arn for task in tasks.running(cluster.name) if tasks.service_of(task)]
    return _answer(*_service_tasks(cluster, names or running))


def _service_tasks(cluster, names):
    found, failures = [], []
    for name in names:
        task = task_named(cluster, name)
        if task is None or task.desired_status == "STOPPED":
            failures.append({"arn": name, "reason": "TASK_NOT_FOUND"})
        elif tasks.service_of(task) is None:
            failures.append({"arn": task.task_arn, "reason": "TASK_NOT_VALID"})
        else:
            found.append(task)
    return found, failures


def _answer(found, failures):
    protected = []
    for task in found:
        entry = {"taskArn": task.task_arn, "protectionEnabled": scheduler.is_protected(task)}
        if entry["protectionEnabled"]:
            entry["expirationDate"] = task.protected_until
        protected.append(entry)
    return ActionResult({"protectedTasks": protected, "failures": failures})
