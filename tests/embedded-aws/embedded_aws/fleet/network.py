"""A VPC over three zones and a load balancer with a target group for everybody."""

from dataclasses import dataclass, field

from .. import backends

ZONES = ["a", "b", "c"]

# name, target type, port
TARGET_GROUPS = [
    ("inference", "instance", 80),  # the group's instances
    ("classifier", "instance", 80),  # bridge mode: instance and dynamic port
    ("ranker", "ip", 8080),  # awsvpc mode: the tasks' own addresses
    ("web", "instance", 80),
    ("rebalancing", "instance", 80),
    ("mixed", "instance", 80),
    ("hooked", "instance", 80),
    ("by-hand", "instance", 8080),
]


@dataclass
class Network:
    vpc: str
    subnets: list
    security_group: str
    image: str
    listener: str = ""
    target_groups: dict = field(default_factory=dict)

    @property
    def zone_identifier(self):
        return ",".join(self.subnets)


def build(aws):
    vpc = aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    # Only this way does moto give network interfaces a DNS name, which a task's description has.
    aws.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnets = [
        aws.ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.0.{16 * n}.0/20", AvailabilityZone=f"{backends.REGION}{zone}"
        )["Subnet"]["SubnetId"]
        for n, zone in enumerate(ZONES)
    ]
    security_group = aws.ec2.create_security_group(
        GroupName="fleet", Description="The sample fleet", VpcId=vpc
    )["GroupId"]
    # For each instance that it launches, moto goes through all images that it knows.
    backends.ec2().amis.clear()
    image = aws.ec2.register_image(Name="ecs-optimized", Architecture="x86_64")["ImageId"]
    net = Network(vpc, subnets, security_group, image)
    _load_balancing(aws, net)
    return net


def _load_balancing(aws, net):
    balancer = aws.elbv2.create_load_balancer(Name="fleet", Subnets=net.subnets)
    net.listener = aws.elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )["Listeners"][0]["ListenerArn"]
    for name, type_, port in TARGET_GROUPS:
        target_group(aws, net, name, type_, port)


def target_group(aws, net, name, type_, port):
    """A target group that the load balancer sends /name/* to."""
    arn = aws.elbv2.create_target_group(
        Name=name, Protocol="HTTP", Port=port, VpcId=net.vpc, TargetType=type_
    )["TargetGroups"][0]["TargetGroupArn"]
    net.target_groups[name] = arn
    aws.elbv2.create_rule(
        ListenerArn=net.listener,
        Priority=len(net.target_groups),
        Conditions=[{"Field": "path-pattern", "Values": [f"/{name}/*"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": arn}],
    )
