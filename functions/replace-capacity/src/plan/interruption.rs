//! An interruption warning: the instance leaves its group now, and the group launches its replacement now, instead of
//! after a failed health check minutes later.

use jiff::Timestamp;
use spot_handoff::autoscaling::groups::{Group, Member};
use spot_handoff::autoscaling::policies::ReplacementStrategy;
use spot_handoff::notice::{Cause, FollowUp, Notice, Step};
use spot_handoff::runtime::config::Scope;

use super::exchange::clean_up;
use super::{Action, Leaving, Plan, Queue, Warning};
use crate::config::Config;
use crate::replacement_tag::{Exchange, exchange_of};

/// Takes the instance out of its group. Naturally once: a repeated warning finds it in no group.
///
/// The desired capacity stays, unless a rebalance recommendation has had the replacement launched before.
pub fn plan(notice: &Notice, group: &Group, member: &Member, config: &Config, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let leaving = |decrement| Leaving {
        group: group.name.clone(),
        instance: member.id.clone(),
        decrement,
    };
    let leave = |leaving| match config.strategy {
        ReplacementStrategy::Detach => Action::Detach(leaving),
        ReplacementStrategy::Terminate if leaving.decrement => Action::Retire(leaving),
        ReplacementStrategy::Terminate => Action::Terminate(leaving),
    };
    let exchange = exchange_of(group, &member.id);
    plan.actions.push(match &exchange {
        None | Some(Exchange::GivingBack(_)) => leave(leaving(false)),
        Some(Exchange::Launched { .. } | Exchange::Raised { .. }) => leave(leaving(true)),
        Some(Exchange::Raising { from }) => leave(leaving(group.desired > *from)),
        Some(Exchange::Launching(attempt)) => Action::FinishLaunchAndLeave {
            leaving: leaving(true),
            attempt: attempt.clone(),
            terminate: config.strategy == ReplacementStrategy::Terminate,
        },
    });
    if exchange.is_some() {
        // Not at once: the exchange may be at work in this moment, and has to find the tags.
        plan.actions.push(clean_up(notice, group, now));
    }
    if config.scope == Scope::Tagged {
        plan.actions.extend(tell_the_others(notice, group, now));
    }
    if config.strategy == ReplacementStrategy::Terminate {
        plan.warnings.push(Warning::StrategyTerminatesEarly {
            group: group.name.clone(),
        });
    }
    plan
}

/// With `Scope=tagged`, the tag on the group is what makes the instance ours. The other functions may look when it is in
/// the group no more, and would leave it alone; so they are told.
fn tell_the_others(notice: &Notice, group: &Group, now: Timestamp) -> [Action; 2] {
    [Queue::DeregisterTargets, Queue::DrainTasks].map(|to| Action::Send {
        to,
        instance: notice.instance.clone(),
        at: now,
        follow_up: FollowUp {
            cause: Cause::Interruption,
            deadline: notice.deadline(),
            step: Step::MoveWork {
                group: group.name.clone(),
                replacement: None,
            },
        },
    })
}
