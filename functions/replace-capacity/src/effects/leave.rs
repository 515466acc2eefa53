//! Instances that leave their group: detached twenty a call, or terminated one by one.

use std::collections::BTreeMap;

use spot_handoff::autoscaling::groups::{self, GroupOf, Lifecycle};
use spot_handoff::notice::InstanceId;
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{at_most, together};

use super::{Asked, Aws, launch, tags};
use crate::plan::{Action, Leaving};
use crate::replacement_tag::{Attempt, Exchange};

/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DetachInstances.html>
const DETACHED_PER_CALL: usize = 20;
/// How many groups lose instances at once. While AWS throttles, each tries about once a second; more of them would not be
/// sooner done, since AWS takes a handful of such calls a second.
const GROUPS_AT_ONCE: usize = 5;

/// Whether an instance leaves by it.
pub fn is_one(action: &Action) -> bool {
    matches!(
        action,
        Action::Detach(_) | Action::Terminate(_) | Action::Retire(_) | Action::FinishLaunchAndLeave { .. }
    )
}

/// Carries out everything by which instances leave.
pub async fn all(aws: Aws<'_>, distinct: &[Asked<'_>]) -> Vec<(Action, Done)> {
    let knowing = |action: &Action| match action {
        Action::Detach(leaving) | Action::Retire(leaving) => leaving.decrement,
        _ => false,
    };
    let with_decrement: Vec<(&str, &InstanceId)> = distinct
        .iter()
        .filter_map(|(_, action)| match action {
            Action::Detach(leaving) | Action::Retire(leaving) if leaving.decrement => {
                Some((leaving.group.as_str(), &leaving.instance))
            }
            _ => None,
        })
        .collect();
    // Where it cannot be said that the raise is given back, it is not: the exchange will do it.
    let unsaid = tags::write_left(aws, &with_decrement).await;
    let detachings = distinct.iter().filter_map(|(_, action)| match action {
        Action::Detach(leaving) => Some(leaving),
        _ => None,
    });
    let mut by_group: BTreeMap<(&str, bool, bool), Vec<&InstanceId>> = BTreeMap::new();
    for leaving in detachings {
        let unsaid = unsaid.contains_key(&leaving.instance);
        by_group
            .entry((&leaving.group, leaving.decrement, unsaid))
            .or_default()
            .push(&leaving.instance);
    }
    let others = distinct.iter().filter_map(|(_, action)| match action {
        Action::Terminate(leaving) | Action::Retire(leaving) => Some((*action, leaving, None, true)),
        Action::FinishLaunchAndLeave {
            leaving,
            attempt,
            terminate,
        } => Some((*action, leaving, Some(attempt), *terminate)),
        _ => None,
    });
    let (detached, others) = tokio::join!(
        at_most(
            GROUPS_AT_ONCE,
            by_group
                .into_iter()
                .map(|((group, decrement, unsaid), ids)| detach(aws, group, decrement, unsaid, ids))
        ),
        together(others.map(|(action, leaving, launching, terminate)| {
            let unsaid = knowing(action) && unsaid.contains_key(&leaving.instance);
            let leaving = Leaving {
                decrement: leaving.decrement && !unsaid,
                ..leaving.clone()
            };
            async move {
                (
                    action.clone(),
                    leave_alone(aws, &leaving, launching, terminate).await,
                )
            }
        })),
    );
    detached.into_iter().flatten().chain(others).collect()
}

/// Detaches instances of one group, one call after the other: Auto Scaling works on one change of a group at a time.
async fn detach(
    aws: Aws<'_>,
    group: &str,
    planned: bool,
    unsaid: bool,
    instances: Vec<&InstanceId>,
) -> Vec<(Action, Done)> {
    let decrement = planned && !unsaid;
    let mut results = vec![];
    for chunk in instances.chunks(DETACHED_PER_CALL) {
        let answer = detach_call(aws, group, decrement, chunk).await;
        // One instance that is not in the group any more fails the call for all of them.
        let one_spoils_all = chunk.len() > 1 && answer.as_ref().is_err_and(is_validation_error);
        if one_spoils_all {
            for instance in chunk {
                let leaving = Leaving {
                    group: group.to_owned(),
                    instance: (*instance).clone(),
                    decrement,
                };
                results.push((instance, leave_alone(aws, &leaving, None, false).await));
            }
        } else if decrement && answer.as_ref().is_err_and(is_at_min_size) {
            let done = left(aws, detach_call(aws, group, false, chunk).await);
            results.extend(chunk.iter().map(|instance| (instance, done.clone())));
        } else {
            let done = left(aws, answer);
            results.extend(chunk.iter().map(|instance| (instance, done.clone())));
        }
    }
    let action = |instance: &InstanceId| {
        Action::Detach(Leaving {
            group: group.to_owned(),
            instance: instance.clone(),
            decrement: planned,
        })
    };
    results
        .into_iter()
        .map(|(instance, done)| (action(instance), done))
        .collect()
}

async fn detach_call(
    aws: Aws<'_>,
    group: &str,
    decrement: bool,
    instances: &[&InstanceId],
) -> Result<(), CallError> {
    let asking = aws
        .autoscaling
        .detach_instances()
        .auto_scaling_group_name(group)
        .set_instance_ids(Some(instances.iter().map(ToString::to_string).collect()))
        .should_decrement_desired_capacity(decrement)
        .send();
    aws.invocation.call("DetachInstances", asking).await.map(|_| ())
}

/// One instance that leaves by itself: terminated, or after a launch that was under way has been finished.
async fn leave_alone(aws: Aws<'_>, leaving: &Leaving, launching: Option<&Attempt>, terminate: bool) -> Done {
    if launching.is_some() && has_left_already(aws, leaving).await {
        return Done::already(aws.invocation.clock, "it had left the group before");
    }
    let decrement = match launching {
        None => leaving.decrement,
        // Whether the launch went through before is not known. Asked with the same token it answers as it did then, or
        // launches now; where it cannot, the group launches the replacement when the instance has left.
        Some(attempt) => match launch::in_zone(aws, &leaving.group, &leaving.instance, attempt).await {
            Ok(Ok(replacement)) => says_so(aws, leaving, replacement).await,
            Ok(Err(_)) => false,
            // What AWS refuses now it will refuse again, and the two minutes pass.
            Err(error) if !error.is_passing() => false,
            Err(error) => return Done::failed(aws.invocation.clock, error),
        },
    };
    let leave = async |decrement| {
        if terminate {
            terminate_call(aws, &leaving.instance, decrement).await
        } else {
            detach_call(aws, &leaving.group, decrement, &[&leaving.instance]).await
        }
    };
    let answer = leave(decrement).await;
    // Somebody lowered the desired capacity to MinSize meanwhile, so there is nothing left to give back.
    let answer = if decrement && answer.as_ref().is_err_and(is_at_min_size) {
        leave(false).await
    } else {
        answer
    };
    left(aws, answer)
}

/// Says that the instance leaves with decrement; whether it could be said. Where not, for a group with as many tags as it can
/// have, the tag of the exchange says at least what is to be given back.
async fn says_so(aws: Aws<'_>, leaving: &Leaving, replacement: InstanceId) -> bool {
    let (group, instance) = (leaving.group.as_str(), &leaving.instance);
    let unsaid = tags::write_left(aws, &[(group, instance)]).await;
    if !unsaid.is_empty() {
        let launched = Exchange::Launched { replacement };
        if let Err(error) = tags::write_one(aws, group, instance, launched).await {
            tracing::warn!(
                "{group} may keep one instance more than it had, the replacement of {instance}: {error}"
            );
        }
    }
    unsaid.is_empty()
}

/// Looks once more before anything is launched for an instance: a copy of the warning may have been faster.
async fn has_left_already(aws: Aws<'_>, leaving: &Leaving) -> bool {
    let now = groups::read(
        aws.autoscaling,
        aws.invocation,
        std::slice::from_ref(&leaving.instance),
        &[],
    )
    .await;
    match now.of_instance(&leaving.instance) {
        GroupOf::Some { member, .. } => member.lifecycle != Lifecycle::InService,
        GroupOf::None => true,
        GroupOf::Unknown(_) => false,
    }
}

/// Terminates an instance of a group.
///
/// # Errors
/// See [`CallError`].
pub async fn terminate_call(aws: Aws<'_>, instance: &InstanceId, decrement: bool) -> Result<(), CallError> {
    let asking = aws
        .autoscaling
        .terminate_instance_in_auto_scaling_group()
        .instance_id(instance.as_str())
        .should_decrement_desired_capacity(decrement)
        .send();
    aws.invocation
        .call("TerminateInstanceInAutoScalingGroup", asking)
        .await
        .map(|_| ())
}

/// Auto Scaling words this in two ways, for detaching and for terminating.
pub fn is_at_min_size(error: &CallError) -> bool {
    let message = error.message().to_lowercase();
    is_validation_error(error)
        && ["min-size", "minsize", "min size"]
            .iter()
            .any(|words| message.contains(words))
}

fn is_validation_error(error: &CallError) -> bool {
    error.code() == Some("ValidationError")
}

/// An instance that is not in the group any more has left before: a repeated event, or AWS was faster.
pub fn left(aws: Aws<'_>, answer: Result<(), CallError>) -> Done {
    let says_gone = |message: &str| {
        [
            "not part of Auto Scaling group",
            "not found",
            "is not in Auto Scaling group",
            "not in InService or Standby",
        ]
        .iter()
        .any(|words| message.contains(words))
    };
    match answer {
        Err(error) if is_validation_error(&error) && says_gone(error.message()) => {
            Done::already(aws.invocation.clock, "it had left the group before")
        }
        answer => Done::of(aws.invocation.clock, &answer),
    }
}
