//! Instances that leave their group: detached twenty a call, or terminated one by one.
//!
//! With decrement a call must not be carried out twice, and AWS does not say whether a second one lowers again. So it is
//! asked once, and before it is asked again the instance is looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use spot_handoff::autoscaling::groups::{self, GroupOf, Lifecycle};
use spot_handoff::notice::InstanceId;
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{at_most, together};

use super::{Asked, Aws};
use crate::plan::{Action, Leaving};

/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DetachInstances.html>
const DETACHED_PER_CALL: usize = 20;
/// How many groups lose instances at once. While AWS throttles, each tries about once a second; more of them would not be
/// sooner done, since AWS takes a handful of such calls a second.
const GROUPS_AT_ONCE: usize = 5;
const TRIES: usize = 4;
/// How long a group is busy with another change of it.
const BUSY: Duration = Duration::from_secs(1);

/// How an instance leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Detached,
    Terminated,
}

/// Whether an instance leaves by it.
pub fn is_one(action: &Action) -> bool {
    alone(action).is_some() || matches!(action, Action::Detach(_))
}

/// An instance that leaves by a call of its own.
fn alone(action: &Action) -> Option<(Leaving, How)> {
    match action {
        Action::Detach(leaving) if leaving.decrement => Some((leaving.clone(), How::Detached)),
        Action::Terminate(leaving) | Action::Retire(leaving) => Some((leaving.clone(), How::Terminated)),
        Action::GiveBack { group, replacement } => {
            let leaving = Leaving {
                group: group.clone(),
                instance: replacement.clone(),
                decrement: true,
            };
            Some((leaving, How::Terminated))
        }
        _ => None,
    }
}

/// Carries out everything by which instances leave.
pub async fn all(aws: Aws<'_>, distinct: &[Asked<'_>]) -> Vec<(Action, Done)> {
    let mut by_group: BTreeMap<&str, Vec<&InstanceId>> = BTreeMap::new();
    let mut others = vec![];
    for (_, action) in distinct {
        match (action, alone(action)) {
            (_, Some((leaving, how))) => others.push(async move {
                let done = leave_alone(aws, &leaving, how).await;
                ((*action).clone(), done)
            }),
            (Action::Detach(leaving), None) => by_group
                .entry(&leaving.group)
                .or_default()
                .push(&leaving.instance),
            _ => {}
        }
    }
    let detaching = by_group
        .into_iter()
        .map(|(group, instances)| detach(aws, group, instances));
    let (detached, others) = tokio::join!(at_most(GROUPS_AT_ONCE, detaching), together(others));
    detached.into_iter().flatten().chain(others).collect()
}

/// Detaches instances of one group, one call after the other: Auto Scaling works on one change of a group at a time.
async fn detach(aws: Aws<'_>, group: &str, instances: Vec<&InstanceId>) -> Vec<(Action, Done)> {
    let leaving = |instance: &InstanceId| Leaving {
        group: group.to_owned(),
        instance: instance.clone(),
        decrement: false,
    };
    let mut results = vec![];
    for chunk in instances.chunks(DETACHED_PER_CALL) {
        let answer = detach_call(&aws.clients.autoscaling, aws, group, false, chunk).await;
        // One instance that is not in the group any more fails the call for all of them.
        if chunk.len() > 1 && answer.as_ref().is_err_and(is_validation_error) {
            for instance in chunk {
                let done = leave_alone(aws, &leaving(instance), How::Detached).await;
                results.push((Action::Detach(leaving(instance)), done));
            }
        } else {
            let done = left(aws, answer);
            let all = chunk.iter().map(|instance| Action::Detach(leaving(instance)));
            results.extend(all.map(|action| (action, done.clone())));
        }
    }
    results
}

async fn detach_call(
    client: &aws_sdk_autoscaling::Client,
    aws: Aws<'_>,
    group: &str,
    decrement: bool,
    instances: &[&InstanceId],
) -> Result<(), CallError> {
    let asking = client
        .detach_instances()
        .auto_scaling_group_name(group)
        .set_instance_ids(Some(instances.iter().map(ToString::to_string).collect()))
        .should_decrement_desired_capacity(decrement)
        .send();
    aws.invocation.call("DetachInstances", asking).await.map(|_| ())
}

/// One instance that leaves by itself.
async fn leave_alone(aws: Aws<'_>, leaving: &Leaving, how: How) -> Done {
    if !leaving.decrement {
        return left(aws, ask(&aws.clients.autoscaling, aws, leaving, how).await);
    }
    let clock = aws.invocation.clock;
    for attempt in 1.. {
        let answer = ask(&aws.clients.autoscaling_once, aws, leaving, how).await;
        let is_passing = answer.as_ref().is_err_and(CallError::is_passing);
        if !is_passing || attempt == TRIES {
            return left(aws, answer);
        }
        tokio::time::sleep(clock.real_duration(BUSY)).await;
        match has_left(aws, &leaving.instance).await {
            Some(true) => return Done::now(clock),
            Some(false) => {}
            None => return left(aws, answer),
        }
    }
    Done::failed(clock, "not tried")
}

async fn ask(
    client: &aws_sdk_autoscaling::Client,
    aws: Aws<'_>,
    leaving: &Leaving,
    how: How,
) -> Result<(), CallError> {
    if how == How::Detached {
        let instances = [&leaving.instance];
        return detach_call(client, aws, &leaving.group, leaving.decrement, &instances).await;
    }
    let asking = client
        .terminate_instance_in_auto_scaling_group()
        .instance_id(leaving.instance.as_str())
        .should_decrement_desired_capacity(leaving.decrement)
        .send();
    let asked = aws.invocation.call("TerminateInstanceInAutoScalingGroup", asking);
    asked.await.map(|_| ())
}

/// Whether a call whose answer is not known was carried out; `None` where that cannot be known.
async fn has_left(aws: Aws<'_>, instance: &InstanceId) -> Option<bool> {
    let ids = std::slice::from_ref(instance);
    let now = groups::read(&aws.clients.autoscaling, aws.invocation, ids, &[]).await;
    match now.of_instance(instance) {
        GroupOf::Some { member, .. } => Some(!matches!(
            member.lifecycle,
            Lifecycle::Pending | Lifecycle::InService | Lifecycle::Standby
        )),
        GroupOf::None => Some(true),
        GroupOf::Unknown(_) => None,
    }
}

fn is_validation_error(error: &CallError) -> bool {
    error.code() == Some("ValidationError")
}

/// An instance that is not in the group any more has left before: a repeated event, or AWS was faster.
fn left(aws: Aws<'_>, answer: Result<(), CallError>) -> Done {
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
