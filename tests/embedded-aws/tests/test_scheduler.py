from .ecs_world import EcsWorld


class Draining(EcsWorld):
    def test_a_successor_serves_before_the_old_task_goes(self):
        instance = self.first()
        before = self.of("service:classifier")
        old = self.of("service:classifier", instance)
        self.drain(instance)
        self.pass_time(4)
        new = [task for task in self.of("service:classifier") if task not in before]
        self.assertEqual([self.status(task) for task in new], ["PENDING"] * len(old))
        # 3 s for the pull and the start.
        self.pass_time(4)
        self.assertEqual([self.status(task) for task in new], ["RUNNING"] * len(old))
        self.assertEqual({self.status(task) for task in old}, {"RUNNING"})
        # Up after 5 s; the first check at 3 s failed, the next is 30 s later.
        self.pass_time(20)
        self.assertEqual({self.status(task) for task in old}, {"RUNNING"})
        self.pass_time(15)
        self.assertEqual({self.status(task) for task in old}, {"DEACTIVATING"})

    def test_what_does_not_run_yet_stops_at_once(self):
        self.ecs.update_service(cluster="inference", service="classifier", desiredCount=13)
        self.pass_time(2)
        cluster = self.cluster()
        pending = next(t for t in cluster["tasks"] if t["last_status"] == "PENDING")
        self.drain(pending["instance"])
        self.assertEqual(self.status(pending["arn"]), "STOPPED")

    def test_standalone_tasks_stay(self):
        instance = self.first()
        (task,) = self.of("family:report", instance)
        self.drain(instance)
        self.pass_time(600)
        self.assertEqual(self.status(task), "RUNNING")

    def test_a_service_without_a_load_balancer_counts_a_task_after_forty_seconds(self):
        instance = self.first()
        (old,) = self.of("service:embedder", instance)
        self.drain(instance)
        # 3 s until the successor starts, 3 s until it runs.
        self.pass_time(44)
        self.assertEqual(self.status(old), "RUNNING")
        self.pass_time(6)
        self.assertEqual(self.status(old), "STOPPED")

    def test_a_minimum_below_100_lets_old_tasks_go_first(self):
        self.ecs.update_service(
            cluster="inference",
            service="embedder",
            deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 100},
        )
        self.pass_time(2)
        instance = self.first()
        (old,) = self.of("service:embedder", instance)
        self.drain(instance)
        self.pass_time(4)
        self.assertEqual(self.status(old), "STOPPING")
        self.assertEqual(len(self.of("service:embedder")), 3)


class Starting(EcsWorld):
    numbers = {"image-pull": 20}

    def test_an_image_is_pulled_once_to_an_instance(self):
        self.define("new", {"name": "a"})
        first, again = (self.start("new", self.first())["tasks"][0]["taskArn"] for _ in range(2))
        self.assertEqual(self.status(first), "PENDING")
        self.pass_time(20)
        self.assertEqual((self.status(first), self.status(again)), ("PENDING", "PENDING"))
        place = self.container_instance(self.first())["arn"]
        (described,) = self.ecs.describe_container_instances(
            cluster="inference", containerInstances=[place]
        )["containerInstances"]
        self.assertEqual((described["runningTasksCount"], described["pendingTasksCount"]), (8, 2))
        self.pass_time(4)
        self.assertEqual((self.status(first), self.status(again)), ("RUNNING", "RUNNING"))
        late = self.start("new", self.first())["tasks"][0]["taskArn"]
        self.pass_time(4)
        self.assertEqual(self.status(late), "RUNNING")


class Room(EcsWorld):
    cluster_name = "hooked"
    numbers = {"launch-to-in-service": 60, "in-service-to-in-cluster": 10}

    def test_a_task_without_room_waits_until_there_is_some(self):
        self.define("big", {"name": "a", "cpu": 3900})
        self.ecs.create_service(
            cluster="hooked", serviceName="big", taskDefinition="big", desiredCount=3
        )
        self.pass_time(30)
        self.assertEqual(len(self.of("service:big")), 3)
        self.drain(self.first("hooked"))
        self.pass_time(30)
        self.assertEqual(len(self.of("service:big")), 3)
        (service,) = self.ecs.describe_services(cluster="hooked", services=["big"])["services"]
        self.assertIn("unable to place a task", service["events"][0]["message"])
        self.autoscaling.set_desired_capacity(AutoScalingGroupName="hooked", DesiredCapacity=4)
        self.pass_time(80)
        newest = self.members("hooked")[-1]
        self.assertEqual(len(self.of("service:big", newest)), 1)

    def test_two_tasks_cannot_have_the_same_host_port(self):
        ports = [{"containerPort": 80, "hostPort": 8080}]
        self.define("fixed", {"name": "a", "portMappings": ports})
        instance = self.first("hooked")
        task = self.started("fixed", instance)
        answer = self.start("fixed", instance)
        self.assertEqual(answer["failures"][0]["reason"], "RESOURCE:PORTS")
        self.stop(task)
        self.pass_time(5)
        self.assertEqual(self.start("fixed", instance)["failures"], [])


class Gpus(EcsWorld):
    def test_a_gpu_is_held_by_one_task(self):
        # The first two instances of the fleet have a task with their only GPU.
        answer = self.start("fine-tune", self.first())
        self.assertEqual(answer["failures"][0]["reason"], "RESOURCE:GPU")
        third = self.members()[2]
        self.assertEqual(self.start("fine-tune", third)["failures"], [])
        place = self.container_instance(third)["arn"]
        (described,) = self.ecs.describe_container_instances(
            cluster="inference", containerInstances=[place]
        )["containerInstances"]
        gpus = {
            kind: next(r["stringSetValue"] for r in described[kind] if r["name"] == "GPU")
            for kind in ("registeredResources", "remainingResources")
        }
        self.assertEqual((len(gpus["registeredResources"]), gpus["remainingResources"]), (1, []))

    def test_run_task_finds_the_instances_that_have_one_left(self):
        answers = [
            self.ecs.run_task(cluster="inference", taskDefinition="fine-tune") for _ in range(5)
        ]
        self.assertEqual([len(answer["tasks"]) for answer in answers], [1, 1, 1, 1, 0])
        reasons = {failure["reason"] for failure in answers[-1]["failures"]}
        self.assertEqual(reasons, {"RESOURCE:GPU"})


class Daemons(EcsWorld):
    def setUp(self):
        super().setUp()
        self.define("logs", {"name": "a"})
        self.ecs.create_service(
            cluster="inference",
            serviceName="logs",
            taskDefinition="logs",
            schedulingStrategy="DAEMON",
        )
        self.pass_time(20)

    def test_each_active_instance_has_one(self):
        tasks = [t for t in self.cluster()["tasks"] if t["group"] == "service:logs"]
        self.assertEqual(len({t["instance"] for t in tasks}), 7)
        self.assertEqual(len(tasks), 7)

    def test_it_is_the_last_to_leave(self):
        # Only service tasks run there.
        instance = self.members()[3]
        (daemon,) = self.of("service:logs", instance)
        self.drain(instance)
        self.pass_time(200)
        self.assertEqual(self.status(daemon), "RUNNING")
        self.assertTrue(self.of("service:classifier", instance))
        # The targets have drained by then, and SIGTERM was sent.
        self.pass_time(200)
        self.assertEqual(self.status(daemon), "STOPPED")
        last = max(
            life["ended_ms"]
            for life in self.get("tasks")
            if life["instance"] == instance and life["arn"] != daemon
        )
        self.assertGreaterEqual(self.life(daemon)["stopping_ms"], last)


class Unhealthy(EcsWorld):
    numbers = {"scheduler-watches": 10}

    def test_a_task_that_fails_its_checks_is_replaced(self):
        instance = self.first()
        before = self.of("service:classifier")
        task = self.of("service:classifier", instance)[0]
        (binding,) = self.describe(task)["containers"][0]["networkBindings"]
        self.happen("target-fails", instance=instance, port=binding["hostPort"])
        self.pass_time(75)
        new = [t for t in self.of("service:classifier") if t not in before]
        self.assertEqual(len(new), 1)
        self.pass_time(60)
        self.assertNotEqual(self.status(task), "RUNNING")


class Protection(EcsWorld):
    def test_a_protected_task_stays_on_a_draining_instance_for_as_long(self):
        instance = self.first()
        (task,) = self.of("service:embedder", instance)
        protected = self.ecs.update_task_protection(
            cluster="inference", tasks=[task], protectionEnabled=True, expiresInMinutes=10
        )["protectedTasks"]
        self.assertTrue(protected[0]["protectionEnabled"])
        self.drain(instance)
        self.pass_time(500)
        self.assertEqual(self.status(task), "RUNNING")
        self.pass_time(200)
        self.assertEqual(self.status(task), "STOPPED")

    def test_only_service_tasks_can_be_protected(self):
        (task,) = self.of("family:report")
        answer = self.ecs.update_task_protection(
            cluster="inference", tasks=[task], protectionEnabled=True
        )
        self.assertEqual(answer["failures"][0]["reason"], "TASK_NOT_VALID")
        found = self.ecs.get_task_protection(cluster="inference")["protectedTasks"]
        self.assertEqual({entry["protectionEnabled"] for entry in found}, {False})


class Agents(EcsWorld):
    numbers = {"agent-sees-warning": 1}

    def warned(self, instance):
        from .aws import warning

        self.post("events", warning(instance))
        self.pass_time(2)
        return self.container_instance(instance)["status"]

    def test_an_agent_that_is_told_to_drains_its_instance(self):
        first, second = self.members()[:2]
        settings = {"ECS_ENABLE_SPOT_INSTANCE_DRAINING": "true"}
        self.happen("configure-agent", instance=first, settings=settings)
        self.assertEqual(self.warned(first), "DRAINING")
        self.assertEqual(self.warned(second), "ACTIVE")


class RegisteredAgain(EcsWorld):
    def take_out(self, draining):
        instance = self.members()[3]
        if draining:
            # Nothing moves meanwhile: there is no room for a successor.
            self.ecs.update_service(
                cluster="inference",
                service="classifier",
                deploymentConfiguration={"maximumPercent": 100},
            )
            self.drain(instance)
        task = self.of("service:classifier", instance)[0]
        (binding,) = self.describe(task)["containers"][0]["networkBindings"]
        target = {"Id": instance, "Port": binding["hostPort"]}
        arn = self.target_group_arn("classifier")
        self.elbv2.deregister_targets(TargetGroupArn=arn, Targets=[target])
        self.pass_time(6)
        found = self.elbv2.describe_target_health(TargetGroupArn=arn, Targets=[target])
        return found["TargetHealthDescriptions"][0]["TargetHealth"]["State"]

    def test_ecs_leaves_a_target_that_somebody_took_out(self):
        self.assertEqual(self.take_out(draining=False), "draining")


class RegisteredAlways(RegisteredAgain):
    variants = {"re-registration": "yes"}

    def test_ecs_leaves_a_target_that_somebody_took_out(self):
        """Not in this variant."""

    def test_ecs_registers_the_target_of_a_running_task_again(self):
        self.assertEqual(self.take_out(draining=False), "initial")

    def test_also_on_an_instance_that_drains(self):
        self.assertEqual(self.take_out(draining=True), "initial")


class RegisteredUnlessDraining(RegisteredAgain):
    variants = {"re-registration": "unless-draining"}

    def test_ecs_leaves_a_target_that_somebody_took_out(self):
        self.assertEqual(self.take_out(draining=True), "draining")


class Seeds(EcsWorld):
    """Drawn numbers this time, the same for the same seed."""

    def order(self):
        return {"pace": "real", "seed": 5, "numbers": {"stale-reads": 0}}

    def seconds_to_start(self):
        """How long each successor takes from its placement until it runs."""
        instance = self.first()
        before = self.of("service:classifier")
        self.drain(instance)
        self.pass_time(60)
        new = [self.life(t) for t in self.of("service:classifier") if t not in before]
        return [round((life["running_ms"] - life["placed_ms"]) / 1000, 3) for life in new]

    def test_two_worlds_of_one_seed_take_as_long(self):
        first = self.seconds_to_start()
        self.assertEqual(len(first), 2)
        # Another world, in which more calls were made before.
        self.setUp()
        self.__dict__.pop("ecs", None)
        for _ in range(3):
            self.of("service:ranker")
        self.assertEqual(self.seconds_to_start(), first)
