import json
import unittest
from pathlib import Path

from embedded_aws import pace
from embedded_aws.world import WORLD

from .aws import WorldTest, ask

DATA = json.loads((Path(__file__).parent.parent / "pace.json").read_text())


class Data(unittest.TestCase):
    def test_each_number_says_what_it_is_and_where_it_is_from(self):
        for name, entry in DATA["numbers"].items():
            with self.subTest(name):
                self.assertGreaterEqual(set(entry), {"what", "quick", "real", "source"})
                self.assertTrue(entry["source"].startswith(("https://", "assumed")), entry["source"])

    def test_each_variant_says_what_it_is_and_where_it_is_from(self):
        for name, entry in DATA["variants"].items():
            with self.subTest(name):
                self.assertIn(entry["quick"], entry["values"])
                self.assertTrue(entry["source"].startswith(("https://", "open")), entry["source"])


class Draws(unittest.TestCase):
    def setUp(self):
        self.addCleanup(pace.order, {})

    def test_a_number_is_drawn_from_its_range_by_seed_and_subject(self):
        low, high = DATA["numbers"]["launch-to-in-service"]["real"]
        pace.order({"pace": "real", "seed": 1})
        first = [pace.seconds("launch-to-in-service", f"i-{n}") for n in range(50)]
        self.assertTrue(all(low <= seconds <= high for seconds in first), first)
        self.assertGreater(max(first) - min(first), (high - low) / 2)
        # In any order the same again; with another seed others.
        again = [pace.seconds("launch-to-in-service", f"i-{n}") for n in reversed(range(50))]
        self.assertEqual(again[::-1], first)
        pace.order({"pace": "real", "seed": 2})
        self.assertNotEqual(pace.seconds("launch-to-in-service", "i-0"), first[0])

    def test_the_quick_pace_draws_nothing(self):
        pace.order({"seed": 3})
        self.assertEqual(pace.seconds("launch-to-in-service", "i-1"), 10)
        self.assertEqual(pace.variant("interruption", "i-1"), "on-time")

    def test_a_variant_is_drawn_in_the_real_pace_unless_it_is_ordered(self):
        pace.order({"pace": "real"})
        drawn = {pace.variant("re-registration", n) for n in range(20)}
        self.assertEqual(drawn, {"yes", "unless-draining", "no"})
        pace.order({"pace": "real", "variants": {"re-registration": "no"}})
        self.assertEqual({pace.variant("re-registration", n) for n in range(20)}, {"no"})

    def test_a_number_can_be_ordered(self):
        pace.order({"numbers": {"task-ends": 9}})
        self.assertEqual(pace.seconds("task-ends"), 9)
        pace.order({})
        self.assertEqual(WORLD.numbers, {})


class Order(WorldTest):
    def order(self):
        return {"pace": "real", "seed": 7, "variants": {"interruption": "late"}}

    def test_a_world_says_at_what_pace_it_goes(self):
        self.assertEqual(
            self.get("pace"),
            {"pace": "real", "seed": 7, "variants": {"interruption": "late"}, "numbers": {}},
        )

    def test_what_nobody_knows_is_refused(self):
        for order, said in (
            ({"pace": "slow"}, "pace is quick or real"),
            ({"variants": {"interruption": "maybe"}}, "interruption is one of"),
            ({"variants": {"weather": "fine"}}, "not 'weather'"),
            ({"numbers": {"task-ends": "long"}}, "task-ends is a number"),
            ({"numbers": {"nothing": 1}}, "not 'nothing'"),
        ):
            with self.subTest(said), self.assertRaisesRegex(AssertionError, said):
                ask("POST", f"{self.control}/worlds", order)
