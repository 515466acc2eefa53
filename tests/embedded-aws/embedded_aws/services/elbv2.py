"""The calls of Elastic Load Balancing. `simulation.targets` has what happens to its targets."""

from moto.core.responses import ActionResult
from moto.elbv2.models import ELBv2Backend, FakeTargetGroup
from moto.elbv2.responses import ELBV2Response

from .. import pace
from ..errors import AwsError, validation_error
from ..paging import page
from ..patching import replaces
from ..simulation import scheduler
from ..simulation.routing import routing
from ..simulation.targets import (
    delay_of,
    deregister,
    deregister_everywhere,
    group_of,
    health,
    is_registered,
    key_of,
    members,
    members_of,
    register,
    state_of,
)

__all__ = [
    "delay_of",
    "deregister",
    "deregister_everywhere",
    "is_registered",
    "members_of",
    "register",
    "routing",
    "state_of",
]


@replaces(FakeTargetGroup)
def deregister_terminated_instances(self, instance_ids):
    for instance_id in instance_ids:
        deregister_everywhere(instance_id)


def _refuse_many(targets):
    """AWS sometimes rejects large calls. No report says with which error."""
    if not pace.is_real() or len(targets) <= pace.number("most-targets-in-a-call"):
        return
    refusal = pace.variant("many-targets-in-a-call")
    if refusal == "throttled":
        raise AwsError("Throttling", "Rate exceeded")
    if refusal == "refused":
        raise validation_error(f"The request has {len(targets)} targets, which is too many")


@replaces(ELBv2Backend)
def register_targets(self, target_group_arn, instances):
    _refuse_many(instances)
    register(target_group_arn, instances)


@replaces(ELBv2Backend)
def deregister_targets(self, target_group_arn, instances):
    _refuse_many(instances)
    deregister(target_group_arn, instances)
    scheduler.deregistered_by_somebody_else(target_group_arn, instances)


@replaces(ELBV2Response)
def describe_target_health(self):
    group = group_of(self._get_param("TargetGroupArn"))
    known = members(group)
    asked = self._get_param("Targets", [])
    keys = [key_of(group, target) for target in asked] or list(known)
    descriptions = []
    for id_, port in keys:
        state, reason, description = health(group, known.get((id_, port)))
        descriptions.append(
            {
                "Target": {"Id": id_, "Port": port},
                "HealthCheckPort": str(port),
                "TargetHealth": {"State": state, "Reason": reason, "Description": description},
            }
        )
    return ActionResult({"TargetHealthDescriptions": descriptions})


@replaces(ELBV2Response)
def describe_target_groups(self):
    groups = self.elbv2_backend.describe_target_groups(
        self._get_param("LoadBalancerArn"),
        self._get_param("TargetGroupArns", []),
        self._get_param("Names"),
    )
    shown, token = page(
        list(groups),
        self._get_param("Marker"),
        self._get_int_param("PageSize"),
        400,
        bad_token=("ValidationError", "The marker is not valid"),
    )
    return ActionResult({"TargetGroups": shown, "NextMarker": token})


@replaces(ELBV2Response)
def modify_target_group_attributes(self):
    # moto answers with what was asked for, AWS with all attributes. The tests only write.
    arn = self._get_param("TargetGroupArn")
    attributes = {a["Key"]: a["Value"] for a in self._get_param("Attributes", [])}
    delay = attributes.get("deregistration_delay.timeout_seconds")
    if delay is not None and not 0 <= int(delay) <= 3600:
        raise AwsError(
            "InvalidConfigurationRequest",
            "Deregistration delay timeout must be between 0 and 3600 seconds",
        )
    group_of(arn).attributes.update(attributes)
    return ActionResult({"Attributes": attributes})
