//! The samples of `events/`, about an instance of the sample fleet and of now.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The instance that the samples are about.
const SAMPLE_INSTANCE: &str = "i-0123456789abcdef0";

/// An interruption warning.
pub fn interruption(instance: &str, now: Timestamp) -> Result<Value> {
    about(
        include_str!("../../../events/spot-interruption-warning.json"),
        instance,
        now,
    )
}

/// A rebalance recommendation.
pub fn rebalance(instance: &str, now: Timestamp) -> Result<Value> {
    about(
        include_str!("../../../events/rebalance-recommendation.json"),
        instance,
        now,
    )
}

/// A state change.
pub fn state_change(instance: &str, state: &str, now: Timestamp) -> Result<Value> {
    let mut event = about(
        include_str!("../../../events/instance-state-change.json"),
        instance,
        now,
    )?;
    event["detail"]["state"] = json!(state);
    Ok(event)
}

/// A retirement by AWS, at a date.
pub fn retirement(instance: &str, starts: Timestamp, now: Timestamp) -> Result<Value> {
    let mut event = about(
        include_str!("../../../events/scheduled-retirement.json"),
        instance,
        now,
    )?;
    let starts = starts.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    event["detail"]["startTime"] = json!(starts);
    event["detail"]["endTime"] = json!(starts);
    Ok(event)
}

/// A reboot by AWS, at a date.
pub fn reboot(instance: &str, starts: Timestamp, now: Timestamp) -> Result<Value> {
    let mut event = about(
        include_str!("../../../events/scheduled-reboot.json"),
        instance,
        now,
    )?;
    let starts = starts.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    event["detail"]["startTime"] = json!(starts);
    event["detail"]["endTime"] = json!(starts);
    Ok(event)
}

/// A warning that the reservation of an instance ends.
pub fn reservation_ends(instance: &str, ends: Timestamp, now: Timestamp) -> Result<Value> {
    let sample = include_str!("../../../events/capacity-reservation-interruption-warning.json");
    let mut event = about(sample, instance, now)?;
    event["detail"]["instance-termination-time"] = json!(ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    Ok(event)
}

/// The warning, ahead of all others, that a Capacity Block ends. It names no instance.
pub fn capacity_block_ends(now: Timestamp) -> Result<Value> {
    let sample = include_str!("../../../events/capacity-block-expiration-warning.json");
    about(sample, SAMPLE_INSTANCE, now)
}

/// An instance that waits at a termination hook.
pub fn terminating(instance: &str, group: &str, hook: &str, now: Timestamp) -> Result<Value> {
    let sample = include_str!("../../../events/terminate-lifecycle-action.json");
    of_hook(about(sample, instance, now)?, group, hook)
}

/// An instance that waits at a launch hook.
pub fn launching(instance: &str, group: &str, hook: &str, now: Timestamp) -> Result<Value> {
    let sample = include_str!("../../../events/launch-lifecycle-action.json");
    of_hook(about(sample, instance, now)?, group, hook)
}

/// An instance that a group took out of its warm pool.
pub fn left_warm_pool(instance: &str, group: &str, now: Timestamp) -> Result<Value> {
    let sample = include_str!("../../../events/left-warm-pool.json");
    let mut event = about(sample, instance, now)?;
    event["detail"]["AutoScalingGroupName"] = json!(group);
    Ok(event)
}

fn of_hook(mut event: Value, group: &str, hook: &str) -> Result<Value> {
    event["detail"]["AutoScalingGroupName"] = json!(group);
    event["detail"]["LifecycleHookName"] = json!(hook);
    Ok(event)
}

/// A sample, about this instance and of now.
///
/// # Errors
/// Where the sample is no JSON.
pub fn about(sample: &str, instance: &str, now: Timestamp) -> Result<Value> {
    static EVENTS: AtomicU32 = AtomicU32::new(0);
    let mut event: Value = serde_json::from_str(&sample.replace(SAMPLE_INSTANCE, instance))?;
    let number = EVENTS.fetch_add(1, Ordering::Relaxed);
    event["id"] = json!(format!("00000000-0000-4000-8000-{number:012}"));
    event["time"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    Ok(event)
}
