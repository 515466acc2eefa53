//! What to replace and how: pure functions from facts to plans. [`spot_handoff::exchange::next`] decides about
//! exchanges.

mod exchange;
pub mod fallback;
mod interruption;
pub mod watch;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::groups::{Group, GroupOf, Groups, Lifecycle, Member};
use spot_handoff::autoscaling::policies::{self, ByTag, DryRun, RebalanceAction, ReplacementStrategy};
use spot_handoff::exchange::{Asked, Brake, Exchanges, LIMIT};
use spot_handoff::notice::{Cause, FollowUp, InstanceAction, InstanceId, Notice, Signal, Step};
use spot_handoff::report::Pool;
use spot_handoff::report::plan as shared_plan;
use spot_handoff::runtime::config::Scope;
use spot_handoff::state::Expected;

pub use words::{Action, Leaving, Queue, Skip, Warning};

use crate::config::Config;
use crate::facts::{Facts, TerminationHooks, ends_in_two_minutes};

/// When to ask again for a step that came together with a warning: soon, since the moment to leave may be near.
const COMES_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(2);

/// A plan of this function.
pub type Plan = shared_plan::Plan<Action, Skip, Warning>;

/// The plans of a batch, and the items to write first.
#[derive(Debug, Default)]
pub struct Planned {
    /// One for each notice, in their order.
    pub plans: Vec<Plan>,
    /// The group whose item has to be written before the notice's actions are carried out.
    pub gates: Vec<Option<String>>,
    /// For each notice, whether its group is only planned for.
    pub planned_only: Vec<bool>,
    /// The pool of each notice's instance.
    pub pools: Vec<Option<Pool>>,
    /// The items that have changed, by group, with what each write expects.
    pub items: BTreeMap<String, (Exchanges, Expected)>,
}

/// Plans for some notices of a batch, all from the same facts.
pub fn plans(
    notices: &[Notice],
    batch: &[Notice],
    facts: &Facts,
    config: &Config,
    now: Timestamp,
) -> Planned {
    let interrupted: BTreeSet<&InstanceId> = batch
        .iter()
        .filter(|notice| ends_in_two_minutes(notice))
        .map(|notice| &notice.instance)
        .collect();
    let mut planning = Planning {
        facts,
        config,
        now,
        items: BTreeMap::new(),
    };
    let mut planned = Planned::default();
    for notice in notices {
        let (mut plan, gate) = if !ends_in_two_minutes(notice) && interrupted.contains(&notice.instance) {
            (left_to_the_warning(notice, now), None)
        } else {
            planning.plan(notice)
        };
        let group = facts.group_of(notice);
        let (planned_only, unknown) = DryRun::of(group);
        // An earlier message has already reported this.
        if !plan.actions.is_empty() && !matches!(notice.signal, Signal::FollowUp(_)) {
            plan.warnings.extend(unknown.map(Warning::UnknownPolicy));
        }
        planned.plans.push(plan);
        planned.gates.push(gate.filter(|_| !planned_only));
        planned.planned_only.push(planned_only);
        planned
            .pools
            .push(facts.groups.pool_of(&notice.instance).cloned());
    }
    let is_written = |group: &String| !DryRun::of(facts.groups.by_name(group)).0;
    planned.items = planning.items;
    planned.items.retain(|group, _| is_written(group));
    planned
}

/// The planning of a batch. It decides about the exchanges of a group one after the other.
struct Planning<'a> {
    facts: &'a Facts,
    config: &'a Config,
    now: Timestamp,
    items: BTreeMap<String, (Exchanges, Expected)>,
}

/// A plan, and the group whose item has to be written before it is carried out.
type Gated = (Plan, Option<String>);

impl Planning<'_> {
    fn plan(&mut self, notice: &Notice) -> Gated {
        let nothing = |skip| (Plan::nothing(&notice.instance, skip), None);
        match &notice.signal {
            Signal::InterruptionWarning {
                action: InstanceAction::Stop | InstanceAction::Hibernate,
            } => nothing(Skip::ComesBack),
            Signal::InterruptionWarning {
                action: InstanceAction::Terminate,
            } => self.warning(notice),
            Signal::RebalanceRecommendation => match serving(notice, &self.facts.groups, self.config.scope) {
                Ok((group, _)) => self.recommendation(notice, group),
                Err(plan) => (*plan, None),
            },
            Signal::ScheduledRetirement { .. } => {
                match serving(notice, &self.facts.groups, self.config.scope) {
                    Ok((group, _)) => self.begin(notice, group, Cause::Retirement),
                    Err(plan) => (*plan, None),
                }
            }
            Signal::StateChange { .. } => nothing(Skip::LeftToHealthCheck),
            Signal::FollowUp(follow_up) => match &follow_up.step {
                Step::AwaitReplacement { group } => self.step(notice, group, Asked::Look),
                Step::Retire { group } => self.step(notice, group, Asked::WorkMoved),
                Step::GiveUp { group } => self.step(notice, group, Asked::CallOff),
                Step::Look {
                    group: Some(group), ..
                } => self.look(notice, follow_up, group),
                Step::MoveWork { .. }
                | Step::StopTasks { .. }
                | Step::SeeEnds { .. }
                | Step::AwaitTasks { .. }
                | Step::AwaitScript { .. }
                | Step::Look { group: None, .. }
                | Step::AwaitStart { .. }
                | Step::AwaitEnd { .. }
                | Step::AwaitGone { .. }
                | Step::AwaitWhole { .. }
                | Step::AwaitRestart { .. }
                | Step::StepAside { .. }
                | Step::StepBack
                // This step is about a group: see `watch`.
                | Step::WatchGroup { .. }
                | Step::Tell => nothing(Skip::NotForThisFunction),
            },
            Signal::TerminateLifecycleAction(_) | Signal::Returned | Signal::ScheduledRestart(_) => {
                nothing(Skip::NotForThisFunction)
            }
        }
    }

    /// How an interrupted instance leaves this group; `auto` is already decided.
    fn strategy(&self, group: &Group) -> ReplacementStrategy {
        let (strategy, _) = self.config.strategy_of(group);
        let has_hook = || {
            matches!(
                self.facts.hooks.get(&group.name),
                Some(Ok(TerminationHooks::Ours))
            )
        };
        match strategy {
            ReplacementStrategy::Auto if has_hook() => ReplacementStrategy::Terminate,
            ReplacementStrategy::Auto => ReplacementStrategy::Detach,
            strategy => strategy,
        }
    }

    fn warnings_of_strategy(&self, group: &Group) -> Vec<Warning> {
        let (strategy, unknown) = self.config.strategy_of(group);
        let name = || group.name.clone();
        let costs = match (strategy, self.facts.hooks.get(&group.name)) {
            (ReplacementStrategy::Terminate, _) => Some(Warning::StrategyTerminatesEarly { group: name() }),
            (ReplacementStrategy::Auto, Some(Err(error))) => Some(Warning::HooksUnread {
                group: name(),
                error: error.to_string(),
            }),
            _ => None,
        };
        unknown
            .map(Warning::UnknownPolicy)
            .into_iter()
            .chain(costs)
            .collect()
    }

    fn recommendation(&mut self, notice: &Notice, group: &Group) -> Gated {
        let nothing = |skip| (Plan::nothing(&notice.instance, skip), None);
        let instance = &notice.instance;
        let (action, unknown) = policies::of_group(Some(group), self.config.rebalance);
        if action == RebalanceAction::Ignore {
            return nothing(Skip::RebalanceIgnored);
        }
        // Nobody knows what runs on these instances, so only the group's tag can ask for it.
        let is_asked_for = group.tags.contains_key(RebalanceAction::TAG) && unknown.is_none();
        if group.capacity_rebalance {
            return nothing(Skip::LeftToAutoScaling);
        }
        let is_under_way = |item: Exchanges| item.under_way.contains_key(instance);
        if !self.item(&group.name).is_ok_and(is_under_way) {
            match self.facts.brake_of(instance, self.now) {
                Ok(None) => {}
                Ok(Some(Brake::NotInCluster)) if is_asked_for => {}
                Ok(Some(brake)) => return nothing(Skip::Held(brake)),
                Err(error) => return (unread(error), None),
            }
        }
        let (mut plan, gate) = self.begin(notice, group, Cause::Rebalance);
        plan.warnings.extend(unknown.map(Warning::UnknownPolicy));
        (plan, gate)
    }

    fn begin(&mut self, notice: &Notice, group: &Group, cause: Cause) -> Gated {
        if group.is_weighted {
            return (Plan::nothing(&notice.instance, Skip::Weighted), None);
        }
        let limit = self.now.saturating_add(LIMIT).unwrap_or(self.now);
        self.ask_about(notice, &group.name, Some(group), Asked::Begin { cause, limit })
    }
}

/// If the batch has a warning for the same instance, the other notices are left to it. But a follow-up comes again: if
/// the warning is a copy, nobody else takes the next step.
fn left_to_the_warning(notice: &Notice, now: Timestamp) -> Plan {
    let mut plan = Plan::nothing(&notice.instance, Skip::InterruptedMeanwhile);
    if let Signal::FollowUp(follow_up) = &notice.signal {
        plan.actions.push(Action::Send {
            to: Queue::Own,
            instance: notice.instance.clone(),
            at: now.saturating_add(COMES_AGAIN_AFTER).unwrap_or(now),
            follow_up: follow_up.clone(),
        });
    }
    plan
}

/// How an interrupted instance leaves.
fn leave(strategy: ReplacementStrategy, leaving: Leaving) -> Action {
    match strategy {
        ReplacementStrategy::Detach | ReplacementStrategy::Auto => Action::Detach(leaving),
        ReplacementStrategy::Terminate => Action::Terminate(leaving),
    }
}

fn unread(error: String) -> Plan {
    Plan {
        problems: vec![error],
        ..Plan::default()
    }
}

/// With `Scope=tagged`, the group's tag makes the instance ours. By the time the other functions look, the instance may
/// have left the group, and they would leave it alone. So they are told.
fn tell_the_others(notice: &Notice, group: &Group, now: Timestamp) -> [Action; 2] {
    [Queue::DeregisterTargets, Queue::DrainTasks].map(|to| tell(to, notice, group, now))
}

/// Tells another function to which group the instance belonged. run-commands is always told if the group has a stop
/// script, since only the group's tags say so.
fn tell(to: Queue, notice: &Notice, group: &Group, now: Timestamp) -> Action {
    Action::Send {
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
    }
}

/// The group in which the instance serves, if the group is ours and may launch.
fn serving<'a>(notice: &Notice, groups: &'a Groups, scope: Scope) -> Result<(&'a Group, Member), Box<Plan>> {
    let nothing = |skip| Err(Box::new(Plan::nothing(&notice.instance, skip)));
    let (group, member) = match groups.of_instance(&notice.instance) {
        GroupOf::Some { group, member } => (group, member),
        GroupOf::None => return nothing(Skip::InNoGroup),
        GroupOf::Unknown(error) => return Err(Box::new(unread(error.to_string()))),
    };
    if let Err(why) = scope.admits(Some(group)) {
        return nothing(Skip::OutOfScope(why));
    }
    match member.lifecycle {
        Lifecycle::InService => {}
        Lifecycle::Terminating | Lifecycle::Detaching => return nothing(Skip::AlreadyLeaving),
        lifecycle @ (Lifecycle::Pending | Lifecycle::Standby | Lifecycle::Other) => {
            return nothing(Skip::NotInService { lifecycle });
        }
    }
    if group.suspended.contains("Launch") {
        return nothing(Skip::LaunchSuspended {
            group: group.name.clone(),
        });
    }
    Ok((group, member))
}

#[cfg(test)]
mod tests;
