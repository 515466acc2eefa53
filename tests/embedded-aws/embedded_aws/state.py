"""A snapshot of everything that a test or a replay looks at, as one plain dictionary."""

from . import backends
from .services import dynamodb, elbv2, sns, sqs
from .simulation import tasks
from .world import WORLD


def snapshot():
    groups = list(backends.autoscaling().autoscaling_groups.values())
    group_of = {s.instance_id: group.name for group in groups for s in group.instance_states}
    instances = backends.ec2().all_instances()
    # Where a target is: an instance, or the address of a network interface.
    zones = {e.private_ip_address: e.subnet.availability_zone for e in backends.ec2().enis.values()}
    zones.update((instance.id, instance.availability_zone) for instance in instances)
    return {
        "now_ms": round(WORLD.clock.now_ms()),
        "instances": [_instance(instance, group_of.get(instance.id)) for instance in instances],
        "groups": [_group(group) for group in groups],
        "target_groups": [
            _target_group(group, zones) for group in backends.elbv2().target_groups.values()
        ],
        "clusters": [_cluster(c) for c in backends.ecs().clusters.values()],
        "queues": queues(),
        "tables": [_table(t) for t in backends.dynamodb().tables.values()],
        "subscriptions": [_subscription(s) for s in backends.sns().subscriptions.values()],
        "scripts": [_script(one) for one in WORLD.invocations],
        "lifecycle_actions": [_lifecycle_action(a) for a in WORLD.lifecycle_actions.values()],
    }


def queues():
    return [_queue(queue) for queue in backends.sqs().queues.values()]


def _instance(instance, group):
    return {
        "id": instance.id,
        "zone": instance.availability_zone,
        "group": group,
        "state": instance.state,
        "private_ip": instance.private_ip,
        "type": instance.instance_type,
    }


def _group(group):
    return {
        "name": group.name,
        "desired": group.desired_capacity,
        "min": group.min_size,
        "max": group.max_size,
        "capacity_rebalance": bool(group.capacity_rebalance),
        "tags": {tag["Key"]: tag.get("Value", "") for tag in group.tags},
        "instances": [
            {
                "id": state.instance_id,
                "zone": state.availability_zone,
                "lifecycle": state.lifecycle_state,
                "health": state.health_status,
            }
            for state in group.instance_states
        ],
        "target_groups": list(group.target_group_arns),
    }


def _target_group(group, zones):
    return {
        "arn": group.arn,
        "name": group.name,
        "target_type": group.target_type,
        "targets": [
            {"id": target.id, "port": target.port, "zone": zones.get(target.id), "state": state}
            for target, state in elbv2.members_of(group)
        ],
    }


def _cluster(cluster):
    ecs = backends.ecs()
    return {
        "arn": cluster.arn,
        "name": cluster.name,
        "container_instances": [
            {
                "arn": instance.container_instance_arn,
                "instance": instance.ec2_instance_id,
                "status": instance.status,
                "running_tasks": instance.running_tasks_count,
            }
            for instance in ecs.container_instances.get(cluster.name, {}).values()
        ],
        "tasks": [_task(task) for task in ecs.tasks.get(cluster.name, {}).values()],
        "services": [
            {"name": s.name, "desired": s.desired_count, "running": s.running_count}
            for s in ecs.services.values()
            if s.cluster_name == cluster.name
        ],
    }


def _task(task):
    definition = tasks.definition_of(task)
    return {
        "arn": task.task_arn,
        "family": definition.family,
        "group": task.group,
        "kind": "service" if task.group.startswith("service:") else "standalone",
        "instance": task.ec2_instance_id,
        "container_instance": task.container_instance_arn,
        "last_status": task.last_status,
        "desired_status": task.desired_status,
        "stopped_reason": task.stopped_reason or None,
        "accelerators": _accelerators(task, definition),
        "started_by": task.started_by,
        "tags": {tag["key"]: tag["value"] for tag in task.tags},
    }


def _accelerators(task, definition):
    held = [f"elastic-inference:{a['deviceType']}" for a in task.inference_accelerators]
    for container in definition.container_definitions:
        for requirement in container.get("resourceRequirements", []):
            if requirement["type"] == "GPU":
                held.append(f"gpu:{requirement['value']}")
        devices = container.get("linuxParameters", {}).get("devices", [])
        neurons = [d for d in devices if d["hostPath"].startswith("/dev/neuron")]
        if neurons:
            held.append(f"neuron:{len(neurons)}")
    return held


def _queue(queue):
    dead_letters = queue.name.endswith("-dead-letters") or any(
        q.dead_letter_queue is queue for q in backends.sqs().queues.values()
    )
    return {
        "name": queue.name,
        **sqs.counts(queue),
        "watching": sum(map(_looks_at_a_group, queue._messages)),
        "bodies": [message.body for message in queue._messages] if dead_letters else [],
    }


def _looks_at_a_group(message):
    """A delayed look at a group that is not whole, or at an instance that runs on. Such looks may
    go on for half an hour. The first look, number 0, does not count."""
    body = message.body
    looks = '"watch-group"' in body and '"look":0' not in body
    late = '"await-whole"' in body or '"await-gone"' in body
    return message.delayed and (looks or late)


def _table(table):
    return {"name": table.name, "items": dynamodb.items_of(table)}


def _subscription(subscription):
    return {
        "topic": subscription.topic.arn,
        "protocol": subscription.protocol,
        "endpoint": subscription.endpoint,
        "suspended": sns.is_suspended(subscription),
    }


def _script(one):
    """A command on an instance, and the files that are in the instance's directory by now."""
    return {
        "command": one.command.id,
        "instance": one.instance,
        "document": one.command.name,
        "parameters": one.command.values,
        "sent_ms": round(one.command.sent_ms),
        "ended_ms": None if one.ended_ms is None else round(one.ended_ms),
        "status": one.details,
        "files": dict(WORLD.instance_files.get(one.instance, {})),
    }


def _lifecycle_action(action):
    return {
        "instance": action.state.instance_id,
        "group": action.group.name,
        "hook": action.hook.name,
        "token": action.token,
        "result": action.result,
        "heartbeats": action.heartbeats,
    }
