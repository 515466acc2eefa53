"""Lifecycle actions: an instance waits at a termination hook until somebody lets it go on."""

from collections.abc import Callable
from dataclasses import dataclass

from .. import pace
from ..services.events import aws_event, put_on_bus
from ..world import WORLD

TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
RETAINED = "Terminating:Retained"
DETAIL_TYPE = "EC2 Instance-terminate Lifecycle Action"

# AWS ends any wait after 48 hours, or 100 times the heartbeat timeout if that is shorter.
LONGEST_WAIT_SECONDS = 48 * 3600  # belief: hook-limits


@dataclass
class LifecycleAction:
    state: object  # the instance's place in its group
    hook: object
    token: str
    started_ms: float
    then: Callable[[], None]
    times_out_ms: float = 0
    result: str | None = None
    heartbeats: int = 0

    @property
    def group(self):
        return self.state.auto_scaling_group


def begin(state, hook, then, token=None):
    """Holds the instance at its hook. A given token is one that an event already names."""
    action = LifecycleAction(
        state, hook, token or WORLD.uuid("lifecycle action"), WORLD.agenda.now_ms(), then
    )
    WORLD.lifecycle_actions[action.token] = action
    state.lifecycle_state = "Terminating:Wait"
    extend(action)
    if token is None:
        put_on_bus(_event(action))


def extend(action):
    timeout = float(action.hook.heartbeat_timeout)
    longest = min(LONGEST_WAIT_SECONDS, 100 * timeout)
    now = WORLD.agenda.now_ms()
    action.times_out_ms = min(now + timeout * 1000, action.started_ms + longest * 1000)

    def check():
        # A heartbeat since then has moved the date, and has its own check.
        if action.result is None and WORLD.agenda.now_ms() >= action.times_out_ms:
            end(action, "TIMEOUT")

    WORLD.autonomous((action.times_out_ms - now) / 1000, check)


def end(action, result):
    action.result = result
    if _is_retained(action):
        action.state.lifecycle_state = RETAINED
        return
    action.state.lifecycle_state = "Terminating:Proceed"
    seconds = pace.seconds("hook-ended-to-terminated", action.state.instance_id)
    WORLD.consequence(seconds, action.then)


def _is_retained(action):
    """Whether the group keeps abandoned instances. With CONTINUE it never keeps an instance."""
    by_default = getattr(action.hook, "default_result", "ABANDON")
    result = by_default if action.result == "TIMEOUT" else action.result
    policy = getattr(action.group, "instance_lifecycle_policy", None) or {}
    on_abandon = policy.get("RetentionTriggers", {}).get("TerminateHookAbandon")
    return result == "ABANDON" and on_abandon == "retain"


def active(group, hook, token, instance):
    """The waiting action that is meant: by token if there is one, else by instance."""
    for action in WORLD.lifecycle_actions.values():
        meant = action.token == token if token else action.state.instance_id == instance
        at_hook = action.hook.name == hook and action.group.name == group
        if meant and at_hook and action.result is None:
            return action
    return None


def _event(action):
    return aws_event(
        "aws.autoscaling",
        DETAIL_TYPE,
        [action.group.arn],
        {
            "LifecycleActionToken": action.token,
            "AutoScalingGroupName": action.group.name,
            "LifecycleHookName": action.hook.name,
            "EC2InstanceId": action.state.instance_id,
            "LifecycleTransition": TERMINATING,
            "Origin": "AutoScalingGroup",
            "Destination": "EC2",
        },
    )
