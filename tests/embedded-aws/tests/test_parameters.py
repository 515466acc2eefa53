"""What template.yaml makes: by its parameters, and at all."""

import unittest
from pathlib import Path

from embedded_aws import backends, services
from embedded_aws.services import ssm
from embedded_aws.simulation import scripts
from embedded_aws.stack import NAME, Stack, translate

ROOT = Path(__file__).resolve().parents[3]
OTHERS = "arn:aws:sns:us-east-1:123456789012:ours"


class Parameters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        services.install()
        cls.template = translate(str(ROOT / "template.yaml"))

    def deployed(self, **parameters):
        stack = Stack(self.template, parameters)
        self.addCleanup(backends.cloudformation().delete_stack, NAME)
        return stack

    def topics(self):
        return sorted(topic.name.split("-")[2] for topic in backends.sns().topics.values())

    def told(self, stack):
        environments = [function["environment"] for function in stack.functions()]
        return next(environment["TOPIC_ARN"] for environment in environments if "TOPIC_ARN" in environment)

    def test_without_topics_of_others_the_stack_makes_two_and_tells_the_one_of_hand_offs(self):
        stack = self.deployed()
        self.assertEqual(["Alarms", "HandOffs"], self.topics())
        self.assertIn("-HandOffs-", self.told(stack))

    def test_topics_of_others_are_taken_and_none_is_made(self):
        stack = self.deployed(HandOffTopicArn=OTHERS, AlarmTopicArn=OTHERS, AlarmEmail="on-call@example.com")
        self.assertEqual([], self.topics())
        self.assertEqual(OTHERS, self.told(stack))

    def test_one_of_them_may_be_anothers(self):
        stack = self.deployed(AlarmTopicArn=OTHERS)
        self.assertEqual(["HandOffs"], self.topics())
        self.assertIn("-HandOffs-", self.told(stack))

    def test_the_example_of_a_stop_script_is_there_where_a_unit_is_named(self):
        self.deployed()
        self.assertEqual([], list(backends.ssm()._documents))
        backends.cloudformation().delete_stack(NAME)
        self.deployed(StopDocumentUnit="worker.service", StopDocumentBucket="s3://bucket/here")
        (document,) = (d.get_default_version() for d in backends.ssm()._documents.values())
        self.assertEqual("spot-handoff-stop-and-save", document.name)
        self.assertEqual({"spot-handoff:document": "true"}, ssm.tags_of(document.name))
        values = {"InstanceId": "i-1", "SecondsLeft": "60"}
        step = document.content_json["mainSteps"][0]["inputs"]
        command = scripts.Command("c", document, document.name, values, "", 30, 0)
        lines = [scripts._filled(line, command) for line in step["runCommand"]]
        work = {"worker.service.stop": 'mkdir -p "$HOME/var/lib/work"; echo 17 > "$HOME/var/lib/work/step"'}
        _, code, output, files = scripts._run(lines, work, 60)
        self.assertEqual((0, "saved /var/lib/work\n"), (code, output))
        self.assertEqual("17\n", files["s3/bucket/here/i-1/step"])

    def test_only_those_that_share_a_storm_have_a_limit(self):
        mappings = self.deployed().describe("")["event_source_mappings"]
        unlimited = [m["function"] for m in mappings if m["maximum_concurrency"] is None]
        self.assertEqual(["spot-handoff-announce-hand-offs"], unlimited)


if __name__ == "__main__":
    unittest.main()
