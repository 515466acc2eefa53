"""A meter of lost work: it plays a scenario and computes what became of the work.

`scene` builds the fleet, and `play` makes things happen to it. `look` takes a picture of the
world at every change. `clients` and `work` compute from picture to picture. `bound` tells the
least possible loss.
"""

from .. import pace
from ..simulation import scripts
from ..world import WORLD
from . import announced, play, scene
from .clients import CAUSES, Clients
from .look import Looker
from .numbers import Numbers
from .work import Work

# How often to look at the world, whatever else there is to see.
LOOK_SECONDS = 60.0


class Meter:
    def __init__(self, scenario, contender):
        self.contender = contender
        scene.build(scenario)
        # Building takes a while, and the world has gone on meanwhile.
        WORLD.agenda.catch_up()
        lead = scenario.get("lead", 10)
        self._zero_ms = WORLD.agenda.now_ms() + lead * 1000
        self.end_ms = self._zero_ms + scenario["seconds"] * 1000
        groups = scenario["groups"]
        arns = WORLD.network.target_groups
        self._looker = Looker(
            [group["name"] for group in groups],
            [group["name"] for group in groups if group.get("cluster")],
            {name: arns[name] for name in scenario["clients"]},
        )
        self._clients = {name: Clients(s) for name, s in scenario["clients"].items()}
        self._work = Work(
            {
                job["name"]: {
                    "done": job["done"],
                    "checkpoint": job.get("checkpoint"),
                    "run_again": job.get("run_again", False),
                }
                for job in scenario.get("jobs", [])
            },
            {group["name"]: group["jobs_of"] for group in groups if "jobs_of" in group},
            {group["name"]: group["instances"] for group in groups},
            lambda instance: pace.draw("job-at-hand", instance),
            self._saved_at,
        )
        # [seconds, serving targets, running tasks, instances in service] of every change.
        self._line = []
        self._play = play.Play(scenario, contender, self._zero_ms)
        self._began = self._now()
        self._looks_at = 0.0
        self._picture = self._first = self._looker.look()
        for name, clients in self._clients.items():
            clients.begin(self._began, self._picture.targets[name])
        self._work.begin(self._began, self._picture)
        numbers = Numbers(
            scenario, self._picture, self._play.at_first, self._zero_ms, self._began
        )
        self._bound = numbers.bound()
        self._note()
        self._tick()
        # The last look is at the very end.
        WORLD.agenda.at_ms(self.end_ms, lambda: None)

    def _saved_at(self, instance):
        """By a stop script that wrote what it saved to a file of this name, and ended well."""
        if "saved" not in scripts.files_of(instance):
            return None
        runs = [run for run in WORLD.invocations if run.instance == instance]
        ended = [run.ended_ms for run in runs if run.status == "Success"]
        return (max(ended) - self._zero_ms) / 1000 if ended else None

    def _now(self):
        return (WORLD.agenda.now_ms() - self._zero_ms) / 1000

    def _tick(self):
        if WORLD.agenda.now_ms() >= self.end_ms:
            return
        WORLD.agenda.after(LOOK_SECONDS, self._tick)

    def look(self):
        """To be called whenever the world may have changed."""
        now = self._now()
        if WORLD.agenda.now_ms() > self.end_ms:
            return
        before, after = self._picture, self._looker.look()
        self._look_again()
        for name, clients in self._clients.items():
            clients.pass_until(now, before.targets[name])
        self._work.pass_until(now, before)
        if before == after:
            return
        for name, clients in self._clients.items():
            clients.change(before.targets[name], after.targets[name])
        self._work.change(before, after)
        self._picture = after
        self._note()

    def _look_again(self):
        """The agenda looks at the next moment at which time alone changes something."""
        due, now = self._looker.next_ms, WORLD.agenda.now_ms()
        if due is not None and not now < self._looks_at <= due:
            self._looks_at = due
            WORLD.agenda.at_ms(due, lambda: None)

    def _note(self):
        row = self._picture.row()
        if not self._line or self._line[-1][1:] != list(row):
            self._line.append([round(self._now(), 2), *row])

    def _announced(self):
        """What was told of each instance that was warned, and how it went."""
        clients = self._clients.items()
        dark = {name for name, seen in clients if seen.dark > 0}
        in_doubt = {name for name, seen in clients if seen.in_doubt > 0}
        return {
            "told": announced.told_last(WORLD.put_events),
            "went_wrong": announced.went_wrong(
                self._first, self._picture, self._work.wanted, dark, self._work.cut_on
            ),
            "in_doubt": announced.behind(self._first, in_doubt),
        }

    def _misreported(self):
        """None where nobody announces anything."""
        if self.contender != "spot-handoff":
            return None
        warned = [instance for _, instance in self._play.warned]
        return announced.misreported(warned, **self._announced())

    def _announced_in_order(self):
        """For people who ask why."""
        order = {name: of if isinstance(of, dict) else sorted(of) for name, of in self._announced().items()}
        order["dark"] = {name: round(c.dark, 2) for name, c in self._clients.items() if c.dark > 0}
        return order

    def result(self):
        failed = {
            cause: round(sum(c.failed[cause] for c in self._clients.values()), 1)
            for cause in CAUSES
        }
        return {
            "contender": self.contender,
            "pace": pace.ordered(),
            "from": self._began,
            "until": (self.end_ms - self._zero_ms) / 1000,
            "now": round(self._now(), 1),
            "warned": self._play.warned,
            "requests": round(sum(c.sent for c in self._clients.values())),
            "failed": failed,
            "dark_seconds": round(sum(c.dark for c in self._clients.values()), 1),
            "tasks_cut": self._work.tasks_cut,
            "job_seconds_lost": round(self._work.job_seconds_lost, 1),
            "task_seconds_short": round(self._work.task_seconds_short, 1),
            "instance_seconds_twice": round(self._work.instance_seconds_twice, 1),
            "misreported": self._misreported(),
            "announced": self._announced_in_order(),
            "bound": self._bound,
            "line": self._line,
        }


def start(order):
    if WORLD.meter is not None:
        raise ValueError("a world has one meter")
    WORLD.meter = Meter(order["scenario"], order.get("contender", "nobody"))
    WORLD.agenda.observer = WORLD.meter.look
    return {"zero_ms": WORLD.meter._zero_ms, "end_ms": WORLD.meter.end_ms}


def result():
    if WORLD.meter is None:
        raise ValueError("no meter has been started")
    WORLD.meter.look()
    return WORLD.meter.result()
