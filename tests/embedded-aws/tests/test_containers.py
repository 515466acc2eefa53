from .aws import MovingWorldTest, WorldTest


class ContainerInstances(WorldTest):
    def arns(self, **more):
        return self.ecs.list_container_instances(cluster="inference", **more)[
            "containerInstanceArns"
        ]

    def test_filter_by_instance_id_finds_just_those(self):
        first, second = self.members()[:2]
        wanted = [self.container_instance(i)["arn"] for i in (first, second)]
        self.assertEqual(self.arns(filter=f"ec2InstanceId == {first}"), wanted[:1])
        self.assertEqual(self.arns(filter=f"ec2InstanceId in [{first}, {second}]"), wanted)

    def test_filter_can_be_switched_off(self):
        self.post("settings", {"ignore_container_instance_filter": True})
        self.assertEqual(len(self.arns(filter=f"ec2InstanceId == {self.first()}")), 7)

    def test_at_most_ten_change_state_at_once(self):
        self.assert_refused(
            "InvalidParameterException",
            "10",
            self.ecs.update_container_instances_state,
            cluster="inference",
            containerInstances=["x"] * 11,
            status="DRAINING",
        )

    def test_an_instance_of_another_cluster_is_a_failure_of_the_answer(self):
        arn = self.container_instance(self.first("web"), "web")["arn"]
        answer = self.ecs.update_container_instances_state(
            cluster="inference", containerInstances=[arn], status="DRAINING"
        )
        self.assertEqual(answer["failures"][0]["reason"], "MISSING")
        self.assertEqual(self.container_instance(self.first("web"), "web")["status"], "ACTIVE")


class Tasks(WorldTest):
    def on_first(self, family):
        tasks = self.cluster()["tasks"]
        return next(t for t in tasks if t["instance"] == self.first() and t["family"] == family)

    def describe(self, family):
        arn = self.on_first(family)["arn"]
        answer = self.ecs.describe_tasks(cluster="inference", tasks=[arn], include=["TAGS"])
        return answer["tasks"][0]

    def run_report(self, token="t-1", **more):
        return self.ecs.run_task(
            cluster="inference", taskDefinition="report", clientToken=token, **more
        )

    def test_description_has_ports_addresses_and_accelerators(self):
        binding = self.describe("classifier")["containers"][0]["networkBindings"][0]
        self.assertEqual((binding["containerPort"], binding["hostPort"]), (8080, 32768))
        details = self.describe("ranker")["attachments"][0]["details"]
        address = next(d["value"] for d in details if d["name"] == "privateIPv4Address")
        self.assertEqual(len(self.targets("ranker", id=address)), 1)
        self.assertEqual(
            self.describe("batch-score")["inferenceAccelerators"],
            [{"deviceName": "eia", "deviceType": "eia2.large"}],
        )
        self.assertIn(
            {"key": "spot-handoff:rerun", "value": "true"}, self.describe("report")["tags"]
        )

    def test_list_goes_by_container_instance_and_leaves_out_what_is_stopping(self):
        place = self.container_instance(self.first())["arn"]
        before = self.ecs.list_tasks(cluster="inference", containerInstance=place)["taskArns"]
        self.assertEqual(len(before), 8)
        self.ecs.stop_task(cluster="inference", task=before[0], reason="test")
        after = self.ecs.list_tasks(cluster="inference", containerInstance=place)["taskArns"]
        self.assertEqual(after, before[1:])

    def test_an_unknown_task_is_a_failure_of_the_answer(self):
        answer = self.ecs.describe_tasks(cluster="inference", tasks=["0" * 32])
        self.assertEqual(answer["failures"][0]["reason"], "MISSING")

    def test_run_task_with_the_same_token_runs_one(self):
        tag = {"key": "team", "value": "reporting"}
        first, second = (self.run_report(tags=[tag])["tasks"][0]["taskArn"] for _ in range(2))
        self.assertEqual(first, second)
        self.assert_refused("ConflictException", "clientToken", self.run_report, startedBy="else")

    def test_run_task_avoids_draining_instances(self):
        places = [c["arn"] for c in self.cluster()["container_instances"]]
        self.ecs.update_container_instances_state(
            cluster="inference", containerInstances=places[:-1], status="DRAINING"
        )
        (task,) = self.run_report()["tasks"]
        self.assertEqual(task["containerInstanceArn"], places[-1])

    def test_run_task_without_room_says_so_in_the_failures(self):
        self.post("faults", [{"action": "RunTask", "fault": {"kind": "no-capacity"}}])
        answer = self.run_report()
        self.assertEqual(answer["tasks"], [])
        self.assertTrue(answer["failures"][0]["reason"].startswith("RESOURCE:"))

    def test_run_task_takes_a_capacity_provider_of_the_cluster_or_a_launch_type(self):
        strategy = [{"capacityProvider": "inference"}]
        task = self.run_report(capacityProviderStrategy=strategy)["tasks"][0]
        self.assertEqual(task["capacityProviderName"], "inference")
        self.assert_refused(
            "InvalidParameterException",
            "not both",
            self.run_report,
            token="t-2",
            launchType="EC2",
            capacityProviderStrategy=strategy,
        )

    def test_run_task_refuses_names_that_ecs_keeps_to_itself(self):
        reserved = {"key": "aws:ecs:clusterName", "value": "inference"}
        self.assert_refused("InvalidParameterException", "aws:", self.run_report, tags=[reserved])
        self.assert_refused(
            "InvalidParameterException", "group", self.run_report, group="service:classifier"
        )


class Scheduler(MovingWorldTest):
    def drain(self, instance):
        arn = self.container_instance(instance)["arn"]
        self.ecs.update_container_instances_state(
            cluster="inference", containerInstances=[arn], status="DRAINING"
        )

    def on(self, instance, kind):
        return [
            t
            for t in self.cluster()["tasks"]
            if t["instance"] == instance and t["kind"] == kind and t["last_status"] == "RUNNING"
        ]

    def test_draining_moves_service_tasks_and_leaves_standalone_ones(self):
        instance = self.first()
        standalone = self.on(instance, "standalone")
        self.drain(instance)
        self.pass_time(4)
        self.assertEqual(len(self.on(instance, "service")), 4)
        self.assertEqual(len(self.targets("classifier")), 14)
        self.pass_time(8)
        self.assertEqual(self.on(instance, "service"), [])
        self.assertEqual(self.on(instance, "standalone"), standalone)
        states = {t["state"] for t in self.targets("classifier", id=instance)}
        self.assertEqual(states, {"draining"})
        for service in self.cluster()["services"]:
            self.assertEqual(service["running"], service["desired"])

    def test_a_stopped_task_takes_its_time(self):
        task = self.on(self.first(), "standalone")[0]["arn"]
        self.ecs.stop_task(cluster="inference", task=task, reason="spot interruption")

        def seen():
            found = self.ecs.describe_tasks(cluster="inference", tasks=[task])["tasks"][0]
            return found["desiredStatus"], found["lastStatus"], found["stoppedReason"]

        self.assertEqual(seen(), ("STOPPED", "DEACTIVATING", "spot interruption"))
        self.pass_time(3)
        self.assertEqual(seen()[1], "STOPPED")
