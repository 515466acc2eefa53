//! Lifecycle actions: heartbeats and completions.

use aws_sdk_autoscaling::Client;
use spot_handoff::notice::{LifecycleAction, Notice};
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};

use crate::plan::Action;

/// Tells Auto Scaling that lifecycle actions take longer, or that they are complete.
pub async fn tell(
    client: &Client,
    invocation: &Invocation,
    distinct: &[(&Notice, &Action)],
) -> Vec<(Action, Done)> {
    let calls = distinct.iter().filter_map(|(_, action)| match action {
        Action::Heartbeat(_) | Action::Complete(_) | Action::Abandon(_) => Some(async {
            let answer = match action {
                Action::Heartbeat(lifecycle_action) => heartbeat(client, invocation, lifecycle_action).await,
                Action::Complete(lifecycle_action) => {
                    complete(client, invocation, lifecycle_action, "CONTINUE").await
                }
                Action::Abandon(lifecycle_action) => {
                    complete(client, invocation, lifecycle_action, "ABANDON").await
                }
                _ => Ok(()),
            };
            ((*action).clone(), done(invocation, answer))
        }),
        _ => None,
    });
    together(calls).await
}

async fn heartbeat(
    client: &Client,
    invocation: &Invocation,
    action: &LifecycleAction,
) -> Result<(), CallError> {
    let asking = client
        .record_lifecycle_action_heartbeat()
        .auto_scaling_group_name(&action.group)
        .lifecycle_hook_name(&action.hook)
        .lifecycle_action_token(&action.token)
        .send();
    invocation
        .call("RecordLifecycleActionHeartbeat", asking)
        .await
        .map(|_| ())
}

async fn complete(
    client: &Client,
    invocation: &Invocation,
    action: &LifecycleAction,
    result: &str,
) -> Result<(), CallError> {
    let asking = client
        .complete_lifecycle_action()
        .auto_scaling_group_name(&action.group)
        .lifecycle_hook_name(&action.hook)
        .lifecycle_action_token(&action.token)
        .lifecycle_action_result(result)
        .send();
    invocation
        .call("CompleteLifecycleAction", asking)
        .await
        .map(|_| ())
}

/// If Auto Scaling does not know an action, it is over: completed before, timed out, or its instance is gone.
fn done(invocation: &Invocation, answer: Result<(), CallError>) -> Done {
    match answer {
        Err(error) if error.code() == Some("ValidationError") => Done::already(
            invocation.clock,
            format!("the lifecycle action is over: {}", error.message()),
        ),
        answer => Done::of(invocation.clock, &answer),
    }
}
