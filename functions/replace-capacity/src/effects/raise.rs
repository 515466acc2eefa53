//! Raising the desired capacity, for groups that LaunchInstances does not take.
//!
//! SetDesiredCapacity has no token. What makes the raise happen once is the tag: it is written first and says from which
//! value, all tags are read back, and the capacity is set to that value and one for each tag. Whoever does this at the
//! same time comes to the same number.

use std::collections::{BTreeMap, BTreeSet};

use spot_handoff::autoscaling::groups::{self, GroupOf, Groups, Lifecycle};
use spot_handoff::notice::{FollowUp, InstanceId, Notice};
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::together;

use super::{Asked, Aws, follow, tags};
use crate::plan::Action;
use crate::replacement_tag::{Exchange, Raises};

/// One raise to make.
struct Order<'a> {
    action: &'a Action,
    notice: &'a Notice,
    group: &'a str,
    instance: &'a InstanceId,
    from: i32,
    then: &'a FollowUp,
}

/// Carries out all raises.
pub async fn all(aws: Aws<'_>, distinct: &[Asked<'_>]) -> Vec<(Action, Done)> {
    let mut orders = vec![];
    for (notice, action) in distinct {
        if let Action::RaiseDesiredCapacity {
            group,
            instance,
            from,
            then,
        } = action
        {
            orders.push(Order {
                action,
                notice,
                group,
                instance,
                from: *from,
                then,
            });
        }
    }
    if orders.is_empty() {
        return vec![];
    }
    let results = raise(aws, &orders).await;
    orders
        .iter()
        .zip(results)
        .map(|(order, done)| (order.action.clone(), done))
        .collect()
}

async fn raise(aws: Aws<'_>, orders: &[Order<'_>]) -> Vec<Done> {
    let clock = aws.invocation.clock;
    let begun: Vec<_> = orders
        .iter()
        .map(|order| {
            (
                order.group,
                order.instance,
                Exchange::Raising { from: order.from },
            )
        })
        .collect();
    let untagged = tags::write(aws, &begun).await;
    let ids: Vec<InstanceId> = orders.iter().map(|order| order.instance.clone()).collect();
    let names: BTreeSet<String> = orders.iter().map(|order| order.group.to_owned()).collect();
    let names: Vec<String> = names.into_iter().collect();
    let read = groups::read(aws.autoscaling, aws.invocation, &ids, &names).await;

    let raises: BTreeSet<(&str, i32)> = orders.iter().map(|order| (order.group, order.from)).collect();
    let answers = together(
        raises
            .iter()
            .map(|(group, from)| raise_group(aws, &read, group, *from)),
    )
    .await;
    let capacities: BTreeMap<(&str, i32), Result<i32, CallError>> = raises.into_iter().zip(answers).collect();

    let ended: Vec<_> = orders
        .iter()
        .filter(|order| {
            has_room(&read, order)
                && !has_gone(&read, order)
                && capacities[&(order.group, order.from)].is_ok()
        })
        .map(|order| (order.group, order.instance, Exchange::Raised { from: order.from }))
        .collect();
    let unmarked = tags::write(aws, &ended).await;
    together(orders.iter().map(|order| async {
        let failed = untagged
            .get(order.instance)
            .or_else(|| unmarked.get(order.instance));
        match (failed, &capacities[&(order.group, order.from)]) {
            (Some(error), _) | (None, Err(error)) => Done::failed(clock, error),
            (None, Ok(_)) if !has_room(&read, order) => {
                let why = format!("MaxSize is reached; {} goes on serving", order.instance);
                match tags::remove_one(aws, order.group, order.instance).await {
                    Ok(()) => Done::not_possible(clock, why),
                    Err(error) => Done::failed(clock, error),
                }
            }
            (None, Ok(capacity)) => conclude(aws, &read, order, *capacity).await,
        }
    }))
    .await
}

/// Whether MaxSize has room for this raise.
fn has_room(read: &Groups, order: &Order<'_>) -> bool {
    let group = read.by_name(order.group);
    group.is_none_or(|group| Raises::has_room(group, order.from, order.instance))
}

/// The desired capacity as it is now.
async fn raise_group(aws: Aws<'_>, read: &Groups, name: &str, from: i32) -> Result<i32, CallError> {
    let Some(group) = read.by_name(name) else {
        return match read.why_unread(name) {
            Some(error) => Err(error.clone()),
            None => Ok(from),
        };
    };
    let wanted = Raises::wanted(group, from);
    if group.desired < wanted {
        set(aws, name, wanted).await?;
        return Ok(wanted);
    }
    Ok(group.desired)
}

/// Whether an interruption warning has taken the instance away in the same moment, or anything else.
fn has_gone(read: &Groups, order: &Order<'_>) -> bool {
    match read.of_instance(order.instance) {
        GroupOf::Some { member, .. } => member.lifecycle != Lifecycle::InService,
        GroupOf::None => true,
        GroupOf::Unknown(_) => false,
    }
}

async fn conclude(aws: Aws<'_>, read: &Groups, order: &Order<'_>, capacity: i32) -> Done {
    let clock = aws.invocation.clock;
    if has_gone(read, order) {
        // Nothing was raised for it: an instance that does not serve does not count.
        return match tags::remove_one(aws, order.group, order.instance).await {
            Ok(()) => Done::already(clock, "it left its group in the same moment"),
            Err(error) => Done::failed(clock, error),
        };
    }
    match follow(aws, order.notice, order.then).await {
        Ok(()) => Done {
            note: Some(format!("to {capacity}")),
            ..Done::now(clock)
        },
        Err(error) => Done::failed(clock, error),
    }
}

/// Sets the desired capacity.
///
/// Not again and again where Auto Scaling is busy with a change of the group: then the number may be out of date, and the
/// message comes back to read it anew.
///
/// # Errors
/// See [`CallError`].
pub async fn set(aws: Aws<'_>, group: &str, capacity: i32) -> Result<(), CallError> {
    let asking = aws
        .impatient_autoscaling
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
