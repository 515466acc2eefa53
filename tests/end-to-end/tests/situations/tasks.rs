//! Tasks get the grace that their containers need.

use anyhow::{Context, Result};
use aws_sdk_ecs::types::{ContainerCondition, ContainerDefinition, ContainerDependency, NetworkMode};
use end_to_end::clients::Clients;
use end_to_end::events;
use end_to_end::expectation::judge;
use jiff::Timestamp;
use spot_handoff::report::ActionKind;
use testbed::Pace;

use crate::scene;

/// Two containers that end one after the other, 50 s and 40 s at the most: together they need 90 of the 120 s.
async fn a_chain_of_containers() -> Result<()> {
    let scene = scene(Pace::Quick, 5.0).await?;
    let aws = Clients::of(&scene.bed)?;
    let instance = scene.nth_of("inference", 3)?;
    let (_, registered) = scene.before.registration(&instance).context("in its cluster")?;
    let container = |name: &str, grace: i32| {
        let plain = ContainerDefinition::builder()
            .name(name)
            .image("x")
            .cpu(64)
            .memory(64);
        plain.essential(true).stop_timeout(grace)
    };
    let uploads_at_last = ContainerDependency::builder()
        .container_name("uploader")
        .condition(ContainerCondition::Start)
        .build()?;
    aws.ecs
        .register_task_definition()
        .family("chain")
        .network_mode(NetworkMode::Bridge)
        .container_definitions(container("trainer", 50).depends_on(uploads_at_last).build())
        .container_definitions(container("uploader", 40).build())
        .send()
        .await?;
    let warning = events::interruption(&instance, scene.now())?;
    let noticed: Timestamp = warning["time"].as_str().context("its time")?.parse()?;
    let started = aws
        .ecs
        .start_task()
        .cluster("inference")
        .task_definition("chain")
        .container_instances(&registered.arn)
        .send()
        .await?;
    let task = started
        .tasks()
        .first()
        .and_then(|task| task.task_arn())
        .context("a task")?;
    scene.put(&warning).await?;
    let stopped = scene
        .reported("the task is stopped", |report| {
            report
                .actions
                .iter()
                .any(|line| line.action == ActionKind::StopTask && line.resource == task)
        })
        .await?;
    let line = stopped
        .actions
        .iter()
        .find(|line| line.resource == task)
        .context("its line")?;
    let at = line.finished_at.duration_since(noticed).as_secs();
    judge(
        at <= 30,
        format!("stopped at T+{at} s, where its containers need 90 s of the 120"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_that_end_one_after_the_other_get_the_sum_of_their_graces() -> Result<()> {
    a_chain_of_containers().await
}
