//! The top of a replay: what happens to which instance, and when.

use jiff::Timestamp;
use serde_json::Value;
use spot_handoff::notice::NOTICE;
use testbed::State;

use super::Sample;
use crate::commands::signals::Signal;
use crate::words::count;
use crate::{style, terminal};

/// The header of a sample.
pub fn of(sample: &Sample, state: &State, instances: &[String], dry_run: bool) -> String {
    let mut lines = match sample {
        Sample::Event(event) => of_event(event, dry_run),
        Sample::Batch(bodies) => {
            let messages = count(bodies.len() as u64, "message");
            vec![title(&format!("{messages} on each function's queue"), dry_run)]
        }
    };
    lines.extend(instances.iter().map(|id| about(id, state)));
    lines.join("\n")
}

fn of_event(event: &Value, dry_run: bool) -> Vec<String> {
    let kind = event["detail-type"].as_str().unwrap_or_default();
    let mut sent = event["time"].as_str().unwrap_or("-").to_owned();
    if kind == Signal::InterruptionWarning.detail_type()
        && let Some(deadline) = deadline(event)
    {
        sent.push_str(&format!("; AWS takes the instance at {deadline}"));
    }
    vec![title(kind, dry_run), terminal::hang("  sent       ", &sent)]
}

fn title(kind: &str, dry_run: bool) -> String {
    let suffix = if dry_run { " (dry run)" } else { "" };
    style::strong(&format!("{kind}{suffix}"))
}

fn deadline(event: &Value) -> Option<Timestamp> {
    let sent: Timestamp = event["time"].as_str()?.parse().ok()?;
    sent.checked_add(NOTICE).ok()
}

fn about(id: &str, state: &State) -> String {
    let Some(instance) = state.instance(id) else {
        return format!("  instance   {id}, which the fleet does not have");
    };
    let group = match state.group_of(id) {
        Some(group) => format!("group {}", group.name),
        None => "in no group".to_owned(),
    };
    let cluster = match state.registration(id) {
        Some((cluster, registered)) => {
            let tasks = count(registered.running_tasks.unsigned_abs(), "task");
            format!("cluster {} with {tasks}", cluster.name)
        }
        None => "in no cluster".to_owned(),
    };
    terminal::hang(
        "  instance   ",
        &format!("{id} in {}, {group}, {cluster}", instance.zone),
    )
}
