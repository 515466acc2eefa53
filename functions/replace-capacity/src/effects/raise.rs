//! Raising the desired capacity, for groups that LaunchInstances does not take.
//!
//! SetDesiredCapacity has no token. What makes the raise happen once is the tag: it is written first and says from which
//! value, all tags are read back, and the capacity is set to that value and one for each tag. Whoever does this at the
//! same time comes to the same number.

use std::collections::{BTreeMap, BTreeSet};

use spot_handoff::aws::CallError;
use spot_handoff::groups::{self, GroupOf, Groups};
use spot_handoff::invocation::together;
use spot_handoff::notice::{FollowUp, InstanceId, Notice};
use spot_handoff::plan::Done;

use super::{Asked, Aws, follow, tags};
use crate::plan::{Action, raised};
use crate::replacement_tag::Exchange;

/// Carries out all raises.
pub async fn all(aws: Aws<'_>, distinct: &[Asked<'_>]) -> Vec<(Action, Done)> {
    let orders: Vec<(&Notice, &Action, &str, &InstanceId, i32, &FollowUp)> = distinct
        .iter()
        .filter_map(|(notice, action)| match action {
            Action::RaiseDesiredCapacity {
                group,
                instance,
                from,
                then,
            } => Some((*notice, *action, group.as_str(), instance, *from, then)),
            _ => None,
        })
        .collect();
    if orders.is_empty() {
        return vec![];
    }
    let clock = aws.invocation.clock;
    let exchanges: Vec<_> = orders
        .iter()
        .map(|(_, _, group, instance, from, _)| (*group, *instance, Exchange::Raising { from: *from }))
        .collect();
    if let Err(error) = tags::write(aws, &exchanges).await {
        return orders
            .iter()
            .map(|(_, action, ..)| ((*action).clone(), Done::failed(clock, &error)))
            .collect();
    }
    let ids: Vec<InstanceId> = orders
        .iter()
        .map(|(_, _, _, instance, ..)| (*instance).clone())
        .collect();
    let names: BTreeSet<String> = orders
        .iter()
        .map(|(_, _, group, ..)| (*group).to_owned())
        .collect();
    let names: Vec<String> = names.into_iter().collect();
    let read = groups::read(aws.autoscaling, aws.invocation, &ids, &names).await;
    let froms: BTreeMap<&str, i32> = orders
        .iter()
        .map(|(_, _, group, _, from, _)| (*group, *from))
        .collect();
    let set = together(froms.iter().map(|(group, from)| raise(aws, &read, group, *from))).await;
    let set: BTreeMap<&str, Result<i32, CallError>> = froms.keys().copied().zip(set).collect();

    together(
        orders
            .iter()
            .map(|(notice, action, group, instance, _, then)| async {
                let done = match &set[group] {
                    Err(error) => Done::failed(clock, error),
                    Ok(capacity) => conclude(aws, &read, notice, group, instance, *capacity, then).await,
                };
                ((*action).clone(), done)
            }),
    )
    .await
}

/// The desired capacity as it is now.
async fn raise(aws: Aws<'_>, read: &Groups, name: &str, from: i32) -> Result<i32, CallError> {
    let Some(group) = read.by_name(name) else {
        return match read.why_unread(name) {
            Some(error) => Err(error.clone()),
            None => Ok(from),
        };
    };
    let wanted = raised(group, from);
    if group.desired < wanted {
        set(aws, name, wanted).await?;
        return Ok(wanted);
    }
    Ok(group.desired)
}

async fn conclude(
    aws: Aws<'_>,
    read: &Groups,
    notice: &Notice,
    group: &str,
    instance: &InstanceId,
    capacity: i32,
    then: &FollowUp,
) -> Done {
    let clock = aws.invocation.clock;
    if read.of_instance(instance) == GroupOf::None {
        // An interruption warning took it away without having seen the tag: the group replaces it anyway.
        let given_back = set(aws, group, capacity - 1).await;
        return match given_back.and(tags::remove(aws, &[(group, instance)]).await) {
            Ok(()) => Done::already(clock, "it left its group in the same moment"),
            Err(error) => Done::failed(clock, error),
        };
    }
    match follow(aws, notice, then).await {
        Ok(()) => Done {
            note: Some(format!("to {capacity}")),
            ..Done::now(clock)
        },
        Err(error) => Done::failed(clock, error),
    }
}

/// Gives raises back that could not be filled.
pub async fn lower(aws: Aws<'_>, distinct: &[Asked<'_>]) -> Vec<(Action, Done)> {
    let calls = distinct.iter().filter_map(|(_, action)| match action {
        Action::LowerDesiredCapacity { group, to } => Some(async move {
            let answer = set(aws, group, *to).await;
            ((*action).clone(), Done::of(aws.invocation.clock, &answer))
        }),
        _ => None,
    });
    together(calls).await
}

async fn set(aws: Aws<'_>, group: &str, capacity: i32) -> Result<(), CallError> {
    let asking = aws
        .autoscaling
        .set_desired_capacity()
        .auto_scaling_group_name(group)
        .desired_capacity(capacity)
        .honor_cooldown(false)
        .send();
    aws.invocation
        .call("SetDesiredCapacity", asking)
        .await
        .map(|_| ())
}
