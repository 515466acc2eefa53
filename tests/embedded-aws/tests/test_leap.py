"""Leaps of the clock, and the meter on a whole world."""

import time

from .aws import MovingWorldTest, ask, warning


class Leaping(MovingWorldTest):
    def order(self):
        return {"clock": f"{int(time.time() * 1000)}x10", "pace": "real", "seed": 1}

    def leap(self, seconds, queues=()):
        until = self.state()["now_ms"] + seconds * 1000
        told = self.post("leap", {"until_ms": until, "queues": list(queues)})
        return told["why"], told["ms"] / 1000

    def test_an_hour_is_over_at_once_and_the_setting_tells_it(self):
        before = self.state()["now_ms"]
        self.assertEqual(self.leap(3600)[0], "until")
        self.assertGreaterEqual(self.state()["now_ms"], before + 3_600_000)
        setting = self.post("leap", {"until_ms": 0})["setting"]
        origin, speed = setting.split("x")
        told = int(origin) + (time.time() * 1000 - int(origin)) * float(speed)
        self.assertLess(abs(told - self.state()["now_ms"]), 5_000)

    def test_a_message_ends_a_leap_as_soon_as_it_can_be_received(self):
        url = self.queue("notices")["url"]
        self.sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=60)
        why, seconds = self.leap(3600, [url])
        self.assertEqual(why, "message")
        self.assertLessEqual(seconds, 61)
        self.assertEqual(len(self.sqs.receive_message(QueueUrl=url)["Messages"]), 1)

    def test_nothing_leaps_while_a_message_is_on_its_way(self):
        url = self.queue("notices")["url"]
        self.sqs.send_message(QueueUrl=url, MessageBody="now")
        self.client("sqs", caller="watcher.poller").receive_message(QueueUrl=url)
        until = self.state()["now_ms"] + 3_600_000
        order = {"until_ms": until, "queues": [url]}
        self.assertEqual(self.post("leap", {**order, "received": 0})["why"], "busy")
        # Once it is there, and nobody works on it, it is waited for until it can be seen again.
        self.assertEqual(self.post("leap", {**order, "received": 1})["why"], "message")

    def test_what_aws_does_meanwhile_ends_a_leap_where_it_sends_a_message(self):
        self.post("settings", {"state_change_events": True})
        self.post("events", warning(self.first()))
        url = self.queue("notices")["url"]
        self.sqs.purge_queue(QueueUrl=url)
        why, seconds = self.leap(3600, [url])
        self.assertEqual(why, "message")
        # EC2 took it two minutes after the warning, or near that.
        self.assertLess(seconds, 300)


SCENARIO = {
    "seconds": 600,
    "groups": [{"name": "one", "instances": 1, "target_group": {}}],
    "clients": {"one": [{"per_second": 10, "seconds": 1}]},
    "events": [{"at": 0, "kind": "warn", "group": "one", "nth": [0]}],
}


class Measuring(MovingWorldTest):
    def order(self):
        on_time = {"interruption": "on-time", "event-delivery": "at-once"}
        clock = f"{int(time.time() * 1000)}x10"
        return {"clock": clock, "pace": "real", "seed": 1, "variants": on_time}

    def play(self, contender):
        measured = self.post("meter", {"scenario": SCENARIO, "contender": contender})
        self.post("leap", {"until_ms": measured["end_ms"]})
        return ask("GET", f"{self.url}/_embedded/meter")

    def test_a_group_of_one_is_dark_from_its_end_until_its_successor_serves(self):
        told = self.play("nobody")
        self.assertAlmostEqual(told["requests"], 10 * (told["until"] - told["from"]), delta=1)
        self.assertEqual([at for at, _ in told["warned"]], [0])
        self.assertAlmostEqual(sum(told["failed"].values()), 10 * told["dark_seconds"], delta=11)
        serving = [(at, targets) for at, targets, _, _ in told["line"]]
        lost = next(at for at, targets in serving if not targets)
        again = next(at for at, targets in serving if targets and at > lost)
        self.assertAlmostEqual(again - lost, told["dark_seconds"], delta=0.2)
        # The event tells its time to the second, so it may be taken a second early.
        self.assertTrue(119 <= lost <= 120.1, lost)

    def test_the_bound_knows_the_numbers_that_are_drawn(self):
        bound = self.play("nobody")["bound"]
        # The successor boots for less than two minutes and three more steps.
        self.assertLess(bound["dark_seconds"], 60)
        self.assertGreater(bound["instance_seconds_twice"], 59)

    def test_a_contender_that_there_is_not(self):
        with self.assertRaisesRegex(AssertionError, "contender is one of"):
            self.post("meter", {"scenario": SCENARIO, "contender": "somebody"})
