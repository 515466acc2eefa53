"""Auto Scaling: membership and capacity as AWS keeps them, its limits, its lifecycle actions."""

from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from .. import backends
from ..errors import too_long, validation_error
from ..paging import page
from ..patching import replaces
from ..simulation import activities, capacity, hooks, leaving

BAD_TOKEN = ("InvalidNextToken", "The token is not valid")


def group_named(name):
    group = backends.autoscaling().autoscaling_groups.get(name)
    if group is None:
        raise validation_error(
            f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"
        )
    return group


@replaces(AutoScalingResponse)
def describe_auto_scaling_instances(self):
    ids = self._get_param("InstanceIds", [])
    if len(ids) > 50:
        raise validation_error(too_long(ids, "instanceIds", 50))
    states = self.autoscaling_backend.describe_auto_scaling_instances(ids)
    shown, token = page(
        states, self._get_param("NextToken"), self._get_int_param("MaxRecords"), 50, BAD_TOKEN
    )
    return ActionResult({"AutoScalingInstances": shown, "NextToken": token})


@replaces(AutoScalingResponse)
def describe_auto_scaling_groups(self):
    asked = self._get_int_param("MaxRecords")
    if asked is not None and not 1 <= asked <= 100:
        raise validation_error("MaxRecords must be between 1 and 100")
    names = self._get_param("AutoScalingGroupNames", [])
    if len(names) > (asked or 50):
        raise validation_error(too_long(names, "autoScalingGroupNames", asked or 50))
    groups = self.autoscaling_backend.describe_auto_scaling_groups(
        names, filters=self._get_param("Filters", [])
    )
    shown, token = page(groups, self._get_param("NextToken"), asked or 50, 100, BAD_TOKEN)
    return ActionResult({"AutoScalingGroups": shown, "NextToken": token})


@replaces(AutoScalingResponse)
def describe_traffic_sources(self):
    group = group_named(self._get_param("AutoScalingGroupName"))
    kind = self._get_param("TrafficSourceType")
    sources = [(arn, "elbv2") for arn in group.target_group_arns]
    sources += [(name, "elb") for name in group.load_balancer_names]
    items = [
        {"Identifier": id_, "TrafficSource": id_, "Type": type_, "State": "InService"}
        for id_, type_ in sources
        if kind in (None, type_)
    ]
    shown, token = page(
        items, self._get_param("NextToken"), self._get_int_param("MaxRecords"), 50, BAD_TOKEN
    )
    return ActionResult({"TrafficSources": shown, "NextToken": token})


@replaces(AutoScalingResponse)
def describe_scaling_activities(self):
    name = self._get_param("AutoScalingGroupName")
    found = activities.of([name] if name else [], self._get_param("ActivityIds", []))
    shown, token = page(
        found, self._get_param("NextToken"), self._get_int_param("MaxRecords"), 100, BAD_TOKEN
    )
    return ActionResult({"Activities": shown, "NextToken": token})


@replaces(AutoScalingResponse)
def set_desired_capacity(self):
    group = group_named(self._get_param("AutoScalingGroupName"))
    wanted = self._get_int_param("DesiredCapacity")
    for above, limit, name in (
        (wanted > group.max_size, group.max_size, "above max"),
        (wanted < group.min_size, group.min_size, "below min"),
    ):
        if above:
            raise validation_error(
                f"New SetDesiredCapacity value {wanted} is {name} value {limit} "
                "for the AutoScalingGroup."
            )
    group.set_desired_capacity(wanted)
    return EmptyResult()


def _shrink(group, number, refusal):
    if group.desired_capacity - number < group.min_size:
        raise validation_error(refusal)
    group.desired_capacity -= number


@replaces(AutoScalingResponse)
def detach_instances(self):
    group = group_named(self._get_param("AutoScalingGroupName"))
    ids = self._get_param("InstanceIds", [])
    if len(ids) > 20:
        raise validation_error(
            "List exceeds the maximum number of instances to detach. "
            "Please retry your request with fewer instances."
        )
    states = {state.instance_id: state for state in group.instance_states}
    # It checks all of them before it touches any: the call succeeds or fails as a whole.
    for id_ in ids:
        if id_ not in states:
            raise validation_error(
                f"The instance {id_} is not part of Auto Scaling group {group.name}."
            )
        if states[id_].lifecycle_state not in ("InService", "Standby"):
            raise validation_error(f"The instance {id_} is not in InService or Standby.")
    shrinks = self._get_bool_param("ShouldDecrementDesiredCapacity", False)
    if shrinks:
        _shrink(
            group,
            len(ids),
            f"AutoScalingGroup {group.name} has min-size={group.min_size}, "
            f"max-size={group.max_size}, and desired-size={group.desired_capacity}. To detach "
            f"{len(ids)} instance, please update the AutoScalingGroup sizes appropriately.",
        )
    for id_ in ids:
        leaving.detach(states[id_], is_replaced=not shrinks)
    capacity.settle(group)
    return ActionResult({"Activities": [states[id_].activity for id_ in ids]})


@replaces(AutoScalingResponse)
def terminate_instance_in_auto_scaling_group(self):
    several = self._get_param("InstanceIds", [])
    states = []
    for id_ in several or [self._get_param("InstanceId")]:
        state = capacity.state_of(id_)
        if state is None:
            raise validation_error(
                f"Instance Id not found - No managed instance found for instance ID: {id_}"
            )
        states.append(state)
    group = states[0].auto_scaling_group
    staying = [s for s in states if not s.lifecycle_state.startswith("Terminating")]
    if staying and self._get_bool_param("ShouldDecrementDesiredCapacity", False):
        _shrink(
            group,
            len(staying),
            f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance "
            "without replacement will violate group's min size constraint. Either set "
            "shouldDecrementDesiredCapacity flag to false or lower group's min size.",
        )
    for state in staying:
        leaving.begin_termination(state, activities.asked_for(state))
    for state in states:
        if state.lifecycle_state == hooks.RETAINED:
            leaving.finish_termination(state)
    capacity.settle(group)
    begun = [state.activity for state in states]
    return ActionResult({"Activities": begun} if several else {"Activity": begun[0]})


@replaces(AutoScalingResponse)
def complete_lifecycle_action(self):
    result = self._get_param("LifecycleActionResult")
    if result not in ("CONTINUE", "ABANDON"):
        raise validation_error("Lifecycle Action result must be one of [CONTINUE, ABANDON]")
    hooks.end(_waiting(self), result)
    return EmptyResult()


@replaces(AutoScalingResponse)
def record_lifecycle_action_heartbeat(self):
    action = _waiting(self)
    action.heartbeats += 1
    hooks.extend(action)
    return EmptyResult()


def _waiting(response):
    token = response._get_param("LifecycleActionToken")
    instance = response._get_param("InstanceId")
    action = hooks.active(
        response._get_param("AutoScalingGroupName"),
        response._get_param("LifecycleHookName"),
        token,
        instance,
    )
    if action is None:
        what = f"token {token}" if token else f"instance ID {instance}"
        raise validation_error(f"No active Lifecycle Action found with {what}")
    return action


@replaces(AutoScalingResponse)
def create_or_update_tags(self):
    tags = self._get_param("Tags", [])
    for tag in tags:
        group_named(tag["ResourceId"])
    self.autoscaling_backend.create_or_update_tags(tags)
    return EmptyResult()


@replaces(AutoScalingResponse)
def delete_tags(self):
    tags = self._get_param("Tags", [])
    for tag in tags:
        group_named(tag["ResourceId"])
    self.autoscaling_backend.delete_tags(tags)
    return EmptyResult()
