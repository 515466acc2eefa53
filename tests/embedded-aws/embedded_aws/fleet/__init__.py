"""The sample fleet: an account that somebody could really have, with one of everything that
matters.

| group | what it is there for |
|---|---|
| inference | all Spot, six instances over three zones, ECS cluster with every kind of task |
| web | must stay untouched; its cluster too |
| rebalancing | Capacity Rebalancing on: the launch is left to Auto Scaling |
| mixed | On-Demand and Spot mixed: LaunchInstances refuses it |
| legacy | a launch configuration: LaunchInstances refuses it too |
| hooked | a termination lifecycle hook, and a cluster |

There are two more: an instance in no group and no cluster, registered by hand in a target group,
and an instance in a cluster but in no group.
"""

import contextlib

import boto3
from moto import mock_aws

from .. import backends
from ..simulation import tasks
from ..world import WORLD
from . import containers, export, groups, network, storm


def seed():
    """Builds the fleet into moto. The same every time: ids come from seeded generators."""
    # Never stopped: the process is this AWS from here on.
    mock_aws(config={"core": {"mock_credentials": True}}).start()
    WORLD.name_anew("fleet")
    with seeding():
        aws = Clients()
        WORLD.network = network.build(aws)
        groups.build(aws, WORLD.network)
        containers.build(aws, WORLD.network)


def enlarge(sizes):
    """Adds the large fleet of a benchmark to a world, see `storm`."""
    with seeding():
        storm.build(Clients(), WORLD.network, **sizes)


def exported():
    """The fleet as it stands, as a plain dictionary."""
    return export.export(Clients())


@contextlib.contextmanager
def seeding():
    """Instances that are launched meanwhile are in service at once, and services have all their
    tasks."""
    WORLD.seeding = True
    try:
        yield
    finally:
        WORLD.seeding = False
    for cluster in backends.ecs().clusters:
        tasks.count(cluster)


class Clients:
    def __init__(self):
        session = boto3.Session(region_name=backends.REGION)
        self.ec2 = session.client("ec2")
        self.elbv2 = session.client("elbv2")
        self.autoscaling = session.client("autoscaling")
        self.ecs = session.client("ecs")
        self.iam = session.client("iam")
