"""A world of real pace whose numbers are the same in every run, for the tests of ECS."""

from .aws import WorldTest

NUMBERS = {
    "stale-reads": 0,
    # So that nothing looks but what is asked to.
    "scheduler-watches": 100_000,
    "scheduler-looks": 1,
    "drain-to-replacement": 3,
    "replacement-to-old-stopped": 1,
    "scheduler-tries-again": 5,
    "network-interface": 4,
    "image-pull": 1,
    "image-again": 1,
    "pull-to-running": 2,
    "running-to-answering": 5,
    "alb-first-check": 3,
    "stop-to-sigterm": 0.5,
    "stop-to-targets-out": 2,
    "out-to-registered-again": 5,
}


class EcsWorld(WorldTest):
    simulate = True
    variants = {"re-registration": "no"}
    numbers = {}
    cluster_name = "inference"

    def order(self):
        numbers = {**NUMBERS, **self.numbers}
        return {"pace": "real", "numbers": numbers, "variants": self.variants}

    def setUp(self):
        super().setUp()
        # What the scheduler does at the beginning is over.
        self.pass_time(2)

    def pass_time(self, seconds):
        self.happen("pass-time", seconds=seconds)

    def define(self, family, *containers, **more):
        definitions = [
            {"image": f"{family}:1", "cpu": 64, "memory": 64, "essential": True, **container}
            for container in containers
        ]
        self.ecs.register_task_definition(
            family=family, networkMode="bridge", containerDefinitions=definitions, **more
        )

    def start(self, family, instance, **more):
        place = self.container_instance(instance, self.cluster_name)["arn"]
        return self.ecs.start_task(
            cluster=self.cluster_name, taskDefinition=family, containerInstances=[place], **more
        )

    def started(self, family, instance, **more):
        """The ARN of a task that runs on the instance."""
        arn = self.start(family, instance, **more)["tasks"][0]["taskArn"]
        self.pass_time(30)
        return arn

    def stop(self, task):
        self.ecs.stop_task(cluster=self.cluster_name, task=task, reason="test")

    def drain(self, instance, status="DRAINING"):
        self.ecs.update_container_instances_state(
            cluster=self.cluster_name,
            containerInstances=[self.container_instance(instance, self.cluster_name)["arn"]],
            status=status,
        )

    def describe(self, task):
        found = self.ecs.describe_tasks(cluster=self.cluster_name, tasks=[task], include=["TAGS"])
        return found["tasks"][0]

    def status(self, task):
        return self.describe(task)["lastStatus"]

    def life(self, task):
        return next(life for life in self.get("tasks") if life["arn"] == task)

    def of(self, group, instance=None):
        """ARNs of the tasks of a service or family that have not ended."""
        return [
            task["arn"]
            for task in self.cluster(self.cluster_name)["tasks"]
            if task["group"] == group
            and instance in (None, task["instance"])
            and task["last_status"] != "STOPPED"
        ]

    def route(self, name, target):
        group = next(group for group in self.get("routing") if group["name"] == name)
        return next((t for t in group["targets"] if t["id"] == target), None)
