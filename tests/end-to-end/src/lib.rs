//! What the end-to-end tests share: events about an instance of the sample fleet, and questions about a world.

pub mod clients;
pub mod events;
pub mod expectation;
pub mod invariants;
pub mod scene;
pub mod soak;

use std::time::Duration;

use anyhow::{Context, Result};
use fast_aws::FastOptions;
use jiff::Timestamp;
use serde_json::{Value, json};
use spot_handoff::report::{ActionLine, Report};
use testbed::{Options, State, Testbed};

/// How long, in real time, a test waits for its functions.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The group and cluster that most tests are about.
pub const GROUP: &str = "inference";

/// Starts a world in which only calls change anything, so its state shows only what the functions did.
///
/// # Errors
/// Where the test bed cannot be started.
pub async fn still(options: Options) -> Result<Testbed> {
    Testbed::start(Options {
        simulate: false,
        ..options
    })
    .await
}

/// The same on the fast AWS, with the same sample fleet.
///
/// # Errors
/// Where the test bed cannot be started.
pub async fn still_and_fast(options: Options) -> Result<Testbed> {
    let still = Options {
        simulate: false,
        ..options
    };
    fast_aws::start(FastOptions::default(), still).await
}

/// An interruption warning for an instance, sent now.
pub fn warning(bed: &Testbed, instance: &str) -> Value {
    event(
        "aws.ec2",
        "EC2 Spot Instance Interruption Warning",
        bed.world.clock().now(),
        json!({ "instance-id": instance, "instance-action": "terminate" }),
    )
}

/// A rebalance recommendation for an instance, sent now.
pub fn recommendation(bed: &Testbed, instance: &str) -> Value {
    event(
        "aws.ec2",
        "EC2 Instance Rebalance Recommendation",
        bed.world.clock().now(),
        json!({ "instance-id": instance }),
    )
}

/// An event as EventBridge delivers it.
pub fn event(source: &str, detail_type: &str, time: Timestamp, detail: Value) -> Value {
    json!({
        "version": "0",
        "id": "0d079340-135a-c8c6-95c2-41fb8f496c53",
        "detail-type": detail_type,
        "source": source,
        "account": "123456789012",
        "time": time,
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    })
}

/// The first instance of a group. In `inference` it runs a task of every kind.
///
/// # Errors
/// Where there is no such group or it is empty.
pub fn first_of(state: &State, group: &str) -> Result<String> {
    let group = state.group(group).with_context(|| format!("no group {group}"))?;
    let first = group.instances.first().context("the group is empty")?;
    Ok(first.id.clone())
}

/// Puts an event on the bus, and waits until the functions only wait for delayed messages.
///
/// # Errors
/// Where no rule matches, or the functions do not come to rest.
pub async fn hand_off(bed: &Testbed, event: &Value) -> Result<()> {
    let matched = bed.put_event(event).await?;
    anyhow::ensure!(!matched.is_empty(), "no rule matches {event}");
    bed.until_idle(PATIENCE).await
}

/// The reports of one function.
pub fn reports_of(bed: &Testbed, function: &str) -> Vec<Report> {
    bed.reports()
        .into_iter()
        .filter(|report| report.function == function)
        .collect()
}

/// Every action of a name that was reported.
pub fn actions(bed: &Testbed, action: &str) -> Vec<ActionLine> {
    let lines = bed.reports().into_iter().flat_map(|report| report.actions);
    lines.filter(|line| line.action.to_string() == action).collect()
}

/// All reasons for which something was left alone.
pub fn skipped(bed: &Testbed) -> String {
    let reports = bed.reports();
    let reasons = reports
        .iter()
        .flat_map(|report| &report.skipped)
        .map(|line| line.reason.as_str());
    reasons.collect::<Vec<_>>().join("\n")
}

/// The targets of a target group that still take traffic, as `id:port`.
pub fn serving(state: &State, target_group: &str) -> Vec<String> {
    let targets = state
        .target_group(target_group)
        .map(|group| group.targets.as_slice())
        .unwrap_or_default();
    let serving = targets.iter().filter(|target| target.state != "draining");
    serving
        .map(|target| format!("{}:{}", target.id, target.port.unwrap_or_default()))
        .collect()
}

/// The messages in dead-letter queues.
pub fn dead_letters(state: &State) -> Vec<String> {
    state
        .queues
        .iter()
        .flat_map(|queue| queue.bodies.clone())
        .collect()
}

/// What must not change, whatever happens to the group and the cluster `inference`: everything of `web`.
pub fn untouched(state: &State) -> Value {
    json!({
        "group": state.group("web"),
        "targets": state.target_group("web"),
        "cluster": state.cluster("web"),
    })
}
