//! Instances leave their group: detached twenty a call, or terminated one by one.
//!
//! A call with decrement must not be carried out twice. So it is made once, and the instances are read before another
//! try.

use std::collections::BTreeMap;
use std::time::Duration;

use spot_handoff::autoscaling::groups::{self, GroupOf, Groups, Lifecycle};
use spot_handoff::notice::InstanceId;
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{at_most, together};

use super::{Asked, Aws};
use crate::plan::{Action, Leaving};

/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DetachInstances.html>
const DETACHED_PER_CALL: usize = 20;
/// How many groups lose instances at the same time. While AWS throttles, each group tries about once a second. More
/// groups would not be faster, since AWS takes only a handful of such calls a second.
const GROUPS_AT_ONCE: usize = 5;
const TRIES: u32 = 4;
/// How long a group is busy with another change.
const BUSY: Duration = Duration::from_secs(1);

/// How instances leave, and whether the desired capacity goes down by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Detached { decrement: bool },
    Terminated { decrement: bool },
}

impl How {
    fn decrements(self) -> bool {
        let (Self::Detached { decrement } | Self::Terminated { decrement }) = self;
        decrement
    }

    /// Whether a second call for the same instance has no effect: an instance that has left is not detached again. AWS
    /// does not document whether a second termination lowers the desired capacity again.
    fn refuses_who_has_left(self) -> bool {
        matches!(self, Self::Detached { .. })
    }
}

/// Whether an instance leaves because of this action.
pub fn is_one(action: &Action) -> bool {
    terminated(action).is_some() || matches!(action, Action::Detach(_))
}

/// An instance that is terminated.
fn terminated(action: &Action) -> Option<Leaving> {
    match action {
        Action::Terminate(leaving) | Action::Retire(leaving) => Some(leaving.clone()),
        Action::GiveBack { group, replacement } => Some(Leaving {
            group: group.clone(),
            instance: replacement.clone(),
            decrement: true,
        }),
        _ => None,
    }
}

/// Carries out all actions that make instances leave.
pub async fn all(aws: Aws<'_>, distinct: &[Asked<'_>]) -> Vec<(Action, Done)> {
    let mut by_group: BTreeMap<(&str, bool), Vec<&InstanceId>> = BTreeMap::new();
    let mut others = vec![];
    for (_, action) in distinct {
        match (action, terminated(action)) {
            (_, Some(leaving)) => others.push(async move {
                let how = How::Terminated {
                    decrement: leaving.decrement,
                };
                let done = leave(aws, &leaving.group, how, &[&leaving.instance]).await;
                done.into_iter().map(|done| ((*action).clone(), done)).collect()
            }),
            (Action::Detach(leaving), None) => by_group
                .entry((&leaving.group, leaving.decrement))
                .or_default()
                .push(&leaving.instance),
            _ => {}
        }
    }
    let detaching = by_group
        .into_iter()
        .map(|((group, decrement), instances)| detach(aws, group, decrement, instances));
    let (detached, others) = tokio::join!(at_most(GROUPS_AT_ONCE, detaching), together(others));
    let others: Vec<Vec<(Action, Done)>> = others;
    detached.into_iter().chain(others).flatten().collect()
}

/// Detaches instances of one group, one call after the other: Auto Scaling makes only one change to a group at a time.
async fn detach(
    aws: Aws<'_>,
    group: &str,
    decrement: bool,
    instances: Vec<&InstanceId>,
) -> Vec<(Action, Done)> {
    let leaving = |instance: &InstanceId| Leaving {
        group: group.to_owned(),
        instance: instance.clone(),
        decrement,
    };
    let how = How::Detached { decrement };
    let mut results = vec![];
    for chunk in instances.chunks(DETACHED_PER_CALL) {
        let done = leave(aws, group, how, chunk).await;
        let all = chunk.iter().map(|instance| Action::Detach(leaving(instance)));
        results.extend(all.zip(done));
    }
    results
}

/// Makes instances leave together. Returns the results in their order.
async fn leave(aws: Aws<'_>, group: &str, how: How, instances: &[&InstanceId]) -> Vec<Done> {
    if how.decrements() {
        return carefully(aws, group, how, instances).await;
    }
    let answer = ask(&aws.clients.autoscaling, aws, group, how, instances).await;
    match refuses_one_of(instances, &answer) {
        true => one_by_one(aws, group, how, instances).await,
        false => vec![left(aws, answer); instances.len()],
    }
}

/// One instance that is not in the group any more fails the call for all of them.
fn refuses_one_of(instances: &[&InstanceId], answer: &Result<(), CallError>) -> bool {
    instances.len() > 1 && answer.as_ref().is_err_and(is_validation_error)
}

async fn one_by_one(aws: Aws<'_>, group: &str, how: How, instances: &[&InstanceId]) -> Vec<Done> {
    let mut done = vec![];
    for instance in instances {
        done.extend(Box::pin(leave(aws, group, how, &[instance])).await);
    }
    done
}

/// The same with decrement: calls once, and again only for those instances that are still in the group.
async fn carefully(aws: Aws<'_>, group: &str, how: How, instances: &[&InstanceId]) -> Vec<Done> {
    let clock = aws.invocation.clock;
    let mut done: BTreeMap<&InstanceId, Done> = BTreeMap::new();
    let mut still: Vec<&InstanceId> = instances.to_vec();
    let mut attempt = 1;
    while !still.is_empty() {
        let answer = ask(&aws.clients.autoscaling_once, aws, group, how, &still).await;
        let is_throttled = answer.as_ref().is_err_and(CallError::is_throttled);
        if is_throttled && how.refuses_who_has_left() {
            aws.invocation.pause(BUSY).await;
            continue;
        }
        if refuses_one_of(&still, &answer) {
            let each = one_by_one(aws, group, how, &still).await;
            done.extend(still.drain(..).zip(each));
            continue;
        }
        let is_over = matches!(answer, Err(CallError::OutOfTime { .. }));
        if is_over || !answer.as_ref().is_err_and(CallError::is_passing) || attempt == TRIES {
            let said = left(aws, answer);
            done.extend(still.drain(..).map(|instance| (instance, said.clone())));
            continue;
        }
        attempt += u32::from(!is_throttled);
        aws.invocation.pause(BUSY).await;
        let now = members(aws, &still).await;
        still.retain(|instance| match has_left(&now, instance) {
            Some(false) => true,
            Some(true) => {
                done.insert(*instance, Done::now(clock));
                false
            }
            None => {
                done.insert(*instance, left(aws, answer.clone()));
                false
            }
        });
    }
    let in_order = instances.iter().filter_map(|instance| done.remove(*instance));
    in_order.collect()
}

async fn ask(
    client: &aws_sdk_autoscaling::Client,
    aws: Aws<'_>,
    group: &str,
    how: How,
    instances: &[&InstanceId],
) -> Result<(), CallError> {
    match how {
        How::Detached { decrement } => {
            let asking = client
                .detach_instances()
                .auto_scaling_group_name(group)
                .set_instance_ids(Some(instances.iter().map(ToString::to_string).collect()))
                .should_decrement_desired_capacity(decrement)
                .send();
            aws.invocation.call("DetachInstances", asking).await.map(|_| ())
        }
        How::Terminated { decrement } => {
            let asking = client
                .terminate_instance_in_auto_scaling_group()
                .set_instance_id(instances.first().map(ToString::to_string))
                .should_decrement_desired_capacity(decrement)
                .send();
            let asked = aws.invocation.call("TerminateInstanceInAutoScalingGroup", asking);
            asked.await.map(|_| ())
        }
    }
}

/// What Auto Scaling says about instances now.
async fn members(aws: Aws<'_>, instances: &[&InstanceId]) -> Groups {
    let ids: Vec<InstanceId> = instances.iter().copied().cloned().collect();
    groups::read(&aws.clients.autoscaling, aws.invocation, &ids, &[]).await
}

/// Whether a call without a known answer was carried out; `None` if this cannot be known.
fn has_left(now: &Groups, instance: &InstanceId) -> Option<bool> {
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

/// An instance that is not in the group any more left it before: the event was repeated, or AWS was faster.
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
