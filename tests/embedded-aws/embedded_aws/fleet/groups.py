"""Launch templates and Auto Scaling groups, and two instances that belong to no group."""

import base64

SPOT = {"OnDemandBaseCapacity": 0, "OnDemandPercentageAboveBaseCapacity": 0}
TYPES = ["g4dn.xlarge", "g5.xlarge", "g4dn.2xlarge", "g5.2xlarge"]


def build(aws, net, scale):
    """`scale` overrides the number of instances of a group, by its name."""
    # The clusters come first: instances join them as they launch.
    for name in ("inference", "web", "hooked"):
        aws.ecs.create_cluster(clusterName=name)
    _launch_template(aws, net, "inference", cluster="inference", elastic_inference=True)
    for name in ("web", "hooked"):
        _launch_template(aws, net, name, cluster=name)
    for name in ("rebalancing", "mixed"):
        _launch_template(aws, net, name)

    def group(name, desired, largest, **more):
        _group(aws, net, name, scale.get(name, desired), max(largest, 2 * scale.get(name, 0)), **more)

    group("inference", 6, 12, policy=_policy("inference", SPOT))
    group("web", 3, 6, policy=_policy("web", SPOT))
    group("rebalancing", 3, 6, policy=_policy("rebalancing", SPOT), CapacityRebalance=True)
    half = {"OnDemandBaseCapacity": 1, "OnDemandPercentageAboveBaseCapacity": 50}
    group("mixed", 4, 8, policy=_policy("mixed", half))
    group("hooked", 3, 6, policy=_policy("hooked", SPOT))
    _legacy(aws, net)
    aws.autoscaling.put_lifecycle_hook(
        AutoScalingGroupName="hooked",
        LifecycleHookName="drain",
        LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
        HeartbeatTimeout=300,
        DefaultResult="CONTINUE",
    )
    _by_hand(aws, net)


def _user_data(cluster):
    script = "#!/bin/bash\n"
    if cluster:
        script += f"echo ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config\n"
    return base64.b64encode(script.encode()).decode()


def _launch_template(aws, net, name, cluster=None, elastic_inference=False):
    data = {
        "ImageId": net.image,
        "InstanceType": TYPES[0],
        "UserData": _user_data(cluster),
        "SecurityGroupIds": [net.security_group],
    }
    if elastic_inference:
        data["ElasticInferenceAccelerators"] = [{"Type": "eia2.medium", "Count": 1}]
    aws.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)


def _policy(template, distribution):
    return {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": {"LaunchTemplateName": template, "Version": "$Latest"},
            "Overrides": [{"InstanceType": type_} for type_ in TYPES],
        },
        "InstancesDistribution": {
            **distribution,
            "SpotAllocationStrategy": "price-capacity-optimized",
        },
    }


def _group(aws, net, name, desired, largest, policy=None, **more):
    if policy:
        more["MixedInstancesPolicy"] = policy
    target_group = net.target_groups.get(name)
    aws.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=desired // 2,
        MaxSize=largest,
        DesiredCapacity=desired,
        VPCZoneIdentifier=net.zone_identifier,
        TargetGroupARNs=[target_group] if target_group else [],
        HealthCheckType="EC2",
        Tags=[{"Key": "team", "Value": name, "PropagateAtLaunch": True}],
        **more,
    )


def _legacy(aws, net):
    aws.autoscaling.create_launch_configuration(
        LaunchConfigurationName="legacy",
        ImageId=net.image,
        InstanceType="m5.large",
        SpotPrice="0.10",
        SecurityGroups=[net.security_group],
    )
    _group(aws, net, "legacy", 2, 4, LaunchConfigurationName="legacy")


def _by_hand(aws, net):
    """Two instances in no group: one a target, the other in the cluster (see `containers`)."""
    for name in ("by-hand", "lone"):
        instance = aws.ec2.run_instances(
            ImageId=net.image,
            InstanceType="m5.large",
            MinCount=1,
            MaxCount=1,
            SubnetId=net.subnets[0],
            InstanceMarketOptions={"MarketType": "spot"},
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}
            ],
        )["Instances"][0]["InstanceId"]
        if name == "by-hand":
            aws.elbv2.register_targets(
                TargetGroupArn=net.target_groups["by-hand"], Targets=[{"Id": instance}]
            )
