"""What moto lacks or does wrong, one module for each service. `install` changes moto."""

import importlib

MODULES = (
    "autoscaling",
    "autoscaling_groups",
    "autoscaling_launch",
    "dynamodb",
    "ec2",
    "ecs",
    "ecs_protection",
    "ecs_services",
    "ecs_tasks",
    "elbv2",
    "events",
    "fis",
    "functions",
    "logs",
    "sns",
    "speed",
    "sqs",
    "ssm",
)


def install():
    for name in MODULES:
        importlib.import_module(f"{__name__}.{name}")
