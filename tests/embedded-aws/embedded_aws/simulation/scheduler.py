"""The service scheduler of ECS: keeps services at their count, and moves them off DRAINING instances."""

from .. import backends, pace
from ..world import WORLD
from . import room, stopping, targets, tasks
from .plan import Member, daemon_plan, plan


def services_in(cluster_name):
    return [s for s in backends.ecs().services.values() if s.cluster_name == cluster_name]


def services_on(container_instance):
    """Services in the order of their tasks, so that every run moves them in the same order."""
    found = [tasks.service_of(task) for task in tasks.on(container_instance)]
    return [service for service in dict.fromkeys(found) if service is not None]


def is_daemon(service):
    return service.scheduling_strategy == "DAEMON"


def look_after(service, after):
    """Makes the scheduler look at the service after the time that `pace` has under this name.

    One look sees everything, so there is no second one for the same time.
    """
    if not WORLD.simulate:
        return
    due_ms = WORLD.agenda.now_ms() + pace.seconds(after, service.name) * 1000
    planned_ms = getattr(service, "looked_at_ms", None)
    if planned_ms is not None and WORLD.agenda.now_ms() <= planned_ms <= due_ms:
        return
    service.looked_at_ms = due_ms

    def look():
        # Unless an earlier one has taken its place.
        if service.looked_at_ms == due_ms:
            service.looked_at_ms = None
            _look(service)

    WORLD.agenda.at_ms(due_ms, look)


def watch():
    """At the real pace, the scheduler itself sees that a task fails the checks of its load
    balancer."""
    for service in backends.ecs().services.values():
        if service.load_balancers and any(member.unhealthy for member in members_of(service)):
            look_after(service, "scheduler-looks")
    WORLD.agenda.after(pace.seconds("scheduler-watches"), watch)


def members_of(service):
    """The tasks of the service that were not told to stop, as the scheduler sees them."""
    running = [
        task
        for task in tasks.running(service.cluster_name)
        if task.group == f"service:{service.name}"
    ]
    return [_member(service, task) for task in running]


def _member(service, task):
    container_instance = tasks.container_instance_of(task)
    draining = container_instance is None or container_instance.status == "DRAINING"
    protected = is_protected(task)
    if not (pace.is_real() and WORLD.simulate):
        return Member(task, draining, protected=protected)
    if task.last_status != "RUNNING":
        return Member(task, draining, healthy=False, protected=protected)
    states = target_states(task)
    age = (WORLD.agenda.now_ms() - task.life.running_ms) / 1000
    if not service.load_balancers:
        old_enough = task.life.running_ms <= WORLD.began_ms
        healthy = old_enough or age >= pace.seconds("running-to-counted")
        return Member(task, draining, healthy=healthy, protected=protected)
    # A target that somebody took out says nothing about its task.
    return Member(
        task,
        draining,
        healthy=not {"initial", "unhealthy"} & set(states),
        unhealthy="unhealthy" in states and age >= grace_period(service),
        protected=protected,
    )


def grace_period(service):
    return float(getattr(service, "health_check_grace_period_seconds", None) or 0)


def target_states(task):
    states = []
    for arn, target in tasks._targets(task):
        group = targets.group_of(arn)
        known = targets.members(group).get(targets.key_of(group, target))
        states.append(targets.health(group, known)[0])
    return states


def is_protected(task):
    until = getattr(task, "protected_until", None)
    return until is not None and until > WORLD.utcnow()


def _percents(service):
    told = getattr(service, "deployment_configuration", None) or {}
    minimum = told.get("minimumHealthyPercent")
    maximum = told.get("maximumPercent")
    # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
    return 100 if minimum is None else minimum, 200 if maximum is None else maximum


def _look(service):
    """Starts missing tasks beside the tasks that must leave, then stops those."""
    if is_daemon(service):
        _look_at_daemon(service)
        return
    members = members_of(service)
    leaving = _stopping(service)
    wanted = plan(service.desired_count, *_percents(service), members, leaving)
    for task in wanted.stops:
        _stop(service, task)
    started = sum(start_for(service) is not None for _ in range(wanted.starts))
    if started < wanted.starts:
        _tell_no_room(service)
        look_after(service, "scheduler-tries-again")
    waits = leaving and len(members) < service.desired_count
    if waits or any(member.leaving for member in members):
        look_after(service, "replacement-to-old-stopped")


def _stopping(service):
    """How many of the service's tasks were told to stop and have not ended."""
    return sum(
        task.desired_status == "STOPPED" and task.last_status != "STOPPED"
        for task in backends.ecs().tasks.get(service.cluster_name, {}).values()
        if task.group == f"service:{service.name}"
    )


def _stop(service, task):
    stopping.begin(
        task,
        "ServiceSchedulerInitiated",
        f"Scaling activity initiated by (deployment {service.deployments[0]['id']})",
    )


def _tell_no_room(service):
    """Once, until a task was placed again."""
    if getattr(service, "without_room", False):
        return
    service.without_room = True
    service.events.insert(
        0,
        {
            "id": WORLD.uuid("service event"),
            "createdAt": WORLD.utcnow(),
            "message": f"(service {service.name}) was unable to place a task because no container "
            "instance met all of its requirements.",
        },
    )


def _look_at_daemon(service):
    """One task on each ACTIVE instance; on a DRAINING one it stops when all others have."""
    known = backends.ecs().container_instances.get(service.cluster_name, {})
    mine = {
        task.container_instance_arn: task
        for task in tasks.running(service.cluster_name)
        if task.group == f"service:{service.name}"
    }
    active = [i for i in known.values() if i.status == "ACTIVE"]
    leaving = [
        (mine[i.container_instance_arn], not _others_on(i))
        for i in known.values()
        if i.status == "DRAINING" and i.container_instance_arn in mine
    ]
    occupied = [i for i in active if i.container_instance_arn in mine]
    starts, stops = daemon_plan(active, occupied, leaving)
    definition = backends.ecs().describe_task_definition(service.task_definition)
    for instance in starts:
        if room.lacking(instance, definition) is None:
            _start_on(instance, service, definition)
    for task in stops:
        _stop(service, task)
    service.desired_count = len(active)
    tasks.count(service.cluster_name)
    if len(stops) < len(leaving):
        look_after(service, "replacement-to-old-stopped")


def _others_on(container_instance):
    """Whether tasks run there that are of no daemon."""
    for task in tasks.on(container_instance):
        service = tasks.service_of(task)
        if service is None or not is_daemon(service):
            return True
    return False


def stop_pending(container_instance):
    """When an instance drains, its service tasks that do not run yet stop at once."""
    for task in tasks.on(container_instance):
        service = tasks.service_of(task)
        if service is not None and task.last_status in ("PROVISIONING", "PENDING"):
            _stop(service, task)


def move_services_off(container_instance):
    """All at once, for a world that does not simulate."""
    for service in services_on(container_instance):
        for _ in range(
            plan(service.desired_count, *_percents(service), members_of(service)).starts
        ):
            start_for(service)
        wanted = plan(service.desired_count, *_percents(service), members_of(service))
        for task in wanted.stops:
            _stop(service, task)


def start_for(service):
    """A task of the service, if there is room; otherwise None."""
    definition = backends.ecs().describe_task_definition(service.task_definition)
    places = room.placeable(service.cluster_name, definition)
    return _start_on(places[0], service, definition) if places else None


def start_all(service):
    """All tasks of a new service, spread evenly."""
    definition = backends.ecs().describe_task_definition(service.task_definition)
    places = room.placeable(service.cluster_name, definition)
    count = len(places) if is_daemon(service) else service.desired_count
    for number in range(count):
        _start_on(places[number % len(places)], service, definition)


def _start_on(place, service, definition):
    service.without_room = False
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


def deregistered_by_somebody_else(arn, named):
    """Somebody took targets out of a group: ECS may register those of running tasks again.

    https://github.com/aws/containers-roadmap/issues/251
    """
    if not (pace.is_real() and WORLD.simulate):
        return
    keys = {targets.key_of(targets.group_of(arn), target) for target in named}
    for service in backends.ecs().services.values():
        if any(balancer.get("targetGroupArn") == arn for balancer in service.load_balancers):
            for member in members_of(service):
                if _has_target(member.task, arn, keys):
                    _register_again(member.task)


def _has_target(task, arn, keys):
    group = targets.group_of(arn)
    return any(a == arn and targets.key_of(group, t) in keys for a, t in tasks._targets(task))


def _register_again(task):
    def again():
        container_instance = tasks.container_instance_of(task)
        if task.desired_status != "RUNNING" or container_instance is None:
            return
        played = pace.variant("re-registration", task.task_arn)
        draining = container_instance.status == "DRAINING"
        if played == "yes" or (played == "unless-draining" and not draining):
            tasks.register_targets(task)

    WORLD.agenda.after(pace.seconds("out-to-registered-again", task.task_arn), again)
