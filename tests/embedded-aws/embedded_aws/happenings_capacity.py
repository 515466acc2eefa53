"""What a test can make happen to groups and their capacity."""

from . import backends
from .simulation import containers, launching, market
from .world import WORLD


def _group(order):
    return backends.autoscaling().autoscaling_groups[order["group"]]


def _set_desired(order):
    """Somebody sets the desired capacity, or several times in a row, as a schedule would.

    `{"group": …, "desired": 5}`, now or `after` seconds; or `steps`, a list of such.
    """
    group = _group(order)
    for step in order.get("steps", [order]):
        if step.get("after"):
            WORLD.agenda.after(step["after"], lambda step=step: _resize(group, step))
        else:
            _resize(group, step)


def _resize(group, step):
    group.min_size = step.get("min", group.min_size)
    group.max_size = step.get("max", group.max_size)
    group.set_desired_capacity(min(group.max_size, max(group.min_size, step["desired"])))


def _no_spot_capacity(order):
    """For this many `seconds`, no Spot Instance can be launched from `pools`, or from any pool.

    A pool is written `type/zone`, with a star for every type or every zone.
    """
    pools = order.get("pools")
    market.empty_pools(None if pools in (None, "all") else pools, order["seconds"])


def _agent_registers(order):
    """The ECS agent of an instance starts late: it registers now, or `after` seconds.

    Without `cluster`, it registers in the cluster of the instance's user data.
    """
    instance = backends.ec2().get_instance(order["instance"])
    group = getattr(instance, "autoscaling_group", None)
    cluster = order.get("cluster") or launching.cluster_in(group.user_data if group else None)
    if not cluster:
        raise ValueError(f"{order['instance']} has no cluster in its user data: name one")

    def register():
        known = backends.ecs().container_instances.get(cluster, {}).values()
        there = any(one.ec2_instance_id == instance.id for one in known)
        if instance.state == "running" and not there:
            containers.register_instance(cluster, instance.id)

    if order.get("after"):
        WORLD.agenda.after(order["after"], register)
    else:
        register()


def _reboot(order):
    """AWS restarts an instance: EC2 sends no event, and its ECS agent is gone for this many
    `seconds`."""
    known = backends.ecs().container_instances.values()
    found = [one for some in known for one in some.values()]
    of_instance = [one for one in found if one.ec2_instance_id == order["instance"]]

    def set_connected(connected):
        for one in of_instance:
            one.agent_connected = connected

    set_connected(False)
    WORLD.agenda.after(order["seconds"], lambda: set_connected(True))


KINDS = {
    "reboot": _reboot,
    "agent-registers": _agent_registers,
    "no-spot-capacity": _no_spot_capacity,
    "set-desired": _set_desired,
}
