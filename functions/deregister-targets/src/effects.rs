//! Deregistering: one call for each target group, a few at a time.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::TargetDescription;
use spot_handoff::report::plan::{Done, Results};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, at_most};

use crate::plan::{Action, Target};

/// While AWS throttles, each call tries about once a second; more of them would not be sooner done, since AWS takes four
/// such calls a second after a burst of twenty.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html>
const TARGET_GROUPS_AT_ONCE: usize = 4;

/// Carries the actions out and tells how each went.
///
/// A target that is not registered any more is no error to Elastic Load Balancing, so a repetition is harmless.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html>
pub async fn deregister(elb: &Client, invocation: &Invocation, actions: &[Action]) -> Results<Action> {
    let mut by_target_group: BTreeMap<&str, Vec<&Action>> = BTreeMap::new();
    for action in actions {
        by_target_group
            .entry(&action.target_group)
            .or_default()
            .push(action);
    }
    let calls = by_target_group
        .into_iter()
        .map(|(target_group, actions)| async move {
            let targets = actions.iter().map(|action| description(&action.target)).collect();
            let asking = elb
                .deregister_targets()
                .target_group_arn(target_group)
                .set_targets(Some(targets))
                .send();
            let answer = invocation.call("DeregisterTargets", asking).await;
            let done = done(invocation, answer.map(|_| ()));
            actions
                .into_iter()
                .map(move |action| (action.clone(), done.clone()))
                .collect::<Vec<_>>()
        });
    at_most(TARGET_GROUPS_AT_ONCE, calls)
        .await
        .into_iter()
        .flatten()
        .collect()
}

fn done(invocation: &Invocation, answer: Result<(), CallError>) -> Done {
    match answer {
        Err(error) if error.code() == Some("TargetGroupNotFound") => {
            Done::already(invocation.clock, "the target group is gone")
        }
        answer => Done::of(invocation.clock, &answer),
    }
}

fn description(target: &Target) -> TargetDescription {
    TargetDescription::builder()
        .id(&target.id)
        .set_port(target.port)
        .build()
}
