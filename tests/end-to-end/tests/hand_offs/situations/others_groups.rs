//! Things that belong to somebody else, and requests from somebody who may not make them: nothing changes.

use anyhow::{Context, Result};
use aws_sdk_autoscaling::types::{
    InstancesDistribution, LaunchTemplate, LaunchTemplateOverrides, LaunchTemplateSpecification,
    MixedInstancesPolicy, Tag,
};
use end_to_end::clients::Clients;
use end_to_end::expectation::judge;
use end_to_end::{event, events};
use serde_json::json;
use testbed::{Pace, State};

use super::{done, lifecycle, scene};

const NODES: &str = "eks-workers-00000000-0000-4000-8000-000000000000";

/// A managed node group of EKS, as EKS makes one.
async fn node_group(aws: &Clients, like: &str) -> Result<()> {
    let known = aws
        .autoscaling
        .describe_auto_scaling_groups()
        .auto_scaling_group_names(like)
        .send()
        .await?;
    let subnets = known
        .auto_scaling_groups()
        .first()
        .and_then(|group| group.vpc_zone_identifier());
    let subnets = subnets.context("its subnets")?;
    let instances = |kind: &str| LaunchTemplateOverrides::builder().instance_type(kind).build();
    let template = LaunchTemplateSpecification::builder()
        .launch_template_name(like)
        .version("$Latest")
        .build();
    let template = LaunchTemplate::builder()
        .launch_template_specification(template)
        .overrides(instances("m5.large"))
        .overrides(instances("m6i.large"))
        .build();
    let all_spot = InstancesDistribution::builder()
        .on_demand_base_capacity(0)
        .on_demand_percentage_above_base_capacity(0)
        .spot_allocation_strategy("capacity-optimized")
        .build();
    let policy = MixedInstancesPolicy::builder()
        .launch_template(template)
        .instances_distribution(all_spot)
        .build();
    let tag = |key: &str, value: &str| {
        Tag::builder()
            .key(key)
            .value(value)
            .propagate_at_launch(true)
            .build()
    };
    aws.autoscaling
        .create_auto_scaling_group()
        .auto_scaling_group_name(NODES)
        .min_size(1)
        .max_size(3)
        .desired_capacity(2)
        .capacity_rebalance(true)
        .vpc_zone_identifier(subnets)
        .mixed_instances_policy(policy)
        .tags(tag("eks:cluster-name", "c"))
        .tags(tag("eks:nodegroup-name", "workers"))
        .tags(tag("kubernetes.io/cluster/c", "owned"))
        .send()
        .await?;
    aws.autoscaling
        .put_lifecycle_hook()
        .auto_scaling_group_name(NODES)
        .lifecycle_hook_name("Terminate-LC-Hook")
        .heartbeat_timeout(1800)
        .lifecycle_transition("autoscaling:EC2_INSTANCE_TERMINATING")
        .default_result("CONTINUE")
        .send()
        .await?;
    Ok(())
}

async fn nodes_of_eks() -> Result<()> {
    let scene = scene(Pace::Quick, 10.0).await?;
    node_group(&Clients::of(&scene.bed)?, "web").await?;
    let in_service = |state: &State| {
        let nodes = state
            .group(NODES)
            .map(|group| group.instances.clone())
            .unwrap_or_default();
        nodes.iter().filter(|node| node.lifecycle == "InService").count()
    };
    let state = scene.until("two nodes", |state| in_service(state) == 2).await?;
    let node = state.group(NODES).context("the nodes")?.instances[0].id.clone();
    scene.put(&events::interruption(&node, scene.now())?).await?;
    for function in testbed::FUNCTIONS {
        scene
            .reported("each function has looked", |report| {
                report.instance == node && report.function == function
            })
            .await?;
    }
    let (after, done) = (scene.state().await?, done(&scene, &node));
    let there = lifecycle(&after, NODES, &node);
    judge(
        done.is_empty() && there.is_some(),
        format!("done: {done:?}; the node is {there:?}"),
    )
}

/// Somebody who may put events on the bus asks for a drill that is no drill.
async fn a_drill_by_anyone() -> Result<()> {
    let scene = scene(Pace::Quick, 5.0).await?;
    let instance = scene.first_of("inference")?;
    let detail = json!({ "instance-id": instance, "instance-action": "terminate", "for-real": true });
    let asked = event(
        "spot-handoff.drill",
        "EC2 Spot Instance Interruption Warning",
        scene.now(),
        detail,
    );
    scene.put(&asked).await?;
    scene
        .reported("the drill", |report| report.instance == instance)
        .await?;
    scene.settled().await?;
    let (after, done) = (scene.state().await?, done(&scene, &instance));
    let there = lifecycle(&after, "inference", &instance);
    judge(
        done.is_empty() && there == Some("InService"),
        format!("done: {done:?}; the instance is {there:?}"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_node_group_of_eks_is_left_alone() -> Result<()> {
    nodes_of_eks().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_by_anyone_changes_nothing() -> Result<()> {
    a_drill_by_anyone().await
}
