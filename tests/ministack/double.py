"""MiniStack on its own port, with the stack deployed on it."""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[2]
BINARIES = Path(os.environ.get("BINARIES", ROOT / "target" / "debug"))
STACK = "spot-handoff"
ACCOUNT = "123456789012"
REGION = "us-east-1"
# If the template has such a parameter: the events from here are drills, since only AWS can send
# AWS's events.
PARAMETERS = {"Drills": "real", "LogLevel": "info"}


class Double:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="ministack-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = os.environ | {
            "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "AWS_ENDPOINT_URL": self.url,
            "MINISTACK_ACCOUNT_ID": ACCOUNT, "MINISTACK_REGION": REGION,
            "STATE_DIR": self.directory, "TMPDIR": self.directory,
        }
        self.log = open(Path(self.directory) / "log", "w+")
        command = [sys.executable, "-m", "ministack"]
        self.process = subprocess.Popen(command, env=environment, cwd=self.directory, stdout=self.log, stderr=self.log)
        self.session = boto3.Session(ACCOUNT, "not-a-secret", region_name=REGION)
        self.until("MiniStack answers", self.answers)

    def answers(self):
        try:
            return urllib.request.urlopen(f"{self.url}/_ministack/health").status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def client(self, service):
        return self.session.client(service, endpoint_url=self.url)

    def end(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def until(self, what, condition, seconds=90):
        """The condition's value, as soon as it is true."""
        closes = time.monotonic() + seconds
        while time.monotonic() < closes:
            value = condition()
            if value:
                return value
            time.sleep(0.2)
        raise AssertionError(f"it never came to this: {what}\n{self.said()}")

    def said(self):
        """The end of MiniStack's log."""
        return (Path(self.directory) / "log").read_text()[-4000:]

    def deploy(self):
        """What `sam package` and `sam deploy` do; answers with the stack."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket="artifacts")
        template = (ROOT / "template.yaml").read_text()
        for function in set(re.findall(r"CodeUri: functions/([a-z-]+)", template)):
            s3.put_object(Bucket="artifacts", Key=f"{function}.zip", Body=packed((BINARIES / function).read_bytes()))
            template = template.replace(f"CodeUri: functions/{function}\n", f"CodeUri: s3://artifacts/{function}.zip\n")
        # The template is longer than a request may be, so AWS has to fetch it.
        s3.put_object(Bucket="artifacts", Key="template.yaml", Body=template.encode())
        parameters = [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in PARAMETERS.items()
            if re.search(rf"^  {name}:$", template, re.MULTILINE)
        ]
        formation = self.client("cloudformation")
        formation.create_stack(
            StackName=STACK, TemplateURL=f"{self.url}/artifacts/template.yaml", Parameters=parameters,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        return self.until("the stack stands", lambda: done(formation.describe_stacks(StackName=STACK)["Stacks"][0]))

    def deploy_plain(self, name):
        """The plain template as a stack of this name. Nothing runs in it, so its zips hold nothing."""
        s3, zips = self.client("s3"), [folder.name for folder in (ROOT / "functions").iterdir() if folder.is_dir()]
        s3.create_bucket(Bucket="release")
        for function in zips:
            s3.put_object(Bucket="release", Key=f"1/{function}-x86_64.zip", Body=packed(b""))
        plain = subprocess.run([sys.executable, ROOT / "docs/deploy/plain-template"], capture_output=True, check=True)
        s3.put_object(Bucket="release", Key="1/template.json", Body=plain.stdout)
        chosen = {"CodeBucket": "release", "CodePrefix": "1/", "NamePrefix": name, "Drills": "off"}
        formation = self.client("cloudformation")
        formation.create_stack(
            StackName=name, TemplateURL=f"{self.url}/release/1/template.json", Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in chosen.items()],
        )
        return self.until("the plain stack stands", lambda: done(formation.describe_stacks(StackName=name)["Stacks"][0]))

    def queue(self, name):
        return f"{self.url}/{ACCOUNT}/{STACK}-{name}"

    def waiting(self, name):
        """The bodies of all messages of a queue, in flight or not."""
        told = json.load(urllib.request.urlopen(f"{self.url}/_ministack/sqs/messages?account={ACCOUNT}"))
        queues = told["messages"][ACCOUNT][REGION]
        return [m["Body"] for url, messages in queues.items() if url.endswith(f"/{STACK}-{name}") for m in messages]

    def reports(self, instance):
        """{function: its last report on an instance}, from the log groups."""
        logs, found = self.client("logs"), {}
        for group in logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{STACK}-")["logGroups"]:
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                for event in page["events"]:
                    for line in event["message"].splitlines():
                        if line.startswith("{") and (said := json.loads(line)).get("report") == STACK:
                            if said["instance"] == instance:
                                found[said["function"]] = said
        return found


def done(stack):
    status = stack["StackStatus"]
    if "FAILED" in status or "ROLLBACK" in status:
        raise AssertionError(f"{status}: {stack.get('StackStatusReason')}")
    return stack if status == "CREATE_COMPLETE" else None


def packed(binary):
    """The zip of a function on provided.al2023: its binary, by the name `bootstrap`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr, entry.compress_type = 0o755 << 16, zipfile.ZIP_DEFLATED
        archive.writestr(entry, binary)
    return content.getvalue()
