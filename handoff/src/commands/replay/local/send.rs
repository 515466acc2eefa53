//! Sends a sample on the embedded AWS.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testbed::{FUNCTIONS, RUNNER, State, Testbed};

use super::{Output, Sample};
use crate::commands::signals::Signal;

/// Puts an event on the bus, or the messages of a batch on the queue of every function.
pub async fn send(bed: &Testbed, sample: &Sample, instances: &[String], output: &Output) -> Result<()> {
    match sample {
        Sample::Event(event) => {
            if event["detail-type"] == Signal::TerminateLifecycleAction.detail_type()
                && let Some(instance) = instances.first()
            {
                return lifecycle_action(bed, event, instance, output).await;
            }
            output.matched(&bed.put_event(event).await?);
        }
        Sample::Batch(bodies) => {
            for function in FUNCTIONS.into_iter().chain([RUNNER]) {
                for body in bodies {
                    bed.send(function, body).await?;
                }
            }
        }
    }
    Ok(())
}

/// A lifecycle action can be completed only if a group really waits for it. So this makes the group terminate the
/// instance, and the group sends the event itself. Only repetitions are ours.
async fn lifecycle_action(bed: &Testbed, event: &Value, instance: &str, output: &Output) -> Result<()> {
    let state = bed.world.state().await?;
    match repetition(event, instance, &state) {
        Some(event) => output.matched(&bed.put_event(&event).await?),
        None => {
            let terminate = json!({"kind": "terminate-with-hook", "instance": instance});
            let happened = bed.world.happen(&terminate).await;
            happened.with_context(|| {
                format!("{instance} is in no group with a termination lifecycle hook; leave --instance out")
            })?;
        }
    }
    Ok(())
}

/// The event about a lifecycle action of this world.
fn repetition(event: &Value, instance: &str, state: &State) -> Option<Value> {
    let mut actions = state.lifecycle_actions.iter();
    let action = actions.find(|action| action.instance == instance)?;
    let mut event = event.clone();
    let detail = event.get_mut("detail")?;
    detail["LifecycleActionToken"] = action.token.clone().into();
    detail["AutoScalingGroupName"] = action.group.clone().into();
    detail["LifecycleHookName"] = action.hook.clone().into();
    Some(event)
}
