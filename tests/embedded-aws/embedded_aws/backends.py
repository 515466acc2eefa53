"""The one account and region in which everything lives, and moto's backends for them.

moto keeps its state in process globals. So does this package (see `world`): one process is
one AWS, and a fresh AWS is a fork of the process.
"""

import functools

from moto.autoscaling.models import autoscaling_backends
from moto.awslambda.models import lambda_backends
from moto.cloudformation.models import cloudformation_backends
from moto.dynamodb.models import dynamodb_backends
from moto.ec2.models import ec2_backends
from moto.ecs.models import ecs_backends
from moto.elbv2.models import elbv2_backends
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.ssm.models import ssm_backends

ACCOUNT = "123456789012"
REGION = "us-east-1"


@functools.cache
def autoscaling():
    return autoscaling_backends[ACCOUNT][REGION]


@functools.cache
def cloudformation():
    return cloudformation_backends[ACCOUNT][REGION]


@functools.cache
def dynamodb():
    return dynamodb_backends[ACCOUNT][REGION]


@functools.cache
def ec2():
    return ec2_backends[ACCOUNT][REGION]


@functools.cache
def ecs():
    return ecs_backends[ACCOUNT][REGION]


@functools.cache
def elbv2():
    return elbv2_backends[ACCOUNT][REGION]


@functools.cache
def events():
    return events_backends[ACCOUNT][REGION]


@functools.cache
def iam():
    # IAM is global: moto files it under the partition, not under a region.
    return iam_backends[ACCOUNT]["aws"]


@functools.cache
def lambda_():
    return lambda_backends[ACCOUNT][REGION]


@functools.cache
def sns():
    return sns_backends[ACCOUNT][REGION]


@functools.cache
def sqs():
    return sqs_backends[ACCOUNT][REGION]


@functools.cache
def ssm():
    return ssm_backends[ACCOUNT][REGION]
