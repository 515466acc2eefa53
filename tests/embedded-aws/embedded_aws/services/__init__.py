"""What moto lacks or has wrong, one module a service. `install` changes moto."""


def install():
    from . import autoscaling, autoscaling_launch, ec2, ecs, ecs_tasks  # noqa: F401
    from . import elbv2, events, speed, sqs  # noqa: F401
