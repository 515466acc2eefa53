import unittest

from embedded_aws.simulation import agent, grace


def container(name, **more):
    return {"name": name, **more}


class Stops(unittest.TestCase):
    def stops(self, *definitions, grace_of=30, needs=(), usual=2):
        needed = dict(needs)
        found = grace.stops(
            definitions,
            lambda d: d.get("stopTimeout", grace_of),
            lambda d: needed.get(d["name"], usual),
        )
        return {s.container: (s.terminated, s.ended, s.killed) for s in found}

    def test_containers_that_need_nobody_stop_at_the_same_time(self):
        self.assertEqual(
            self.stops(container("a"), container("b"), needs={"b": 5}),
            {"a": (0, 2, False), "b": (0, 5, False)},
        )

    def test_one_that_others_depend_on_waits_until_they_have_ended(self):
        depends = [{"containerName": "database", "condition": "START"}]
        self.assertEqual(
            self.stops(container("web", dependsOn=depends), container("database"), needs={"web": 9}),
            {"web": (0, 9, False), "database": (9, 11, False)},
        )

    def test_links_and_volumes_make_an_order_too(self):
        self.assertEqual(
            self.stops(
                container("web", links=["cache:redis"]),
                container("cache", volumesFrom=[{"sourceContainer": "data"}]),
                container("data"),
            ),
            {"web": (0, 2, False), "cache": (2, 4, False), "data": (4, 6, False)},
        )

    def test_graces_add_up_along_a_chain_and_each_is_killed_at_its_end(self):
        depends = [{"containerName": "uploader", "condition": "START"}]
        stops = self.stops(
            container("trainer", stopTimeout=50, dependsOn=depends),
            container("uploader"),
            needs={"trainer": float("inf"), "uploader": 31},
        )
        self.assertEqual(stops, {"trainer": (0, 50, True), "uploader": (50, 80, True)})

    def test_one_that_had_to_complete_first_has_ended_long_before(self):
        depends = [{"containerName": "migrate", "condition": "SUCCESS"}]
        stops = self.stops(container("web", dependsOn=depends), container("migrate"))
        self.assertEqual(set(stops), {"web"})


class Durations(unittest.TestCase):
    def test_durations_are_read_as_go_writes_them(self):
        for text, seconds in (("90s", 90), ("2m", 120), ("1m30s", 90), ("500ms", 0.5)):
            self.assertEqual(agent.duration(text), seconds)
        for text in ("90", "soon", "1m30"):
            with self.assertRaisesRegex(ValueError, "is no duration"):
                agent.duration(text)
