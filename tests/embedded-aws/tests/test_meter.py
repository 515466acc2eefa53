"""The meter's reckoning, on cases small enough to be reckoned by hand."""

import unittest

from embedded_aws.meter import announced, bound
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

    def test_where_none_is_known_to_serve_it_is_in_doubt_and_not_dark(self):
        stream = [{"per_second": 10, "seconds": 0}]
        unknown = Target(healthy=False)
        clients = play(stream, (0, {"a": SERVES}), (3, {"a": unknown}), (7, {"b": SERVES}), (9, {}))
        self.assertEqual((clients.dark, clients.in_doubt), (0, 4))
        self.assert_failed(clients)

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


class Announced(unittest.TestCase):
    def test_what_is_said_is_held_against_what_was(self):
        told = {"a": "handed-off", "b": "handed-off", "c": "failed", "d": "failed"}
        warned = ["a", "b", "c", "d", "e"]
        # b went wrong and was told as well, c the other way round, of e nothing was told.
        self.assertEqual(announced.misreported(warned, {"b", "d"}, told), 3)

    def test_where_it_is_in_doubt_a_loss_may_be_told_and_where_it_went_wrong_has_to_be(self):
        cases = (
            # What was told, whether it went wrong, whether it was in doubt: whether that is wrong.
            ("handed-off", False, False, 0),
            ("handed-off", False, True, 0),
            ("handed-off", True, True, 1),
            ("handed-off", True, False, 1),
            ("handed-off-with-losses", False, False, 1),
            ("handed-off-with-losses", False, True, 0),
            ("handed-off-with-losses", True, True, 0),
            ("failed", False, True, 1),
            ("still-short", False, True, 1),
            ("failed", True, True, 0),
            (None, True, True, 1),
            (None, False, True, 1),
        )
        for told, wrong, doubt, expected in cases:
            with self.subTest(told=told, wrong=wrong, doubt=doubt):
                found = announced.misreported(
                    ["a"],
                    {"a"} if wrong else set(),
                    {"a": told} if told else {},
                    {"a"} if doubt else set(),
                )
                self.assertEqual(found, expected)

    def test_the_last_word_counts(self):
        def said(outcome):
            detail = {"instance-id": "a", "outcome": outcome}
            return {"detail-type": announced.DETAIL_TYPE, "detail": detail}

        events = [said("failed"), said("handed-off"), {"detail-type": "x", "detail": {}}]
        self.assertEqual(announced.told_last(events), {"a": "handed-off"})

    def test_wrong_is_a_cut_task_a_dark_target_group_and_a_group_that_stays_short(self):
        before = Picture(
            targets={"dark": {"i-1:80": SERVES}, "light": {"i-2:80": SERVES}},
            instances={"i-1": Instance("g"), "i-2": Instance("g"), "i-3": Instance("h")},
        )

        def wrong(after, cut_on=()):
            wanted = {"g": 2, "h": 1}
            return announced.went_wrong(before, after, wanted, {"dark"}, cut_on)

        self.assertEqual(wrong(before), {"i-1"})
        self.assertEqual(wrong(before, [(9, "i-2")]), {"i-1", "i-2"})
        short = Picture(instances={"i-1": Instance("g"), "i-4": Instance("g")})
        self.assertEqual(wrong(short), {"i-1", "i-3"})


class Bound(unittest.TestCase):
    NOTICE = bound.Doomed(notice=0, gone=120)

    def balanced(self, staying, leaving=(NOTICE,), successor=90, delay=60, **more):
        streams, lingers = more.get("streams", ((10, 5),)), more.get("lingers", 4)
        return bound.Balanced(
            staying,
            tuple(bound.Leaving(doomed, lingers) for doomed in leaving),
            successor,
            delay,
            streams,
        )

    def test_where_others_stay_nothing_need_be_lost(self):
        self.assertEqual(bound.requests(self.balanced(staying=2)), (0, 0, 0, 0))

    def test_the_last_target_may_stay_until_its_successor_serves(self):
        self.assertEqual(bound.requests(self.balanced(staying=0, successor=90)), (0, 0, 0, 0))

    def test_a_successor_that_comes_too_late_leaves_the_dark_between(self):
        # Thirty seconds without a target of ten requests each, and five seconds of them cut.
        self.assertEqual(bound.requests(self.balanced(staying=0, successor=150)), (30, 300, 0, 50))

    def test_one_of_two_that_are_taken_at_different_times_stays_for_the_other(self):
        both = (self.NOTICE, bound.Doomed(notice=20, gone=140))
        self.assertEqual(bound.requests(self.balanced(staying=0, leaving=both)), (0, 0, 0, 0))

    def test_connections_longer_than_the_notice_are_cut(self):
        # One of four: of its 150 connections those that began in the last 480 s before the
        # notice, and in the second for which it still got new ones, are left after 120 s.
        of_four = self.balanced(staying=3, delay=None, streams=((1, 600),), lingers=1)
        self.assertEqual(bound.requests(of_four), (0, 0, 0, 120.25))

    def test_requests_longer_than_the_delay_are_cut_by_it(self):
        of_two = self.balanced(staying=1, delay=20, streams=((2, 30),), lingers=0)
        self.assertEqual(bound.requests(of_two), (0, 0, 0, 10))

    def test_a_network_load_balancer_may_go_on_for_longer_than_there_is(self):
        of_two = self.balanced(staying=1, delay=None, streams=((2, 0),), lingers=130)
        self.assertEqual(bound.requests(of_two), (0, 0, 10, 0))

    def test_jobs(self):
        self.assertEqual(bound.job(3600, 60, self.NOTICE), (0, 0))
        self.assertEqual(bound.job(3600, 150, self.NOTICE, began=-10), (1, 3730))
        self.assertEqual(bound.job(3600, None, self.NOTICE), (1, 3720))
        # Half of 300 s are done: 150 s are too many for the notice, and 270 s are lost.
        self.assertEqual(bound.at_hand(300, 0.5, self.NOTICE), 270)
        self.assertEqual(bound.at_hand(300, 0.7, self.NOTICE), 0)

    def test_what_a_just_in_time_successor_costs(self):
        self.assertEqual(bound.paid_twice(90, self.NOTICE), 90)
        self.assertEqual(bound.paid_twice(150, self.NOTICE), 120)
        self.assertEqual(bound.missing(150, self.NOTICE), 30)
