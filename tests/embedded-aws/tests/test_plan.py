import unittest

from embedded_aws.simulation.plan import Member, daemon_plan, plan

STAYS = {}
LEAVES = {"draining": True}
STARTS = {"healthy": False}
FAILS = {"healthy": False, "unhealthy": True}


class Plans(unittest.TestCase):
    """The cases of the page on draining, and those it leaves to be inferred."""

    def plan(self, desired, *members, minimum=100, maximum=200, stopping=0):
        tasks = [Member(n, **member) for n, member in enumerate(members)]
        found = plan(desired, minimum, maximum, tasks, stopping)
        return found.starts, list(found.stops)

    def test_at_the_defaults_a_task_stays_until_its_successor_is_healthy(self):
        self.assertEqual(self.plan(2, STAYS, LEAVES), (1, []))
        self.assertEqual(self.plan(2, STAYS, LEAVES, STARTS), (0, []))
        self.assertEqual(self.plan(2, STAYS, LEAVES, STAYS), (0, [1]))

    def test_a_minimum_below_100_lets_tasks_go_before_others_are_there(self):
        # "desiredCount is four tasks, a minimum of 50% allows the scheduler to stop two"
        self.assertEqual(
            self.plan(4, LEAVES, LEAVES, LEAVES, LEAVES, minimum=50, maximum=100), (0, [0, 1])
        )

    def test_a_maximum_of_100_starts_nothing_beside_the_old_ones(self):
        # "if it is 100%, the replacement tasks can't start until the draining ones have stopped"
        self.assertEqual(self.plan(4, LEAVES, *[STAYS] * 3, maximum=100), (0, []))
        self.assertEqual(self.plan(4, *[STAYS] * 3, maximum=100), (1, []))
        self.assertEqual(self.plan(4, *[STAYS] * 3, maximum=100, stopping=1), (0, []))

    def test_percentages_are_rounded_to_the_safe_side(self):
        # 50 % of three are two that stay, 150 % of three are four at most.
        self.assertEqual(
            self.plan(3, LEAVES, LEAVES, LEAVES, minimum=50, maximum=150), (1, [0])
        )

    def test_what_does_not_serve_goes_first(self):
        gone = {"draining": True, "healthy": False}
        self.assertEqual(self.plan(2, STAYS, STAYS, LEAVES, gone), (0, [3, 2]))

    def test_too_many_are_stopped(self):
        self.assertEqual(self.plan(1, STAYS, STAYS, STAYS), (0, [1, 2]))
        self.assertEqual(self.plan(0, STAYS), (0, [0]))

    def test_protected_tasks_are_left(self):
        protected = {"draining": True, "protected": True}
        self.assertEqual(self.plan(1, STAYS, protected), (0, []))
        self.assertEqual(self.plan(1, protected), (1, []))

    def test_an_unhealthy_task_is_replaced_first_where_there_is_a_place_for_another(self):
        self.assertEqual(self.plan(2, STAYS, FAILS), (1, []))
        self.assertEqual(self.plan(2, STAYS, FAILS, STAYS), (0, [1]))
        # At the maximum it goes first, if the minimum can do without it.
        self.assertEqual(self.plan(2, STAYS, FAILS, minimum=50, maximum=100), (0, [1]))
        self.assertEqual(self.plan(2, STAYS, FAILS, minimum=100, maximum=100), (0, []))


class Daemons(unittest.TestCase):
    def test_one_for_each_active_instance_and_the_last_to_leave_the_others(self):
        starts, stops = daemon_plan(["a", "b"], ["a"], [("on c", False), ("on d", True)])
        self.assertEqual((starts, stops), (["b"], ["on d"]))
