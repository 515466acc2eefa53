"""ECS clusters and container instances: filters, pages, limits, DRAINING."""

import json
import re

from moto.core.responses import ActionResult
from moto.ecs.exceptions import ClusterNotFoundException, InvalidParameterException
from moto.ecs.responses import EC2ContainerServiceResponse

from .. import backends, pace
from ..errors import AwsError
from ..paging import page
from ..patching import replaces
from ..simulation import containers, room
from ..world import WORLD


def cluster_of(response):
    """The cluster that a call names, by name or ARN. Without a name: the cluster called
    default."""
    name = (response._get_param("cluster") or "default").split("/")[-1]
    cluster = backends.ecs().clusters.get(name)
    if cluster is None:
        raise ClusterNotFoundException()
    return cluster


def at_most(values, limit, what):
    if len(values) > limit:
        raise InvalidParameterException(f"{what} cannot have more than {limit} items.")
    return values


def some(values, what):
    if not values:
        raise AwsError("InvalidParameterException", f"{what} cannot be empty.")
    return values


def paged(response, items):
    return page(items, response._get_param("nextToken"), response._get_int_param("maxResults"), 100)


@replaces(EC2ContainerServiceResponse)
def list_clusters(self):
    shown, token = paged(self, self.ecs_backend.list_clusters())
    return ActionResult({"clusterArns": shown, "nextToken": token})


@replaces(EC2ContainerServiceResponse)
def list_container_instances(self):
    cluster = cluster_of(self)
    status = self._get_param("status")
    admits = _filter(self._get_param("filter"))
    instances = self.ecs_backend.container_instances.get(cluster.name, {}).values()
    arns = [
        instance.container_instance_arn
        for instance in instances
        if status in (None, instance.status) and admits(instance)
    ]
    shown, token = paged(self, arns)
    return ActionResult({"containerInstanceArns": shown, "nextToken": token})


def _filter(expression):
    """The part of the cluster query language that asks for instances by EC2 id."""
    if not expression or WORLD.settings["ignore_container_instance_filter"]:
        return lambda instance: True
    found = re.fullmatch(r"\s*ec2InstanceId\s*(==|!=|in|!in|=~)\s*(.+?)\s*", expression)
    if not found:
        raise InvalidParameterException(
            f"The filter {expression!r} is beyond the cluster query language this AWS knows"
        )
    operator, value = found.groups()
    if operator == "=~":
        return lambda instance: re.search(value, instance.ec2_instance_id) is not None
    ids = {id_.strip() for id_ in value.strip("[]").split(",")}
    wanted = not operator.startswith("!")
    return lambda instance: (instance.ec2_instance_id in ids) == wanted


def _find(cluster, named):
    """(container instances, failures) for names that are ids or ARNs."""
    known = backends.ecs().container_instances.get(cluster.name, {})
    found, failures = [], []
    for name in named:
        instance = known.get(name.split("/")[-1])
        # An ARN also names a cluster, which has to be this one.
        if instance is not None and name in (instance.container_instance_arn, instance.id):
            found.append(instance)
        else:
            id_ = name.split("/")[-1]
            region = f"arn:aws:ecs:{backends.REGION}:{backends.ACCOUNT}"
            arn = f"{region}:container-instance/{cluster.name}/{id_}"
            failures.append({"arn": arn, "reason": "MISSING"})
    return found, failures


@replaces(EC2ContainerServiceResponse)
def describe_container_instances(self):
    cluster = cluster_of(self)
    named = some(self._get_param("containerInstances", []), "Container Instances")
    found, failures = _find(cluster, at_most(named, 100, "Container Instances"))
    for instance in found if pace.is_real() else []:
        room.tell_gpus(instance)
    return ActionResult({"containerInstances": found, "failures": failures})


@replaces(EC2ContainerServiceResponse)
def update_container_instances_state(self):
    cluster = cluster_of(self)
    status = self._get_param("status")
    if status not in ("ACTIVE", "DRAINING"):
        raise InvalidParameterException(
            "Container instance status should be one of [ACTIVE, DRAINING]"
        )
    named = some(self._get_param("containerInstances", []), "Container Instances")
    found, failures = _find(cluster, at_most(named, 10, "Container Instances"))
    changed = []
    for instance in found:
        if instance.status not in ("ACTIVE", "DRAINING"):
            failures.append({"arn": instance.container_instance_arn, "reason": "INACTIVE"})
            continue
        changed.append(instance)
        if status == "ACTIVE":
            instance.status = status
        elif instance.status != status:
            containers.drain(instance)
    return ActionResult({"containerInstances": changed, "failures": failures})


@replaces(EC2ContainerServiceResponse)
def register_container_instance(self):
    document = json.loads(self._get_param("instanceIdentityDocument"))
    instance = containers.register_instance(cluster_of(self).name, document["instanceId"])
    return ActionResult({"containerInstance": instance})
