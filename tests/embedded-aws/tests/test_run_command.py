"""Run Command: what Systems Manager takes and refuses, and scripts that really run."""

from .aws import MovingWorldTest, still_clock, warning


class RunCommand(MovingWorldTest):
    def order(self):
        return {"clock": still_clock()}

    def setUp(self):
        super().setUp()
        self.ssm = self.client("ssm")
        self.instance, self.other = self.members()[:2]

    def write(self, *lines, **more):
        self.happen("stop-script", group="inference", lines=list(lines), **more)

    def send(self, *instances, document="stop-and-save", **more):
        wanted = list(instances) or [self.instance]
        answer = self.ssm.send_command(DocumentName=document, InstanceIds=wanted, TimeoutSeconds=30, **more)
        return answer["Command"]["CommandId"]

    def run_of(self, command, instance=None):
        found = self.ssm.list_command_invocations(CommandId=command, Details=True)["CommandInvocations"]
        return next(one for one in found if one["InstanceId"] == (instance or self.instance))

    def files(self, instance=None):
        scripts = [s for s in self.state()["scripts"] if s["instance"] == (instance or self.instance)]
        return scripts[-1]["files"]

    def details(self, command, instance=None):
        return self.run_of(command, instance)["StatusDetails"]

    def test_a_script_runs_in_a_directory_of_its_own_and_takes_the_time_of_the_world(self):
        self.write("cat state > saved", "sleep 40", "echo saved it", files={"state": "step 17"})
        command = self.send(self.instance, self.other)
        self.assertEqual(self.details(command), "Pending")
        self.pass_time(2)
        self.assertEqual(self.details(command), "InProgress")
        self.pass_time(40)
        run = self.run_of(command)
        self.assertEqual((run["Status"], run["StatusDetails"]), ("Success", "Success"))
        self.assertEqual(run["CommandPlugins"][0]["ResponseCode"], 0)
        self.assertEqual(run["CommandPlugins"][0]["Output"], "saved it\n")
        self.assertEqual(self.files()["saved"], "step 17")
        self.assertEqual(self.files(self.other)["saved"], "step 17")

    def test_a_script_that_fails_tells_its_code_and_its_last_words(self):
        self.write("echo begun", "echo no space left >&2", "exit 7")
        command = self.send()
        self.pass_time(2)
        run = self.run_of(command)
        self.assertEqual((run["Status"], run["CommandPlugins"][0]["ResponseCode"]), ("Failed", 7))
        self.assertIn("no space left", run["CommandPlugins"][0]["Output"])

    def test_a_script_that_takes_too_long_is_ended(self):
        self.write("echo one > one", "sleep 100", "echo two > two", timeout=20)
        command = self.send()
        self.pass_time(30)
        self.assertEqual(self.details(command), "ExecutionTimedOut")
        self.assertEqual(sorted(self.files()), ["one"])

    def test_of_one_that_goes_down_with_its_instance_nobody_hears(self):
        self.write("echo one > one", "sleep 300", "echo two > two")
        self.post("events", warning(self.instance))
        command = self.send()
        self.pass_time(200)
        self.assertEqual(self.details(command), "InProgress")
        self.assertEqual(sorted(self.files()), ["one"])
        self.assert_refused("InvalidInstanceId", "not in a valid state", self.send)

    def test_parameters_are_those_that_the_document_declares(self):
        about = {"SecondsLeft": {"allowedPattern": "^[0-9]+$"}, "Reason": {"default": "none"}}
        self.write("echo {{ SecondsLeft }} {{ Reason }} > told", parameters=about)
        self.send(Parameters={"SecondsLeft": ["70"]})
        self.pass_time(2)
        self.assertEqual(self.files()["told"], "70 none\n")
        for wrong in ({}, {"SecondsLeft": ["70"], "Colour": ["red"]}, {"SecondsLeft": ["1; reboot"]}):
            with self.subTest(wrong):
                self.assert_refused("InvalidParameters", "Parameter", self.send, Parameters=wrong)

    def test_agents_that_are_not_there_are_told_in_three_ways(self):
        self.write("true")
        self.happen("ssm-agent", instance=self.instance, what="missing")
        self.assert_refused("InvalidInstanceId", self.instance, self.send, self.instance, self.other)
        self.happen("ssm-agent", instance=self.instance, what="undeliverable")
        command = self.send()
        self.pass_time(2)
        run = self.run_of(command)
        self.assertEqual((run["Status"], run["StatusDetails"]), ("Failed", "Undeliverable"))
        self.happen("ssm-agent", instance=self.instance, what="silent")
        command = self.send(self.instance, self.other)
        self.pass_time(2)
        self.assertEqual(self.details(command), "Delayed")
        self.assertEqual(self.details(command, self.other), "Success")
        self.pass_time(30)
        run = self.run_of(command)
        self.assertEqual((run["Status"], run["StatusDetails"]), ("TimedOut", "DeliveryTimedOut"))

    def test_a_command_can_be_cancelled(self):
        self.write("sleep 60")
        command = self.send()
        self.pass_time(5)
        self.happen("cancel-command", command=command)
        self.pass_time(60)
        self.assertEqual(self.details(command), "Cancelled")

    def test_commands_are_found_by_instance_and_by_time(self):
        self.write("true")
        command = self.send()
        by_instance = self.ssm.list_command_invocations(InstanceId=self.instance)["CommandInvocations"]
        self.assertEqual([one["CommandId"] for one in by_instance], [command])
        later = [{"key": "InvokedAfter", "value": "2999-01-01T00:00:00Z"}]
        found = self.ssm.list_command_invocations(InstanceId=self.instance, Filters=later)
        self.assertEqual(found["CommandInvocations"], [])

    def test_what_is_no_document_and_too_many_instances_are_refused(self):
        self.assert_refused("InvalidDocument", "does not exist", self.send, document="nothing")
        self.assert_refused("InvalidDocument", "", self.ssm.describe_document, Name="nothing")
        self.write("true")
        many = [f"i-{number:017x}" for number in range(51)]
        self.assert_refused("ValidationException", "", self.send, *many)
        self.assert_refused("DuplicateInstanceId", "", self.send, self.instance, self.instance)

    def test_a_document_tells_its_parameters(self):
        self.write("true", parameters={"InstanceId": {}})
        described = self.ssm.describe_document(Name="stop-and-save")["Document"]
        self.assertEqual([one["Name"] for one in described["Parameters"]], ["InstanceId"])

    def test_a_folder_is_copied_to_a_bucket_beside(self):
        lines = ["systemctl stop worker.service", "aws s3 sync /work s3://bucket/here --only-show-errors"]
        files = {"worker.service.stop": 'sleep 3; mkdir -p "$HOME/work"; echo 17 > "$HOME/work/step"'}
        self.happen("stop-script", group="inference", lines=lines, files=files)
        self.send()
        self.pass_time(10)
        script = self.state()["scripts"][0]
        self.assertEqual(script["status"], "Success")
        self.assertEqual(script["files"]["s3/bucket/here/step"], "17\n")
