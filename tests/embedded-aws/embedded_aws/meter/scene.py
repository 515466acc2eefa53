"""The fleet of a scenario, built into a world beside the sample fleet.

If a group, a service or a job leaves something out, it has AWS's default. The exceptions are the
health checks and the deregistration delay of target groups. They are set as AWS advises for
containers, since with the defaults a target only serves minutes after it was registered.
https://docs.aws.amazon.com/AmazonECS/latest/bestpracticesguide/load-balancer-healthcheck.html
"""

from .. import backends, fleet
from ..fleet import containers as definitions
from ..fleet import groups
from ..simulation import tasks
from ..world import WORLD

# All alike, with four processors and 16 GiB: a task fits on each of them or on none.
TYPES = ["m5.xlarge", "m5a.xlarge", "m6i.xlarge"]
HEALTH_CHECK_SECONDS = 10
HEALTHY_AFTER = 2
DEREGISTRATION_DELAY = 60


def build(scene):
    """Builds it. Launched instances are in service at once, and services have all their tasks."""
    with fleet.seeding():
        aws = fleet.Clients()
        for order in scene["groups"]:
            _group(aws, order)
        for order in scene.get("services", []):
            _service(aws, order)
        for order in scene.get("jobs", []):
            _job(aws, order)


def members(name):
    """The ids of a group's instances, in the order of their launch."""
    group = backends.autoscaling().autoscaling_groups[name]
    return [state.instance_id for state in group.instance_states]


def _group(aws, order):
    name, size = order["name"], order["instances"]
    cluster = name if order.get("cluster") else None
    if cluster:
        aws.ecs.create_cluster(clusterName=cluster)
    groups.launch_template(aws, WORLD.network, name, cluster=cluster)
    policy = groups.policy(name, {})
    policy["LaunchTemplate"]["Overrides"] = [
        {"InstanceType": type_} for type_ in order.get("types", TYPES)
    ]
    on_demand = order.get("on_demand", {"base": 0, "percent": 0})
    policy["InstancesDistribution"] |= {
        "OnDemandBaseCapacity": on_demand["base"],
        "OnDemandPercentageAboveBaseCapacity": on_demand["percent"],
    }
    balancers = [_target_group(aws, name, t) for t in [order.get("target_group")] if t is not None]
    aws.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=order.get("min", 0),
        MaxSize=order.get("max", 2 * size),
        DesiredCapacity=size,
        VPCZoneIdentifier=WORLD.network.zone_identifier,
        TargetGroupARNs=balancers,
        HealthCheckType="EC2",
        CapacityRebalance=order.get("capacity_rebalance", False),
        MixedInstancesPolicy=policy,
    )
    if order.get("stop_script"):
        _stop_script(name, order["stop_script"])
    if order.get("hook"):
        aws.autoscaling.put_lifecycle_hook(
            AutoScalingGroupName=name,
            LifecycleHookName="spot-handoff-drain",
            LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
            HeartbeatTimeout=300,
            DefaultResult="CONTINUE",
        )


def _stop_script(group, order):
    # Imported here: what can happen involves more than this package.
    from ..happenings import happen

    tags = {"spot-handoff:stop-seconds": str(order["seconds"])}
    happen({"kind": "stop-script", "group": group, "lines": order["lines"], "tags": tags})


def _target_group(aws, name, order):
    """Behind the load balancer for HTTP, or one of its own for TCP."""
    tcp = order.get("kind", "alb") == "nlb"
    arn = aws.elbv2.create_target_group(
        Name=name,
        Protocol="TCP" if tcp else "HTTP",
        Port=80,
        VpcId=WORLD.network.vpc,
        TargetType="instance",
        HealthCheckProtocol="TCP" if tcp else "HTTP",
        HealthCheckIntervalSeconds=order.get("check_seconds", HEALTH_CHECK_SECONDS),
        HealthyThresholdCount=HEALTHY_AFTER,
        UnhealthyThresholdCount=HEALTHY_AFTER,
    )["TargetGroups"][0]["TargetGroupArn"]
    delay = str(order.get("delay", DEREGISTRATION_DELAY))
    aws.elbv2.modify_target_group_attributes(
        TargetGroupArn=arn,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": delay}],
    )
    forward = [{"Type": "forward", "TargetGroupArn": arn}]
    if tcp:
        balancer = aws.elbv2.create_load_balancer(
            Name=name, Subnets=WORLD.network.subnets, Type="network"
        )["LoadBalancers"][0]["LoadBalancerArn"]
        aws.elbv2.create_listener(
            LoadBalancerArn=balancer, Protocol="TCP", Port=80, DefaultActions=forward
        )
    else:
        rules = aws.elbv2.describe_rules(ListenerArn=WORLD.network.listener)["Rules"]
        aws.elbv2.create_rule(
            ListenerArn=WORLD.network.listener,
            Priority=len(rules),
            Conditions=[{"Field": "path-pattern", "Values": [f"/{name}/*"]}],
            Actions=forward,
        )
    WORLD.network.target_groups[name] = arn
    return arn


def _container(order):
    definition = definitions.container(
        order["name"],
        port=8080 if order.get("target_group") is not None else None,
        gpus=order.get("gpus"),
        stop_timeout=order.get("stop_timeout"),
    )
    return {**definition, "cpu": order.get("cpu", 256), "memory": order.get("memory", 512)}


def _service(aws, order):
    name, balancer = order["name"], None
    if order.get("target_group") is not None:
        balancer = _target_group(aws, name, order["target_group"])
    definitions.service(
        aws, order["group"], name, order["tasks"], _container(order), target_group=balancer
    )


def _job(aws, order):
    ecs, cluster = backends.ecs(), order["group"]
    definitions.define(aws, order["name"], _container(order))
    if "checkpoint" in order:
        WORLD.endings[order["name"]] = order["checkpoint"]
    instance = members(cluster)[order["on"]]
    known = ecs.container_instances[cluster].values()
    tags = [{"key": "spot-handoff:rerun", "value": "true"}] if order.get("run_again") else []
    tasks.start(
        ecs.clusters[cluster],
        ecs.describe_task_definition(order["name"]),
        next(i for i in known if i.ec2_instance_id == instance),
        f"family:{order['name']}",
        tags=tags,
    )
