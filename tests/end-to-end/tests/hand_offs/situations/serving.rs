//! Nothing is taken away before its successor serves, unless the deadline forces it.

use anyhow::{Context, Result};
use aws_sdk_ecs::types::{
    ContainerDefinition, DeploymentConfiguration, LaunchType, LoadBalancer, NetworkMode, PortMapping,
};
use aws_sdk_elasticloadbalancingv2::types::{ProtocolEnum, TargetTypeEnum};
use end_to_end::clients::Clients;
use end_to_end::events;
use end_to_end::expectation::judge;
use end_to_end::scene::Scene;
use testbed::Pace;

use super::{healthy, scene, watch};

/// A target group of HTTP with the default health checks.
pub async fn target_group(aws: &Clients, name: &str, port: i32) -> Result<String> {
    let known = aws.elb.describe_target_groups().send().await?;
    let network = known
        .target_groups()
        .first()
        .and_then(|one| one.vpc_id())
        .context("a network")?;
    let making = aws
        .elb
        .create_target_group()
        .name(name)
        .protocol(ProtocolEnum::Http)
        .port(port)
        .target_type(TargetTypeEnum::Instance)
        .vpc_id(network);
    let made = making.send().await?;
    let arn = made
        .target_groups()
        .first()
        .and_then(|one| one.target_group_arn());
    Ok(arn.context("its ARN")?.to_owned())
}

/// A service of one task with its own target group and ECS's defaults. There is room elsewhere.
pub async fn service_of_one_task(aws: &Clients) -> Result<String> {
    let targets = target_group(aws, "solo", 8080).await?;
    let port = PortMapping::builder().container_port(8080).host_port(0).build();
    let container = ContainerDefinition::builder()
        .name("solo")
        .image("x")
        .cpu(64)
        .memory(64)
        .essential(true)
        .port_mappings(port)
        .build();
    aws.ecs
        .register_task_definition()
        .family("solo")
        .network_mode(NetworkMode::Bridge)
        .container_definitions(container)
        .send()
        .await?;
    let load_balancer = LoadBalancer::builder()
        .target_group_arn(&targets)
        .container_name("solo")
        .container_port(8080)
        .build();
    let defaults = DeploymentConfiguration::builder()
        .minimum_healthy_percent(100)
        .maximum_percent(200)
        .build();
    aws.ecs
        .create_service()
        .cluster("inference")
        .service_name("solo")
        .task_definition("solo")
        .desired_count(1)
        .launch_type(LaunchType::Ec2)
        .load_balancers(load_balancer)
        .deployment_configuration(defaults)
        .send()
        .await?;
    Ok(targets)
}

/// The fewest healthy targets within this many seconds after a warning.
async fn fewest_healthy(scene: &Scene, instance: &str, targets: &str, seconds: i64) -> Result<usize> {
    scene.put(&events::interruption(instance, scene.now())?).await?;
    let mut fewest = usize::MAX;
    watch(scene, seconds, |state| {
        fewest = fewest.min(healthy(state, targets))
    })
    .await?;
    Ok(fewest)
}

async fn one_task() -> Result<()> {
    let scene = scene(Pace::Real, 10.0).await?;
    let targets = service_of_one_task(&Clients::of(&scene.bed)?).await?;
    let state = scene
        .until("the service serves", |state| healthy(state, &targets) == 1)
        .await?;
    let mut tasks = state.clusters.iter().flat_map(|cluster| &cluster.tasks);
    let task = tasks.find(|task| task.family == "solo").context("its task")?;
    let instance = task.instance.clone().context("its instance")?;
    let fewest = fewest_healthy(&scene, &instance, &targets, 115).await?;
    judge(
        fewest > 0,
        format!("healthy targets fell to {fewest}\n{}", scene.story()),
    )
}

async fn group_of_one(pace: Pace) -> Result<()> {
    let scene = scene(pace, 10.0).await?;
    let aws = Clients::of(&scene.bed)?;
    aws.autoscaling
        .update_auto_scaling_group()
        .auto_scaling_group_name("web")
        .min_size(1)
        .max_size(2)
        .desired_capacity(1)
        .send()
        .await?;
    let targets = scene.before.group("web").context("web")?.target_groups[0].clone();
    let state = scene
        .until("one instance serves", |state| {
            let members = state.group("web").map(|group| group.instances.len());
            members == Some(1) && healthy(state, &targets) == 1
        })
        .await?;
    let instance = state.group("web").context("web")?.instances[0].id.clone();
    let fewest = fewest_healthy(&scene, &instance, &targets, 60).await?;
    judge(
        fewest > 0,
        format!(
            "healthy targets fell to {fewest} in the first minute\n{}",
            scene.story()
        ),
    )
}

// At the quick pace the successor is there within seconds. A busy machine hands over later than that.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_one_task_is_never_without_a_healthy_target_at_the_real_pace() -> Result<()> {
    one_task().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_one_serves_until_its_successor_does() -> Result<()> {
    group_of_one(Pace::Quick).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_one_serves_for_the_first_minute_at_the_real_pace() -> Result<()> {
    group_of_one(Pace::Real).await
}
