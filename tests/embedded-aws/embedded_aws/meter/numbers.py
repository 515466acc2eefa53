"""The numbers of the world from which the bound is computed: what the seed will draw, known
beforehand."""

from moto.ec2.utils import random_instance_id, random_reservation_id
from moto.moto_api._internal import mock_random

from .. import backends, pace
from ..simulation import room, spot, targets
from ..world import WORLD
from . import bound


# From the placement of a task until it runs, on a new instance and on one that has its image.
STARTS = ("image-pull", "pull-to-running")
STARTS_AGAIN = ("image-again", "pull-to-running")


class Numbers:
    def __init__(self, scenario, picture, at_first, zero_ms, began):
        self._scenario = scenario
        self._picture = picture
        self._zero_ms = zero_ms
        self._began = began
        self._at_first = at_first
        self.doomed = self._signals()
        # # The earliest moment at which the instance's group has a successor.
        self._next = next_instances(len(self.doomed))

    def _signals(self):
        """By instance: its first signal, and when EC2 takes it."""
        notice, gone = {}, {}
        for event in self._scenario["events"]:
            if event["kind"] == "happen" or event.get("newest"):
                continue
            for id_ in self._at_first(event):
                notice[id_] = min(event["at"], notice.get(id_, event["at"]))
                left = spot.seconds_of_notice(id_)
                if event["kind"] == "warn" and left is not None:
                    # The event tells its time to the second.
                    told = (self._zero_ms + event["at"] * 1000) // 1000 * 1000
                    gone[id_] = (told - self._zero_ms) / 1000 + left
        return {id_: bound.Doomed(notice[id_], at) for id_, at in gone.items()}

    def _launch(self, id_):
        """When a successor of a doomed instance can be launched: as Spot, or as On-Demand."""
        if self._scenario.get("parameters", {}).get("SpotFallback") == "on-demand":
            return self.doomed[id_].notice
        for event in self._scenario["events"]:
            what = event.get("what", {})
            if what.get("kind") == "no-spot-capacity":
                until = event["at"] + what["seconds"]
                if event["at"] <= self.doomed[id_].notice < until:
                    return until
        return self.doomed[id_].notice

    def _takes(self, *more):
        """Seconds from a launch until the fastest successor has got through these steps."""
        names = ("launch-to-in-service", *more)
        each = [sum(pace.seconds(name, id_) for name in names) for id_ in self._next]
        return min(each, default=0.0)

    def bound(self):
        """The meter's numbers of a run, for the least possible loss."""
        failed = {"no-target": 0.0, "gone": 0.0, "cut": 0.0}
        told = {"dark_seconds": 0.0, "tasks_cut": 0, "job_seconds_lost": 0.0}
        told |= {"task_seconds_short": 0.0, "instance_seconds_twice": 0.0}
        for name, streams in self._scenario["clients"].items():
            dark, *lost = bound.requests(self._balanced(name, streams))
            told["dark_seconds"] += dark
            for cause, count in zip(failed, lost, strict=True):
                failed[cause] += count
        for task in self._picture.tasks.values():
            if task.instance in self.doomed:
                self._add_task(task, told)
        for id_, doomed in self.doomed.items():
            self._add_instance(id_, doomed, told)
        return {"failed": _rounded(failed), **_rounded(told)}

    def _add_task(self, task, told):
        doomed = self.doomed[task.instance]
        jobs = {job["name"]: job for job in self._scenario.get("jobs", [])}
        if task.of in jobs:
            job = jobs[task.of]
            cut, lost = bound.job(job["done"], job.get("checkpoint"), doomed, self._began)
            told["tasks_cut"] += cut
            told["job_seconds_lost"] += lost
            if job.get("run_again") and job.get("checkpoint"):
                # It does no work while it saves, nor until it runs elsewhere.
                told["task_seconds_short"] += job["checkpoint"] + _least(*STARTS_AGAIN)
        else:
            runs = self._task_successor(task.of, task.instance)
            told["task_seconds_short"] += bound.missing(runs, doomed)

    def _add_instance(self, id_, doomed, told):
        group = next(g for g in self._scenario["groups"] if id_ in self._of_group(g["name"]))
        # A script saves it all, in no time.
        if "jobs_of" in group and "stop_script" not in group:
            elapsed = pace.draw("job-at-hand", id_)
            told["job_seconds_lost"] += bound.at_hand(
                group["jobs_of"], elapsed, doomed, self._began
            )
        needed = "target_group" in group or any(
            not self._has_room(s["name"])
            for s in self._scenario.get("services", [])
            if s["group"] == group["name"]
        )
        if needed:
            told["instance_seconds_twice"] += bound.paid_twice(self._takes(), doomed)

    def _of_group(self, name):
        return {id_ for id_, i in self._picture.instances.items() if i.group == name}

    def _task_successor(self, service, id_):
        """When a task of the service can run in place of the one on a doomed instance."""
        if self._has_room(service):
            return self.doomed[id_].notice + _least(*STARTS_AGAIN)
        takes = self._takes("in-service-to-in-cluster") + _least(*STARTS)
        return self._launch(id_) + takes

    def _has_room(self, service):
        """Whether the instances that stay have room for all tasks of the doomed ones."""
        found = next(s for s in backends.ecs().services.values() if s.name == service)
        definition = backends.ecs().describe_task_definition(found.task_definition)
        needs = room.needs_of(definition)
        leaving = sum(
            t.of == service and t.instance in self.doomed for t in self._picture.tasks.values()
        )
        free = 0
        for instance in backends.ecs().container_instances[found.cluster_name].values():
            if instance.ec2_instance_id in self.doomed:
                continue
            left = {r["name"]: r.get("integerValue", 0) for r in instance.remaining_resources}
            free += min(left[name] // needs[name] for name in ("CPU", "MEMORY") if needs[name])
        return leaving <= free

    def _balanced(self, name, streams):
        group = targets.group_of(WORLD.network.target_groups[name])
        service = next(
            (s for s in self._scenario.get("services", []) if s["name"] == name), None
        )
        kind = "nlb" if targets.is_network(group) else "alb"
        leaving = []
        for target in targets.members(group).values():
            if target.id in self.doomed:
                subject = f"{group.name} {target.name}"
                lingers = pace.seconds(f"{kind}-deregistered-to-no-new", subject)
                leaving.append((target.id, bound.Leaving(self.doomed[target.id], lingers)))
        check = _least(f"{kind}-first-check")
        first = [
            self._task_successor(name, id_) + _least("running-to-answering")
            if service
            else self._launch(id_) + self._takes("in-service-to-answering")
            for id_, _ in leaving
        ]
        keeps = targets.keeps_connections(group)
        delay = float(group.attributes.get("deregistration_delay.timeout_seconds", 300))
        return bound.Balanced(
            staying=len(targets.members(group)) - len(leaving),
            leaving=tuple(target for _, target in leaving),
            successor=min(first, default=0.0) + check,
            delay=None if keeps else delay,
            streams=tuple((s["per_second"], s["seconds"]) for s in streams),
        )


def next_instances(count):
    """The ids of the instances that will be launched next."""
    state = mock_random.getstate()
    ids = []
    try:
        for number in range(WORLD.made("instance") + 1, WORLD.made("instance") + 1 + count):
            mock_random.seed(f"instance {number}")
            random_reservation_id()
            ids.append(random_instance_id())
    finally:
        mock_random.setstate(state)
    return ids


def _least(*names):
    return sum(pace.lowest(name) for name in names)


def _rounded(numbers):
    return {name: round(number, 1) for name, number in numbers.items()}
