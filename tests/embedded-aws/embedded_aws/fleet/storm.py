"""The large fleet of a benchmark: many groups alike, each with a cluster and a service on it."""

from . import containers, network
from .groups import SPOT, group, launch_template, policy


def build(aws, net, groups=10, instances=100, tasks=2):
    """`groups` groups of `instances` instances, with `tasks` tasks on each instance."""
    for number in range(1, groups + 1):
        name = f"storm-{number}"
        aws.ecs.create_cluster(clusterName=name)
        network.target_group(aws, net, name, "instance", 80)
        network.target_group(aws, net, f"{name}-tasks", "instance", 80)
        launch_template(aws, net, name, cluster=name)
        group(aws, net, name, instances, policy=policy(name, SPOT))
        containers.service(
            aws,
            name,
            name,
            instances * tasks,
            containers.container("model", port=8080, stop_timeout=20),
            target_group=net.target_groups[f"{name}-tasks"],
        )
