//! Stop scripts: an instance outside ECS saves its work before it goes, once, and the result is announced.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use spot_handoff::report::{ActionResult, Report, ScriptLine};
use testbed::state::Script;
use testbed::{Options, RUNNER, State};

use end_to_end::events;
use end_to_end::scene::{Scene, quick, skips};

/// A plain group: its instances are in no cluster.
const GROUP: &str = "mixed";
const WARNED_FOR_SECONDS: i64 = 120;

/// A group whose instances save what they have done.
fn script(group: &str, lines: &[&str]) -> Value {
    json!({ "kind": "stop-script", "group": group, "lines": lines, "files": { "state": "step 17" } })
}

fn saving(group: &str) -> Value {
    script(group, &["sleep 5", "cat state > saved", "echo saved step 17"])
}

fn with(mut script: Value, name: &str, value: Value) -> Value {
    script[name] = value;
    script
}

fn tagged(script: Value, tag: &str, value: &str) -> Value {
    with(script, "tags", json!({ tag: value }))
}

/// Slower than elsewhere: moments are looked at.
fn options() -> Options {
    quick().speed(10.0)
}

fn runs(state: &State, instance: &str) -> Vec<Script> {
    let scripts = state.scripts.iter();
    scripts.filter(|one| one.instance == instance).cloned().collect()
}

fn only_run(scene: &Scene, state: &State, instance: &str) -> Script {
    let runs = runs(state, instance);
    assert_eq!(runs.len(), 1, "{runs:?}\n{}", scene.story());
    runs[0].clone()
}

/// What was told about the ends of scripts.
fn ends(scene: &Scene) -> Vec<ScriptLine> {
    let reports = scene.reports_of(RUNNER);
    reports.into_iter().flat_map(|report| report.scripts).collect()
}

fn only_end(scene: &Scene) -> ScriptLine {
    let ends = ends(scene);
    assert_eq!(ends.len(), 1, "{ends:?}\n{}", scene.story());
    ends[0].clone()
}

async fn dead_letters(scene: &Scene) -> Result<usize> {
    let name = scene.bed.dead_letter_queue(RUNNER)?.name.clone();
    Ok(scene
        .state()
        .await?
        .queue(&name)
        .map_or(0, |queue| queue.bodies.len()))
}

/// Sends a warning for the first instance of the group, and waits until nothing is left to do. Answers with the
/// instance and the end.
async fn interrupted(scene: &Scene, group: &str) -> Result<(String, State)> {
    let instance = scene.first_of(group)?;
    scene.put(&events::interruption(&instance, scene.now())?).await?;
    let after = scene.settled().await?;
    Ok((instance, after))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_instance_has_done_is_saved_before_it_goes() -> Result<()> {
    let scene = Scene::start(options()).await?;
    let parameters = json!({ "InstanceId": {}, "Reason": {}, "SecondsLeft": {}, "Deadline": {} });
    scene
        .happen(with(saving(GROUP), "parameters", parameters))
        .await?;
    let warned = scene.now().as_millisecond();
    let (instance, after) = interrupted(&scene, GROUP).await?;
    let run = only_run(&scene, &after, &instance);
    assert_eq!(run.status, "Success", "{}", scene.story());
    assert_eq!(run.files.get("saved").map(String::as_str), Some("step 17"));
    let ended = run.ended_ms.context("it ended")?;
    assert!((ended - warned) / 1000 < WARNED_FOR_SECONDS, "{}", scene.story());
    assert_eq!(run.parameters["InstanceId"], instance);
    assert_eq!(run.parameters["Reason"], "interruption");
    let left: i64 = run.parameters["SecondsLeft"].parse()?;
    assert!((1..=WARNED_FOR_SECONDS).contains(&left), "{left}");
    let end = only_end(&scene);
    assert!(end.saved, "{end:?}");
    assert_eq!((end.status.as_str(), end.exit_code), ("Success", Some(0)));
    assert_eq!(end.output, "saved step 17");
    // The replacement has its own work, and nobody stops it.
    assert_eq!(after.scripts.len(), 1, "{}", scene.story());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_late_ones_and_other_signals_run_it_once() -> Result<()> {
    let scene = Scene::start(options()).await?;
    scene.happen(saving("hooked")).await?;
    let instance = scene.first_of("hooked")?;
    let warning = events::interruption(&instance, scene.now())?;
    scene.put(&warning).await?;
    scene.put(&warning).await?;
    let hook = events::terminating(&instance, "hooked", "spot-handoff-drain", scene.now())?;
    scene.put(&hook).await?;
    scene.pass(30).await;
    scene.put(&warning).await?;
    let after = scene.settled().await?;
    let run = only_run(&scene, &after, &instance);
    assert_eq!(run.status, "Success", "{}", scene.story());
    only_end(&scene);
    assert_eq!(dead_letters(&scene).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_the_targets_and_not_beyond_its_last_moment() -> Result<()> {
    // At the real pace, targets drain for longer than the notice. The script needs the last 40 s of it.
    let scene = Scene::start(options()).await?;
    scene
        .happen(tagged(saving("inference"), "spot-handoff:stop-seconds", "40"))
        .await?;
    let warned = scene.now().as_millisecond();
    let (instance, after) = interrupted(&scene, "inference").await?;
    let run = only_run(&scene, &after, &instance);
    let seconds = (run.sent_ms - warned) / 1000;
    assert!(
        seconds <= 80,
        "sent {seconds} s after the warning\n{}",
        scene.story()
    );
    assert_eq!(run.status, "Success", "{}", scene.story());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_group_says_so_it_runs_at_once() -> Result<()> {
    let scene = Scene::start(options()).await?;
    scene
        .happen(tagged(saving("inference"), "spot-handoff:stop-when", "now"))
        .await?;
    let warned = scene.now().as_millisecond();
    let (instance, after) = interrupted(&scene, "inference").await?;
    let run = only_run(&scene, &after, &instance);
    let seconds = (run.sent_ms - warned) / 1000;
    assert!(
        seconds < 20,
        "sent {seconds} s after the warning\n{}",
        scene.story()
    );
    Ok(())
}

/// If a script does not save its work, this is announced as a loss, and nothing is tried again.
async fn lost(script: Value, agent: Option<&str>) -> Result<ScriptLine> {
    let scene = Scene::start(options()).await?;
    scene.happen(script).await?;
    let instance = scene.first_of(GROUP)?;
    if let Some(what) = agent {
        scene
            .happen(json!({ "kind": "ssm-agent", "instance": instance, "what": what }))
            .await?;
    }
    interrupted(&scene, GROUP).await?;
    let end = only_end(&scene);
    assert!(!end.saved, "{end:?}");
    let is_lost = |report: &Report| {
        report
            .actions
            .iter()
            .any(|line| line.result == ActionResult::Lost)
    };
    assert!(scene.reports_of(RUNNER).iter().any(is_lost), "{}", scene.story());
    assert_eq!(dead_letters(&scene).await?, 0, "{}", scene.story());
    Ok(end)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_fails_is_told_as_a_loss() -> Result<()> {
    let end = lost(script(GROUP, &["echo no space left >&2", "exit 7"]), None).await?;
    assert_eq!((end.status.as_str(), end.exit_code), ("Failed", Some(7)));
    assert!(end.output.contains("no space left"), "{end:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_takes_too_long_is_told_as_a_loss() -> Result<()> {
    let end = lost(script(GROUP, &["sleep 500"]), None).await?;
    assert_eq!(end.status, "No end in time");
    let ended = with(script(GROUP, &["sleep 60"]), "timeout", json!(20));
    assert_eq!(lost(ended, None).await?.status, "ExecutionTimedOut");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_there_is_told_as_a_loss() -> Result<()> {
    for (agent, status) in [
        ("missing", "Not sent"),
        ("undeliverable", "Undeliverable"),
        ("silent", "DeliveryTimedOut"),
    ] {
        let end = lost(saving(GROUP), Some(agent)).await?;
        assert_eq!(end.status, status, "{agent}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_scaling_waits_at_the_hook_until_the_script_has_ended() -> Result<()> {
    let scene = Scene::start(options()).await?;
    scene
        .happen(script("hooked", &["sleep 45", "cat state > saved"]))
        .await?;
    let instance = scene.first_of("hooked")?;
    scene
        .happen(json!({ "kind": "terminate-with-hook", "instance": instance }))
        .await?;
    let after = scene.settled().await?;
    let run = only_run(&scene, &after, &instance);
    assert_eq!(run.status, "Success", "{}", scene.story());
    assert_eq!(run.files.get("saved").map(String::as_str), Some("step 17"));
    let mut actions = after.lifecycle_actions.iter();
    let action = actions
        .find(|one| one.instance == instance)
        .context("no action")?;
    assert_eq!(action.result.as_deref(), Some("CONTINUE"));
    assert!(action.heartbeats > 2, "{action:?}\n{}", scene.story());
    let waits = |report: &Report| skips(report, "its stop script has not ended");
    assert!(
        scene.reports_of("drain-tasks").iter().any(waits),
        "{}",
        scene.story()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_ends_after_the_script() -> Result<()> {
    let scene = Scene::start(options()).await?;
    scene.happen(saving("inference")).await?;
    let instance = scene.first_of("inference")?;
    scene.put(&events::rebalance(&instance, scene.now())?).await?;
    let after = scene.settled().await?;
    let run = only_run(&scene, &after, &instance);
    assert_eq!(run.status, "Success", "{}", scene.story());
    assert!(
        after.group_of(&instance).is_none(),
        "it has left\n{}",
        scene.story()
    );
    assert!(only_end(&scene).saved);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_documents_that_are_tagged_for_it_are_sent() -> Result<()> {
    let scene = Scene::start(options()).await?;
    scene.happen(with(saving(GROUP), "tagged", json!(false))).await?;
    let (instance, after) = interrupted(&scene, GROUP).await?;
    assert_eq!(runs(&after, &instance).len(), 0, "{}", scene.story());
    let is_denied = |report: &Report| {
        let mut errors = report.actions.iter().filter_map(|line| line.error.as_deref());
        errors.any(|error| error.contains("AccessDenied"))
    };
    assert!(
        scene.reports_of(RUNNER).iter().any(is_denied),
        "{}",
        scene.story()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_text_in_a_tag_is_no_document() -> Result<()> {
    for value in [
        "AWS-RunShellScript",
        "reboot; true",
        "arn:aws:ssm:us-east-1::document/AWS-RunShellScript",
    ] {
        let scene = Scene::start(options()).await?;
        scene
            .bed
            .world
            .tag_group(GROUP, "spot-handoff:stop-document", value)
            .await?;
        let (instance, after) = interrupted(&scene, GROUP).await?;
        assert_eq!(runs(&after, &instance).len(), 0, "{value}");
        let says = |report: &Report| {
            report
                .warnings
                .iter()
                .any(|warning| warning.contains("spot-handoff:stop-document") && warning.contains(value))
        };
        assert!(
            scene.reports_of(RUNNER).iter().any(says),
            "{value}\n{}",
            scene.story()
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_table_it_runs_all_the_same() -> Result<()> {
    let scene = Scene::start(options()).await?;
    scene.happen(saving(GROUP)).await?;
    let order = json!([{ "caller": RUNNER, "service": "dynamodb", "fault": { "kind": "denied" } }]);
    scene.bed.world.faults(&order).await?;
    let (instance, after) = interrupted(&scene, GROUP).await?;
    let runs = runs(&after, &instance);
    assert!(!runs.is_empty(), "{}", scene.story());
    assert_eq!(runs[0].status, "Success");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_killed_runs_it_once() -> Result<()> {
    let scene = Scene::start(options()).await?;
    scene.happen(saving(GROUP)).await?;
    // The answer to the first command is lost, so nobody knows whether the command went out.
    let hold = json!([{
        "caller": RUNNER,
        "action": "SendCommand",
        "times": 1,
        "fault": { "kind": "hang", "ms": 30_000, "carried_out": true },
    }]);
    scene.bed.world.faults(&hold).await?;
    let instance = scene.first_of(GROUP)?;
    scene.put(&events::interruption(&instance, scene.now())?).await?;
    scene
        .until("the command is out", |state| !runs(state, &instance).is_empty())
        .await?;
    scene.bed.kill(RUNNER);
    let after = scene.settled().await?;
    let run = only_run(&scene, &after, &instance);
    assert_eq!(run.status, "Success", "{}", scene.story());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_without_a_stop_script_are_left_alone_in_silence() -> Result<()> {
    let scene = Scene::start(options()).await?;
    let (_, after) = interrupted(&scene, GROUP).await?;
    assert!(after.scripts.is_empty());
    assert!(scene.reports_of(RUNNER).is_empty(), "{}", scene.story());
    Ok(())
}
