import unittest

from embedded_aws.simulation.health_checks import Checks

from .aws import WorldTest


def checks(**more):
    settings = {"next_ms": 0, "interval_ms": 10, "healthy_after": 3, "unhealthy_after": 2, **more}
    return Checks(**settings)


class HealthChecks(unittest.TestCase):
    def states(self, made, *answers):
        """The state after each check that is answered so."""
        return [made.make_until(10 * n, lambda at_ms, a=a: a) for n, a in enumerate(answers)]

    def test_a_new_target_is_healthy_after_its_first_passed_check(self):
        self.assertEqual(self.states(checks(), False, True), ["initial", "healthy"])

    def test_a_new_target_that_never_answers_becomes_unhealthy(self):
        self.assertEqual(self.states(checks(), False, False), ["initial", "unhealthy"])

    def test_thresholds_count_checks_in_a_row(self):
        healthy = checks(state="healthy")
        seen = self.states(healthy, False, True, False, False, True, True, False, True, True, True)
        self.assertEqual(seen[:4], ["healthy", "healthy", "healthy", "unhealthy"])
        self.assertEqual(seen[4:], ["unhealthy"] * 5 + ["healthy"])
        self.assertEqual(healthy.since_ms, 90)

    def test_a_network_load_balancer_wants_as_many_of_a_new_target(self):
        made = checks(first_healthy_after=3)
        self.assertEqual(self.states(made, True, True, True), ["initial", "initial", "healthy"])

    def test_checks_that_were_missed_are_made_at_their_own_time(self):
        made = checks(state="healthy")
        # It answered until 35: the checks at 40 and 50 failed.
        self.assertEqual(made.make_until(59, lambda at_ms: at_ms < 35), "unhealthy")
        self.assertEqual(made.since_ms, 50)


class Balanced(WorldTest):
    """Two instances of the fleet behind a target group of their own, in a world of real pace."""

    simulate = True
    protocol, numbers = "HTTP", {"alb-first-check": 3, "alb-deregistered-to-no-new": 4}

    def order(self):
        numbers = {"stale-reads": 0, **self.numbers}
        return {"pace": "real", "numbers": numbers, "variants": self.variants}

    variants = {}

    def setUp(self):
        super().setUp()
        self.ids = self.members("mixed")[:2]
        self.arn = self.elbv2.create_target_group(
            Name="tried",
            Protocol=self.protocol,
            Port=80,
            VpcId=self.client("ec2").describe_vpcs()["Vpcs"][-1]["VpcId"],
            HealthCheckIntervalSeconds=10,
            HealthyThresholdCount=3,
            UnhealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        self.delay(60)

    def delay(self, seconds):
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}
        self.elbv2.modify_target_group_attributes(TargetGroupArn=self.arn, Attributes=[delay])

    def pass_time(self, seconds):
        self.happen("pass-time", seconds=seconds)

    def register(self, *ids):
        targets = [{"Id": id_} for id_ in ids]
        self.elbv2.register_targets(TargetGroupArn=self.arn, Targets=targets)

    def deregister(self, *ids):
        targets = [{"Id": id_} for id_ in ids]
        self.elbv2.deregister_targets(TargetGroupArn=self.arn, Targets=targets)

    def states(self):
        found = self.elbv2.describe_target_health(TargetGroupArn=self.arn)
        described = found["TargetHealthDescriptions"]
        return {d["Target"]["Id"]: d["TargetHealth"]["State"] for d in described}

    def routes(self):
        group = next(group for group in self.get("routing") if group["name"] == "tried")
        return {target["id"]: target for target in group["targets"]}

    def new(self):
        """The targets that new requests go to."""
        return sorted(id_ for id_, route in self.routes().items() if route["new"])


class ApplicationTargets(Balanced):
    def test_a_new_target_is_initial_until_its_first_check(self):
        self.register(*self.ids)
        self.assertEqual(set(self.states().values()), {"initial"})
        self.pass_time(3.5)
        self.assertEqual(set(self.states().values()), {"healthy"})

    def test_only_healthy_targets_get_requests_unless_there_are_none(self):
        first, second = self.ids
        self.register(first)
        # Nothing better is there: the load balancer fails open.
        self.assertEqual(self.new(), [first])
        self.pass_time(4)
        self.register(second)
        self.assertEqual(self.new(), [first])
        self.pass_time(4)
        self.assertEqual(self.new(), sorted(self.ids))

    def test_without_registered_targets_nothing_gets_requests(self):
        self.register(*self.ids)
        self.pass_time(4)
        self.deregister(*self.ids)
        self.pass_time(5)
        self.assertEqual(set(self.states().values()), {"draining"})
        self.assertEqual(self.new(), [])

    def test_where_all_targets_fail_their_checks_all_are_tried(self):
        first, second = self.ids
        self.register(first, second)
        self.pass_time(4)
        self.happen("target-fails", instance=first)
        self.pass_time(25)
        self.assertEqual((self.states()[first], self.new()), ("unhealthy", [second]))
        self.happen("target-fails", instance=second)
        self.pass_time(25)
        self.assertEqual(set(self.states().values()), {"unhealthy"})
        self.assertEqual(self.new(), sorted(self.ids))

    def test_a_deregistered_target_gets_requests_for_some_seconds_and_is_cut_off_in_the_end(self):
        first, second = self.ids
        self.register(first, second)
        self.pass_time(4)
        before = self.state()["now_ms"]
        self.deregister(first)
        self.assertEqual(self.states()[first], "draining")
        route = self.routes()[first]
        self.assertTrue(route["new"] and route["open"])
        self.assertAlmostEqual(route["new_until_ms"], before + 4_000, delta=1_000)
        self.assertAlmostEqual(route["cut_ms"], before + 60_000, delta=1_000)
        self.pass_time(4)
        self.assertEqual(self.new(), [second])
        self.pass_time(55)
        self.assertIn(first, self.routes())
        self.pass_time(2)
        self.assertNotIn(first, self.routes())

    def test_an_instance_that_ends_no_longer_answers(self):
        first, second = self.ids
        self.register(first, second)
        self.pass_time(4)
        self.happen("reclaim", instance=first)
        route = self.routes()[first]
        self.assertFalse(route["answers"] or route["open"])

    def test_an_instance_that_ends_gets_requests_for_some_seconds_more(self):
        first, second = self.ids
        self.register(first, second)
        self.pass_time(4)
        before = self.state()["now_ms"]
        self.happen("reclaim", instance=first)
        self.assertEqual(self.states()[first], "draining")
        route = self.routes()[first]
        self.assertTrue(route["new"])
        self.assertAlmostEqual(route["new_until_ms"], before + 4_000, delta=1_000)
        self.pass_time(5)
        self.assertEqual(self.new(), [second])

    def test_a_target_that_was_taken_out_can_come_back_and_is_new_again(self):
        self.register(*self.ids)
        self.pass_time(4)
        self.deregister(self.ids[0])
        self.register(self.ids[0])
        self.assertEqual(self.states()[self.ids[0]], "initial")

    def test_a_call_may_have_200_targets(self):
        many = [{"Id": self.ids[0], "Port": port} for port in range(1000, 1201)]
        self.elbv2.register_targets(TargetGroupArn=self.arn, Targets=many[:200])
        for function in (self.elbv2.register_targets, self.elbv2.deregister_targets):
            self.assert_refused(
                "ValidationError", "201 targets", function, TargetGroupArn=self.arn, Targets=many
            )

    variants = {"many-targets-in-a-call": "refused"}


class ThrottledTargets(Balanced):
    variants = {"many-targets-in-a-call": "throttled"}

    def test_a_large_call_may_be_throttled(self):
        many = [{"Id": self.ids[0], "Port": port} for port in range(1000, 1201)]
        self.assert_refused(
            "Throttling",
            "Rate exceeded",
            self.elbv2.deregister_targets,
            TargetGroupArn=self.arn,
            Targets=many,
        )


class NetworkTargets(Balanced):
    protocol = "TCP"
    numbers = {
        "nlb-first-check": 150,
        "nlb-deregistered-to-no-new": 120,
        "nlb-unhealthy-to-no-new": 35,
    }

    def test_a_new_target_serves_after_three_minutes(self):
        self.register(*self.ids)
        self.pass_time(165)
        self.assertEqual(set(self.states().values()), {"initial"})
        self.pass_time(10)
        self.assertEqual(set(self.states().values()), {"healthy"})

    def test_a_deregistered_target_gets_connections_for_two_minutes_whatever_the_delay(self):
        first, second = self.ids
        self.delay(0)
        self.register(first, second)
        self.pass_time(180)
        self.deregister(first)
        self.pass_time(115)
        self.assertEqual(self.states()[first], "draining")
        self.assertEqual(self.new(), sorted(self.ids))
        self.pass_time(10)
        self.assertNotIn(first, self.states())
        self.assertEqual(self.new(), [second])
        # Open connections stay: nobody cuts them off.
        route = self.routes()[first]
        self.assertEqual((route["open"], route["cut_ms"]), (True, None))
        self.happen("reclaim", instance=first)
        self.assertNotIn(first, self.routes())

    def test_a_target_that_fails_its_checks_gets_connections_for_half_a_minute(self):
        first, second = self.ids
        self.register(first, second)
        self.pass_time(180)
        self.happen("target-fails", instance=first)
        self.pass_time(25)
        self.assertEqual(self.states()[first], "unhealthy")
        self.assertEqual(self.new(), sorted(self.ids))
        self.pass_time(35)
        self.assertEqual(self.new(), [second])
