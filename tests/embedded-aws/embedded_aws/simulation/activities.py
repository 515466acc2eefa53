"""Scaling activities, as DescribeScalingActivities lists them, and the events about them.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
"""

import json

from .. import backends, pace
from ..services.events import aws_event, put_on_bus
from ..world import WORLD

# What users quote from their failed activities. Both occur when Spot has no capacity.
NO_SPOT = {
    "unfulfillable": "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill "
    "capacity due to your request configuration. Please adjust your request and try again. "
    "Launching EC2 instance failed.",
    "insufficient": "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no "
    "Spot capacity available that matches your request. Launching EC2 instance failed.",
}


HELD = ("Pending", "InService", "Standby")


def launching(state, cause=None):
    instance = state.instance_id
    return _begin(
        state.auto_scaling_group,
        f"Launching a new EC2 instance: {instance}",
        cause or _difference(state.auto_scaling_group, "increasing", but=state),
        state.availability_zone,
        state.instance.subnet_id,
        "PreInService",
    )


def launched(state):
    activity = done(state)
    if activity:
        _announce(
            "EC2 Instance Launch Successful", activity, state.instance_id, "EC2", "AutoScalingGroup"
        )


def launch_failed(group, subnet, cause=None):
    """No pool had capacity: an activity that failed, and an event that says so."""
    activity = _begin(
        group,
        "",
        cause or _difference(group, "increasing"),
        subnet.availability_zone,
        subnet.id,
        "Failed",
    )
    message = NO_SPOT[pace.variant("no-spot-message", group.name)]
    activity["StatusMessage"] = message
    activity["Description"] = f"Launching a new EC2 instance.  Status Reason: {message}"
    _end(activity, "Failed")
    _announce("EC2 Instance Launch Unsuccessful", activity, "", "EC2", "AutoScalingGroup")


def balancing(loads):
    """Why an instance is launched in the zone that has the fewest."""
    at = f"{WORLD.utcnow():%Y-%m-%dT%H:%M:%SZ}"
    names, numbers = " ".join(sorted(loads)), " ".join(str(loads[zone]) for zone in sorted(loads))
    return (
        f"At {at} availability zones {names} had {numbers} instances respectively. An instance "
        "was launched to aid in balancing the group's zones."
    )


def balanced(zone):
    """Why another one is terminated then."""
    at = f"{WORLD.utcnow():%Y-%m-%dT%H:%M:%SZ}"
    return (
        f"At {at} instances were launched to balance instances in zones {zone} with other zones "
        "resulting in more than desired number of instances in the group."
    )


def terminating(state, cause=None):
    return _leaving(
        state, "Terminating", cause or _difference(state.auto_scaling_group, "shrinking")
    )


def detaching(state):
    return _leaving(state, "Detaching", asked_for(state))


def asked_for(state):
    """The cause of what somebody asked for."""
    at = f"{WORLD.utcnow():%Y-%m-%dT%H:%M:%SZ}"
    return (
        f"At {at} instance {state.instance_id} was taken out of service in response to a user "
        "request."
    )


def _leaving(state, what, cause):
    activity = _begin(
        state.auto_scaling_group,
        f"{what} EC2 instance: {state.instance_id}",
        cause,
        state.availability_zone,
        state.instance.subnet_id,
        "InProgress",
    )
    return activity


def done(state):
    """The activity of the instance has come to its end."""
    activity = getattr(state, "activity", None)
    if activity is None or "EndTime" in activity:
        return None
    _end(activity, "Successful")
    if activity["Description"].startswith("Terminating"):
        name = "EC2 Instance Terminate Successful"
        _announce(name, activity, state.instance_id, "AutoScalingGroup", "EC2")
    return activity


def of(group_names, ids):
    """The activities of these groups, or of all; the newest first, as AWS answers."""
    return [
        activity
        for activity in reversed(WORLD.activities)
        if (not group_names or activity["AutoScalingGroupName"] in group_names)
        and (not ids or activity["ActivityId"] in ids)
    ]


def _begin(group, description, cause, zone, subnet_id, status):
    activity = {
        "ActivityId": WORLD.uuid("activity"),
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "Description": description,
        "Cause": cause,
        "StartTime": WORLD.utcnow(),
        "StatusCode": status,
        "Progress": 30 if status == "PreInService" else 0,
        "Details": json.dumps({"Subnet ID": subnet_id, "Availability Zone": zone}),
    }
    if not WORLD.seeding:
        WORLD.activities.append(activity)
    return activity


def _end(activity, status):
    activity.update(EndTime=WORLD.utcnow(), StatusCode=status, Progress=100)


def _difference(group, how, but=None):
    at = f"{WORLD.utcnow():%Y-%m-%dT%H:%M:%SZ}"
    kind = "started" if how == "increasing" else "taken out of service"
    there = [s for s in group.instance_states if s.lifecycle_state in HELD and s is not but]
    return (
        f"At {at} an instance was {kind} in response to a difference between desired and actual "
        f"capacity, {how} the capacity from {len(there)} to {group.desired_capacity}."
    )


def _announce(name, activity, instance_id, origin, destination):
    time = "%Y-%m-%dT%H:%M:%SZ"
    arn = f"arn:aws:ec2:{backends.REGION}:{backends.ACCOUNT}:instance/{instance_id}"
    detail = {
        "Origin": origin,
        "Destination": destination,
        "Description": activity["Description"],
        "StartTime": f"{activity['StartTime']:{time}}",
        "EndTime": f"{activity['EndTime']:{time}}",
        "RequestId": activity["ActivityId"],
        "ActivityId": activity["ActivityId"],
        "EC2InstanceId": instance_id,
        "StatusCode": "Failed" if activity["StatusCode"] == "Failed" else "InProgress",
        "StatusMessage": activity.get("StatusMessage", ""),
        "Details": json.loads(activity["Details"]),
        "Cause": activity["Cause"],
        "AutoScalingGroupName": activity["AutoScalingGroupName"],
    }
    resources = [activity["AutoScalingGroupARN"]] + ([arn] if instance_id else [])
    put_on_bus(aws_event("aws.autoscaling", name, resources, detail))
