"""The ECS agent of an instance: what its configuration says about stops and about Spot."""

import re

from .. import backends, pace
from ..world import WORLD
from .user_data import decoded

STOP_TIMEOUT = "ECS_CONTAINER_STOP_TIMEOUT"
SPOT_DRAINING = "ECS_ENABLE_SPOT_INSTANCE_DRAINING"
_SETTING = re.compile(r"\b(ECS_[A-Z_]+)=\"?([^\s\"]+)")
_UNITS = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}


def settings_of(instance_id):
    """The settings of the user data with which the instance was launched, and those ordered
    since."""
    instance = backends.ec2().get_instance_by_id(instance_id)
    group = getattr(instance, "autoscaling_group", None)
    found = dict(_SETTING.findall(decoded(group.user_data))) if group is not None else {}
    return {**found, **WORLD.agents.get(None, {}), **WORLD.agents.get(instance_id, {})}


def configure(instance_id, settings):
    """Somebody configures the agent of one instance, or of all if that is None."""
    WORLD.agents.setdefault(instance_id, {}).update(settings)


def stop_timeout(instance_id):
    """How many seconds a container has if it sets nothing itself."""
    told = settings_of(instance_id).get(STOP_TIMEOUT)
    return duration(told) if told else pace.seconds("agent-stop-timeout", instance_id)


def drains_by_itself(instance_id):
    return settings_of(instance_id).get(SPOT_DRAINING, "").lower() == "true"


def duration(text):
    """Seconds of `90s`, `1m30s`, as Go writes them."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration such as 90s or 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
