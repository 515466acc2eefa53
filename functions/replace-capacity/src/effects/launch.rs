//! Launching replacements with LaunchInstances, exactly once for each instance.
//!
//! ```text
//! tag `launching zone` -> read back: does it still serve? -> LaunchInstances -> tag `launched id` -> follow up
//! ```
//! The client token is made of group, instance, zone and the minute in which the exchange was asked for, so the call can
//! be repeated; zone and minute stand in the tag, so a repetition uses the same ones. An interruption warning that takes
//! the instance away in the same moment is noticed by the follow-up.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::groups::{self, GroupOf, Groups, Lifecycle};
use spot_handoff::notice::{FollowUp, InstanceId, Notice};
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::together;
use uuid::Uuid;

use super::{Asked, Aws, follow, tags};
use crate::plan::{Action, zones_from};
use crate::replacement_tag::{Attempt, Exchange, exchange_of};

/// When to look for the first time whether a replacement is in service.
pub const FIRST_LOOK: SignedDuration = SignedDuration::from_secs(10);

/// The namespace of our client tokens.
const TOKENS: Uuid = Uuid::from_u128(0x5b0f_4a0d_0ff1_4c5e_8d7e_9a3c_2f61_b7d4);

/// One replacement to launch.
struct Order<'a> {
    action: &'a Action,
    notice: &'a Notice,
    group: &'a str,
    instance: &'a InstanceId,
    zones: &'a [String],
    begun: Timestamp,
    resumes: bool,
    then: &'a FollowUp,
}

/// Carries out all launches.
pub async fn all(aws: Aws<'_>, distinct: &[Asked<'_>]) -> Vec<(Action, Done)> {
    let mut orders = vec![];
    for (notice, action) in distinct {
        if let Action::Launch {
            group,
            instance,
            zones,
            begun,
            resumes,
            then,
        } = action
        {
            orders.push(Order {
                action,
                notice,
                group,
                instance,
                zones,
                begun: *begun,
                resumes: *resumes,
                then,
            });
        }
    }
    if orders.is_empty() {
        return vec![];
    }
    let results = launch(aws, &orders).await;
    orders
        .iter()
        .zip(results)
        .map(|(order, done)| (order.action.clone(), done))
        .collect()
}

async fn launch(aws: Aws<'_>, orders: &[Order<'_>]) -> Vec<Done> {
    let fresh: Vec<_> = orders
        .iter()
        .filter(|order| !order.resumes)
        .filter_map(|order| {
            Some((
                order.group,
                order.instance,
                Exchange::Launching(Attempt {
                    zone: order.zones.first()?.clone(),
                    begun: order.begun,
                }),
            ))
        })
        .collect();
    let untagged = tags::write(aws, &fresh).await;
    let before = read_back(aws, orders).await;
    let launched = together(orders.iter().map(|order| async {
        if let Some(error) = untagged.get(order.instance) {
            return Launched::Failed(error.clone());
        }
        if still_serves(&before, order.instance) == Some(false) {
            return Launched::TooLate;
        }
        match under_way(&before, order.instance) {
            Some(Exchange::Launched { .. }) => Launched::Before,
            // Where another message for the same instance wrote over ours, both do what it wrote, with the same token.
            Some(Exchange::Launching(Attempt { zone, begun })) => {
                in_best_zone(aws, order, &zones_from(zone, order.zones), begun).await
            }
            _ => in_best_zone(aws, order, order.zones, order.begun).await,
        }
    }))
    .await;

    let new: HashMap<&InstanceId, &InstanceId> = orders
        .iter()
        .zip(&launched)
        .filter_map(|(order, launched)| match launched {
            Launched::Yes(id) => Some((order.instance, id)),
            _ => None,
        })
        .collect();
    let exchanges: Vec<_> = orders
        .iter()
        .filter_map(|order| {
            let replacement = (*new.get(order.instance)?).clone();
            Some((order.group, order.instance, Exchange::Launched { replacement }))
        })
        .collect();
    let untagged = tags::write(aws, &exchanges).await;
    together(
        orders
            .iter()
            .zip(launched)
            .map(|(order, launched)| conclude(aws, order, launched, untagged.get(order.instance))),
    )
    .await
}

/// How a launch went.
enum Launched {
    Yes(InstanceId),
    /// No zone of the group has capacity, or MaxSize is reached.
    Impossible(String),
    /// Another message for the same instance has launched it.
    Before,
    /// The instance had left its group before.
    TooLate,
    Failed(CallError),
}

async fn conclude(aws: Aws<'_>, order: &Order<'_>, launched: Launched, untagged: Option<&CallError>) -> Done {
    let clock = aws.invocation.clock;
    let over = async || tags::remove_one(aws, order.group, order.instance).await;
    match (launched, untagged) {
        (Launched::Failed(error), _) => Done::failed(clock, error),
        (Launched::Yes(_), Some(error)) => Done::failed(clock, error),
        (Launched::Before, _) => Done::already(clock, "a copy of the message has launched it"),
        (Launched::Impossible(why), _) => match over().await {
            Ok(()) => Done::not_possible(clock, format!("{why}; {} goes on serving", order.instance)),
            Err(error) => Done::failed(clock, error),
        },
        // Its tag stays for a copy of the message that may have launched; the follow-up removes it.
        (Launched::TooLate, _) => match follow(aws, order.notice, order.then).await {
            Ok(()) => Done::already(clock, "it left its group in the same moment"),
            Err(error) => Done::failed(clock, error),
        },
        (Launched::Yes(new), None) => {
            // What an interruption warning in the same moment has not given back, the follow-up gives back: it finds the
            // instance gone, and knows by the tags whether the warning knew.
            match follow(aws, order.notice, order.then).await {
                Ok(()) => Done {
                    note: Some(format!("as {new}")),
                    ..Done::now(clock)
                },
                Err(error) => Done::failed(clock, error),
            }
        }
    }
}

async fn read_back(aws: Aws<'_>, orders: &[Order<'_>]) -> Groups {
    let ids: Vec<InstanceId> = orders.iter().map(|order| order.instance.clone()).collect();
    groups::read(aws.autoscaling, aws.invocation, &ids, &[]).await
}

/// `None` where it could not be read.
fn still_serves(groups: &Groups, instance: &InstanceId) -> Option<bool> {
    match groups.of_instance(instance) {
        GroupOf::Some { member, .. } => Some(member.lifecycle == Lifecycle::InService),
        GroupOf::None => Some(false),
        GroupOf::Unknown(_) => None,
    }
}

/// What the group's tag says of the instance.
fn under_way(groups: &Groups, instance: &InstanceId) -> Option<Exchange> {
    match groups.of_instance(instance) {
        GroupOf::Some { group, .. } => exchange_of(group, instance),
        GroupOf::None | GroupOf::Unknown(_) => None,
    }
}

/// Tries one zone after the other. The tag names the zone before it is tried.
async fn in_best_zone(aws: Aws<'_>, order: &Order<'_>, zones: &[String], begun: Timestamp) -> Launched {
    let mut refusals = BTreeMap::new();
    for (index, zone) in zones.iter().enumerate() {
        let attempt = Attempt {
            zone: zone.clone(),
            begun,
        };
        if index > 0 {
            // The refusals took their time: a copy of the message may have launched meanwhile, or a warning have come.
            let now = groups::read(
                aws.autoscaling,
                aws.invocation,
                std::slice::from_ref(order.instance),
                &[],
            )
            .await;
            if matches!(under_way(&now, order.instance), Some(Exchange::Launched { .. })) {
                return Launched::Before;
            }
            if still_serves(&now, order.instance) == Some(false) {
                return Launched::TooLate;
            }
            let exchange = Exchange::Launching(attempt.clone());
            if let Err(error) = tags::write_one(aws, order.group, order.instance, exchange).await {
                return Launched::Failed(error);
            }
        }
        match in_zone(aws, order.group, order.instance, &attempt).await {
            Ok(Ok(new)) => return Launched::Yes(new),
            Ok(Err(why)) => {
                refusals.insert(zone.as_str(), why);
            }
            Err(error) => return Launched::Failed(error),
        }
    }
    let refusals: Vec<String> = refusals
        .into_iter()
        .map(|(zone, why)| format!("{zone}: {why}"))
        .collect();
    Launched::Impossible(refusals.join("; "))
}

/// Launches the replacement of an instance in one zone: the new instance, or why it is not possible there.
///
/// No asynchronous retry is asked for: it would raise the desired capacity for an instance that may come at any time,
/// and the exchange would no longer know its replacement.
///
/// # Errors
/// Where it is not known whether it was launched; also where AWS takes longer than it answers, and has to be asked again
/// with the same token.
pub async fn in_zone(
    aws: Aws<'_>,
    group: &str,
    instance: &InstanceId,
    attempt: &Attempt,
) -> Result<Result<InstanceId, String>, CallError> {
    let asking = aws
        .autoscaling
        .launch_instances()
        .auto_scaling_group_name(group)
        .requested_capacity(1)
        .availability_zones(&attempt.zone)
        .client_token(token(group, instance, attempt))
        .send();
    let answer = match aws.invocation.call("LaunchInstances", asking).await {
        Ok(answer) => answer,
        Err(error) if is_impossible(&error) => return Ok(Err(error.message().to_owned())),
        Err(error) => return Err(error),
    };
    let ids = answer
        .instances
        .unwrap_or_default()
        .into_iter()
        .flat_map(|set| set.instance_ids.unwrap_or_default());
    if let Some(id) = ids.filter_map(|id| id.parse().ok()).next() {
        return Ok(Ok(id));
    }
    let refusal = |error: aws_sdk_autoscaling::types::LaunchInstancesError| {
        error.error_code.or(error.error_message).unwrap_or_default()
    };
    let mut refusals: Vec<String> = answer
        .errors
        .unwrap_or_default()
        .into_iter()
        .map(refusal)
        .collect();
    refusals.dedup();
    if refusals.is_empty() {
        return Err(CallError::NoAnswer {
            action: "LaunchInstances",
            message: "neither an instance nor a reason why there is none: the launch takes longer".to_owned(),
        });
    }
    Ok(Err(refusals.join(", ")))
}

/// Whether the group cannot be launched into in this way, whoever asks and however often: a warm pool, a mixture of
/// On-Demand and Spot, MaxSize.
fn is_impossible(error: &CallError) -> bool {
    matches!(error.code(), Some("ValidationError" | "UnsupportedOperation"))
}

/// A client token: 1 to 64 of `A-Za-z0-9-_/`.
fn token(group: &str, instance: &InstanceId, Attempt { zone, begun }: &Attempt) -> String {
    Uuid::new_v5(&TOKENS, format!("{group}/{instance}/{zone}/{begun}").as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_repetition_can_change_is_impossible_and_all_else_is_tried_again() {
        let refused = |code: &str| CallError::Refused {
            action: "LaunchInstances",
            code: code.to_owned(),
            message: String::new(),
        };
        for (code, expected) in [
            ("ValidationError", true),
            ("UnsupportedOperation", true),
            ("ResourceContention", false),
            ("IdempotentCallInProgress", false),
            ("AccessDenied", false),
        ] {
            assert_eq!(is_impossible(&refused(code)), expected, "{code}");
        }
    }

    #[test]
    fn the_token_is_the_same_for_the_same_launch_and_no_other() {
        let id: InstanceId = "i-1234567890abcdef0".parse().expect("an id");
        let token = |zone: &str, begun: &str| {
            let (zone, begun) = (zone.to_owned(), begun.parse().expect("a time"));
            super::token("group with / and ü", &id, &Attempt { zone, begun })
        };
        let one = token("us-east-1a", "2026-11-24T04:00:00Z");
        assert_eq!(one, token("us-east-1a", "2026-11-24T04:00:00Z"));
        assert_ne!(one, token("us-east-1b", "2026-11-24T04:00:00Z"));
        assert_ne!(one, token("us-east-1a", "2026-11-24T04:20:00Z"));
        assert!(
            one.len() <= 64 && one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
            "{one}"
        );
    }
}
