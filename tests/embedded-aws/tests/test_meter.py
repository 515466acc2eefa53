"""The meter's reckoning, on cases small enough to be reckoned by hand."""

import unittest

from embedded_aws.meter.clients import Clients
from embedded_aws.meter.pictures import Instance, Picture, Target, Task
from embedded_aws.meter.work import Work

SERVES = Target()
DRAINS = Target(routed=False)
REFUSES = Target(accepts=False)
GONE = Target(routed=True, accepts=False, open=False)


def play(streams, *moments):
    """`moments`: (when, the targets from then on)."""
    clients = Clients(streams)
    (began, targets), *rest = moments
    clients.begin(began, targets)
    for at, after in rest:
        clients.pass_until(at, targets)
        clients.change(targets, after)
        targets = after
    return clients


class Requests(unittest.TestCase):
    def assert_failed(self, clients, **causes):
        expected = {"no-target": 0, "gone": 0, "cut": 0}
        expected.update({cause.replace("_", "-"): count for cause, count in causes.items()})
        self.assertEqual({c: round(n, 6) for c, n in clients.failed.items()}, expected)

    def test_without_a_target_every_request_fails_and_it_is_dark(self):
        stream = [{"per_second": 10, "seconds": 1}]
        clients = play(stream, (0, {"a": SERVES}), (5, {}), (8, {"b": SERVES}), (20, {}))
        # Three seconds of ten each; the two cuts are of what was under way, a second's worth.
        self.assert_failed(clients, no_target=30, cut=20)
        self.assertEqual(clients.dark, 3)
        self.assertEqual(clients.sent, 200)

    def test_a_target_that_is_gone_and_still_routed_to_fails_its_share(self):
        stream = [{"per_second": 10, "seconds": 0}]
        both = {"a": SERVES, "b": SERVES}
        clients = play(stream, (0, both), (5, {"a": GONE, "b": SERVES}), (9, {"b": SERVES}))
        self.assert_failed(clients, gone=20)
        self.assertEqual(clients.dark, 0)

    def test_where_only_targets_that_refuse_are_left_it_is_dark(self):
        clients = play([{"per_second": 10, "seconds": 0}], (0, {"a": REFUSES}), (3, {}))
        self.assert_failed(clients, gone=30)
        self.assertEqual(clients.dark, 3)

    def test_a_target_that_drained_for_as_long_as_requests_take_cuts_none(self):
        stream = [{"per_second": 4, "seconds": 30}]
        both = {"a": SERVES, "b": SERVES}
        drained = play(stream, (0, both), (10, {"a": DRAINS, "b": SERVES}), (40, {"b": SERVES}))
        self.assert_failed(drained)
        # Ten seconds too early: what began in the last ten of its two a second.
        early = play(stream, (0, both), (10, {"a": DRAINS, "b": SERVES}), (30, {"b": SERVES}))
        self.assert_failed(early, cut=20)

    def test_long_connections_have_begun_long_before(self):
        stream = [{"per_second": 1, "seconds": 600}]
        both = {"a": SERVES, "b": SERVES}
        # 600 connections, half of them on each target; after 120 s of draining, 240 are left.
        clients = play(stream, (0, both), (0, {"a": DRAINS, "b": SERVES}), (120, {"b": SERVES}))
        self.assert_failed(clients, cut=240)

    def test_the_share_of_a_target_grows_as_others_leave(self):
        stream = [{"per_second": 6, "seconds": 10}]
        three = {"a": SERVES, "b": SERVES, "c": SERVES}
        clients = play(stream, (0, three), (5, {"c": SERVES}), (10, {}))
        # At 5 s, a and b have ten seconds of two a second each; at 10 s, c has five seconds of
        # two and five of six.
        self.assert_failed(clients, cut=20 + 20 + 10 + 30)

    def test_looking_more_often_changes_nothing(self):
        stream = [{"per_second": 7, "seconds": 12}]
        both = {"a": SERVES, "b": SERVES}
        often = [(at, both) for at in range(0, 20)] + [(20, {"b": SERVES})]
        once = play(stream, (0, both), (20, {"b": SERVES}))
        self.assertAlmostEqual(play(stream, *often).failed["cut"], once.failed["cut"])


def picture(tasks=(), instances=None, services=None):
    return Picture(
        tasks={arn: Task(*task) for arn, task in dict(tasks).items()},
        instances=instances or {"i": Instance("g")},
        services=services or {},
    )


LOST = {"i": Instance("g", runs=False, in_service=False)}


def work(*moments, jobs=None, workers=None, wanted=None, elapsed=lambda _: 0.5):
    kept = Work(jobs or {}, workers or {}, wanted or {}, elapsed)
    (began, before), *rest = moments
    kept.begin(began, before)
    for at, after in rest:
        kept.pass_until(at, before)
        kept.change(before, after)
        before = after
    return kept


class Tasks(unittest.TestCase):
    def test_a_task_that_its_instance_takes_along_is_cut(self):
        seen = work(
            (0, picture({"t": ("api", "running", "i")})),
            (9, picture({"t": ("api", "stopped", "i")}, LOST)),
        )
        self.assertEqual((seen.tasks_cut, seen.cut_on), (1, [(9, "i")]))

    def test_a_task_in_the_middle_of_its_grace_is_cut_too(self):
        seen = work(
            (0, picture({"t": ("api", "running", "i")})),
            (5, picture({"t": ("api", "stopping", "i")})),
            (9, picture({}, LOST)),
        )
        self.assertEqual(seen.tasks_cut, 1)

    def test_a_task_that_ended_before_is_not(self):
        seen = work(
            (0, picture({"t": ("api", "running", "i")})),
            (5, picture({"t": ("api", "stopping", "i")})),
            (7, picture({"t": ("api", "stopped", "i")})),
            (9, picture({}, LOST)),
        )
        self.assertEqual(seen.tasks_cut, 0)

    def test_missing_tasks_count_by_the_second(self):
        services = {"api": 3}
        two = {"t": ("api", "running", "i"), "u": ("api", "running", "i")}
        seen = work(
            (0, picture(two, services=services)),
            (4, picture({**two, "v": ("api", "pending", "i")}, services=services)),
            (10, picture({**two, "v": ("api", "running", "i")}, services=services)),
            (30, picture({}, services=services)),
        )
        self.assertEqual(seen.task_seconds_short, 10)


class Jobs(unittest.TestCase):
    JOBS = {"fit": {"done": 1000, "checkpoint": 60}}
    RUNS = picture({"t": ("fit", "running", "i")})
    STOPS = picture({"t": ("fit", "stopping", "i")})

    def test_a_job_that_has_time_to_save_loses_nothing(self):
        seen = work(
            (0, self.RUNS),
            (20, self.STOPS),
            (80, picture({"t": ("fit", "stopped", "i")})),
            jobs=self.JOBS,
        )
        self.assertEqual((seen.job_seconds_lost, seen.tasks_cut), (0, 0))

    def test_a_job_that_is_cut_loses_all_it_did(self):
        seen = work((0, self.RUNS), (120, picture({}, LOST)), jobs=self.JOBS)
        self.assertEqual((seen.job_seconds_lost, seen.tasks_cut), (1120, 1))

    def test_a_job_that_is_told_too_late_loses_what_it_did_until_then(self):
        seen = work((0, self.RUNS), (100, self.STOPS), (120, picture({}, LOST)), jobs=self.JOBS)
        self.assertEqual((seen.job_seconds_lost, seen.tasks_cut), (1100, 1))

    def test_a_job_is_missing_until_it_runs_again(self):
        again = {"fit": {"done": 0, "checkpoint": 60, "run_again": True}}
        seen = work(
            (0, self.RUNS),
            (20, self.STOPS),
            (80, picture({"t": ("fit", "stopped", "i")})),
            (95, picture({"u": ("fit", "running", "i")})),
            (200, self.RUNS),
            jobs=again,
        )
        # From SIGTERM on it saves and does no more work.
        self.assertEqual(seen.task_seconds_short, 75)


class Instances(unittest.TestCase):
    def test_more_than_the_owner_wanted_are_paid_twice(self):
        one, two = {"i": Instance("g")}, {"i": Instance("g"), "j": Instance("g", True, False)}
        seen = work(
            (0, picture(instances=one)),
            (10, picture(instances=two)),
            (130, picture(instances={**two, **LOST})),
            (200, picture(instances=one)),
            wanted={"g": 1},
        )
        self.assertEqual(seen.instance_seconds_twice, 120)

    def test_a_worker_loses_the_job_at_hand(self):
        # Jobs of 100 s, the one at hand half done: at 120 s it has had 20 s of the second one.
        lost = picture(instances=LOST)
        seen = work((0, picture()), (170, lost), workers={"g": 100})
        self.assertEqual(seen.job_seconds_lost, 20)

    def test_a_new_worker_begins_with_a_job(self):
        seen = work(
            (0, picture(instances={"i": Instance("g", True, False)})),
            (30, picture()),
            (100, picture(instances=LOST)),
            workers={"g": 100},
        )
        self.assertEqual(seen.job_seconds_lost, 70)
