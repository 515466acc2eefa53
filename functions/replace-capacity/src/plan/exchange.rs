//! Launch before drain: an instance at risk is exchanged for another while it still serves.
//!
//! ```text
//! begin ──> await_replacement ──> (drain-tasks has the work moved) ──> retire
//! ```
//! Between the steps the state is in the delayed message and in a tag on the group. An interruption warning wins at any
//! point: it removes the tag, and every step that finds no tag ends the exchange.

use jiff::{SignedDuration, Timestamp, Unit};
use spot_handoff::autoscaling::groups::{Group, Groups, Lifecycle, Member};
use spot_handoff::exchange::LIMIT;
use spot_handoff::notice::{Cause, FollowUp, InstanceId, Notice, Step};

use super::{Action, InBatch, Leaving, Plan, Queue, Skip, Warning};
use crate::facts::{Health, NotReady};
use crate::replacement_tag::{Attempt, Exchange, Raises, Surplus, exchange_of, left_with_decrement};

/// How often to look whether the replacement is in service.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// When the tags of an exchange are removed whose instance has left: no invocation that saw it serve runs any more.
const CLEAN_UP: SignedDuration = SignedDuration::from_secs(30);

/// Launches the replacement, or resumes what an earlier message began.
pub fn begin(notice: &Notice, group: &Group, cause: Cause, now: Timestamp, in_batch: &mut InBatch) -> Plan {
    let instance = &notice.instance;
    let then = FollowUp {
        cause,
        deadline: Some(now.saturating_add(LIMIT).unwrap_or(now)),
        step: Step::AwaitReplacement {
            group: group.name.clone(),
        },
    };
    let launch = |zones, begun, resumes, then| Action::Launch {
        group: group.name.clone(),
        instance: instance.clone(),
        zones,
        begun,
        resumes,
        then,
    };
    let raise = |from, then| Action::RaiseDesiredCapacity {
        group: group.name.clone(),
        instance: instance.clone(),
        from,
        then,
    };
    let mut plan = Plan::default();
    match exchange_of(group, instance) {
        Some(Exchange::Launching(Attempt { zone, begun })) => {
            let zones = zones_from(zone, &group.zones);
            plan.actions.push(launch(zones, begun, true, then));
        }
        Some(Exchange::Raising { from }) => plan.actions.push(raise(from, then)),
        Some(Exchange::Launched { .. } | Exchange::Raised { .. }) => {
            plan.actions.push(send(Queue::Own, notice, notice.time, then))
        }
        None | Some(Exchange::GivingBack(_)) if group.is_weighted => {
            return Plan::nothing(instance, Skip::Weighted);
        }
        None | Some(Exchange::GivingBack(_)) => {
            let launched = in_batch.launched.entry(group.name.clone()).or_default();
            launched.insert(instance.clone());
            let more = i32::try_from(launched.len()).unwrap_or(i32::MAX);
            if group.desired.saturating_add(more) > group.max {
                launched.remove(instance);
                return Plan::nothing(instance, Skip::NoRoom { max: group.max });
            }
            // LaunchInstances takes groups with a launch template that are wholly Spot or wholly On-Demand and have no warm
            // pool. Raised, a group with a warm pool takes the replacement from there.
            // https://docs.aws.amazon.com/autoscaling/ec2/userguide/launch-instances-synchronously.html
            plan.actions.push(if takes_launches(group) {
                launch(
                    emptiest_zone(group, instance).map_or(vec![], |zone| zones_from(zone, &group.zones)),
                    minute_of(notice.time),
                    false,
                    then,
                )
            } else {
                raise(group.desired, then)
            });
        }
    }
    plan
}

fn takes_launches(group: &Group) -> bool {
    group.has_launch_template && !group.mixes_purchase_options && !group.has_warm_pool
}

fn minute_of(time: Timestamp) -> Timestamp {
    time.round(Unit::Minute).unwrap_or(time)
}

/// The zone with the fewest instances; the instance to be replaced does not count.
fn emptiest_zone(group: &Group, instance: &InstanceId) -> Option<String> {
    let count = |zone: &String| {
        let stays = |lifecycle| matches!(lifecycle, Lifecycle::InService | Lifecycle::Pending);
        let others = group
            .instances
            .iter()
            .filter(|member| member.id != *instance && member.zone == *zone);
        others.filter(|member| stays(member.lifecycle)).count()
    };
    group
        .zones
        .iter()
        .min_by_key(|zone| (count(zone), zone.as_str()))
        .cloned()
}

/// The zones to try, beginning with one. The order of the others does not depend on anything that changes: copies of a
/// message that try them at the same time come to the same one, and so to the same client token.
pub fn zones_from(first: String, zones: &[String]) -> Vec<String> {
    let mut others: Vec<String> = zones.iter().filter(|zone| **zone != first).cloned().collect();
    others.sort();
    [vec![first], others].concat()
}

fn send(to: Queue, notice: &Notice, at: Timestamp, follow_up: FollowUp) -> Action {
    Action::Send {
        to,
        instance: notice.instance.clone(),
        at,
        follow_up,
    }
}

/// The group and the exchange of the instance, where both are still there and the instance still serves.
///
/// # Errors
/// Where not: the plan that ends the exchange.
fn under_way<'a>(
    notice: &Notice,
    name: &str,
    groups: &'a Groups,
    in_batch: &mut InBatch,
) -> Result<(&'a Group, Exchange), Box<Plan>> {
    let instance = &notice.instance;
    let Some(group) = groups.by_name(name) else {
        return Err(Box::new(match groups.why_unread(name) {
            Some(error) => Plan {
                problems: vec![error.to_string()],
                ..Plan::default()
            },
            None => Plan::nothing(instance, Skip::ExchangeOver),
        }));
    };
    let Some(exchange) = exchange_of(group, instance) else {
        return Err(Box::new(Plan::nothing(instance, Skip::ExchangeOver)));
    };
    let serves = |member: &&spot_handoff::autoscaling::groups::Member| {
        member.id == *instance && member.lifecycle == Lifecycle::InService
    };
    if !group.instances.iter().any(|member| serves(&member)) {
        let mut plan = Plan::nothing(instance, Skip::ExchangeOver);
        if left_with_decrement(group, instance) {
            plan.actions.push(untag(group, instance));
        } else {
            give_back(&mut plan, group, instance, &exchange, Old::Gone, in_batch);
        }
        return Err(Box::new(plan));
    }
    if let Exchange::GivingBack(_) = exchange {
        let mut plan = Plan::nothing(instance, Skip::GivenUp);
        give_back(&mut plan, group, instance, &exchange, Old::Serves, in_batch);
        return Err(Box::new(plan));
    }
    Ok((group, exchange))
}

fn untag(group: &Group, instance: &InstanceId) -> Action {
    Action::Untag {
        group: group.name.clone(),
        instance: instance.clone(),
    }
}

/// Has the work moved when the replacement is in service and takes requests; looks again when it does not.
///
/// An instance comes into service before its targets are healthy.
/// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/health-check-grace-period.html>
pub fn await_replacement(
    notice: &Notice,
    follow_up: &FollowUp,
    name: &str,
    groups: &Groups,
    health: &Health,
    now: Timestamp,
    in_batch: &mut InBatch,
) -> Plan {
    let instance = &notice.instance;
    let (group, exchange) = match under_way(notice, name, groups, in_batch) {
        Ok(under_way) => under_way,
        Err(plan) => return *plan,
    };
    let mut plan = Plan::default();
    let is_late = now >= follow_up.deadline.unwrap_or(now);
    let unread: Vec<String> = health.problems_of(group).collect();
    if !unread.is_empty() && !is_late {
        plan.problems = unread;
        return plan;
    }
    // Where it is late, what is not known does not hold the end of the exchange.
    let is_known = unread.is_empty();
    let unread = unread.into_iter().map(|error| Warning::HealthUnread { error });
    plan.warnings.extend(unread);
    let in_service = |member: &Member| member.lifecycle == Lifecycle::InService;
    let named = named_replacement(group, &exchange);
    // After a raise it is not known which of the others is the replacement, and one that was there before may be unhealthy
    // for reasons of its own. A replacement that was known may be lost, and what came for it has to be healthy as well.
    let was_named = matches!(exchange, Exchange::Launched { .. });
    let serves = |member: &Member| {
        let mut why_not = health.why_not_ready(group, &member.id, instance);
        in_service(member) && is_known && !why_not.any(|why| was_named || why == NotReady::Initial)
    };
    if named.is_some_and(serves) || is_covered_without(group, instance, serves) {
        // drain-tasks knows whether the replacement can take the tasks, and has the targets deregistered then.
        let step = Step::MoveWork {
            group: group.name.clone(),
            replacement: named
                .filter(|member| serves(member))
                .map(|member| member.id.clone()),
        };
        let follow_up = FollowUp {
            step,
            ..follow_up.clone()
        };
        plan.actions.push(send(Queue::DrainTasks, notice, now, follow_up));
    } else if is_late {
        let came = named.is_some_and(in_service) || is_covered_without(group, instance, in_service);
        plan.skip(
            instance,
            if came {
                Skip::ReplacementNeverHealthy
            } else {
                Skip::ReplacementNeverCame
            },
        );
        give_back(&mut plan, group, instance, &exchange, Old::Serves, in_batch);
    } else if let Exchange::Raising { from } = exchange
        && group.desired < Raises::wanted(group, from)
    {
        // Somebody set the desired capacity in the same moment; the tags say that it has to be higher.
        plan.actions.push(Action::RaiseDesiredCapacity {
            group: group.name.clone(),
            instance: instance.clone(),
            from,
            then: follow_up.clone(),
        });
    } else {
        let at = now.saturating_add(LOOK_AGAIN).unwrap_or(now);
        plan.actions.push(send(Queue::Own, notice, at, follow_up.clone()));
    }
    plan
}

/// The replacement in the group, where the exchange knows which it is.
fn named_replacement<'a>(group: &'a Group, exchange: &Exchange) -> Option<&'a Member> {
    match exchange {
        Exchange::Launched { replacement } => group.instances.iter().find(|member| member.id == *replacement),
        Exchange::Launching(_)
        | Exchange::Raising { .. }
        | Exchange::Raised { .. }
        | Exchange::GivingBack(_) => None,
    }
}

/// The work cannot move: the instance goes on serving, and the replacement gives its capacity back.
pub fn give_up(notice: &Notice, name: &str, groups: &Groups, in_batch: &mut InBatch) -> Plan {
    match under_way(notice, name, groups, in_batch) {
        Ok((group, exchange)) => {
            let mut plan = Plan::nothing(&notice.instance, Skip::WorkCannotMove);
            give_back(
                &mut plan,
                group,
                &notice.instance,
                &exchange,
                Old::Serves,
                in_batch,
            );
            plan
        }
        Err(plan) => *plan,
    }
}

/// What became of the instance that was to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Old {
    /// It goes on serving.
    Serves,
    /// It has left the group.
    Gone,
}

/// Ends an exchange without its purpose: what it raised is given back.
fn give_back(
    plan: &mut Plan,
    group: &Group,
    instance: &InstanceId,
    exchange: &Exchange,
    old: Old,
    in_batch: &mut InBatch,
) {
    if let Some(surplus) = surplus(group, exchange, old, in_batch) {
        if let Surplus::Instance(id) = &surplus {
            in_batch.given_back.insert(id.clone());
        }
        plan.actions.push(Action::GiveBack {
            group: group.name.clone(),
            instance: instance.clone(),
            surplus,
        });
    }
    plan.actions.push(untag(group, instance));
}

/// What an exchange has raised and not given back yet.
fn surplus(group: &Group, exchange: &Exchange, old: Old, in_batch: &InBatch) -> Option<Surplus> {
    let stays = |member: &&Member| {
        let is_there = matches!(member.lifecycle, Lifecycle::Pending | Lifecycle::InService);
        is_there && !in_batch.given_back.contains(&member.id)
    };
    let mut there = group.instances.iter().filter(stays);
    let lowered = Surplus::Capacity { from: group.desired };
    let replacement = named_replacement(group, exchange).filter(stays);
    let is_raised = match exchange {
        Exchange::Launching(_) => return None,
        Exchange::GivingBack(Surplus::Capacity { from }) => {
            return (group.desired >= *from).then_some(lowered);
        }
        Exchange::GivingBack(Surplus::Instance(id)) => {
            let is_there = there.any(|member| member.id == *id);
            return is_there.then(|| Surplus::Instance(id.clone()));
        }
        Exchange::Raising { from } => group.desired > *from,
        Exchange::Raised { .. } | Exchange::Launched { .. } => true,
    };
    if !is_raised {
        return None;
    }
    let is_unfilled = there.clone().count() < usize::try_from(group.desired).unwrap_or(0);
    if old == Old::Gone && is_unfilled {
        // The group is short without the instance, so the replacement is needed: with the desired capacity lowered, Auto
        // Scaling launches no other and terminates nothing.
        return Some(lowered);
    }
    // A replacement that hangs in a launch hook, or is of no use: it goes, and the desired capacity with it. After a raise
    // it is not known which one it is, and one that is not in service yet is the least loss.
    let is_pending = |member: &&Member| member.lifecycle == Lifecycle::Pending;
    let surplus = replacement.or_else(|| there.find(is_pending));
    // Nothing came: with the desired capacity lowered, Auto Scaling stops trying. Or whichever instance came: Auto Scaling
    // chooses which one goes.
    Some(surplus.map_or(lowered, |member| Surplus::Instance(member.id.clone())))
}

/// Whether as many instances serve as before the exchange, without the instance.
fn is_covered_without(group: &Group, instance: &InstanceId, serves: impl Fn(&Member) -> bool) -> bool {
    let others = group
        .instances
        .iter()
        .filter(|member| member.id != *instance && serves(member));
    i32::try_from(others.count()).is_ok_and(|others| others >= group.desired - 1) && group.desired > 0
}

/// Terminates the instance whose work has moved, and gives back the capacity that its replacement took.
pub fn retire(
    notice: &Notice,
    follow_up: &FollowUp,
    name: &str,
    groups: &Groups,
    now: Timestamp,
    in_batch: &mut InBatch,
) -> Plan {
    let instance = &notice.instance;
    let (group, exchange) = match under_way(notice, name, groups, in_batch) {
        Ok(under_way) => under_way,
        Err(plan) => return *plan,
    };
    let mut plan = Plan::default();
    let serves = |member: &Member| member.lifecycle == Lifecycle::InService;
    // Its own replacement is enough: others of the group may be short of theirs at the same time.
    let is_replaced = named_replacement(group, &exchange).is_some_and(serves);
    if !is_replaced && !is_covered_without(group, instance, serves) {
        if now < follow_up.deadline.unwrap_or(now) {
            let at = now.saturating_add(LOOK_AGAIN).unwrap_or(now);
            plan.actions.push(send(Queue::Own, notice, at, follow_up.clone()));
            return plan;
        }
        // It drains and has no work any more, so it goes all the same; Auto Scaling launches what is missing.
        let group = group.name.clone();
        plan.warnings.push(Warning::ReplacementLost { group });
    }
    let leaving = Leaving {
        group: group.name.clone(),
        instance: instance.clone(),
        decrement: true,
    };
    plan.actions.push(Action::Retire(leaving));
    plan.actions.push(clean_up(notice, group, now));
    plan
}

/// Looks once more when everything that knew of the exchange is over, and removes its tags.
pub fn clean_up(notice: &Notice, group: &Group, now: Timestamp) -> Action {
    let at = now.saturating_add(CLEAN_UP).unwrap_or(now);
    let follow_up = FollowUp {
        cause: Cause::Rebalance,
        deadline: Some(at),
        step: Step::AwaitReplacement {
            group: group.name.clone(),
        },
    };
    send(Queue::Own, notice, at, follow_up)
}
