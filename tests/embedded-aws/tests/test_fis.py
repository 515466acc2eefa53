"""Fault Injection Service interrupts a share of the Spot Instances that a target names."""

import uuid

from .aws import MovingWorldTest

GROUP_TAG = "aws:autoscaling:groupName"


class Interruptions(MovingWorldTest):
    def start(self, group, mode, options=None, **more):
        target = {
            "resourceType": "aws:ec2:spot-instance",
            "resourceTags": {GROUP_TAG: group},
            "filters": [{"path": "State.Name", "values": ["running"]}],
            "selectionMode": mode,
            **more,
        }
        action = {
            "actionId": "aws:ec2:send-spot-instance-interruptions",
            "parameters": {"durationBeforeInterruption": "PT2M"},
            "targets": {"SpotInstances": "interrupted"},
        }
        fis = self.client("fis")
        template = fis.create_experiment_template(
            clientToken=str(uuid.uuid4()),
            description="a game day",
            roleArn="arn:aws:iam::123456789012:role/fis",
            stopConditions=[{"source": "none"}],
            targets={"interrupted": target},
            actions={"interrupt": action},
            experimentOptions=options or {},
        )["experimentTemplate"]
        started = fis.start_experiment(clientToken=str(uuid.uuid4()), experimentTemplateId=template["id"])
        experiment = started["experiment"]["id"]
        resolved = fis.list_experiment_resolved_targets(experimentId=experiment)
        arns = [one["targetInformation"]["arn"] for one in resolved["resolvedTargets"]]
        state = fis.get_experiment(id=experiment)["experiment"]["state"]["status"]
        fis.delete_experiment_template(id=template["id"])
        return [arn.split("/")[-1] for arn in arns], state

    def test_a_share_of_the_instances_is_warned_and_taken_two_minutes_later(self):
        members = self.members()
        chosen, _ = self.start("inference", "PERCENT(34)")
        self.assertEqual(len(chosen), len(members) * 34 // 100)
        self.assertLessEqual(set(chosen), set(members))
        self.pass_time(119)
        self.assertLessEqual(set(chosen), set(self.members()))
        self.pass_time(10)
        states = {one["id"]: one["state"] for one in self.state()["instances"]}
        self.assertEqual({states[one] for one in chosen}, {"terminated"})

    def test_without_a_target_the_experiment_fails(self):
        self.assertEqual(self.start("inference", "PERCENT(1)"), ([], "failed"))

    def test_an_empty_target_fails_the_experiment_unless_it_is_to_be_skipped(self):
        self.assertEqual(self.start("inference", "PERCENT(1)"), ([], "failed"))
        skip = {"emptyTargetResolutionMode": "skip"}
        self.assertEqual(self.start("inference", "PERCENT(1)", skip), ([], "completed"))
