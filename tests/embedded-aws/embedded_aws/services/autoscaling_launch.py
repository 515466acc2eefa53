"""LaunchInstances, which moto does not have: a launch that answers with ids or with the error."""

import re

from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult

from ..errors import AwsError, validation_error
from ..patching import replaces
from ..simulation import capacity, launching, market
from ..world import WORLD
from .autoscaling import group_named


@replaces(AutoScalingResponse)
def launch_instances(self):
    name = self._get_param("AutoScalingGroupName")
    token = self._get_param("ClientToken")
    asked = (
        name,
        self._get_int_param("RequestedCapacity"),
        tuple(self._get_param("AvailabilityZones", [])),
        tuple(self._get_param("SubnetIds", [])),
        self._get_param("RetryStrategy") or "none",
    )
    if not re.fullmatch(r"[A-Za-z0-9\-_/]{1,64}", token or ""):
        raise validation_error(
            f"1 validation error detected: Value '{token}' at 'clientToken' failed to satisfy "
            r"constraint: Member must satisfy regular expression pattern: [A-Za-z0-9\-_\/]+"
        )
    if token in WORLD.launch_tokens:
        before, result = WORLD.launch_tokens[token]
        if before != asked:
            raise AwsError(
                "IdempotentParameterMismatch",
                "The parameters do not match those of an earlier request with the same token.",
            )
        return ActionResult(result)
    group = group_named(name)
    subnet = _subnet(group, asked[2], asked[3])
    _check(group, asked[1])
    launched = _launch(group, subnet, number=asked[1], retry=asked[4])
    result = {"AutoScalingGroupName": name, "ClientToken": token, **launched}
    WORLD.launch_tokens[token] = (asked, result)
    return ActionResult(result)


def _check(group, number):
    if group.ec2_launch_template is None:
        raise validation_error(
            "LaunchInstances requires an Auto Scaling group with a launch template."
        )
    if 0 < market.on_demand_percentage(group) < 100:
        raise validation_error(
            "LaunchInstances does not support a mixed instances policy that combines On-Demand "
            "and Spot Instances."
        )
    if capacity.suspended(group, "Launch"):
        raise validation_error(
            f"The Launch process of Auto Scaling group {group.name} is suspended."
        )
    if group.desired_capacity + number > group.max_size:
        raise validation_error(
            f"Launching {number} instances would put the desired capacity above the max size "
            f"{group.max_size} of Auto Scaling group {group.name}."
        )


def _subnet(group, zones, subnet_ids):
    subnets = capacity.subnets_of(group)
    if not zones and not subnet_ids and len({s.availability_zone for s in subnets}) > 1:
        raise validation_error(
            "AvailabilityZones or SubnetIds must be specified for an Auto Scaling group with "
            "multiple Availability Zones."
        )
    for subnet in subnets:
        in_zone = not zones or subnet.availability_zone in zones
        if in_zone and (not subnet_ids or subnet.id in subnet_ids):
            return subnet
    raise validation_error(
        f"The Availability Zone or subnet is not part of Auto Scaling group {group.name}."
    )


def _is_empty(group, subnet):
    zone = subnet.availability_zone
    return all(market.is_empty(type_, zone) for type_ in market.types_of(group))


def _launch(group, subnet, number, retry):
    spot = market.on_demand_percentage(group) == 0
    place = {
        "MarketType": "Spot" if spot else "OnDemand",
        "SubnetId": subnet.id,
        "AvailabilityZone": subnet.availability_zone,
        "AvailabilityZoneId": subnet._availability_zone.zone_id,
    }
    if WORLD.no_capacity or (spot and _is_empty(group, subnet)):
        overrides = market.overrides_of(group)
        if retry == "retry-with-group-configuration":
            # The group goes on trying by itself, in any of its zones.
            group.desired_capacity += number
            WORLD.autonomous(launching.seconds_to_next_try(group), lambda: capacity.settle(group))
        error = {
            "InstanceType": overrides[0]["InstanceType"] if overrides else group.instance_type,
            "ErrorCode": "InsufficientInstanceCapacity",
            "ErrorMessage": "We currently do not have sufficient capacity in the Availability "
            "Zone you requested.",
        }
        return {"Instances": [], "Errors": [{**place, **error}]}
    group.desired_capacity += number
    launched = [launching.launch(group, subnet) for _ in range(number)]
    by_type = {}
    for state in launched:
        by_type.setdefault(state.instance_type, []).append(state.instance_id)
    collections = [{**place, "InstanceType": t, "InstanceIds": ids} for t, ids in by_type.items()]
    return {"Instances": collections, "Errors": []}
