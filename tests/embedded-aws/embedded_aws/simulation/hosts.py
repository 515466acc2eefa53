"""EC2 instances as such: ended, and announced on the bus."""

from .. import backends, pace
from ..services import elbv2
from ..services.events import aws_event, put_on_bus
from ..world import WORLD
from . import containers


def end(instance_id):
    """EC2 terminates the instance, with all that runs on it."""
    instance = backends.ec2().get_instance_by_id(instance_id)
    if instance is not None and instance.state == "running":
        # To its load balancers, this is like a target that is taken out: they send it requests
        # for some seconds more.
        elbv2.deregister_everywhere(instance_id)
        backends.ec2().terminate_instances([instance_id])
        containers.host_gone(instance_id)
        announce(instance_id, "shutting-down")
        seconds = pace.seconds("shutting-down-to-terminated", instance_id)
        WORLD.autonomous(seconds, lambda: announce(instance_id, "terminated"))


def announce(instance_id, state):
    """EC2 sends an event for every change of an instance's state, if the world is set to do
    so."""
    if not WORLD.settings["state_change_events"]:
        return
    arn = f"arn:aws:ec2:{backends.REGION}:{backends.ACCOUNT}:instance/{instance_id}"
    detail = {"instance-id": instance_id, "state": state}
    put_on_bus(aws_event("aws.ec2", "EC2 Instance State-change Notification", [arn], detail))
