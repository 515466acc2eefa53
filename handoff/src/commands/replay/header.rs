//! The top of a replay: what happened to whom, and by when.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use testbed::State;

use crate::style;

/// How long AWS leaves an instance after an interruption warning.
const NOTICE: SignedDuration = SignedDuration::from_secs(120);
const INTERRUPTION: &str = "EC2 Spot Instance Interruption Warning";

/// The header of one event.
pub fn of_event(event: &Value, state: &State, instances: &[String], dry_run: bool) -> String {
    let kind = event["detail-type"].as_str().unwrap_or_default();
    let mut lines = vec![title(kind, dry_run)];
    let mut sent = format!("  sent       {}", event["time"].as_str().unwrap_or("-"));
    if kind == INTERRUPTION
        && let Some(deadline) = deadline(event)
    {
        sent.push_str(&format!("; AWS takes the instance at {deadline}"));
    }
    lines.push(sent);
    lines.extend(instances.iter().flat_map(|id| about(id, state)));
    lines.join("\n")
}

/// The header of a batch.
pub fn of_batch(bodies: &[String], state: &State, instances: &[String], dry_run: bool) -> String {
    let kind = format!("{} messages on each function's queue", bodies.len());
    let mut lines = vec![title(&kind, dry_run)];
    lines.extend(instances.iter().flat_map(|id| about(id, state)));
    lines.join("\n")
}

fn title(kind: &str, dry_run: bool) -> String {
    let suffix = if dry_run { " (dry run)" } else { "" };
    style::strong(&format!("{kind}{suffix}"))
}

fn deadline(event: &Value) -> Option<Timestamp> {
    let sent: Timestamp = event["time"].as_str()?.parse().ok()?;
    sent.checked_add(NOTICE).ok()
}

fn about(id: &str, state: &State) -> Vec<String> {
    let Some(instance) = state.instance(id) else {
        return vec![format!("  instance   {id}, which the fleet does not have")];
    };
    let group = match state.group_of(id) {
        Some(group) => format!("group {}", group.name),
        None => "in no group".to_owned(),
    };
    let cluster = match state.registration(id) {
        Some((cluster, registered)) => {
            format!("cluster {} with {} tasks", cluster.name, registered.running_tasks)
        }
        None => "in no cluster".to_owned(),
    };
    vec![format!(
        "  instance   {id} in {}, {group}, {cluster}",
        instance.zone
    )]
}
