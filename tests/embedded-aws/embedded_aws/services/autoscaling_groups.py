"""Auto Scaling groups: who launches, registers and replaces instances is `capacity`, not moto."""

from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup

from ..patching import replaces
from ..simulation import capacity, spot


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
