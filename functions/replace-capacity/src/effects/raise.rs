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
use crate::replacement_tag::{Exchange, raised_from};

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

/// Whether MaxSize has room for this raise: those with the same beginning have it in the order of their ids.
fn has_room(read: &Groups, order: &Order<'_>) -> bool {
    let Some(group) = read.by_name(order.group) else {
        return true;
    };
    let rank = raised_from(group, order.from)
        .iter()
        .position(|id| *id == order.instance.as_str())
        .unwrap_or(0);
    order.from.saturating_add(i32::try_from(rank).unwrap_or(i32::MAX)) < group.max
}

/// The desired capacity as it is now.
async fn raise_group(aws: Aws<'_>, read: &Groups, name: &str, from: i32) -> Result<i32, CallError> {
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

/// Whether an interruption warning has taken the instance away in the same moment, or anything else.
fn has_gone(read: &Groups, order: &Order<'_>) -> bool {
    read.of_instance(order.instance) == GroupOf::None
}

async fn conclude(aws: Aws<'_>, read: &Groups, order: &Order<'_>, capacity: i32) -> Done {
    let clock = aws.invocation.clock;
    if has_gone(read, order) {
        // Nothing was raised for it: an instance that is no member does not count.
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

/// Gives raises back: one call for each group.
///
/// For an instance that has left a tag says so first, which a repetition finds. Killed between the two, the group keeps one
/// instance too many; the other way round it would lose one.
pub async fn lower(aws: Aws<'_>, distinct: &[Asked<'_>]) -> Vec<(Action, Done)> {
    let mut by_group: BTreeMap<(&str, i32), Vec<(&Action, &InstanceId)>> = BTreeMap::new();
    let mut left = vec![];
    for (_, action) in distinct {
        if let Action::LowerDesiredCapacity {
            group,
            instance,
            from,
            has_left,
        } = action
        {
            by_group
                .entry((group, *from))
                .or_default()
                .push((action, instance));
            left.extend(has_left.then_some((group.as_str(), instance)));
        }
    }
    let unsaid = &tags::write_left(aws, &left).await;
    let left = &left;
    let calls = by_group.into_iter().map(|((group, from), actions)| async move {
        let said = |(_, instance): &&(&Action, &InstanceId)| !unsaid.contains_key(*instance);
        let count = i32::try_from(actions.iter().filter(said).count()).unwrap_or(i32::MAX);
        let answer = if count == 0 {
            Ok(())
        } else {
            set(aws, group, from.saturating_sub(count)).await
        };
        if answer.is_err() {
            // Nothing was given back, so that the next try has to do it.
            let of_group = left.iter().filter(|(of, _)| *of == group);
            tags::remove_left(aws, &of_group.copied().collect::<Vec<_>>()).await;
        }
        let clock = aws.invocation.clock;
        let done = |instance| match unsaid.get(instance) {
            Some(error) => Done::failed(clock, error),
            None => Done::of(clock, &answer),
        };
        let done = actions
            .into_iter()
            .map(|(action, instance)| (action.clone(), done(instance)));
        done.collect::<Vec<_>>()
    });
    together(calls).await.into_iter().flatten().collect()
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
