from .ecs_world import EcsWorld

FOREVER = {"embedded-aws.ends-after": "never"}


class Graces(EcsWorld):
    def seconds_of(self, task):
        """From SIGTERM until its end."""
        life = self.life(task)
        return round((life["ended_ms"] - life["terminated_ms"]) / 1000, 3)

    def test_a_container_that_listens_ends_in_its_time(self):
        labels = {"embedded-aws.ends-after": "12"}
        self.define("listens", {"name": "a", "dockerLabels": labels, "stopTimeout": 20})
        task = self.started("listens", self.first())
        self.stop(task)
        self.pass_time(1)
        self.assertEqual(self.status(task), "STOPPING")
        self.pass_time(12)
        self.assertEqual(self.status(task), "STOPPED")
        self.assertEqual((self.life(task)["end"], self.seconds_of(task)), ("stopped", 12))

    def test_one_that_does_not_is_killed_at_the_end_of_its_grace(self):
        self.define("ignores", {"name": "a", "dockerLabels": FOREVER, "stopTimeout": 20})
        task = self.started("ignores", self.first())
        self.stop(task)
        self.pass_time(60)
        self.assertEqual((self.life(task)["end"], self.seconds_of(task)), ("killed", 20))
        self.assertEqual(self.describe(task)["containers"][0]["exitCode"], 137)

    def test_without_a_stop_timeout_the_agents_holds(self):
        self.define("ignores", {"name": "a", "dockerLabels": FOREVER})
        first, second = self.members()[:2]
        settings = {"ECS_CONTAINER_STOP_TIMEOUT": "1m30s"}
        self.happen("configure-agent", instance=second, settings=settings)
        tasks = [self.started("ignores", instance) for instance in (first, second)]
        for task in tasks:
            self.stop(task)
        self.pass_time(100)
        self.assertEqual([self.seconds_of(task) for task in tasks], [30, 90])

    def test_the_graces_of_a_chain_add_up(self):
        depends = [{"containerName": "uploader", "condition": "START"}]
        self.define(
            "chain",
            {"name": "trainer", "stopTimeout": 50, "dockerLabels": FOREVER, "dependsOn": depends},
            {"name": "uploader", "stopTimeout": 40, "dockerLabels": FOREVER},
        )
        task = self.started("chain", self.first())
        self.stop(task)
        self.pass_time(60)
        states = {c["name"]: c["lastStatus"] for c in self.describe(task)["containers"]}
        self.assertEqual(states, {"trainer": "STOPPED", "uploader": "RUNNING"})
        self.pass_time(40)
        self.assertEqual(self.seconds_of(task), 90)


class StopTask(EcsWorld):
    def test_the_tags_of_a_stopped_task_are_deleted(self):
        (task,) = self.of("family:report", self.first())
        self.assertIn("team", [tag["key"] for tag in self.describe(task)["tags"]])
        self.stop(task)
        self.assertEqual(self.describe(task).get("tags", []), [])

    def test_sigterm_comes_before_the_target_is_out(self):
        instance = self.first()
        task = self.of("service:classifier", instance)[0]
        (binding,) = self.describe(task)["containers"][0]["networkBindings"]
        port = binding["hostPort"]
        self.stop(task)
        self.pass_time(1)

        def route():
            group = next(g for g in self.get("routing") if g["name"] == "classifier")
            return next(t for t in group["targets"] if (t["id"], t["port"]) == (instance, port))

        # New requests go to an application that no longer takes them.
        self.assertEqual((route()["state"], route()["new"], route()["answers"]), ("healthy", True, False))
        self.pass_time(6)
        self.assertEqual((route()["state"], route()["new"]), ("draining", False))

    def test_unless_somebody_took_the_target_out_before(self):
        instance = self.first()
        task = self.of("service:classifier", instance)[0]
        (binding,) = self.describe(task)["containers"][0]["networkBindings"]
        target = {"Id": instance, "Port": binding["hostPort"]}
        self.elbv2.deregister_targets(
            TargetGroupArn=self.target_group_arn("classifier"), Targets=[target]
        )
        self.pass_time(10)
        self.stop(task)
        self.pass_time(1)
        group = next(g for g in self.get("routing") if g["name"] == "classifier")
        new = [(t["id"], t["port"]) for t in group["targets"] if t["new"]]
        self.assertNotIn((instance, target["Port"]), new)
        self.assertEqual(len(new), 11)


class Scheduler(EcsWorld):
    def test_a_task_that_the_scheduler_stops_gets_sigterm_when_its_targets_have_drained(self):
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "60"}
        self.elbv2.modify_target_group_attributes(
            TargetGroupArn=self.target_group_arn("classifier"), Attributes=[delay]
        )
        task = self.of("service:classifier")[-1]
        self.ecs.update_service(cluster="inference", service="classifier", desiredCount=11)
        self.pass_time(3)
        self.assertEqual(self.status(task), "DEACTIVATING")
        self.pass_time(70)
        life = self.life(task)
        self.assertEqual(life["end"], "stopped")
        drained = (life["terminated_ms"] - life["targets_out_ms"]) / 1000
        self.assertAlmostEqual(drained, 60, delta=0.1)


class Cut(EcsWorld):
    def test_tasks_of_an_instance_that_is_taken_are_cut_off(self):
        instance = self.first()
        running = self.of("service:classifier", instance) + self.of("family:report", instance)
        self.happen("reclaim", instance=instance)
        self.assertEqual({self.life(task)["end"] for task in running}, {"cut"})
        self.assertEqual({self.life(task)["terminated_ms"] for task in running}, {None})

    def test_also_those_that_are_using_their_grace(self):
        instance = self.first()
        self.define("ignores", {"name": "a", "dockerLabels": FOREVER})
        task = self.started("ignores", instance)
        self.stop(task)
        self.pass_time(10)
        self.happen("reclaim", instance=instance)
        life = self.life(task)
        self.assertEqual(life["end"], "cut")
        self.assertIsNotNone(life["terminated_ms"])

    def test_a_container_that_was_cut_off_has_no_exit_code(self):
        instance = self.first()
        self.define("ignores", {"name": "a", "dockerLabels": FOREVER, "stopTimeout": 120})
        told, untold = (self.started("ignores", instance) for _ in range(2))
        self.stop(told)
        self.pass_time(10)
        self.happen("reclaim", instance=instance)
        for task in (told, untold):
            self.assertEqual((self.status(task), self.life(task)["end"]), ("STOPPED", "cut"))
            (container,) = self.describe(task)["containers"]
            self.assertIsNone(container.get("exitCode"))

    def test_one_that_had_not_begun_loses_nothing(self):
        instance = self.first()
        task = self.start("report", instance)["tasks"][0]["taskArn"]
        self.assertEqual(self.status(task), "PENDING")
        self.happen("reclaim", instance=instance)
        self.assertEqual((self.status(task), self.life(task)["end"]), ("STOPPED", "unstarted"))

    def test_one_that_ends_by_itself_is_done(self):
        (task,) = self.of("family:report")
        self.happen("task-stops", task=task)
        self.assertEqual(self.life(task)["end"], "done")
