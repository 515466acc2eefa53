"""Instances of Auto Scaling groups: launched, in service, detached, terminated, replaced."""

import base64
import contextlib
import re

from moto.autoscaling.models import ASG_NAME_TAG, InstanceState

from .. import backends, pace
from ..services import elbv2
from ..services.events import aws_event, put_on_bus
from ..world import WORLD
from . import containers, hooks

# How an image begins that a launch template names by a parameter of Systems Manager.
RESOLVED = "resolve:ssm:"


def state_of(instance_id):
    """The instance's place in its group, or None when it is in none."""
    for group in backends.autoscaling().autoscaling_groups.values():
        for state in group.instance_states:
            if state.instance_id == instance_id:
                return state
    return None


def suspended(group, process):
    return any(p["ProcessName"] == process for p in group.suspended_processes)


def counted(group):
    """The instances that make up the capacity: those leaving or standing by do not."""
    return [s for s in group.instance_states if s.lifecycle_state in ("Pending", "InService")]


def settle(group):
    """Launches what the group lacks, and terminates the oldest it has too many of."""
    there = counted(group)
    missing = (group.desired_capacity or 0) - len(there)
    if missing > 0 and not suspended(group, "Launch"):
        for _ in range(missing):
            launch(group, emptiest_subnet(group))
    elif missing < 0 and not suspended(group, "Terminate"):
        leaving = [state for state in there if not state.protected_from_scale_in]
        for state in leaving[:-missing]:
            begin_termination(state)


def subnets_of(group):
    ids = [id_ for id_ in (group.vpc_zone_identifier or "").split(",") if id_]
    return backends.ec2().describe_subnets(subnet_ids=ids)


def emptiest_subnet(group):
    def load(subnet):
        return sum(s.availability_zone == subnet.availability_zone for s in counted(group))

    return min(subnets_of(group), key=lambda subnet: (load(subnet), subnet.availability_zone))


def overrides_of(group):
    policy = group.mixed_instances_policy or {}
    return policy.get("LaunchTemplate", {}).get("Overrides") or []


def on_demand_percentage(group):
    """100 for a group without a mixed-instances policy or any Spot in it."""
    policy = group.mixed_instances_policy or {}
    distribution = policy.get("InstancesDistribution")
    if distribution:
        if int(distribution.get("OnDemandBaseCapacity") or 0) > 0:
            # A base of On-Demand below Spot is a mixture whatever the percentage says.
            return max(1, int(distribution.get("OnDemandPercentageAboveBaseCapacity", 100)))
        return int(distribution.get("OnDemandPercentageAboveBaseCapacity", 100))
    template = group.ec2_launch_template
    if template:
        options = template.get_version(group.launch_template_version).data
        if options.get("InstanceMarketOptions", {}).get("MarketType") == "spot":
            return 0
    return 100


def launch(group, subnet):
    """A new instance, Pending; in service and in its cluster a little later."""
    number = getattr(group, "launched", 0)
    group.launched = number + 1
    overrides = overrides_of(group)
    type_ = overrides[number % len(overrides)]["InstanceType"] if overrides else group.instance_type
    percentage = on_demand_percentage(group)
    spot = (number % 2 == 0) if 0 < percentage < 100 else percentage == 0
    template = group.ec2_launch_template
    WORLD.name_anew("instance")
    # There is one image, so every parameter tells it.
    is_resolved = group.image_id.startswith(RESOLVED)
    reservation = backends.ec2().run_instances(
        WORLD.network.image if is_resolved else group.image_id,
        1,
        group.user_data,
        [],
        instance_type=type_,
        is_instance_type_default=False,
        tags={"instance": {**group.get_propagated_tags(), ASG_NAME_TAG: group.name}},
        subnet_id=subnet.id,
        placement=subnet.availability_zone,
        launch_template={"LaunchTemplateId": template.id} if template else None,
        launch_config=group.launch_config if template is None else None,
        instance_market_options={"MarketType": "spot"} if spot else None,
    )
    instance = reservation.instances[0]
    instance.autoscaling_group = group
    state = InstanceState(
        instance,
        lifecycle_state="Pending",
        protected_from_scale_in=group.new_instances_protected_from_scale_in,
    )
    group.instance_states.append(state)
    if WORLD.seeding:
        enter_service(state)
        join_cluster(state)
    else:
        boot = seconds_until_in_service(state)
        agent = pace.seconds("in-service-to-in-cluster", state.instance_id)
        WORLD.autonomous(boot, lambda: enter_service(state))
        WORLD.autonomous(boot + agent, lambda: join_cluster(state))
    return state


def seconds_until_in_service(state):
    return pace.seconds("launch-to-in-service", state.instance_id)


def enter_service(state):
    if state.lifecycle_state != "Pending" or state.instance.state != "running":
        return
    group = state.auto_scaling_group
    state.lifecycle_state = "InService"
    for arn in group.target_group_arns:
        elbv2.register(arn, [{"Id": state.instance_id}], fails=failing(group) == "targets")


def join_cluster(state):
    """The ECS agent starts with the cluster name that the instance's user data sets."""
    cluster = cluster_in(state.auto_scaling_group.user_data)
    starts = failing(state.auto_scaling_group) != "agent"
    if cluster and starts and state.instance.state == "running":
        containers.register_instance(cluster, state.instance_id)


def failing(group):
    """What does not work on the instances that the group launches."""
    return getattr(group, "failing", None)


def cluster_in(user_data):
    if not user_data:
        return None
    text = str(user_data)
    # moto keeps the user data of a launch configuration decoded.
    with contextlib.suppress(ValueError):
        text = base64.b64decode(text, validate=True).decode()
    found = re.search(r"ECS_CLUSTER=(\S+)", text)
    return found.group(1) if found else None


def detach(state):
    """Out of the group and its target groups, still running."""
    state.lifecycle_state = "Detaching"
    leave_target_groups(state)
    # In the quick pace long enough for an event that comes twice to meet the instance in this state.
    WORLD.consequence(pace.seconds("detaching", state.instance_id), lambda: _forget(state))


def begin_termination(state):
    """Out of the target groups first, then held at the group's termination hook if it has one."""
    if state.lifecycle_state.startswith("Terminating"):
        return
    for hook in backends.autoscaling().describe_lifecycle_hooks(state.auto_scaling_group_name):
        if hook.lifecycle_transition == hooks.TERMINATING:
            hold(state, hook)
            return
    state.lifecycle_state = "Terminating"
    leave_target_groups(state)
    seconds = pace.seconds("termination", state.instance_id)
    WORLD.consequence(seconds, lambda: finish_termination(state))


def hold(state, hook, token=None):
    """At the hook until its action ends. A given token is one that an event already names."""
    leave_target_groups(state)
    hooks.begin(state, hook, lambda: finish_termination(state), token)


def finish_termination(state):
    end_instance(state.instance_id)
    _forget(state)
    settle(state.auto_scaling_group)


def end_instance(instance_id):
    """EC2 terminates the instance, with all that runs on it."""
    instance = backends.ec2().get_instance_by_id(instance_id)
    if instance is not None and instance.state == "running":
        backends.ec2().terminate_instances([instance_id])
        containers.host_gone(instance_id)
        if WORLD.settings["state_change_events"]:
            _announce(instance_id, "shutting-down")
            seconds = pace.seconds("shutting-down-to-terminated", instance_id)
            WORLD.autonomous(seconds, lambda: _announce(instance_id, "terminated"))


def _announce(instance_id, state):
    arn = f"arn:aws:ec2:{backends.REGION}:{backends.ACCOUNT}:instance/{instance_id}"
    detail = {"instance-id": instance_id, "state": state}
    put_on_bus(aws_event("aws.ec2", "EC2 Instance State-change Notification", [arn], detail))


def lose(state):
    """The instance is gone without the group having asked for it: noticed, then replaced."""
    if state.lifecycle_state in ("Pending", "InService", "Standby"):
        state.health_status = "Unhealthy"

        def notice():
            begin_termination(state)
            settle(state.auto_scaling_group)

        WORLD.autonomous(pace.seconds("loss-to-noticed", state.instance_id), notice)


def leave_target_groups(state):
    for arn in state.auto_scaling_group.target_group_arns:
        elbv2.deregister(arn, [{"Id": state.instance_id}])


def _forget(state):
    group = state.auto_scaling_group
    group.instance_states = [s for s in group.instance_states if s is not state]
    backends.ec2().delete_tags([state.instance_id], {ASG_NAME_TAG: group.name})
