"""Launch templates and Auto Scaling groups, and two instances that belong to no group."""

import base64
import json

SPOT = {"OnDemandBaseCapacity": 0, "OnDemandPercentageAboveBaseCapacity": 0}
TYPES = ["g4dn.xlarge", "g5.xlarge", "g4dn.2xlarge", "g5.2xlarge"]
LATEST_IMAGE = (
    "resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"
)


def build(aws, net):
    # The clusters come first: instances join them as they launch.
    for name in ("inference", "web", "hooked"):
        aws.ecs.create_cluster(clusterName=name)
    launch_template(aws, net, "inference", cluster="inference", elastic_inference=True)
    for name in ("web", "hooked"):
        launch_template(aws, net, name, cluster=name)
    for name in ("rebalancing", "mixed"):
        launch_template(aws, net, name)
    group(aws, net, "inference", 6, policy=policy("inference", SPOT))
    group(aws, net, "web", 3, policy=policy("web", SPOT))
    group(aws, net, "rebalancing", 3, policy=policy("rebalancing", SPOT), CapacityRebalance=True)
    half = {"OnDemandBaseCapacity": 1, "OnDemandPercentageAboveBaseCapacity": 50}
    group(aws, net, "mixed", 4, policy=policy("mixed", half))
    group(aws, net, "hooked", 3, policy=policy("hooked", SPOT))
    _legacy(aws, net)
    aws.autoscaling.put_lifecycle_hook(
        AutoScalingGroupName="hooked",
        LifecycleHookName="spot-handoff-drain",
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


def launch_template(aws, net, name, cluster=None, elastic_inference=False):
    data = {
        "ImageId": net.image,
        "InstanceType": TYPES[0],
        "UserData": _user_data(cluster),
        "SecurityGroupIds": [net.security_group],
    }
    if elastic_inference:
        data["ElasticInferenceAccelerators"] = [{"Type": "eia2.medium", "Count": 1}]
        # Many launch templates have this, and it needs its own permissions.
        data["ImageId"] = LATEST_IMAGE
        data["IamInstanceProfile"] = {"Arn": _instance_profile(aws, name)}
        tags = [{"Key": "team", "Value": name}]
        data["TagSpecifications"] = [{"ResourceType": "instance", "Tags": tags}]
    aws.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)


def _instance_profile(aws, name):
    trust = {"Version": "2012-10-17", "Statement": []}
    aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    profile = aws.iam.create_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    aws.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return profile["Arn"]


def policy(template, distribution):
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


def group(aws, net, name, desired, policy=None, **more):
    if policy:
        more["MixedInstancesPolicy"] = policy
    target_group = net.target_groups.get(name)
    aws.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=desired // 2,
        MaxSize=desired * 2,
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
    group(aws, net, "legacy", 2, LaunchConfigurationName="legacy")


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
