//! A restart by AWS that the instance survives: its work leaves shortly before, and comes back afterwards.
//!
//! Each restart has one chain of looks: one every quarter of an hour until the restart is near, since SQS cannot delay
//! a message for longer. Then one every half minute until the instance is back. EC2 sends no event about a reboot. So
//! one of these shows that it is over: the ECS agent was disconnected and is connected again; AWS Health says that the
//! change is over; or the time that AWS planned for it has passed.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::groups::{GroupOf, Lifecycle};
use spot_handoff::ecs::container_instances::ContainerInstance;
use spot_handoff::notice::{Cause, FollowUp, Notice, ScheduledRestart, Signal, Step};
use spot_handoff::state::restarts::{Restart, Stage};

use super::{Action, Plan, Queue, Skip, Warning};

/// How long before the restart the instance is drained. Meanwhile ECS moves service tasks, and standalone tasks may
/// end.
pub const BEFORE: SignedDuration = SignedDuration::from_mins(10);
/// SQS cannot delay a message for longer.
const LONGEST_DELAY: SignedDuration = SignedDuration::from_mins(15);
/// The next look at a restart is this long after its moment. Other looks end with that moment, and nothing is given back
/// before it.
const LOOKS_END: SignedDuration = SignedDuration::from_secs(30);
/// The time between two looks at whether the instance is back.
const EVERY: SignedDuration = SignedDuration::from_secs(30);
/// If nobody has seen the agent disconnected, the instance counts as restarted this long after the latest moment.
const UNSEEN: SignedDuration = SignedDuration::from_mins(30);
/// If the instance is not back within this time, it stays as it is.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(24);

/// Whether the notice is about a restart.
pub fn is_of_one(notice: &Notice) -> bool {
    change(notice).is_some()
}

/// The change that the notice is about.
pub fn change(notice: &Notice) -> Option<&str> {
    match &notice.signal {
        Signal::ScheduledRestart(restart) => Some(&restart.change),
        Signal::FollowUp(FollowUp {
            step: Step::AwaitRestart { change, .. },
            ..
        }) => Some(change),
        _ => None,
    }
}

/// The facts for a decision.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The group of the instance.
    pub group: &'a GroupOf<'a>,
    /// Its container instances.
    pub on: &'a [ContainerInstance],
    /// Now.
    pub now: Timestamp,
}

/// What to do, and the item for the table after that; `None` if the item does not change.
pub fn plan(notice: &Notice, known: Option<&Restart>, seen: Seen<'_>) -> (Plan, Option<Restart>) {
    let nothing = |skip| (Plan::nothing(&notice.instance, skip), None);
    let restart = match &notice.signal {
        Signal::ScheduledRestart(said) => match heard(notice, said, known, seen) {
            Ok(restart) => restart,
            Err(skip) => return nothing(skip),
        },
        Signal::FollowUp(FollowUp {
            step: Step::AwaitRestart { turn, .. },
            ..
        }) => match known {
            None => return nothing(Skip::RestartOver),
            Some(known) if known.stage == Stage::Over => return nothing(Skip::RestartOver),
            Some(known) if known.turn != *turn => return nothing(Skip::AnotherLook),
            Some(known) => known.clone(),
        },
        _ => return nothing(Skip::NotForThisFunction),
    };
    advance(notice, restart, seen)
}

/// The restart according to this notice.
fn heard(
    notice: &Notice,
    said: &ScheduledRestart,
    known: Option<&Restart>,
    seen: Seen<'_>,
) -> Result<Restart, Skip> {
    let is_over = |known: &Restart| known.stage == Stage::Over;
    match known {
        Some(known) if notice.time < known.said_at => return Err(Skip::OlderNews),
        Some(known) if notice.time == known.said_at && is_over(known) => return Err(Skip::RestartOver),
        None if said.over => return Err(Skip::RestartOver),
        _ => {}
    }
    let group = match seen.group {
        GroupOf::Some { group, .. } => Some(group.name.clone()),
        GroupOf::None | GroupOf::Unknown(_) => None,
    };
    let new = Restart {
        instance: notice.instance.clone(),
        change: said.change.clone(),
        group,
        said_at: notice.time,
        starts: said.starts,
        ends: said.ends,
        over: said.over,
        stage: Stage::Waiting,
        was_silent: false,
        turn: seen.now,
    };
    let restart = match known {
        Some(known) if !is_over(known) => Restart {
            group: known.group.clone(),
            stage: known.stage,
            was_silent: known.was_silent,
            ..new
        },
        _ => new,
    };
    let has_passed = restart.stage == Stage::Waiting && restart.last() <= seen.now;
    if has_passed && known.is_none_or(is_over) {
        return Err(Skip::RestartOver);
    }
    Ok(restart)
}

fn advance(notice: &Notice, mut restart: Restart, seen: Seen<'_>) -> (Plan, Option<Restart>) {
    let now = seen.now;
    let mut plan = Plan::default();
    if let GroupOf::Unknown(error) = seen.group {
        plan.problems.push(error.to_string());
        return (plan, None);
    }
    let near = after(restart.starts, -BEFORE);
    let mut again = None;
    match restart.stage {
        Stage::Over => plan.skip(&notice.instance, Skip::RestartOver),
        _ if has_left(&restart, seen.group) => {
            plan.skip(&notice.instance, Skip::HasLeftGroup);
            restart.stage = Stage::Over;
        }
        Stage::Waiting if restart.over || restart.last() <= now => {
            plan.skip(&notice.instance, Skip::RestartOver);
            restart.stage = Stage::Over;
        }
        Stage::Waiting if now < near => again = Some(near),
        Stage::Waiting => {
            let until = restart.starts.max(now);
            let step = Step::StepAside {
                group: restart.group.clone(),
            };
            ask_both(&mut plan, notice, Some(until), &step, now);
            restart.stage = Stage::Aside(until);
            again = Some(after(until, LOOKS_END));
        }
        Stage::Aside(until) if now < after(until, LOOKS_END) => again = Some(after(until, LOOKS_END)),
        Stage::Aside(until) => {
            let is_connected = seen.on.iter().all(|one| one.agent_connected);
            restart.was_silent |= !is_connected;
            let has_moved = restart.starts > until && now < near;
            let is_done =
                restart.over || restart.was_silent || has_moved || now >= after(restart.last(), UNSEEN);
            if is_connected && is_done {
                ask_both(&mut plan, notice, None, &Step::StepBack, now);
                let comes_again = has_moved && !restart.over;
                restart.stage = if comes_again { Stage::Waiting } else { Stage::Over };
                restart.was_silent = false;
                again = comes_again.then_some(near);
            } else if now >= after(restart.last(), GIVEN_UP) {
                plan.warnings.push(Warning::NeverBack);
                restart.stage = Stage::Over;
            } else {
                again = Some(after(now, EVERY));
            }
        }
    }
    if let Some(at) = again {
        let at = at.min(after(now, LONGEST_DELAY));
        restart.turn = at;
        let step = Step::AwaitRestart {
            change: restart.change.clone(),
            turn: at,
        };
        plan.actions
            .push(send(notice, Queue::Own, Some(restart.starts), step, at));
    }
    (plan, Some(restart))
}

/// Whether the instance goes, or is gone, for another reason.
fn has_left(restart: &Restart, group: &GroupOf<'_>) -> bool {
    match (&restart.group, group) {
        (Some(name), GroupOf::Some { group, member }) => {
            group.name != *name || member.lifecycle == Lifecycle::Terminating
        }
        (Some(_), GroupOf::None) => true,
        (None, _) | (_, GroupOf::Unknown(_)) => false,
    }
}

fn ask_both(plan: &mut Plan, notice: &Notice, deadline: Option<Timestamp>, step: &Step, now: Timestamp) {
    let both = [Queue::Own, Queue::DeregisterTargets];
    let asked = both.map(|to| send(notice, to, deadline, step.clone(), now));
    plan.actions.extend(asked);
}

fn send(notice: &Notice, to: Queue, deadline: Option<Timestamp>, step: Step, at: Timestamp) -> Action {
    Action::Send {
        to,
        instance: notice.instance.clone(),
        at,
        follow_up: FollowUp {
            cause: Cause::Restart,
            deadline,
            step,
        },
    }
}

fn after(moment: Timestamp, span: SignedDuration) -> Timestamp {
    moment.saturating_add(span).unwrap_or(moment)
}

#[cfg(test)]
mod tests;
