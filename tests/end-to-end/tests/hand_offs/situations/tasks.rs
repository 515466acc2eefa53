//! Tasks get the grace that their containers need.

use anyhow::{Context, Result};
use aws_sdk_ecs::types::{
    ContainerCondition, ContainerDefinition, ContainerDependency, ContainerInstanceStatus, NetworkMode,
    SchedulingStrategy,
};
use end_to_end::clients::Clients;
use end_to_end::events;
use end_to_end::expectation::judge;
use end_to_end::scene::is_registered_as;
use jiff::{SignedDuration, Timestamp};
use spot_handoff::report::ActionKind;
use testbed::Pace;

use super::serving::service_of_one_task;
use super::{healthy, scene};

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

/// A service behind a load balancer whose only task is protected, so that ECS does not move it. A daemon runs beside
/// it.
async fn a_task_that_ecs_does_not_move() -> Result<()> {
    let scene = scene(Pace::Quick, 5.0).await?;
    let aws = Clients::of(&scene.bed)?;
    let targets = service_of_one_task(&aws).await?;
    let agent = ContainerDefinition::builder()
        .name("logs")
        .image("x")
        .cpu(16)
        .memory(16);
    let agent = agent.essential(true).build();
    let define = aws.ecs.register_task_definition().family("logs");
    define.container_definitions(agent).send().await?;
    let create = aws.ecs.create_service().cluster("inference").service_name("logs");
    let daemon = SchedulingStrategy::Daemon;
    create
        .task_definition("logs")
        .scheduling_strategy(daemon)
        .send()
        .await?;
    let running = |state: &testbed::State, family: &str| -> Vec<testbed::state::Task> {
        let tasks = state.clusters.iter().flat_map(|cluster| &cluster.tasks);
        let running = tasks.filter(|task| task.family == family && task.last_status == "RUNNING");
        running.cloned().collect()
    };
    let state = scene
        .until("the service serves, and the daemon runs beside it", |state| {
            let Some(one) = running(state, "solo").pop() else {
                return false;
            };
            let daemons = running(state, "logs");
            healthy(state, &targets) == 1 && daemons.iter().any(|other| other.instance == one.instance)
        })
        .await?;
    let task = running(&state, "solo").pop().context("the task")?;
    let instance = task.instance.clone().context("its instance")?;
    let protect = aws.ecs.update_task_protection().cluster("inference");
    protect.tasks(&task.arn).protection_enabled(true).send().await?;
    let warning = events::interruption(&instance, scene.now())?;
    let noticed: Timestamp = warning["time"].as_str().context("its time")?.parse()?;
    scene.put(&warning).await?;
    // AWS says it twice.
    scene.put(&warning).await?;
    let is_stop = |line: &spot_handoff::report::ActionLine| {
        line.action == ActionKind::StopTask && line.resource == task.arn
    };
    let report = scene
        .reported("the task is stopped", |report| report.actions.iter().any(is_stop))
        .await?;
    let stop = report
        .actions
        .iter()
        .find(|line| is_stop(line))
        .context("its line")?;
    let after = stop.finished_at.duration_since(noticed).as_secs();
    judge((78..=90).contains(&after), format!("stopped at T+{after} s"))?;
    let deregistered = scene
        .reported("its target is out", |report| {
            let mut lines = report.actions.iter();
            lines.any(|line| line.action == ActionKind::DeregisterTarget && line.resource == targets)
        })
        .await?;
    let mut lines = deregistered.actions.iter();
    let out = lines.find(|line| line.resource == targets).context("its line")?;
    let before = stop.finished_at.duration_since(out.finished_at);
    judge(
        before >= SignedDuration::from_secs(7),
        format!("its target was out {before:#} before"),
    )?;
    let gone = scene
        .until("the instance is gone", |state| {
            let found = state.instance(&instance);
            found.is_some_and(|one| one.state == "terminated")
        })
        .await?;
    let ended = gone.tasks_on(&instance).find(|one| one.arn == task.arn);
    let reason = ended
        .and_then(|task| task.stopped_reason.clone())
        .unwrap_or_default();
    judge(reason.contains("ECS has not moved the task in time"), reason)?;
    let daemons: Vec<String> = running(&state, "logs").into_iter().map(|task| task.arn).collect();
    let reports = scene.reports();
    let mut stops = reports
        .iter()
        .flat_map(|report| &report.actions)
        .filter(|line| line.action == ActionKind::StopTask);
    judge(
        !stops.any(|line| daemons.contains(&line.resource)),
        "daemons are left to ECS",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ecs_does_not_move_is_stopped_in_order_and_its_target_is_out_before() -> Result<()> {
    a_task_that_ecs_does_not_move().await
}

async fn make_active(aws: &Clients, container_instance: &str) -> Result<()> {
    let update = aws.ecs.update_container_instances_state().cluster("inference");
    update
        .container_instances(container_instance)
        .status(ContainerInstanceStatus::Active)
        .send()
        .await?;
    Ok(())
}

/// It becomes ACTIVE before anybody could see it DRAINING, and a task is placed on it.
#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_active_late_is_drained_and_a_task_placed_late_is_stopped_in_time() -> Result<()> {
    let scene = scene(Pace::Quick, 5.0).await?;
    let aws = Clients::of(&scene.bed)?;
    let instance = scene.nth_of("inference", 3)?;
    let (_, registered) = scene.before.registration(&instance).context("in its cluster")?;
    let warning = events::interruption(&instance, scene.now())?;
    let noticed: Timestamp = warning["time"].as_str().context("its time")?.parse()?;
    scene.put(&warning).await?;
    let is = |state: &testbed::State, status| is_registered_as(state, &instance, status);
    scene.until("it drains", |state| is(state, "DRAINING")).await?;
    make_active(&aws, &registered.arn).await?;
    let start = aws
        .ecs
        .start_task()
        .cluster("inference")
        .task_definition("compile");
    let started = start.container_instances(&registered.arn).send().await?;
    let task = started.tasks().first().and_then(|task| task.task_arn());
    let task = task.context("a task")?.to_owned();
    scene
        .until("it drains again", |state| is(state, "DRAINING"))
        .await?;
    let stopped = scene
        .reported("the late task is stopped", |report| {
            let mut lines = report.actions.iter();
            lines.any(|line| line.action == ActionKind::StopTask && line.resource == task)
        })
        .await?;
    let mut lines = stopped.actions.iter();
    let line = lines.find(|line| line.resource == task).context("its line")?;
    let after = line.finished_at.duration_since(noticed).as_secs();
    // `compile` has 45 s of grace, and a device.
    judge((50..=65).contains(&after), format!("stopped at T+{after} s"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_makes_active_again_stays_so() -> Result<()> {
    let scene = scene(Pace::Quick, 5.0).await?;
    let aws = Clients::of(&scene.bed)?;
    let instance = scene.nth_of("inference", 3)?;
    let (_, registered) = scene.before.registration(&instance).context("in its cluster")?;
    scene.put(&events::interruption(&instance, scene.now())?).await?;
    let is = |state: &testbed::State, status| is_registered_as(state, &instance, status);
    scene.until("it drains", |state| is(state, "DRAINING")).await?;
    // A look has seen it by then.
    scene.pass(15).await;
    make_active(&aws, &registered.arn).await?;
    scene
        .reported("somebody made it ACTIVE", |report| {
            let mut warnings = report.warnings.iter();
            warnings.any(|warning| warning.contains("ACTIVE again"))
        })
        .await?;
    scene.pass(25).await;
    let state = scene.state().await?;
    judge(is(&state, "ACTIVE"), "nobody has drained it again")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_instance_of_ecs_is_left_to_it() -> Result<()> {
    let scene = scene(Pace::Quick, 20.0).await?;
    let groups = &scene.before.groups;
    let in_a_group = |id: &str| groups.iter().any(|group| group.member(id).is_some());
    let registered = scene
        .before
        .clusters
        .iter()
        .flat_map(|one| &one.container_instances);
    let mut lone = registered.filter(|one| !in_a_group(&one.instance));
    let instance = lone.next().context("one in no group")?.instance.clone();
    scene
        .happen(serde_json::json!({ "kind": "managed-by-ecs", "instance": instance }))
        .await?;
    scene.put(&events::interruption(&instance, scene.now())?).await?;
    for function in ["deregister-targets", "drain-tasks"] {
        scene
            .reported("it is left to ECS", |report| {
                let mut skipped = report.skipped.iter();
                report.function == function && skipped.any(|one| one.reason.contains("Managed Instance"))
            })
            .await?;
    }
    scene
        .until("it is gone", |state| {
            let found = state.instance(&instance);
            found.is_some_and(|one| one.state == "terminated")
        })
        .await?;
    for action in ["UpdateContainerInstancesState", "StopTask", "DeregisterTargets"] {
        let calls = scene.calls(action).await?;
        judge(calls.is_empty(), format!("{action}: {calls:?}"))?;
    }
    Ok(())
}
