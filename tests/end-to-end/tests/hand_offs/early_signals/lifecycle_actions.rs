//! An instance that Auto Scaling terminates waits at its hook until its work is done.

use anyhow::{Context, Result};
use serde_json::json;
use spot_handoff::report::{ActionKind, ActionResult, Outcome};
use testbed::state::LifecycleAction;
use testbed::{Options, State};

use end_to_end::dead_letters;
use end_to_end::events;
use end_to_end::invariants::{launched_for, nobody_runs_outside_a_group, nothing_else_is_touched};
use end_to_end::scene::{Scene, acts, is_registered_as, quick, skips, watched};

const HOOK: &str = "spot-handoff-drain";

fn action_of(state: &State, instance: &str) -> Result<LifecycleAction> {
    let mut actions = state.lifecycle_actions.iter();
    actions
        .find(|action| action.instance == instance)
        .cloned()
        .context("no lifecycle action")
}

async fn over(scene: &Scene, instance: &str) -> Result<State> {
    scene
        .until("the instance is gone", |state| state.group_of(instance).is_none())
        .await?;
    scene.settled().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_replaced_is_held_until_its_tasks_have_moved() -> Result<()> {
    let scene = Scene::start(watched()).await?;
    let old = scene.first_of("hooked")?;
    scene
        .happen(json!({ "kind": "terminate-with-hook", "instance": old }))
        .await?;
    let draining = scene
        .until("it is drained", |state| is_registered_as(state, &old, "DRAINING"))
        .await?;
    assert_eq!(action_of(&draining, &old)?.result, None);

    let after = over(&scene, &old).await?;
    let action = action_of(&after, &old)?;
    assert_eq!(action.result.as_deref(), Some("CONTINUE"), "{}", scene.story());
    assert!(action.heartbeats > 0, "{}", scene.story());
    let moved = after
        .tasks_on(&old)
        .filter(|task| task.kind == "service")
        .all(|task| {
            let reason = task.stopped_reason.as_deref().unwrap_or_default();
            reason.contains("Scaling activity")
        });
    assert!(moved, "tasks were lost with the instance\n{}", scene.story());
    assert!(!scene.reports_of("deregister-targets").is_empty());
    launched_for(&scene, &after, "hooked", 1)?;
    nobody_runs_outside_a_group(&scene, &after)?;
    nothing_else_is_touched(&scene, &after, &[&old])
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_tasks_cannot_be_read_auto_scaling_is_asked_to_wait() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("hooked")?;
    let unread = json!([{
        "caller": "drain-tasks",
        "action": "ListTasks",
        // The running tasks and the stopped ones, at two looks.
        "times": 4,
        "fault": { "kind": "denied" },
    }]);
    scene.bed.world.faults(&unread).await?;
    scene
        .happen(json!({ "kind": "terminate-with-hook", "instance": old }))
        .await?;
    let report = scene
        .reported("the tasks are not read", |report| {
            report.function == "drain-tasks" && report.outcome == Outcome::Failed
        })
        .await?;
    assert!(!report.problems.is_empty(), "{report:?}");
    let mut heartbeats = report
        .actions
        .iter()
        .filter(|line| line.action == ActionKind::RecordHeartbeat);
    assert!(
        heartbeats.any(|line| line.result == ActionResult::Done),
        "{report:?}"
    );
    let after = over(&scene, &old).await?;
    assert_eq!(action_of(&after, &old)?.result.as_deref(), Some("CONTINUE"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_scaled_in_is_held_until_its_tasks_have_moved() -> Result<()> {
    let mut scene = Scene::start(quick()).await?;
    let old = scene.first_of("hooked")?;
    scene
        .happen(json!({ "kind": "scale-in", "instance": old }))
        .await?;
    let after = over(&scene, &old).await?;
    assert_eq!(action_of(&after, &old)?.result.as_deref(), Some("CONTINUE"));
    let shrunk = scene
        .before
        .groups
        .iter_mut()
        .find(|group| group.name == "hooked");
    shrunk.context("no such group")?.desired -= 1;
    launched_for(&scene, &after, "hooked", 0)?;
    nothing_else_is_touched(&scene, &after, &[&old])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_is_announced_three_times_is_completed_once() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("hooked")?;
    let event = events::terminating(&old, "hooked", HOOK, scene.now())?;
    for _ in 0..3 {
        scene.put(&event).await?;
    }
    let after = over(&scene, &old).await?;
    assert_eq!(
        scene.calls("CompleteLifecycleAction").await?.len(),
        1,
        "{}",
        scene.story()
    );
    launched_for(&scene, &after, "hooked", 1)?;
    nothing_else_is_touched(&scene, &after, &[&old])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_of_somebody_else_is_left_to_them() -> Result<()> {
    let scene = Scene::start(quick().parameter("LifecycleHooks", "something-else")).await?;
    let old = scene.first_of("hooked")?;
    scene
        .happen(json!({ "kind": "terminate-with-hook", "instance": old }))
        .await?;
    let report = scene
        .reported("an answer", |report| report.function == "drain-tasks")
        .await?;
    scene.bed.until_settled(end_to_end::scene::PATIENCE).await?;
    assert!(skips(&report, "waits for somebody else"), "{report:?}");
    let action = action_of(&scene.state().await?, &old)?;
    assert_eq!((action.result, action.heartbeats), (None, 0));
    assert!(scene.calls("CompleteLifecycleAction").await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_nobody_knows_is_a_success_with_a_remark() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    scene
        .put(&events::terminating(
            "i-0000000000000dead",
            "hooked",
            HOOK,
            scene.now(),
        )?)
        .await?;
    let report = scene
        .reported("an answer", |report| report.function == "drain-tasks")
        .await?;
    let line = report
        .actions
        .iter()
        .find(|line| line.action == ActionKind::CompleteLifecycleAction);
    let line = line.with_context(|| format!("{report:?}"))?;
    assert_eq!(line.result, ActionResult::AlreadyDone);
    assert!(
        line.error
            .as_deref()
            .is_some_and(|remark| remark.contains("is over")),
        "{line:?}"
    );
    assert_eq!(report.outcome, Outcome::Done);
    let after = scene.settled().await?;
    assert!(dead_letters(&after).is_empty());
    nothing_else_is_touched(&scene, &after, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_outside_every_cluster_is_let_go_at_once() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("mixed")?;
    scene
        .happen(json!({ "kind": "add-hook", "group": "mixed", "hook": HOOK }))
        .await?;
    scene
        .happen(json!({ "kind": "terminate-with-hook", "instance": old }))
        .await?;
    let after = over(&scene, &old).await?;
    let action = action_of(&after, &old)?;
    assert_eq!(
        (action.result.as_deref(), action.heartbeats),
        (Some("CONTINUE"), 0)
    );
    let report = &scene.reports_of("drain-tasks")[0];
    assert!(
        acts(report, "complete-lifecycle-action"),
        "at the first look: {report:?}"
    );
    assert!(skips(report, "cluster"), "{report:?}");
    nobody_runs_outside_a_group(&scene, &after)?;
    nothing_else_is_touched(&scene, &after, &[&old])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_hook_is_ignored() -> Result<()> {
    let scene = Scene::start(Options::default()).await?;
    let event = events::launching(&scene.first_of("hooked")?, "hooked", HOOK, scene.now())?;
    let matched = scene.put(&event).await?;
    assert!(matched.is_empty(), "{matched:?}");
    // Somebody may have their own rule, wider than ours.
    for function in testbed::FUNCTIONS {
        scene.bed.send(function, &event.to_string()).await?;
    }
    let after = scene.settled().await?;
    assert!(
        scene.reports().iter().all(|report| report.actions.is_empty()),
        "{}",
        scene.story()
    );
    assert_eq!(after.groups, scene.before.groups);
    nothing_else_is_touched(&scene, &after, &[])
}
