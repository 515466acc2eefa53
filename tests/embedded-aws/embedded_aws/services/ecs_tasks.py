"""ECS tasks: listed exactly, described fully, run once per client token, stopped in their time."""

import json

from moto.core.responses import ActionResult
from moto.ecs.exceptions import InvalidParameterException
from moto.ecs.responses import DESCRIBE_TASKS_TAGS, EC2ContainerServiceResponse

from .. import backends
from ..errors import AwsError
from ..patching import replaces
from ..simulation import room, run_task_tokens, stopping, tasks
from ..world import WORLD
from .ecs import at_most, cluster_of, paged, some


@replaces(EC2ContainerServiceResponse)
def list_tasks(self):
    cluster = cluster_of(self)
    instance = (self._get_param("containerInstance") or "").split("/")[-1]
    service = (self._get_param("serviceName") or "").split("/")[-1]
    family = self._get_param("family")
    started_by = self._get_param("startedBy")
    # By default ECS does not list tasks that are about to stop.
    desired = self._get_param("desiredStatus") or "RUNNING"

    def wanted(task):
        return (
            task.desired_status == desired
            and instance in ("", (task.container_instance_arn or "").split("/")[-1])
            and (not service or task.group == f"service:{service}")
            and started_by in (None, task.started_by)
            and family in (None, task.task_definition_arn.split("/")[-1].split(":")[0])
        )

    found = [t.task_arn for t in self.ecs_backend.tasks.get(cluster.name, {}).values() if wanted(t)]
    shown, token = paged(self, found)
    return ActionResult({"taskArns": shown, "nextToken": token})


def task_named(cluster, name):
    known = backends.ecs().tasks.get(cluster.name, {})
    if name in known:
        return known[name]
    return next((task for task in known.values() if task.id == name), None)


@replaces(EC2ContainerServiceResponse)
def describe_tasks(self):
    cluster = cluster_of(self)
    names = at_most(some(self._get_param("tasks", []), "Tasks"), 100, "Tasks")
    found = {name: task_named(cluster, name) for name in names}
    failures = [{"arn": name, "reason": "MISSING"} for name, task in found.items() if task is None]
    if "TAGS" in self._get_param("include", []):
        self._include_in_response(DESCRIBE_TASKS_TAGS)
    else:
        self._exclude_from_response(DESCRIBE_TASKS_TAGS)
    shown = [task for task in found.values() if task is not None]
    return ActionResult({"tasks": shown, "failures": failures})


@replaces(EC2ContainerServiceResponse)
def stop_task(self):
    cluster = cluster_of(self)
    task = task_named(cluster, self._get_param("task"))
    if task is None:
        raise InvalidParameterException("The referenced task was not found.")
    # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
    task.tags = []
    reason = self._get_param("reason") or "Task stopped by user"
    stopping.begin(task, stopping.USER, reason)
    return ActionResult({"task": task})


@replaces(EC2ContainerServiceResponse)
def start_task(self):
    """On the named instances, as far as they have room."""
    cluster = cluster_of(self)
    ecs = backends.ecs()
    definition = ecs.describe_task_definition(self._get_param("taskDefinition"))
    named = at_most(
        some(self._get_param("containerInstances", []), "Container Instances"),
        10,
        "Container Instances",
    )
    known = ecs.container_instances.get(cluster.name, {})
    started, failures = [], []
    for name in named:
        instance = known.get(name.split("/")[-1])
        lacks = "MISSING" if instance is None else room.lacking(instance, definition)
        if lacks:
            failures.append({"arn": name, "reason": lacks})
            continue
        started.append(
            tasks.start(
                cluster,
                definition,
                instance,
                self._get_param("group") or f"family:{definition.family}",
                started_by=self._get_param("startedBy") or "",
                overrides=self._get_param("overrides"),
                tags=_tags(self, cluster, definition),
                network=self._get_param("networkConfiguration"),
            )
        )
    return ActionResult({"tasks": started, "failures": failures})


@replaces(EC2ContainerServiceResponse)
def run_task(self):
    cluster = cluster_of(self)
    params = dict(self._get_params())
    token = params.pop("clientToken", None)
    asked = json.dumps(params, sort_keys=True, default=str)
    before = run_task_tokens.known(cluster.name, token)
    if before is not None:
        if before.asked != asked:
            raise _conflict(before)
        return ActionResult(before.result)
    result = _run(self, cluster)
    run_task_tokens.keep(cluster.name, token, asked, result)
    return ActionResult(result)


def _conflict(before):
    """It names the tasks that the token has run.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html#API_RunTask_Errors
    """
    conflict = AwsError(
        "ConflictException",
        "The clientToken is already in use with a different RunTask request.",
    )
    conflict.resourceIds = [task.task_arn for task in before.result["tasks"]]
    return conflict


def _run(response, cluster):
    ecs = backends.ecs()
    definition = ecs.describe_task_definition(response._get_param("taskDefinition"))
    launch_type = response._get_param("launchType")
    providers = response._get_param("capacityProviderStrategy", [])
    _check(response, cluster, definition, launch_type, providers)
    started, failures = [], []
    for _ in range(response._get_int_param("count") or 1):
        places = [] if WORLD.no_capacity else room.placeable(cluster.name, definition)
        if not places:
            failures += [
                {
                    "arn": instance.container_instance_arn,
                    "reason": room.lacking(instance, definition) or "RESOURCE:MEMORY",
                }
                for instance in ecs.container_instances[cluster.name].values()
                if instance.status == "ACTIVE"
            ]
            break
        started.append(
            tasks.start(
                cluster,
                definition,
                places[0],
                response._get_param("group") or f"family:{definition.family}",
                started_by=response._get_param("startedBy") or "",
                overrides=response._get_param("overrides"),
                tags=_tags(response, cluster, definition),
                launch_type=launch_type,
                capacity_provider=providers[0]["capacityProvider"] if providers else None,
                network=response._get_param("networkConfiguration"),
            )
        )
    return {"tasks": started, "failures": failures}


def _check(response, cluster, definition, launch_type, providers):
    if launch_type and providers:
        raise InvalidParameterException(
            "Specify either Launch Type or Capacity Provider Strategy, but not both."
        )
    for provider in providers:
        if provider["capacityProvider"] not in (cluster.capacity_providers or []):
            raise InvalidParameterException("The specified capacity provider was not found.")
    if (response._get_param("group") or "").startswith("service:"):
        raise InvalidParameterException("Invalid namespace for group.")
    if len(response._get_param("startedBy") or "") > 128:
        raise InvalidParameterException("startedBy is longer than 128 characters.")
    for tag in response._get_param("tags", []):
        if tag["key"].lower().startswith("aws:"):
            raise InvalidParameterException(
                "Invalid tag: the prefix aws: is reserved and cannot be used."
            )
    if definition.network_mode == "awsvpc" and not response._get_param("networkConfiguration"):
        raise InvalidParameterException(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    if not backends.ecs().container_instances.get(cluster.name):
        lacking = "capacity provider" if providers else "cluster"
        raise InvalidParameterException(f"No Container Instances were found in your {lacking}.")


def _tags(response, cluster, definition):
    tags = {}
    if response._get_bool_param("enableECSManagedTags", False):
        tags["aws:ecs:clusterName"] = cluster.name
    if response._get_param("propagateTags") == "TASK_DEFINITION":
        tags.update({tag["key"]: tag["value"] for tag in definition.tags})
    tags.update({tag["key"]: tag.get("value", "") for tag in response._get_param("tags", [])})
    return [{"key": key, "value": value} for key, value in tags.items()]
