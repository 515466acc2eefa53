//! Standalone tasks: stopped as late as is safe, run again where they ask for it.

use anyhow::Result;
use jiff::Timestamp;
use serde_json::json;
use spot_handoff::report::{ActionKind, ActionResult};
use testbed::state::Task;
use testbed::{Options, State};

use end_to_end::clients::Clients;
use end_to_end::dead_letters;
use end_to_end::events;
use end_to_end::invariants::nobody_runs_outside_a_group;
use end_to_end::scene::{Scene, quick};

/// Slower than elsewhere, where moments count.
fn exact() -> Options {
    Options::default().speed(5.0)
}

/// The time of a warning, which is in whole seconds.
fn notice_time(event: &serde_json::Value) -> Result<Timestamp> {
    Ok(event["time"].as_str().unwrap_or_default().parse()?)
}

/// When each task was stopped, in seconds after the notice.
fn stops(scene: &Scene, notice: Timestamp) -> Vec<(String, f64)> {
    let mut stops = vec![];
    for report in scene.reports_of("drain-tasks") {
        let actions = report
            .actions
            .into_iter()
            .filter(|line| line.action == ActionKind::StopTask);
        stops.extend(actions.map(|line| {
            (
                line.resource,
                line.finished_at.duration_since(notice).as_secs_f64(),
            )
        }));
    }
    stops
}

/// What the first report says of a task.
fn planned(scene: &Scene, task: &str) -> String {
    let reports = scene.reports_of("drain-tasks");
    let mut lines = reports.iter().flat_map(|report| &report.tasks);
    let line = lines.find(|line| line.task == task);
    line.map(|line| line.plan.clone()).unwrap_or_default()
}

fn of_family<'a>(state: &'a State, family: &str) -> Vec<&'a Task> {
    let tasks = state.clusters.iter().flat_map(|cluster| &cluster.tasks);
    tasks.filter(|task| task.family == family).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_stopped_when_their_containers_can_just_end_in_order() -> Result<()> {
    let scene = Scene::start(exact()).await?;
    let doomed = scene.first_of("inference")?;
    let event = events::interruption(&doomed, scene.now())?;
    scene.put(&event).await?;
    scene
        .until("the instance is reclaimed", |state| {
            state
                .instance(&doomed)
                .is_some_and(|one| one.state == "terminated")
        })
        .await?;
    let notice = notice_time(&event)?;
    let stops = stops(&scene, notice);
    // 120 s - stopTimeout - 20 s for a task that holds an accelerator.
    for (family, expected) in [("fine-tune", 10.0), ("batch-score", 40.0), ("compile", 55.0)] {
        let arn = &scene.task(family, &doomed)?.arn;
        let seconds: Vec<f64> = stops
            .iter()
            .filter(|(task, _)| task == arn)
            .map(|(_, at)| *at)
            .collect();
        assert_eq!(
            seconds.len(),
            1,
            "{family} was stopped at {seconds:?}\n{}",
            scene.story()
        );
        // Never earlier, and not so late that it uses up the margin, and with it the time of the containers.
        assert!(
            (expected - 1.5..expected + 20.0).contains(&seconds[0]),
            "{family} was stopped at {seconds:?} and not at {expected}\n{}",
            scene.story()
        );
        // The first moment may be over by the time of the plan.
        if expected > 20.0 {
            assert_eq!(planned(&scene, arn), format!("stop at T+{expected} s"));
        }
    }
    // `report` wants 120 s for itself: no moment is early enough.
    assert_eq!(planned(&scene, &scene.task("report", &doomed)?.arn), "stop now");

    let state = scene.state().await?;
    for task in state.tasks_on(&doomed).filter(|task| task.kind == "standalone") {
        let reason = task.stopped_reason.as_deref().unwrap_or_default();
        assert!(
            reason.contains(&format!("spot-handoff: {doomed} is interrupted")),
            "{reason}"
        );
    }
    assert_eq!(stops.len(), 4, "only what runs on the instance: {stops:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ends_by_itself_before_its_moment_counts_as_saved() -> Result<()> {
    let scene = Scene::start(exact()).await?;
    let doomed = scene.first_of("inference")?;
    scene.put(&events::interruption(&doomed, scene.now())?).await?;
    scene.pass(20).await;
    let task = scene.task("batch-score", &doomed)?.arn.clone();
    scene
        .happen(json!({ "kind": "task-stops", "task": task }))
        .await?;
    let saved = scene
        .reported("the task is saved", |report| {
            report.tasks.iter().any(|line| line.task == task && line.saved)
        })
        .await?;
    assert!(
        saved.actions.iter().all(|line| line.resource != task),
        "{saved:?}"
    );
    let after = scene.settled().await?;
    let ended = after.tasks_on(&doomed).find(|one| one.arn == task).cloned();
    let reason = ended.and_then(|task| task.stopped_reason).unwrap_or_default();
    assert!(reason.contains("Essential container"), "{reason}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_are_to_be_left_go_down_with_the_instance() -> Result<()> {
    let scene = Scene::start(
        Options::default()
            .speed(20.0)
            .parameter("StandaloneTasks", "leave"),
    )
    .await?;
    let doomed = scene.first_of("inference")?;
    scene.put(&events::interruption(&doomed, scene.now())?).await?;
    scene
        .until("the instance is reclaimed", |state| {
            state
                .instance(&doomed)
                .is_some_and(|one| one.state == "terminated")
        })
        .await?;
    let after = scene.settled().await?;
    assert!(scene.calls("StopTask").await?.is_empty(), "{}", scene.story());
    for task in after.tasks_on(&doomed).filter(|task| task.kind == "standalone") {
        let reason = task.stopped_reason.as_deref().unwrap_or_default();
        assert!(reason.contains("Host EC2"), "{reason}");
    }
    nobody_runs_outside_a_group(&scene, &after)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_asks_for_it_is_run_again_once_on_another_instance() -> Result<()> {
    let scene = Scene::start(Options::default().speed(20.0)).await?;
    let doomed = scene.first_of("inference")?;
    let event = events::interruption(&doomed, scene.now())?;
    scene.put(&event).await?;
    scene.put(&event).await?;
    scene
        .until("it runs again", |state| of_family(state, "report").len() > 1)
        .await?;
    scene.put(&event).await?;
    let after = scene.settled().await?;
    let tasks = of_family(&after, "report");
    assert_eq!(tasks.len(), 2, "{}", scene.story());
    let old = scene.task("report", &doomed)?;
    let new = tasks
        .iter()
        .find(|task| task.arn != old.arn)
        .expect("another one");
    assert_eq!(new.last_status, "RUNNING");
    assert_ne!(new.instance.as_deref(), Some(doomed.as_str()));
    assert_eq!(new.started_by, old.started_by);
    for tag in ["spot-handoff:rerun", "team"] {
        assert_eq!(new.tags.get(tag), old.tags.get(tag), "{tag}");
    }
    // Nothing else asked for it.
    for family in ["batch-score", "fine-tune", "compile"] {
        assert_eq!(
            of_family(&after, family).len(),
            of_family(&scene.before, family).len(),
            "{family}"
        );
    }
    assert!(dead_letters(&after).is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_finds_no_room_is_tried_again() -> Result<()> {
    let scene = Scene::start(Options::default().speed(20.0)).await?;
    let doomed = scene.first_of("inference")?;
    scene
        .fault("RunTask", Some(2), json!({ "kind": "no-capacity" }))
        .await?;
    scene.put(&events::interruption(&doomed, scene.now())?).await?;
    let report = scene
        .reported("no room yet", |report| {
            report.actions.iter().any(|line| {
                line.action == ActionKind::RunTaskAgain
                    && line
                        .error
                        .as_deref()
                        .is_some_and(|error| error.contains("RESOURCE:MEMORY"))
            })
        })
        .await?;
    let line = report
        .actions
        .iter()
        .find(|line| line.action == ActionKind::RunTaskAgain);
    assert_eq!(line.map(|line| line.result), Some(ActionResult::Later));
    scene
        .until("it runs again", |state| of_family(state, "report").len() > 1)
        .await?;
    let after = scene.settled().await?;
    assert_eq!(of_family(&after, "report").len(), 2, "{}", scene.story());
    assert!(dead_letters(&after).is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_role_named_no_task_is_run_again_and_none_could_be() -> Result<()> {
    let scene = Scene::start(quick().parameter("RerunRoles", "")).await?;
    let role = &scene.bed.world.permissions().await?.roles["drain-tasks"];
    for permission in ["ecs:RunTask", "ecs:TagResource", "iam:PassRole"] {
        assert!(!role.iter().any(|one| one == permission), "{permission}");
    }
    let doomed = scene.first_of("inference")?;
    scene.put(&events::interruption(&doomed, scene.now())?).await?;
    let first = scene
        .reported("the task is to be stopped", |report| {
            report.function == "drain-tasks" && !report.tasks.is_empty()
        })
        .await?;
    let said = "report: tagged spot-handoff:rerun but not run again: RerunRoles is empty";
    assert!(first.warnings.iter().any(|warning| warning == said), "{first:?}");
    let after = scene.settled().await?;
    assert!(scene.calls("RunTask").await?.is_empty(), "{}", scene.story());
    let old = scene.task("report", &doomed)?;
    let stopped = after.tasks_on(&doomed).find(|task| task.arn == old.arn);
    let reason = stopped.and_then(|task| task.stopped_reason.clone());
    assert!(
        reason.unwrap_or_default().contains("spot-handoff:"),
        "{}",
        scene.story()
    );
    assert!(dead_letters(&after).is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_with_a_role_that_is_not_named_is_told_before_it_is_stopped() -> Result<()> {
    let agent = "arn:aws:iam::123456789012:role/ecs-tasks";
    let scene = Scene::start(quick().parameter("RerunRoles", agent)).await?;
    let doomed = scene.first_of("inference")?;
    scene.put(&events::interruption(&doomed, scene.now())?).await?;
    let first = scene
        .reported("the task is to be stopped", |report| {
            report.function == "drain-tasks" && !report.tasks.is_empty()
        })
        .await?;
    let said = "RerunRoles does not name arn:aws:iam::123456789012:role/report";
    assert!(
        first.warnings.iter().any(|warning| warning.contains(said)),
        "{first:?}"
    );
    scene.settled().await?;
    assert!(scene.calls("RunTask").await?.is_empty(), "{}", scene.story());
    Ok(())
}

/// A world whose tokens are as unforgiving as AWS's may be.
fn spent_tokens() -> Options {
    let mut options = quick();
    let variant = ("token-after-failures".to_owned(), "same-again".to_owned());
    options.variants.extend([variant]);
    options
}

/// Once, and with what ECS deleted when the old task was stopped.
async fn runs_once_as_before(scene: &Scene, doomed: &str) -> Result<State> {
    scene
        .until("it runs again", |state| of_family(state, "report").len() > 1)
        .await?;
    scene.pass(30).await;
    let after = scene.settled().await?;
    let old = scene.task("report", doomed)?;
    let tasks = of_family(&after, "report");
    let new: Vec<_> = tasks.iter().filter(|task| task.arn != old.arn).collect();
    assert_eq!(new.len(), 1, "{}", scene.story());
    for tag in ["spot-handoff:rerun", "team"] {
        assert_eq!(
            new[0].tags.get(tag),
            old.tags.get(tag),
            "{tag}\n{}",
            scene.story()
        );
    }
    Ok(after)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_followed_by_another_token() -> Result<()> {
    let scene = Scene::start(spent_tokens()).await?;
    let doomed = scene.first_of("inference")?;
    scene
        .fault("RunTask", Some(2), json!({ "kind": "no-capacity" }))
        .await?;
    let nothing_there = json!({
        "kind": "error",
        "code": "InvalidParameterException",
        "status": 400,
        "message": "No Container Instances were found in your capacity provider.",
    });
    scene.fault("RunTask", Some(1), nothing_there).await?;
    scene.put(&events::interruption(&doomed, scene.now())?).await?;
    let after = runs_once_as_before(&scene, &doomed).await?;
    assert!(dead_letters(&after).is_empty());
    let reports = scene.reports_of("drain-tasks");
    let actions = reports.iter().flat_map(|report| &report.actions);
    let refused =
        actions.filter(|line| line.action == ActionKind::RunTaskAgain && line.result == ActionResult::Later);
    assert_eq!(refused.count(), 3, "{}", scene.story());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_table_a_task_is_stopped_and_run_again_all_the_same() -> Result<()> {
    let scene = Scene::start(spent_tokens()).await?;
    let doomed = scene.first_of("inference")?;
    let denied = ["BatchGetItem", "PutItem"]
        .map(|action| json!({ "caller": "drain-tasks", "action": action, "fault": { "kind": "denied" } }));
    scene.bed.world.faults(&json!(denied)).await?;
    scene
        .fault("RunTask", Some(1), json!({ "kind": "no-capacity" }))
        .await?;
    scene.put(&events::interruption(&doomed, scene.now())?).await?;
    let after = runs_once_as_before(&scene, &doomed).await?;
    assert!(dead_letters(&after).is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ecs_has_forgotten_is_run_again_from_the_table() -> Result<()> {
    let scene = Scene::start(spent_tokens()).await?;
    let doomed = scene.first_of("inference")?;
    scene
        .fault("RunTask", None, json!({ "kind": "no-capacity" }))
        .await?;
    scene.put(&events::interruption(&doomed, scene.now())?).await?;
    scene
        .reported("no room yet", |report| {
            let mut lines = report.actions.iter();
            lines.any(|line| line.action == ActionKind::RunTaskAgain && line.result == ActionResult::Later)
        })
        .await?;
    let old = scene.task("report", &doomed)?;
    scene
        .happen(json!({ "kind": "forget-task", "task": old.arn }))
        .await?;
    scene.bed.world.clear_faults().await?;
    scene
        .until("it runs again", |state| !of_family(state, "report").is_empty())
        .await?;
    scene.pass(30).await;
    let after = scene.settled().await?;
    let tasks = of_family(&after, "report");
    assert_eq!(tasks.len(), 1, "{}", scene.story());
    assert_ne!(tasks[0].arn, old.arn);
    assert_eq!(tasks[0].tags.get("team"), old.tags.get("team"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_somebody_stops_is_not_run_again() -> Result<()> {
    let scene = Scene::start(Options::default().speed(20.0)).await?;
    let doomed = scene.first_of("inference")?;
    let task = scene.task("report", &doomed)?.arn.clone();
    let clients = Clients::of(&scene.bed)?;
    let stop = clients.ecs.stop_task().cluster("inference").task(&task);
    stop.reason("it hangs").send().await?;
    scene.put(&events::interruption(&doomed, scene.now())?).await?;
    scene
        .until("the instance is reclaimed", |state| {
            state
                .instance(&doomed)
                .is_some_and(|one| one.state == "terminated")
        })
        .await?;
    scene.settled().await?;
    assert!(scene.calls("RunTask").await?.is_empty(), "{}", scene.story());
    Ok(())
}
