"""The embedded AWS for these tests: one process, a forked world for each test."""

import atexit
import functools
import json
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

HERE = Path(__file__).resolve().parent
_process = None
_control = None


def _start():
    global _process, _control
    if _process is None:
        _process = subprocess.Popen(
            [sys.executable, HERE.parent / "serve.py", "--template", HERE / "template.yaml"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        atexit.register(_stop)
        _control = json.loads(_process.stdout.readline())["control"]
    return _control


def _stop():
    _process.stdin.close()
    _process.stdout.close()
    _process.wait(10)


def ask(method, url, order=None):
    body = None if order is None else json.dumps(order).encode()
    request = urllib.request.Request(url, method=method, data=body)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(f"{error.code}: {error.read().decode()}") from None


class WorldTest(unittest.TestCase):
    """Each test has an AWS of its own, in which nothing moves unless `simulate` says so."""

    simulate = False
    parameters = {}

    def setUp(self):
        self.control = _start()
        order = {"simulate": self.simulate, "parameters": self.parameters, **self.order()}
        self.world = ask("POST", f"{self.control}/worlds", order)
        self.addCleanup(ask, "DELETE", f"{self.control}/worlds/{self.world['pid']}")
        self.url = self.world["url"]

    def order(self):
        """What else the world is ordered with."""
        return {}

    # Made when needed: a client takes longer to make than a world.
    @functools.cached_property
    def autoscaling(self):
        return self.client("autoscaling")

    @functools.cached_property
    def ecs(self):
        return self.client("ecs")

    @functools.cached_property
    def elbv2(self):
        return self.client("elbv2")

    @functools.cached_property
    def sqs(self):
        return self.client("sqs")

    def client(self, service, caller="test", attempts=1, read_timeout=10):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=caller,
            aws_secret_access_key="secret",
            config=Config(
                retries={"total_max_attempts": attempts, "mode": "standard"},
                read_timeout=read_timeout,
            ),
        )

    def get(self, what):
        return ask("GET", f"{self.url}/_embedded/{what}")

    def post(self, what, order):
        return ask("POST", f"{self.url}/_embedded/{what}", order)

    def happen(self, kind, **more):
        return self.post("happen", {"kind": kind, **more})

    def state(self):
        return self.get("state")

    def group(self, name="inference"):
        return named(self.state()["groups"], name)

    def cluster(self, name="inference"):
        return named(self.state()["clusters"], name)

    def members(self, group="inference"):
        return [instance["id"] for instance in self.group(group)["instances"]]

    def first(self, group="inference"):
        return self.members(group)[0]

    def container_instance(self, instance, cluster="inference"):
        found = self.cluster(cluster)["container_instances"]
        return next(c for c in found if c["instance"] == instance)

    def targets(self, group, **wanted):
        found = named(self.state()["target_groups"], group)["targets"]
        return [t for t in found if all(t[key] == value for key, value in wanted.items())]

    def target_group_arn(self, name):
        return named(self.state()["target_groups"], name)["arn"]

    def queue(self, name):
        queues = self.get("stack")["queues"]
        return next(q for q in queues if q["name"].endswith(name))

    def detach(self, *instances, group="inference", decrement=False):
        return self.autoscaling.detach_instances(
            AutoScalingGroupName=group,
            InstanceIds=list(instances),
            ShouldDecrementDesiredCapacity=decrement,
        )

    def assert_refused(self, code, message, function, *args, **kwargs):
        with self.assertRaises(ClientError) as raised:
            function(*args, **kwargs)
        error = raised.exception.response["Error"]
        self.assertEqual(error["Code"], code)
        self.assertIn(message, error["Message"])


class MovingWorldTest(WorldTest):
    """A world that simulates; its clock is moved on by the test."""

    simulate = True

    def pass_time(self, seconds):
        self.happen("pass-time", seconds=seconds)


def still_clock():
    """A clock that moves only as the test has it: a second of the world takes long minutes."""
    return f"{int(time.time() * 1000)}x0.001"


def named(items, name):
    return next(item for item in items if item["name"] == name)


def warning(instance, action="terminate"):
    return {
        "version": "0",
        "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": "us-east-1",
        "resources": [f"arn:aws:ec2:us-east-1a:instance/{instance}"],
        "detail": {"instance-id": instance, "instance-action": action},
    }
