"""Instances on their way out of a group: detached, terminated, lost."""

from moto.autoscaling.models import ASG_NAME_TAG

from .. import backends, pace
from ..services import elbv2
from ..world import WORLD
from . import activities, capacity, hooks, hosts, zones


def detach(state, is_replaced=True):
    """Out of the group and its target groups, but still running.

    At the real pace it stays Detaching while its targets drain. Nobody could say whether the
    group replaces it before or after that. If the desired capacity went down with it, it keeps no
    place in the group. Otherwise the group would have too many and terminate another one.
    """
    state.lifecycle_state = "Detaching"
    state.activity = activities.detaching(state)
    drained = leave_target_groups(state)
    after = pace.variant("replacement-launches", state.auto_scaling_group_name) == "after-drain"
    state.place_held = is_replaced and after and drained > 0

    def done():
        forget(state)
        activities.done(state)
        if state.place_held:
            capacity.settle(state.auto_scaling_group)

    # At the quick pace, this is long enough that an event that comes twice finds the instance in
    # this state.
    WORLD.consequence(pace.seconds("detaching", state.instance_id) + drained, done)


def begin_termination(state, cause=None):
    """First it leaves the target groups. Then it waits at the group's termination hook, if there
    is one.

    Auto Scaling waits for the targets to drain before it calls the hook:
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html
    """
    if state.lifecycle_state.startswith("Terminating"):
        return
    state.lifecycle_state = "Terminating"
    state.activity = activities.terminating(state, cause)
    drained = leave_target_groups(state)
    if drained > 0:
        WORLD.consequence(drained, lambda: _at_hook(state))
    else:
        _at_hook(state)


def _at_hook(state):
    for hook in backends.autoscaling().describe_lifecycle_hooks(state.auto_scaling_group_name):
        if hook.lifecycle_transition == hooks.TERMINATING:
            hold(state, hook)
            return
    seconds = pace.seconds("termination", state.instance_id)
    WORLD.consequence(seconds, lambda: finish_termination(state))


def hold(state, hook, token=None):
    """At the hook until its action ends. A given token is one that an event already names."""
    leave_target_groups(state)
    hooks.begin(state, hook, lambda: finish_termination(state), token)


def finish_termination(state):
    hosts.end(state.instance_id)
    forget(state)
    activities.done(state)
    capacity.settle(state.auto_scaling_group)


def lose(state):
    """The instance is gone, and the group did not ask for it. The group notices, then replaces
    it."""
    if state.lifecycle_state in ("Pending", "InService", "Standby"):
        replace_soon(state, "an EC2 health check indicating it has been terminated or stopped")


def replace_soon(state, why):
    """Unhealthy from now on. A little later the group looks and replaces it."""
    state.health_status = "Unhealthy"
    seconds = pace.seconds("loss-to-noticed", state.instance_id)
    WORLD.autonomous(seconds, lambda: replace_unhealthy(state, why))


def replace_unhealthy(state, why):
    """Terminated while its replacement is launched."""
    state.health_status = "Unhealthy"
    at = f"{WORLD.utcnow():%Y-%m-%dT%H:%M:%SZ}"
    begin_termination(state, f"At {at} an instance was taken out of service in response to {why}.")
    capacity.settle(state.auto_scaling_group)


def leave_target_groups(state):
    """Deregisters the instance; the seconds until its last target has drained."""
    longest = 0
    for arn in state.auto_scaling_group.target_group_arns:
        if elbv2.is_registered(arn, state.instance_id):
            elbv2.deregister(arn, [{"Id": state.instance_id}])
            longest = max(longest, elbv2.delay_of(arn))
    # The quick pace does not wait for targets, and an instance that does not run has nothing to
    # drain.
    return longest if pace.is_real() and state.instance.state == "running" else 0


def forget(state):
    group = state.auto_scaling_group
    group.instance_states = [s for s in group.instance_states if s is not state]
    backends.ec2().delete_tags([state.instance_id], {ASG_NAME_TAG: group.name})
    zones.look_later(group)
