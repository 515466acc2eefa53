//! What to deregister, what to hold, when to look again: pure functions from facts to plans.
//!
//! [`find`] says which targets belong to an instance under notice, [`hold`] which of them have to stay for now,
//! [`look`] when to look again, [`serving`] how many serve meanwhile.

pub mod find;
pub mod hold;
pub mod look;
pub mod serving;
mod words;

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::groups::{Group, GroupOf, Groups};
use spot_handoff::autoscaling::restarts;
use spot_handoff::elb::health::Target;
use spot_handoff::elb::holding::Balancer;
use spot_handoff::exchange;
use spot_handoff::notice::{Cause, FollowUp, InstanceAction, NOTICE, Notice, Signal, Step};
use spot_handoff::report::ActionKind;
use spot_handoff::report::plan as shared_plan;
use spot_handoff::runtime::config::Scope;

pub use words::{Skip, Warning};

/// A plan of this function.
pub type Plan = shared_plan::Plan<Action, Skip, Warning>;

/// What this function does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Take one target out of one target group.
    Deregister(Deregistration),
    /// Put one target back into the target group that it was taken out of.
    Register(Deregistration),
    /// Look again.
    Look(Look),
}

/// One target to take out of one target group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Deregistration {
    /// ARN of the target group.
    pub target_group: String,
    /// The target.
    pub target: Target,
    /// The instance that it is on, and its task if it belongs to one.
    pub of: String,
}

/// A look at one notice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Look {
    /// The notice, by its event and instance. Each notice has its own looks.
    pub of: (String, String),
    /// When.
    pub at: Timestamp,
    /// The message.
    pub follow_up: FollowUp,
}

impl Deregistration {
    /// The target in words for people.
    pub fn words(&self) -> String {
        let of = if self.of == self.target.id {
            String::new()
        } else {
            format!(" ({})", self.of)
        };
        format!("{}{of}", self.target)
    }
}

impl shared_plan::Action for Action {
    fn describe(&self) -> (ActionKind, String, String) {
        match self {
            Self::Deregister(deregistration) => (
                ActionKind::DeregisterTarget,
                deregistration.target_group.clone(),
                deregistration.words(),
            ),
            Self::Register(deregistration) => (
                ActionKind::RegisterTarget,
                deregistration.target_group.clone(),
                deregistration.words(),
            ),
            Self::Look(look) => (
                ActionKind::Look,
                look.of.1.clone(),
                format!("look again at {}", look.at.strftime("%H:%M:%S")),
            ),
        }
    }
}

/// The deregistrations of a plan.
pub fn deregistrations(plan: &Plan) -> impl Iterator<Item = &Deregistration> {
    plan.actions.iter().filter_map(|action| match action {
        Action::Deregister(deregistration) => Some(deregistration),
        Action::Register(_) | Action::Look(_) => None,
    })
}

/// Whether it is already decided that the instance is ours. replace-capacity decided it before it sent the follow-up,
/// or this function did before it planned a look. By now the instance may be in no group.
fn scope_is_decided(signal: &Signal) -> bool {
    matches!(signal, Signal::FollowUp(_))
}

/// Why the instance is left alone, if it is: it is not ours, it may come back, or its replacement comes first. In that
/// case replace-capacity will ask when the replacement is there.
fn why_not(notice: &Notice, group: &GroupOf<'_>, scope: Scope) -> Option<Skip> {
    let admitted = match group {
        _ if scope_is_decided(&notice.signal) => Ok(()),
        GroupOf::Unknown(_) => Ok(()),
        GroupOf::None => scope.admits(None),
        GroupOf::Some { group, .. } => scope.admits(Some(group)),
    };
    match admitted {
        Err(why) => Some(Skip::OutOfScope(why)),
        Ok(()) if exchange::replacement_comes_first(notice, group) => Some(Skip::WaitsForReplacement),
        Ok(()) if restarts::may_start_again(&notice.signal, group) => Some(Skip::MayStartAgain),
        Ok(()) => None,
    }
}

/// Whether the notice asks this function to act on an instance that is ours.
pub fn in_scope(notice: &Notice, group: &GroupOf<'_>, scope: Scope) -> bool {
    !matches!(group, GroupOf::Unknown(_)) && why_not(notice, group, scope).is_none()
}

/// The group that the instance is in, otherwise the group that a follow-up names.
pub fn group_of<'a>(notice: &Notice, groups: &'a Groups) -> Option<&'a Group> {
    match groups.of_instance(&notice.instance) {
        GroupOf::Some { group, .. } => Some(group),
        GroupOf::Unknown(_) => None,
        GroupOf::None => groups.by_name(named_group(notice)?),
    }
}

/// The group that a follow-up names. The instance may have left it.
pub fn named_group(notice: &Notice) -> Option<&str> {
    match &notice.signal {
        Signal::FollowUp(FollowUp {
            step:
                Step::MoveWork { group, .. }
                | Step::Look {
                    group: Some(group), ..
                }
                | Step::StepAside { group: Some(group) },
            ..
        }) => Some(group),
        _ => None,
    }
}

/// Whether it is up to us to deregister the targets of services. In an exchange, ECS moves the tasks of the draining
/// instance in its own time, and deregisters each task when its successor is there.
pub fn moves_at_once(notice: &Notice) -> bool {
    match &notice.signal {
        Signal::FollowUp(follow_up) => match (&follow_up.step, follow_up.cause) {
            (_, Cause::Interruption | Cause::Restart) => true,
            // Not for the notice of a hook itself: that is no follow-up.
            (Step::Look { .. }, Cause::Termination) => true,
            _ => false,
        },
        _ => true,
    }
}

/// Whether the notice is a look.
pub fn is_look(notice: &Notice) -> bool {
    matches!(&notice.signal, Signal::FollowUp(follow_up) if matches!(follow_up.step, Step::Look { .. }))
}

/// When what is behind the instance's targets ends; `None` if no moment is known.
pub fn serves_until(notice: &Notice) -> Option<Timestamp> {
    match &notice.signal {
        // It is already going.
        Signal::InterruptionWarning {
            action: InstanceAction::Hibernate,
        }
        | Signal::StateChange { .. } => Some(notice.time),
        Signal::FollowUp(follow_up) if matches!(follow_up.cause, Cause::Interruption | Cause::Restart) => {
            Some(follow_up.deadline.unwrap_or(notice.time))
        }
        Signal::InterruptionWarning { .. }
        | Signal::ScheduledRetirement { .. }
        | Signal::RebalanceRecommendation
        | Signal::Returned
        | Signal::ScheduledRestart(_)
        | Signal::TerminateLifecycleAction(_)
        | Signal::FollowUp(_) => notice.deadline(),
    }
}

/// Adds what another wave found for the same notice. A target that both found is deregistered once.
pub fn merge(plan: &mut Plan, more: Plan) {
    for action in more.actions {
        let Action::Deregister(new) = &action else {
            plan.actions.push(action);
            continue;
        };
        let known = |one: &Deregistration| one.target_group == new.target_group && one.target == new.target;
        if !deregistrations(plan).any(known) {
            // The group's wave looked at the same target group, and found no target of its own.
            plan.skipped.retain(|skipped| skipped.what != new.target_group);
            plan.actions.push(action);
        }
    }
    plan.held.extend(more.held);
    let targets: BTreeSet<&str> = deregistrations(plan)
        .map(|one| one.target_group.as_str())
        .chain(plan.held.iter().map(|held| held.target_group.as_str()))
        .collect();
    let skipped: Vec<_> = more
        .skipped
        .into_iter()
        .filter(|skipped| !targets.contains(skipped.what.as_str()))
        .collect();
    plan.skipped.extend(skipped);
    plan.warnings.extend(more.warnings);
    plan.problems.extend(more.problems);
    plan.problems.sort();
    plan.problems.dedup();
}

/// Warns of trouble in target groups that targets leave: connections that will not have drained when the instance goes,
/// and flows that no call moves.
pub fn advise(
    plan: &mut Plan,
    delays: &HashMap<String, SignedDuration>,
    balancers: &HashMap<String, Balancer>,
) {
    let target_groups: BTreeSet<String> = deregistrations(plan)
        .map(|one| one.target_group.clone())
        .collect();
    for target_group in target_groups {
        if balancers.get(&target_group) == Some(&Balancer::Gateway) {
            plan.warnings.push(Warning::FlowsStay {
                target_group: target_group.clone(),
            });
        }
        let delay = delays.get(&target_group).copied();
        if let Some(delay) = delay.filter(|delay| *delay > NOTICE) {
            plan.warnings.push(Warning::LongDeregistrationDelay {
                target_group,
                seconds: delay.as_secs(),
            });
        }
    }
}

/// Every deregistration of the plans, once, in a stable order.
pub fn distinct(plans: &[Plan]) -> Vec<Deregistration> {
    let distinct: BTreeSet<&Deregistration> = plans.iter().flat_map(deregistrations).collect();
    distinct.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests;
