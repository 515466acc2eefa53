//! A group's tags: a dry run of one group while others act, another strategy, a longest drain.

use anyhow::{Context, Result};
use end_to_end::events;
use end_to_end::invariants::nothing_else_is_touched;
use end_to_end::scene::{PATIENCE, Scene, acts, is_registered_as, quick};
use serde_json::json;
use spot_handoff::report::Outcome;
use testbed::{FUNCTIONS, Options};

const WRITES: [&str; 12] = [
    "CompleteLifecycleAction",
    "DeregisterTargets",
    "DetachInstances",
    "PutItem",
    "RecordLifecycleActionHeartbeat",
    "RunTask",
    "SendMessage",
    "SendMessageBatch",
    "SetDesiredCapacity",
    "StopTask",
    "TerminateInstanceInAutoScalingGroup",
    "UpdateContainerInstancesState",
];

async fn tag(scene: &Scene, group: &str, key: &str, value: &str) -> Result<()> {
    let key = format!("spot-handoff:{key}");
    scene.bed.world.tag_group(group, &key, value).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_only_planned_for_while_others_are_handed_off() -> Result<()> {
    // AWS would take the instance within seconds of real time.
    let mut scene = Scene::start(Options {
        simulate: false,
        ..quick()
    })
    .await?;
    tag(&scene, "inference", "dry-run", "true").await?;
    scene.before = scene.state().await?;
    let (tried, acted_on) = (scene.first_of("inference")?, scene.first_of("hooked")?);
    scene.put(&events::rebalance(&tried, scene.now())?).await?;
    scene.put(&events::interruption(&tried, scene.now())?).await?;
    for function in FUNCTIONS {
        let is_it = |report: &spot_handoff::report::Report| {
            let is_warning = report.signal == "interruption-warning";
            report.function == function && is_warning && report.instance == tried
        };
        let report = scene.reported("the warning is planned for", is_it).await?;
        assert!(report.dry_run, "{report:?}");
        assert_eq!(report.outcome, Outcome::Planned, "{report:?}");
    }
    scene.bed.until_settled(PATIENCE).await?;
    let after = scene.state().await?;
    for action in WRITES {
        let calls = scene.calls(action).await?;
        let by_functions = calls
            .iter()
            .filter(|call| FUNCTIONS.contains(&call.caller.as_deref().unwrap_or_default()));
        assert_eq!(by_functions.count(), 0, "{action}\n{}", scene.story());
    }
    nothing_else_is_touched(&scene, &after, &[])?;

    scene.put(&events::interruption(&acted_on, scene.now())?).await?;
    scene
        .until("the other group is handed off", |state| {
            is_registered_as(state, &acted_on, "DRAINING") && state.group_of(&acted_on).is_none()
        })
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_strategy_auto_an_instance_is_terminated_where_a_hook_of_ours_waits() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    for (group, action) in [("hooked", "terminate-instance"), ("inference", "detach-instance")] {
        tag(&scene, group, "strategy", "auto").await?;
        let instance = scene.first_of(group)?;
        scene.put(&events::interruption(&instance, scene.now())?).await?;
        let left = scene
            .reported("it leaves its group", |report| {
                report.function == "replace-capacity" && report.instance == instance
            })
            .await?;
        assert!(
            acts(&left, action) && left.outcome == Outcome::Done,
            "{group}: {left:?}"
        );
        assert!(left.warnings.is_empty(), "{group}: {left:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_with_tasks_on_it_is_kept_where_its_group_retains_it() -> Result<()> {
    // ECS moves no task meanwhile.
    let still = Options {
        simulate: false,
        ..quick()
    };
    let scene = Scene::start(still).await?;
    tag(&scene, "hooked", "max-drain", "1").await?;
    scene
        .happen(json!({ "kind": "retain-abandoned", "group": "hooked" }))
        .await?;
    let instance = scene.first_of("hooked")?;
    scene
        .happen(json!({ "kind": "terminate-with-hook", "instance": instance }))
        .await?;
    let let_go = scene
        .reported("it is not let go", |report| {
            acts(report, "abandon-lifecycle-action")
        })
        .await?;
    assert_eq!(let_go.outcome, Outcome::Done, "{let_go:?}");
    scene.bed.until_settled(end_to_end::scene::PATIENCE).await?;
    let after = scene.state().await?;
    let lifecycle = |id: &str| {
        let group = after.group("hooked")?;
        let member = group.instances.iter().find(|member| member.id == id)?;
        Some(member.lifecycle.clone())
    };
    assert_eq!(
        lifecycle(&instance).as_deref(),
        Some("Terminating:Retained"),
        "{}",
        scene.story()
    );
    let runs_on = after
        .tasks_on(&instance)
        .any(|task| task.last_status == "RUNNING");
    assert!(runs_on, "its tasks are what it is kept for\n{}", scene.story());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_waits_no_longer_than_the_group_says() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    // Over before anybody has looked.
    tag(&scene, "hooked", "max-drain", "1").await?;
    let instance = scene.first_of("hooked")?;
    scene
        .happen(json!({ "kind": "terminate-with-hook", "instance": instance }))
        .await?;
    let let_go = scene
        .reported("it is let go", |report| acts(report, "complete-lifecycle-action"))
        .await?;
    let told = let_go.warnings.iter();
    told.into_iter()
        .find(|warning| warning.contains("tasks still on the instance"))
        .context("nothing tells of the tasks")?;
    Ok(())
}
