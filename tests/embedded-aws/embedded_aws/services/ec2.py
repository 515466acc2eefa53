"""EC2: finds instances by id without copying all of them, which would be slow in a large
fleet."""

from moto.ec2.exceptions import InvalidInstanceIdError
from moto.ec2.models.instances import InstanceBackend

from ..patching import replaces


@replaces(InstanceBackend)
def get_instance_by_id(self, instance_id):
    known = self.__dict__.setdefault("instances_by_id", {})
    if instance_id not in known and self.reservations:
        # An instance that is being launched just now: each launch is a separate reservation.
        newest = next(reversed(self.reservations.values()))
        known.update((instance.id, instance) for instance in newest.instances)
    return known.get(instance_id)


@replaces(InstanceBackend)
def get_instance(self, instance_id):
    instance = self.get_instance_by_id(instance_id)
    if instance is None:
        raise InvalidInstanceIdError(instance_id)
    return instance
