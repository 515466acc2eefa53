"""Auto Scaling groups. `capacity`, not moto, launches, registers and replaces instances."""

import copy

from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse

from .. import backends
from ..patching import replaces
from ..simulation import capacity, health, leaving, mixture, spot


@replaces(FakeAutoScalingGroup)
def set_desired_capacity(self, new_capacity):
    # moto launches and terminates here, all in one zone and all at once.
    self.desired_capacity = self.min_size if new_capacity is None else new_capacity
    capacity.settle(self)


@replaces(AutoScalingBackend)
def update_attached_target_groups(self, group_name):
    """Instances enter and leave the target groups with their lifecycle, see `capacity`."""


@replaces(AutoScalingBackend)
def notify_terminate_instances(self, instance_ids):
    for instance_id in instance_ids:
        spot.reclaim(instance_id)


@replaces(AutoScalingBackend)
def set_instance_health(self, instance_id, health_status):
    state = capacity.state_of(instance_id)
    state.health_status = health_status
    if health_status == "Unhealthy":
        leaving.replace_soon(state, "a user health-check")


_moto_create = AutoScalingResponse.create_auto_scaling_group
_moto_update = AutoScalingResponse.update_auto_scaling_group


@replaces(AutoScalingResponse)
def create_auto_scaling_group(self):
    answer = _moto_create(self)
    _keep_lifecycle_policy(self)
    health.watch(_meant(self))
    return answer


@replaces(AutoScalingResponse)
def update_auto_scaling_group(self):
    answer = _moto_update(self)
    _keep_lifecycle_policy(self)
    group = _meant(self)
    rebalance = self._get_bool_param("CapacityRebalance", None)
    if rebalance is not None:
        group.capacity_rebalance = rebalance
    health.watch(group)
    if self._get_param("MixedInstancesPolicy"):
        mixture.changed(group)
    return answer


def _keep_lifecycle_policy(response):
    """What happens to instances whose termination hook is abandoned. moto does not know this."""
    policy = response._get_param("InstanceLifecyclePolicy")
    if policy:
        _meant(response).instance_lifecycle_policy = policy


_moto_change = FakeAutoScalingGroup.update


@replaces(FakeAutoScalingGroup)
def update(self, **given):
    """What an update does not name stays as it is.

    moto would forget a policy that is not named. A policy without a launch template keeps the
    template that it has. Nobody says whether parts of a distribution that are not named stay,
    too. Here they do not.
    """
    before, policy = self.mixed_instances_policy, given["mixed_instances_policy"]
    launches_otherwise = given["launch_template"] or given["launch_config_name"]
    if before and (policy is None or "LaunchTemplate" not in policy) and not launches_otherwise:
        template = copy.deepcopy(before["LaunchTemplate"])
        template["LaunchTemplateSpecification"].pop("LaunchTemplateName", None)
        given["mixed_instances_policy"] = {**(policy or before), "LaunchTemplate": template}
    _moto_change(self, **given)


def _meant(response):
    groups = backends.autoscaling().autoscaling_groups
    return groups.get(response._get_param("AutoScalingGroupName"))
