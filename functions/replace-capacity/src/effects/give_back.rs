//! Giving back what exchanges have raised that end without their purpose.
//!
//! The tag of the exchange says first what is given back, so that a repetition sees whether it has been.

use std::collections::{BTreeMap, BTreeSet};

use spot_handoff::autoscaling::groups;
use spot_handoff::notice::InstanceId;
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::invocation::together;

use super::leave::{is_at_min_size, left, terminate_call};
use super::{Asked, Aws, raise, tags};
use crate::plan::Action;
use crate::replacement_tag::{Exchange, Surplus};

/// One surplus to give back.
#[derive(Debug, Clone, Copy)]
struct Order<'a> {
    action: &'a Action,
    group: &'a str,
    instance: &'a InstanceId,
    surplus: &'a Surplus,
}

/// Gives back all there is to give back. To be done when nothing else changes the groups: it reads what it changes.
pub async fn all(aws: Aws<'_>, distinct: &[Asked<'_>]) -> Vec<(Action, Done)> {
    let orders: Vec<_> = distinct.iter().filter_map(|(_, action)| order(action)).collect();
    let said: Vec<_> = orders
        .iter()
        .map(|order| {
            let exchange = Exchange::GivingBack(order.surplus.clone());
            (order.group, order.instance, exchange)
        })
        .collect();
    let unsaid = tags::write(aws, &said).await;
    let mut results = vec![];
    let mut terminations = vec![];
    let mut lowered: BTreeMap<&str, Vec<Order<'_>>> = BTreeMap::new();
    for order in orders {
        match (unsaid.get(order.instance), order.surplus) {
            (Some(error), _) => {
                results.push((order.action.clone(), Done::failed(aws.invocation.clock, error)))
            }
            (None, Surplus::Instance(id)) => {
                terminations
                    .push(async move { (order.action.clone(), terminate(aws, order.group, id).await) });
            }
            (None, Surplus::Capacity { .. }) => lowered.entry(order.group).or_default().push(order),
        }
    }
    let (terminated, lowered) = tokio::join!(together(terminations), lower(aws, lowered));
    results.into_iter().chain(terminated).chain(lowered).collect()
}

fn order(action: &Action) -> Option<Order<'_>> {
    let Action::GiveBack {
        group,
        instance,
        surplus,
    } = action
    else {
        return None;
    };
    Some(Order {
        action,
        group,
        instance,
        surplus,
    })
}

async fn terminate(aws: Aws<'_>, group: &str, instance: &InstanceId) -> Done {
    match terminate_call(aws, instance, true).await {
        Err(error) if is_at_min_size(&error) => not_above_min_size(aws, group),
        answer => left(aws, answer),
    }
}

/// Somebody has lowered the desired capacity meanwhile.
fn not_above_min_size(aws: Aws<'_>, group: &str) -> Done {
    Done::already(
        aws.invocation.clock,
        format!("{group} is at its MinSize, so there is nothing to give back"),
    )
}

/// One call for each group, from its desired capacity as it is now.
async fn lower(aws: Aws<'_>, by_group: BTreeMap<&str, Vec<Order<'_>>>) -> Vec<(Action, Done)> {
    if by_group.is_empty() {
        return vec![];
    }
    let names: Vec<String> = by_group.keys().map(ToString::to_string).collect();
    let read = &groups::read(aws.autoscaling, aws.invocation, &[], &names).await;
    let calls = by_group.into_iter().map(|(name, orders)| async move {
        let clock = aws.invocation.clock;
        let instances: BTreeSet<_> = orders.iter().map(|order| order.instance).collect();
        let count = i32::try_from(instances.len()).unwrap_or(i32::MAX);
        let done = match (read.by_name(name), read.why_unread(name)) {
            (Some(group), _) if group.desired <= group.min => not_above_min_size(aws, name),
            (Some(group), _) => {
                let wanted = group.desired.saturating_sub(count).max(group.min);
                Done::of(clock, &raise::set(aws, name, wanted).await)
            }
            (None, Some(error)) => Done::failed(clock, error),
            (None, None) => Done::already(clock, format!("{name} was deleted")),
        };
        let actions = orders
            .into_iter()
            .map(|order| (order.action.clone(), done.clone()));
        actions.collect::<Vec<_>>()
    });
    together(calls).await.into_iter().flatten().collect()
}
