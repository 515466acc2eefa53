"""Fault Injection Service: moto keeps templates and experiments, and here they interrupt Spot Instances.

https://docs.aws.amazon.com/fis/latest/userguide/fis-actions-reference.html#send-spot-instance-interruptions
"""

import re

from moto.fis.exceptions import ResourceNotFoundException
from moto.fis.models import FISBackend, ResolvedTarget

from .. import backends
from ..patching import replaces
from ..simulation import spot
from .events import aws_event, put_on_bus

ACTION = "aws:ec2:send-spot-instance-interruptions"
RESOURCE_TYPE = "aws:ec2:spot-instance"
_PATHS = {
    "State.Name": lambda instance: instance.state,
    "Placement.AvailabilityZone": lambda instance: instance.placement.zone,
}

_moto_start = FISBackend.start_experiment


@replaces(FISBackend)
def start_experiment(self, **asked):
    before = set(self.experiments)
    answer = _moto_start(self, **asked)
    for id_ in set(self.experiments) - before:
        _begin(self.experiments[id_])
        answer = self.experiments[id_].to_dict(tags=answer.get("tags"))
    return answer


def _begin(experiment):
    experiment.chosen = {name: _choose(target) for name, target in experiment.targets.items()}
    # An experiment with an empty target fails, unless it says that it can do without.
    options = experiment.experiment_options or {}
    skips = options.get("emptyTargetResolutionMode") == "skip"
    if not all(experiment.chosen.values()) and not skips:
        experiment.status = "failed"
        return
    if not any(experiment.chosen.values()):
        experiment.status = "completed"
        return
    for action in experiment.actions.values():
        if action["actionId"] == ACTION:
            for instance in experiment.chosen[action["targets"]["SpotInstances"]]:
                _interrupt(instance.id)


def _choose(target):
    """The first ones, where AWS takes any."""
    fitting = [one for one in _running() if _fits(one, target)]
    mode = re.fullmatch(r"(PERCENT|COUNT)\((\d+)\)", target["selectionMode"])
    if mode is None:
        return fitting
    number = int(mode[2])
    return fitting[: number if mode[1] == "COUNT" else len(fitting) * number // 100]


def _running():
    for reservation in backends.ec2().reservations.values():
        yield from reservation.instances


def _fits(instance, target):
    tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
    wanted = target.get("resourceTags") or {}
    filters = target.get("filters") or []
    return (
        target["resourceType"] == RESOURCE_TYPE
        and instance.lifecycle == "spot"
        and all(tags.get(key) == value for key, value in wanted.items())
        and all(_PATHS[one["path"]](instance) in one["values"] for one in filters)
    )


def _interrupt(instance_id):
    """Two minutes before, the recommendation and the warning come together."""
    arn = f"arn:aws:ec2:{backends.REGION}:{backends.ACCOUNT}:instance/{instance_id}"
    detail = {"instance-id": instance_id, "instance-action": "terminate"}
    for kind, told in (
        (spot.REBALANCE, {"instance-id": instance_id}),
        (spot.INTERRUPTION, detail),
    ):
        event = aws_event("aws.ec2", kind, [arn], told)
        put_on_bus(event)
        spot.follow(event)


@replaces(FISBackend)
def list_experiment_resolved_targets(self, experiment_id, target_name=None, **_page):
    if experiment_id not in self.experiments:
        raise ResourceNotFoundException(f"Experiment {experiment_id} does not exist")
    chosen = getattr(self.experiments[experiment_id], "chosen", {})
    resolved = [
        ResolvedTarget(
            resource_type=RESOURCE_TYPE,
            target_name=name,
            resource_arn=(
                f"arn:aws:ec2:{backends.REGION}:{backends.ACCOUNT}:instance/{instance.id}"
            ),
        )
        for name, instances in chosen.items()
        for instance in instances
        if target_name in (None, name)
    ]
    return resolved, None
