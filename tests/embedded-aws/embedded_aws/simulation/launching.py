"""Instances on their way into a group: launched, in service, in their cluster."""

from moto.autoscaling.models import ASG_NAME_TAG, InstanceState

from .. import backends, pace
from ..services import elbv2
from ..world import WORLD
from . import activities, applications, capacity, containers, hosts, market, zones
from .user_data import cluster_in

# The prefix of an image that a launch template names by a parameter of Systems Manager.
RESOLVED = "resolve:ssm:"


def attempt(group, number):
    """Launches this many instances, or as many as there is room for, and keeps trying."""
    launched = []
    for _ in range(number):
        state = launch_one(group, capacity.counted(group))
        if state is None:
            _try_again(group)
            break
        group.failed_launches = 0
        launched.append(state)
    return launched


def launch_one(group, there, spot=None, near=None, only=None, cause=None):
    """A new instance in the zone where the group has the fewest. None, and a failed activity, if
    no pool has one.

    In the zone `near` if it has capacity, or in the zone `only`.
    """
    spot = market.next_is_spot(group, there) if spot is None else spot

    def order(subnet):
        zone = subnet.availability_zone
        return zone != near, capacity.load_of(group, zone), zone

    subnets = sorted(capacity.subnets_of(group), key=order)
    if only is not None:
        subnets = [subnet for subnet in subnets if subnet.availability_zone == only]
    for subnet in subnets:
        for type_ in market.types_of(group):
            if not spot or not market.is_empty(type_, subnet.availability_zone):
                return launch(group, subnet, type_, spot, cause)
    activities.launch_failed(group, subnets[0], cause)
    return None


def _try_again(group):
    """Auto Scaling tries again by itself, less and less often."""
    if getattr(group, "tries_again", False):
        return
    group.tries_again = True
    group.failed_launches = getattr(group, "failed_launches", 0) + 1

    def again():
        group.tries_again = False
        if group.name in backends.autoscaling().autoscaling_groups:
            capacity.settle(group)

    WORLD.autonomous(seconds_to_next_try(group), again)


def seconds_to_next_try(group):
    failed = getattr(group, "failed_launches", 0)
    first = pace.seconds("failed-launch-to-next", f"{group.name} {failed}")
    if not pace.is_real():
        return first
    return min(first * 2 ** min(10, failed // 2), pace.seconds("failed-launch-to-next-at-most"))


def launch(group, subnet, type_=None, spot=None, cause=None):
    """A new instance, which is Pending. A little later it is in service and in its cluster."""
    type_ = type_ or market.types_of(group)[0]
    spot = market.next_is_spot(group, capacity.counted(group)) if spot is None else spot
    group.launched = getattr(group, "launched", 0) + 1
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
    state.launched_ms = WORLD.agenda.now_ms()
    state.launched_from = _version(group)
    group.instance_states.append(state)
    if WORLD.seeding:
        enter_service(state)
        join_cluster(state)
    else:
        state.activity = activities.launching(state, cause)
        hosts.announce(state.instance_id, "pending")
        boot = seconds_until_in_service(state)
        agent = pace.seconds("in-service-to-in-cluster", state.instance_id)
        WORLD.autonomous(boot, lambda: enter_service(state))
        WORLD.autonomous(boot + agent, lambda: join_cluster(state))
        zones.look_later(group)
    return state


def _version(group):
    template = group.ec2_launch_template
    return template.get_version(group.launch_template_version).number if template else 0


def seconds_until_in_service(state):
    return pace.seconds("launch-to-in-service", state.instance_id)


def enter_service(state):
    """In its target groups before it is InService, as Auto Scaling does it."""
    if state.lifecycle_state != "Pending" or state.instance.state != "running":
        return
    group = state.auto_scaling_group
    state.lifecycle_state = "InService"
    state.in_service_ms = WORLD.agenda.now_ms()
    if not WORLD.seeding:
        up = pace.seconds("in-service-to-answering", state.instance_id)
        up_ms = state.in_service_ms + up * 1000
        applications.starts(state.instance_id, None, up_ms, state.instance_id)
    for arn in group.target_group_arns:
        elbv2.register(arn, [{"Id": state.instance_id}], fails=failing(group) == "targets")
    if not WORLD.seeding:
        hosts.announce(state.instance_id, "running")
        activities.launched(state)


def join_cluster(state):
    """The ECS agent starts with the cluster name that the instance's user data sets."""
    cluster = cluster_in(state.auto_scaling_group.user_data)
    starts = failing(state.auto_scaling_group) != "agent"
    if cluster and starts and state.instance.state == "running":
        containers.register_instance(cluster, state.instance_id)


def failing(group):
    """What does not work on instances that the group launches."""
    return getattr(group, "failing", None)
