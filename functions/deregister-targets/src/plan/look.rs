//! When to look again. Between two looks, ECS can register a target again, a task or the instance can register late, a
//! successor can become healthy, or a last safe moment can come.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::ecs::container_instances::ContainerInstance;
use spot_handoff::exchange;
use spot_handoff::notice::{Cause, FollowUp, Notice, Serving, Signal, Step, between_looks, next_look};
use spot_handoff::report::ActionResult;
use spot_handoff::report::plan::Results;

use super::{Action, Look, Plan, Warning, named_group, serves_until};

/// When to look after the end of the instance, if no target was seen that would serve then.
const AFTER_END: SignedDuration = SignedDuration::from_secs(8);

/// How long before the end to look often, if no target was seen that would serve then. A successor that comes in these
/// seconds decides how the hand-off went, and lets a held target leave sooner. The end may come early.
const LAST_PART: SignedDuration = SignedDuration::from_secs(20);

/// How often to look then.
const OFTEN: SignedDuration = SignedDuration::from_secs(2);

/// Only so few instances are looked at that often: a look at them takes each function some three reads of ECS.
const OFTEN_FOR_AT_MOST: usize = 50;

/// ECS may have registered the target of a running task again since the last look, and may do so again at once. So
/// there are two looks shortly before the task is stopped. After the first, the load balancer still has its four
/// seconds before the stop. After the second, as little time as possible is left.
const LOOKS_BEFORE_STOP: [SignedDuration; 2] = [SignedDuration::from_secs(5), SignedDuration::from_secs(1)];

/// The facts that decide whether to look again.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The group of the instance, if it has one.
    pub group: Option<&'a str>,
    /// How many instances are looked at together. It decides how soon the next look comes, if nothing comes earlier.
    pub together: usize,
    /// Where it is registered.
    pub registered: &'a [ContainerInstance],
    /// Whether there is a target group with a target of the instance, or one that may get such a target.
    pub has_target_groups: bool,
    /// When drain-tasks stops the next of the service tasks on the instance.
    pub stops_at: Option<Timestamp>,
    /// How many targets serve in the target groups that the instance is or was in.
    pub serving: &'a [Serving],
}

/// Plans the next look at a notice, if there is a reason for one.
///
/// An instance with a known end is looked at until then. Without a known end, there are looks while something is held,
/// for as long as an exchange may take at most: by then ECS and Auto Scaling have taken the targets out themselves.
pub fn plan(notice: &Notice, plan: &mut Plan, seen: Seen<'_>, now: Timestamp) {
    let Some(cause) = cause(notice) else { return };
    let ends = serves_until(notice);
    let near = ends.filter(|end| end.duration_since(now) <= exchange::LIMIT);
    let longest = notice.time.saturating_add(exchange::LIMIT).unwrap_or(notice.time);
    let until = near.unwrap_or(longest);
    // In an exchange, the limit is not the end: the instance goes as soon as its work has moved.
    let goes_then =
        near.is_some_and(|end| matches!(cause, Cause::Interruption | Cause::Termination) || end <= longest);
    let is_worth_it = !plan.held.is_empty() || (goes_then && seen.has_target_groups);
    if !is_worth_it {
        return;
    }
    let is_bare = seen.serving.iter().any(|one| one.staying == 0);
    // Whether a successor serves by then decides how it went.
    let decides = is_bare && cause == Cause::Interruption && near.is_some();
    let last = match decides {
        true => until.saturating_add(AFTER_END).unwrap_or(until),
        false => until,
    };
    let is_few = seen.together <= OFTEN_FOR_AT_MOST;
    let is_often = decides && is_few && until.duration_since(now) <= LAST_PART;
    let in_a_while = match is_often {
        true => now.saturating_add(OFTEN).unwrap_or(now),
        false => next_look(now, until, between_looks(seen.together)),
    };
    let moments = plan.held.iter().filter_map(|held| held.until);
    let before_stop = LOOKS_BEFORE_STOP.iter().filter_map(|before| {
        let at = seen.stops_at?;
        Some(at.saturating_sub(*before).unwrap_or(at))
    });
    let moments = moments.chain(before_stop.filter(|at| *at > now));
    let mut at = moments.fold(in_a_while, Timestamp::min);
    let is_last = at >= until;
    if is_last && decides && now < last {
        at = if is_often { at.min(last) } else { last };
    } else if is_last {
        let without_end = plan
            .held
            .iter()
            .filter(|held| held.until.is_none_or(|until| until > at));
        plan.warnings
            .extend(without_end.map(|held| Warning::HeldWithoutEnd {
                target_group: held.target_group.clone(),
            }));
        return;
    }
    plan.actions.push(Action::Look(Look {
        of: (notice.event_id.clone(), notice.instance.to_string()),
        at,
        follow_up: FollowUp {
            cause,
            deadline: match &notice.signal {
                Signal::FollowUp(follow_up) => follow_up.deadline,
                _ => notice.deadline(),
            },
            step: Step::Look {
                group: seen.group.or(named_group(notice)).map(str::to_owned),
                registered: seen.registered.iter().map(|one| one.registered(None)).collect(),
                seen: seen.serving.to_vec(),
            },
        },
    }));
}

/// Removes the looks from a plan once they are sent. Readers of the report need not know of them, only of looks that
/// could not be sent.
pub fn settle(plan: &mut Plan, sent: &Results<Action>) {
    for action in std::mem::take(&mut plan.actions) {
        if let Action::Deregister(_) = action {
            plan.actions.push(action);
            continue;
        }
        let failed = sent
            .get(&action)
            .filter(|done| done.result == ActionResult::Failed);
        if let Some(done) = failed {
            let why = done.note.clone().unwrap_or_default();
            plan.problems.push(format!("cannot look again: {why}"));
        }
    }
}

/// Why the instance is handed off; `None` if nothing is done.
pub fn cause(notice: &Notice) -> Option<Cause> {
    match &notice.signal {
        Signal::InterruptionWarning { .. } | Signal::StateChange { .. } => Some(Cause::Interruption),
        Signal::RebalanceRecommendation | Signal::Returned | Signal::ScheduledRestart(_) => None,
        Signal::ScheduledRetirement { .. } => Some(Cause::Retirement),
        Signal::TerminateLifecycleAction(_) => Some(Cause::Termination),
        Signal::FollowUp(follow_up) => Some(follow_up.cause),
    }
}
