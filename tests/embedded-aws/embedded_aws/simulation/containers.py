"""Container instances of ECS: they join, drain, and go with the EC2 instances under them."""

import datetime as dt

from .. import backends, pace
from ..world import WORLD
from . import agent, applications, room, scheduler, stopping, tasks

# How long the instances of a fleet have served when its story begins.
SERVED_BEFORE = dt.timedelta(hours=2)


def register_instance(cluster_name, instance_id):
    ecs = backends.ecs()
    WORLD.name_anew("container instance")
    container_instance = ecs.register_container_instance(cluster_name, instance_id)
    # The ids of ECS are UUIDs without the dashes.
    known = ecs.container_instances[cluster_name]
    del known[container_instance.id]
    container_instance.id = container_instance.id.replace("-", "")
    known[container_instance.id] = container_instance
    if WORLD.seeding:
        # What exists at the start has existed for a while.
        container_instance.registered_at = WORLD.clock.utcnow() - SERVED_BEFORE
    room.tell_gpus(container_instance)
    # An empty place may be what a service has been waiting for.
    for service in scheduler.services_in(cluster_name):
        scheduler.look_after(service, "scheduler-looks")
    if instance_id in WORLD.warned:
        _agent_sees_warning(instance_id)
    return container_instance


def of_instance(instance_id):
    """The container instances on an EC2 instance: one, as a rule."""
    return [
        container_instance
        for cluster in backends.ecs().container_instances.values()
        for container_instance in cluster.values()
        if container_instance.ec2_instance_id == instance_id
    ]


def drain(container_instance):
    container_instance.status = "DRAINING"
    affected = scheduler.services_on(container_instance)
    if pace.is_real() and WORLD.simulate:
        scheduler.stop_pending(container_instance)
    for service in affected:
        scheduler.look_after(service, "drain-to-replacement")


def warned(instance_id):
    """EC2 tells the instance that it is going to take it. The agent may drain it then.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-spot.html
    """
    WORLD.warned.add(instance_id)
    _agent_sees_warning(instance_id)


def _agent_sees_warning(instance_id):
    if agent.drains_by_itself(instance_id):
        seconds = pace.seconds("agent-sees-warning", instance_id)
        WORLD.autonomous(seconds, lambda: _drain_by_itself(instance_id))


def _drain_by_itself(instance_id):
    for container_instance in of_instance(instance_id):
        if container_instance.status == "ACTIVE":
            drain(container_instance)


def host_gone(instance_id):
    """The instance under a container instance is terminated: no task gets a grace period."""
    ecs = backends.ecs()
    for container_instance in of_instance(instance_id):
        cluster_name = container_instance.cluster_name
        for task in tasks.on(container_instance):
            reason = f"Host EC2 (instance {instance_id}) terminated."
            stopping.cut_off(task, "TerminationNotice", reason)
        del ecs.container_instances[cluster_name][container_instance.id]
        ecs.clusters[cluster_name].registered_container_instances_count -= 1
        for service in scheduler.services_in(cluster_name):
            scheduler.look_after(service, "drain-to-replacement")
    applications.host_gone(instance_id, WORLD.agenda.now_ms())
