"""Auto Scaling that is busy with a group: it refuses a second change meanwhile, with HTTP 500.

https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SetDesiredCapacity.html
"""

from .. import errors, iam_requests, pace
from ..world import WORLD

MESSAGE = (
    "You already have a pending update to an Amazon EC2 Auto Scaling resource (for example, an "
    "Auto Scaling group, instance, or load balancer)."
)


def refusal(call):
    """The answer to a change of a group that is being changed, or None."""
    if call.service != "autoscaling" or pace.variant("contention") == "no":
        return None
    with WORLD.changed:
        groups = [group.name for group in iam_requests.groups_of(call)]
        now = WORLD.clock.now_ms()
        if any(now < WORLD.under_way.get(name, 0) for name in groups):
            return errors.answer(call.service, "ResourceContention", MESSAGE, 500)
        for name in groups:
            WORLD.under_way[name] = now + pace.seconds("contention-lasts", name) * 1000
    return None
