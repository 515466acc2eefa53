"""The ECS scheduler: instances joining and draining, services kept at their count."""

from .. import backends, pace
from ..services import elbv2
from ..world import WORLD
from . import applications, tasks


def register_instance(cluster_name, instance_id):
    ecs = backends.ecs()
    WORLD.name_anew("container instance")
    container_instance = ecs.register_container_instance(cluster_name, instance_id)
    # The ids of ECS are UUIDs without the dashes.
    known = ecs.container_instances[cluster_name]
    del known[container_instance.id]
    container_instance.id = container_instance.id.replace("-", "")
    known[container_instance.id] = container_instance
    # An empty place may be what a service has been waiting for.
    for service in services_in(cluster_name):
        look_after(service, "scheduler-looks")
    return container_instance


def services_in(cluster_name):
    return [s for s in backends.ecs().services.values() if s.cluster_name == cluster_name]


def tasks_on(container_instance):
    return [
        task
        for cluster in backends.ecs().tasks.values()
        for task in cluster.values()
        if task.container_instance_arn == container_instance.container_instance_arn
        and task.last_status != "STOPPED"
    ]


def placeable(cluster_name, definition):
    """The ACTIVE instances with room for the task, the emptiest first."""
    ecs = backends.ecs()
    needs = tasks.needs_of(definition)
    instances = [
        instance
        for instance in ecs.container_instances.get(cluster_name, {}).values()
        if instance.status == "ACTIVE" and ecs._can_be_placed(instance, needs)
    ]
    return sorted(instances, key=lambda instance: instance.running_tasks_count)


def drain(container_instance):
    container_instance.status = "DRAINING"
    for service in _services_on(container_instance):
        look_after(service, "drain-to-replacement")


def _services_on(container_instance):
    """In the order of their tasks, so that every run moves them in the same order."""
    found = [tasks.service_of(task) for task in tasks_on(container_instance)]
    return [service for service in dict.fromkeys(found) if service is not None]


def look_after(service, after):
    """After the time that `pace` knows by this name."""
    WORLD.autonomous(pace.seconds(after, service.name), lambda: _reconcile(service))


def _tasks_of(service):
    return [t for t in tasks.running(service.cluster_name) if t.group == f"service:{service.name}"]


def _on_draining(task):
    container_instance = tasks.container_instance_of(task)
    return container_instance is None or container_instance.status == "DRAINING"


def _reconcile(service):
    """Starts what is missing beside the tasks that must leave, then lets those go."""
    if not _start_missing(service):
        look_after(service, "scheduler-tries-again")
    if any(_on_draining(task) for task in _tasks_of(service)):
        seconds = pace.seconds("replacement-to-old-stopped", service.name)
        WORLD.autonomous(seconds, lambda: _retire(service))


def _start_missing(service):
    staying = [task for task in _tasks_of(service) if not _on_draining(task)]
    missing = service.desired_count - len(staying)
    return all(start_for(service) is not None for _ in range(missing))


def _retire(service):
    all_tasks = _tasks_of(service)
    leaving = [task for task in all_tasks if _on_draining(task)]
    staying = len(all_tasks) - len(leaving)
    # With minimumHealthyPercent 100 an old task stays until a new one has taken its place.
    for task in leaving[: max(0, len(all_tasks) - max(service.desired_count, staying))]:
        tasks.begin_stop(
            task,
            "ServiceSchedulerInitiated",
            f"Scaling activity initiated by (deployment {service.deployments[0]['id']})",
        )


def move_services_off(container_instance):
    """All at once, for a world that does not simulate."""
    for service in _services_on(container_instance):
        _start_missing(service)
        _retire(service)


def start_for(service):
    """A task of the service, where there is room; None if there is none."""
    definition = backends.ecs().describe_task_definition(service.task_definition)
    places = placeable(service.cluster_name, definition)
    return _start_on(places[0], service, definition) if places else None


def start_all(service):
    """All tasks of a new service, spread evenly."""
    definition = backends.ecs().describe_task_definition(service.task_definition)
    places = placeable(service.cluster_name, definition)
    for number in range(service.desired_count):
        _start_on(places[number % len(places)], service, definition)


def _start_on(place, service, definition):
    return tasks.start(
        backends.ecs().clusters[service.cluster_name],
        definition,
        place,
        f"service:{service.name}",
        started_by=service.deployments[0]["id"],
        launch_type=service.launch_type,
        network=service.network_configuration or None,
        tags=service.tags if service.propagate_tags == "SERVICE" else None,
    )


def host_gone(instance_id):
    """The instance under a container instance is terminated: nobody gets a grace period."""
    ecs = backends.ecs()
    for cluster_name, instances in ecs.container_instances.items():
        for id_, container_instance in list(instances.items()):
            if container_instance.ec2_instance_id != instance_id:
                continue
            for task in tasks_on(container_instance):
                reason = f"Host EC2 (instance {instance_id}) terminated."
                tasks.begin_stop(task, "TerminationNotice", reason)
                tasks.finish_stop(task)
            del instances[id_]
            ecs.clusters[cluster_name].registered_container_instances_count -= 1
            for service in services_in(cluster_name):
                look_after(service, "drain-to-replacement")
    applications.host_gone(instance_id, WORLD.agenda.now_ms())
    elbv2.deregister_everywhere(instance_id)
