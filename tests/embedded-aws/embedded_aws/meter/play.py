"""What happens in a scenario, and who acts on it besides the functions.

The *contenders* that run inside the world: `nobody`; `ecs-draining`, the container agent's own
setting; `capacity-rebalancing`, which is Auto Scaling's, with the agent's; `python-sample`, the
handlers of tests/bench/baseline. `spot-handoff` runs outside. Whoever ordered the world starts
it.
"""

import importlib.util
from pathlib import Path

from .. import backends
from ..services import events
from ..services.events import aws_event
from ..simulation import agent, spot
from ..world import WORLD
from . import scene

CONTENDERS = (
    "nobody",
    "ecs-draining",
    "capacity-rebalancing",
    "python-sample",
    "spot-handoff",
)
WITH_AGENT_DRAINING = ("ecs-draining", "capacity-rebalancing")

# A function in Python that is started for the event: docs/benchmark.md has the storm of one.
SAMPLE_TAKES = 1.0
BASELINE = Path(__file__).parents[3] / "bench" / "baseline"


class Play:
    def __init__(self, scenario, contender, zero_ms):
        if contender not in CONTENDERS:
            raise ValueError(f"contender is one of {list(CONTENDERS)}, not {contender!r}")
        self._contender = contender
        # What was warned of, and when: (seconds, instance).
        self.warned = []
        self._at_first = {g["name"]: scene.members(g["name"]) for g in scenario["groups"]}
        if contender in WITH_AGENT_DRAINING:
            agent.configure(None, {agent.SPOT_DRAINING: "true"})
        if contender == "capacity-rebalancing":
            for name in self._at_first:
                backends.autoscaling().autoscaling_groups[name].capacity_rebalance = True
        for event in scenario["events"]:
            WORLD.agenda.at_ms(zero_ms + event["at"] * 1000, lambda event=event: self._do(event))
        self._zero_ms = zero_ms

    def _do(self, event):
        kind = event["kind"]
        if kind not in KINDS:
            raise ValueError(f"kind is one of {sorted(KINDS)}, not {kind!r}")
        KINDS[kind](self, event)

    def _meant(self, event):
        """The instances of an event that still run."""
        newest = event.get("newest")
        named = scene.members(event["group"])[-1:] if newest else self.at_first(event)
        return [id_ for id_ in named if _instance(id_).state == "running"]

    def at_first(self, event):
        """The instances that an event was meant for when the scenario began."""
        first = self._at_first[event["group"]]
        if "zone" in event:
            return [id_ for id_ in first if _instance(id_).availability_zone == event["zone"]]
        if "spot" in event:
            return [id_ for id_ in first if _instance(id_).lifecycle == "spot"][: event["spot"]]
        if "count" in event:
            return first[: event["count"]]
        return [first[number] for number in event["nth"]]

    def warn(self, event):
        for id_ in self._meant(event):
            self.warned.append(((WORLD.agenda.now_ms() - self._zero_ms) / 1000, id_))
            detail = {"instance-id": id_, "instance-action": "terminate"}
            self._tell(aws_event("aws.ec2", spot.INTERRUPTION, [_arn(id_)], detail))

    def recommend(self, event):
        for id_ in self._meant(event):
            detail = {"instance-id": id_}
            self._tell(aws_event("aws.ec2", spot.REBALANCE, [_arn(id_)], detail))

    def _tell(self, event):
        spot.follow(event)
        events.put_on_bus(event)
        if self._contender == "python-sample" and event["detail-type"] == spot.INTERRUPTION:
            late = events.seconds_late(event) + SAMPLE_TAKES
            WORLD.autonomous(late, lambda: _sample(event))

    def happen(self, event):
        # Imported here: what can happen involves more than this package.
        from ..happenings import happen

        happen(event["what"])


KINDS = {"warn": Play.warn, "recommend": Play.recommend, "happen": Play.happen}


def _instance(id_):
    return backends.ec2().get_instance(id_)


def _arn(id_):
    return f"arn:aws:ec2:{backends.REGION}:{backends.ACCOUNT}:instance/{id_}"


_handlers = []


def _sample(event):
    """The sample's own code, on this AWS: boto3 is moto's in this process."""
    if not _handlers:
        for name in ("detach", "drain"):
            spec = importlib.util.spec_from_file_location(f"{name}_sample", BASELINE / f"{name}.py")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            _handlers.append(module.handler)
    for handler in _handlers:
        try:
            handler(event, None)
        except Exception as error:  # as Lambda would: it is logged, and the function has failed
            print(f"the sample failed: {error}", flush=True)
