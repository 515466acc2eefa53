//! The table of signals in docs/signals.md. The test puts every sample on the bus of a stack that only reports. Each
//! cell is what a function says it would do.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use end_to_end::events;
use end_to_end::scene::{PATIENCE, Scene, quick};
use serde_json::{Value, json};
use spot_handoff::report::Report;
use testbed::{FUNCTIONS, documentation};

/// A sample of `events/`, what it says, and the group whose first instance it is about here.
const SAMPLES: [(&str, &str, &str); 11] = [
    (
        "spot-interruption-warning",
        "AWS takes the instance in two minutes",
        "inference",
    ),
    (
        "capacity-reservation-interruption-warning",
        "an interruptible Capacity Reservation or a Capacity Block ends: AWS takes the instance when the event says",
        "inference",
    ),
    (
        "rebalance-recommendation",
        "the instance is at an elevated risk",
        "inference",
    ),
    (
        "launch-unsuccessful",
        "Auto Scaling could not launch an instance: a group that is watched is looked at sooner",
        "inference",
    ),
    (
        "terminate-lifecycle-action",
        "Auto Scaling waits at a hook before it terminates the instance, or returns it to its warm pool",
        "hooked",
    ),
    (
        "instance-state-change",
        "the instance shuts down, announced or not",
        "inference",
    ),
    (
        "instance-running",
        "the instance runs, perhaps again: it gets back what was taken from it",
        "inference",
    ),
    (
        "left-warm-pool",
        "the instance has left its warm pool: it gets back what was taken from it",
        "hooked",
    ),
    (
        "scheduled-retirement",
        "AWS retires, stops or terminates the instance at a date",
        "inference",
    ),
    (
        "scheduled-reboot",
        "AWS restarts the instance at a date: its work is taken from it shortly before, and given back after",
        "inference",
    ),
    (
        "capacity-block-expiration-warning",
        "a Capacity Block ends in some 40 minutes",
        "inference",
    ),
];

fn read(sample: &str) -> Result<String> {
    let path = testbed::Workspace::locate()?.path(&format!("events/{sample}.json"));
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn event(scene: &Scene, sample: &str, group: &str) -> Result<Value> {
    let mut event = events::about(&read(sample)?, &scene.first_of(group)?, scene.now())?;
    let detail = &mut event["detail"];
    if detail["LifecycleHookName"].is_string() {
        detail["LifecycleHookName"] = json!("spot-handoff-drain");
    }
    if detail["AutoScalingGroupName"].is_string() {
        detail["AutoScalingGroupName"] = json!(group);
    }
    if detail["instance-termination-time"].is_string() {
        let ends = scene.now() + jiff::SignedDuration::from_mins(2);
        detail["instance-termination-time"] = json!(ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    Ok(event)
}

/// What a function says about an event: its actions, or why there are none. Two functions do not get some of the
/// events.
fn cell(reports: &[Report]) -> String {
    let all = || reports.iter();
    let actions: BTreeSet<String> = all()
        .flat_map(|report| &report.actions)
        .map(|line| format!("`{}`", line.action))
        .collect();
    if !actions.is_empty() {
        return actions.into_iter().collect::<Vec<_>>().join(", ");
    }
    let skipped = all().flat_map(|report| &report.skipped);
    let reasons: BTreeSet<&str> = skipped.map(|skipped| skipped.reason.as_str()).collect();
    reasons.into_iter().collect::<Vec<_>>().join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_signals_says_what_each_function_does() -> Result<()> {
    let scene = Scene::start(quick().parameter("DryRun", "true")).await?;
    let mut table = "| event | it says | deregister-targets | drain-tasks | replace-capacity | sample |\n\
                     |---|---|---|---|---|---|\n"
        .to_owned();
    for (sample, says, group) in SAMPLES {
        let event = event(&scene, sample, group)?;
        let matched = scene.put(&event).await?;
        assert!(!matched.is_empty(), "no rule takes {sample}");
        scene.bed.until_settled(PATIENCE).await?;
        let cells = FUNCTIONS.map(|function| {
            let mut reports = scene.reports_of(function);
            reports.retain(|report| json!(report.event_id) == event["id"]);
            cell(&reports)
        });
        let kind = event["detail-type"].as_str().context("a detail-type")?;
        table += &format!("| {kind} | {says} | {} | `{sample}.json` |\n", cells.join(" | "));
    }
    documentation::part("docs/signals.md", "signals", &table)
}
