"""Spot and On-Demand: which of them a group launches next, and which Spot pools are empty."""

import math

from .. import pace
from ..world import WORLD


def overrides_of(group):
    policy = group.mixed_instances_policy or {}
    return policy.get("LaunchTemplate", {}).get("Overrides") or []


def types_of(group):
    """The instance types of the group. The type of its next launch comes first."""
    types = [override["InstanceType"] for override in overrides_of(group)]
    first = getattr(group, "launched", 0) % len(types) if types else 0
    return types[first:] + types[:first] or [group.instance_type]


def on_demand_percentage(group):
    """100 for a group without a mixed-instances policy or any Spot in it."""
    policy = group.mixed_instances_policy or {}
    distribution = policy.get("InstancesDistribution")
    if distribution:
        if int(distribution.get("OnDemandBaseCapacity") or 0) > 0:
            # A base of On-Demand below Spot is a mixture, whatever the percentage says.
            return max(1, int(distribution.get("OnDemandPercentageAboveBaseCapacity", 100)))
        return int(distribution.get("OnDemandPercentageAboveBaseCapacity", 100))
    template = group.ec2_launch_template
    if template:
        options = template.get_version(group.launch_template_version).data
        if options.get("InstanceMarketOptions", {}).get("MarketType") == "spot":
            return 0
    return 100


def on_demand_wanted(group):
    """How many of the desired instances are to be On-Demand.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html: a
    base, and of the rest a percentage, rounded up in favor of On-Demand.
    """
    desired = group.desired_capacity or 0
    percentage = on_demand_percentage(group)
    policy = group.mixed_instances_policy or {}
    distribution = policy.get("InstancesDistribution")
    if not distribution:
        return desired if percentage else 0
    base = min(desired, int(distribution.get("OnDemandBaseCapacity") or 0))
    above = int(distribution.get("OnDemandPercentageAboveBaseCapacity", 100))
    return base + math.ceil((desired - base) * above / 100)


def is_spot(state):
    return state.instance.lifecycle == "spot"


def next_is_spot(group, there):
    """Whether the next instance that the group launches is a Spot Instance."""
    percentage = on_demand_percentage(group)
    if not 0 < percentage < 100:
        return percentage == 0
    if not pace.is_real() and not getattr(group, "policy_changed", False):
        return getattr(group, "launched", 0) % 2 == 0
    return sum(not is_spot(state) for state in there) >= on_demand_wanted(group)


def empty_pools(pools, seconds):
    """Takes the capacity out of Spot pools, written `type/zone`; None are all of them."""
    WORLD.empty_pools.append((pools, WORLD.agenda.now_ms() + seconds * 1000))


def is_empty(type_, zone):
    now = WORLD.agenda.now_ms()
    names = {f"{type_}/{zone}", f"{type_}/*", f"*/{zone}"}
    return any(
        now < until and (pools is None or names & set(pools)) for pools, until in WORLD.empty_pools
    )
