//! What to replace and how: pure functions from facts to plans.

mod exchange;
mod interruption;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use spot_handoff::REPLACED_BEFORE;
use spot_handoff::autoscaling::groups::{Group, GroupOf, Groups, Lifecycle, Member};
use spot_handoff::autoscaling::policies::RebalanceAction;
use spot_handoff::autoscaling::scope::OutOfScope;
use spot_handoff::notice::{Cause, FollowUp, InstanceAction, InstanceId, Notice, Signal, Step};
use spot_handoff::report::plan as shared_plan;
use spot_handoff::runtime::config::Scope;

pub use exchange::zones_from;

use crate::config::Config;
use crate::facts::Health;
use crate::replacement_tag::{Attempt, Surplus, exchange_of};

/// A plan of this function.
pub type Plan = shared_plan::Plan<Action, Skip, Warning>;

/// What this function can do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Take an interrupted instance out of its group, so that the group launches its replacement now.
    Detach(Leaving),
    /// The same by terminating it, for the sake of lifecycle hooks.
    Terminate(Leaving),
    /// Terminate an instance whose replacement has been launched: the end of an exchange.
    Retire(Leaving),
    /// Finish a launch that was under way, and only then take the interrupted instance out.
    FinishLaunchAndLeave {
        /// The instance; whether to decrement depends on the launch.
        leaving: Leaving,
        /// The launch.
        attempt: Attempt,
        /// Whether to detach or to terminate.
        terminate: bool,
    },
    /// Launch the replacement of an instance that still serves.
    Launch {
        /// The group.
        group: String,
        /// The instance to be replaced.
        instance: InstanceId,
        /// Zones to try: the best first, or the one in which a launch was under way before.
        zones: Vec<String>,
        /// When the exchange was asked for, to the minute.
        begun: Timestamp,
        /// Whether the tag of an earlier try is there.
        resumes: bool,
        /// The follow-up when it is launched.
        then: FollowUp,
    },
    /// Raise the desired capacity by one for the replacement of an instance that still serves.
    RaiseDesiredCapacity {
        /// The group.
        group: String,
        /// The instance to be replaced.
        instance: InstanceId,
        /// The desired capacity before.
        from: i32,
        /// The follow-up when it is raised.
        then: FollowUp,
    },
    /// Give back what an exchange has raised that ends without its purpose.
    GiveBack {
        /// The group.
        group: String,
        /// The instance that was to be replaced.
        instance: InstanceId,
        /// What is given back.
        surplus: Surplus,
    },
    /// Remove the tag of an exchange.
    Untag {
        /// The group.
        group: String,
        /// The instance.
        instance: InstanceId,
    },
    /// Come back later, or ask another function for the next step.
    Send {
        /// Whose queue.
        to: Queue,
        /// The instance it is about.
        instance: InstanceId,
        /// When it shall arrive.
        at: Timestamp,
        /// The message.
        follow_up: FollowUp,
    },
}

/// An instance that leaves its group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Leaving {
    /// The group.
    pub group: String,
    /// The instance.
    pub instance: InstanceId,
    /// Whether the desired capacity goes down with it: only where the replacement has been launched before.
    pub decrement: bool,
}

/// A queue that follow-ups are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// That of deregister-targets.
    DeregisterTargets,
    /// That of drain-tasks.
    DrainTasks,
    /// This function's own.
    Own,
}

impl shared_plan::Action for Action {
    fn describe(&self) -> (&'static str, String, String) {
        let replaced = |leaving: &Leaving| {
            let capacity = if leaving.decrement {
                REPLACED_BEFORE
            } else {
                "the group launches its replacement"
            };
            format!("{}: {capacity}", leaving.instance)
        };
        match self {
            Self::Detach(leaving) => ("detach-instance", leaving.group.clone(), replaced(leaving)),
            Self::Terminate(leaving) => ("terminate-instance", leaving.group.clone(), replaced(leaving)),
            Self::Retire(leaving) => ("retire-instance", leaving.group.clone(), replaced(leaving)),
            Self::FinishLaunchAndLeave { leaving, attempt, .. } => (
                "finish-launch-and-leave",
                leaving.group.clone(),
                format!(
                    "{}: its replacement in {} was being launched",
                    leaving.instance, attempt.zone
                ),
            ),
            Self::Launch {
                group,
                instance,
                zones,
                ..
            } => (
                "launch-replacement",
                group.clone(),
                format!("for {instance}, in {}", zones.join(" or ")),
            ),
            Self::RaiseDesiredCapacity {
                group,
                instance,
                from,
                ..
            } => (
                "raise-desired-capacity",
                group.clone(),
                format!("for {instance}, from {from}"),
            ),
            Self::GiveBack {
                group,
                surplus: Surplus::Instance(replacement),
                ..
            } => (
                "give-capacity-back",
                group.clone(),
                format!("{replacement} is not needed"),
            ),
            Self::GiveBack {
                group,
                instance,
                surplus: Surplus::Capacity { from },
            } => (
                "lower-desired-capacity",
                group.clone(),
                format!("from {from}, raised for {instance}"),
            ),
            Self::Untag { group, instance } => (
                "remove-tag",
                group.clone(),
                format!("of the exchange of {instance}"),
            ),
            Self::Send {
                instance,
                at,
                follow_up,
                ..
            } => {
                let at = at.strftime("%H:%M:%S");
                match &follow_up.step {
                    Step::MoveWork { group, .. } => {
                        ("ask-to-move-work", instance.to_string(), format!("group {group}"))
                    }
                    Step::GiveUp { group } => ("give-up", instance.to_string(), format!("group {group}")),
                    Step::Retire { group } => (
                        "await-capacity",
                        instance.to_string(),
                        format!("group {group}, look again at {at}"),
                    ),
                    Step::AwaitReplacement { group } => (
                        "await-replacement",
                        instance.to_string(),
                        format!("group {group}, look again at {at}"),
                    ),
                    Step::StopTasks { .. } | Step::AwaitTasks { .. } | Step::Look { .. } | Step::Tell => {
                        ("follow-up", instance.to_string(), format!("at {at}"))
                    }
                }
            }
        }
    }
}

/// Why something is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// The group is not ours to act on.
    OutOfScope(OutOfScope),
    /// The instance is in no group, or not any more.
    InNoGroup,
    /// The interruption stops or hibernates the instance, and it comes back under the same id.
    ComesBack,
    /// The instance is not in service in the group.
    NotInService {
        /// What it is instead.
        lifecycle: Lifecycle,
    },
    /// It is on its way out already.
    AlreadyLeaving,
    /// The group may not launch.
    LaunchSuspended {
        /// The group.
        group: String,
    },
    /// Capacity Rebalancing is on.
    LeftToAutoScaling,
    /// `RebalanceAction=ignore`.
    RebalanceIgnored,
    /// The instances of the group count for different amounts of its capacity.
    Weighted,
    /// MaxSize leaves no room for a replacement beside the instance.
    NoRoom {
        /// MaxSize.
        max: i32,
    },
    /// An interruption warning for the same instance is in the same batch.
    InterruptedMeanwhile,
    /// There is no tag: an interruption warning, or somebody, ended the exchange.
    ExchangeOver,
    /// The replacement did not come into service in time.
    ReplacementNeverCame,
    /// The replacement is in service, but the load balancer sends it no requests.
    ReplacementNeverHealthy,
    /// The replacement came into service, but the work could not move to it.
    WorkCannotMove,
    /// An earlier try has given the exchange up.
    GivenUp,
    /// Auto Scaling's health check replaces a stopped instance.
    LeftToHealthCheck,
    /// The step or signal belongs to another function.
    NotForThisFunction,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfScope(why) => why.fmt(f),
            Self::InNoGroup => write!(
                f,
                "not in any Auto Scaling group, or detached by now: nothing to replace"
            ),
            Self::ComesBack => {
                write!(
                    f,
                    "the interruption does not terminate it: it comes back under the same id and needs no replacement"
                )
            }
            Self::NotInService { lifecycle } => write!(
                f,
                "it is {lifecycle} in its group, only an instance in service is replaced"
            ),
            Self::AlreadyLeaving => {
                write!(f, "it is leaving its group already, its replacement is under way")
            }
            Self::LaunchSuspended { group } => write!(
                f,
                "the process Launch is suspended, so nothing would be launched in its place: \
                 aws autoscaling resume-processes --auto-scaling-group-name {group} --scaling-processes Launch"
            ),
            Self::LeftToAutoScaling => {
                write!(
                    f,
                    "Capacity Rebalancing is on: Auto Scaling launches the replacement itself"
                )
            }
            Self::RebalanceIgnored => write!(f, "RebalanceAction is `ignore`"),
            Self::Weighted => write!(
                f,
                "the instance types of the group have weights, so one instance is not one of its capacity: it is replaced \
                 when it is interrupted, or by Capacity Rebalancing"
            ),
            Self::NoRoom { max } => write!(
                f,
                "MaxSize {max} leaves no room for a replacement beside it; raise MaxSize by one or more to \
                 have replacements launched first"
            ),
            Self::InterruptedMeanwhile => write!(f, "an interruption warning has come for it as well"),
            Self::ExchangeOver => write!(
                f,
                "its exchange is over: it was interrupted or terminated meanwhile"
            ),
            Self::ReplacementNeverCame => write!(
                f,
                "no replacement came into service in time, it goes on serving; look at the group's scaling activities"
            ),
            Self::ReplacementNeverHealthy => write!(
                f,
                "its replacement did not become healthy in the group's target groups in time: it goes on serving and the \
                 replacement goes; look at the health checks of the target groups"
            ),
            Self::WorkCannotMove => write!(
                f,
                "its work cannot move to its replacement, it goes on serving and the replacement goes; look at the ECS \
                 agent of the replacement"
            ),
            Self::GivenUp => write!(f, "its exchange was given up before, it goes on serving"),
            Self::LeftToHealthCheck => {
                write!(f, "Auto Scaling's health check replaces an instance that stops")
            }
            Self::NotForThisFunction => write!(f, "this belongs to another function"),
        }
    }
}

/// A setting that will hurt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Auto Scaling could do this by itself.
    CapacityRebalancingOff {
        /// The group.
        group: String,
    },
    /// How healthy the replacement is could not be read, and the time for waiting is over.
    HealthUnread {
        /// The error.
        error: String,
    },
    /// An exchange ends with fewer instances in service than it began with.
    ReplacementLost {
        /// The group.
        group: String,
    },
    /// `ReplacementStrategy=terminate`: without a termination lifecycle hook the instance loses its two minutes.
    StrategyTerminatesEarly {
        /// The group.
        group: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CapacityRebalancingOff { group } => write!(
                f,
                "Auto Scaling group {group}: Capacity Rebalancing is off; with it on, Auto Scaling launches replacements \
                 on rebalance recommendations itself: aws autoscaling update-auto-scaling-group \
                 --auto-scaling-group-name {group} --capacity-rebalance"
            ),
            Self::HealthUnread { error } => write!(
                f,
                "whether its replacement is healthy could not be read in time, so the exchange is given up: {error}"
            ),
            Self::ReplacementLost { group } => write!(
                f,
                "Auto Scaling group {group}: the replacement is not in service any more, and the time for waiting is \
                 over: the group is short of an instance until Auto Scaling has launched another; look at its scaling \
                 activities"
            ),
            Self::StrategyTerminatesEarly { group } => write!(
                f,
                "Auto Scaling group {group}: ReplacementStrategy is `terminate`, without a termination lifecycle hook \
                 the instance ends now and not in two minutes"
            ),
        }
    }
}

/// What the notices of a batch that were planned before take for themselves.
#[derive(Debug, Default)]
pub struct InBatch {
    /// The instances for which a replacement is launched, by group: MaxSize has to leave room for all.
    launched: BTreeMap<String, BTreeSet<InstanceId>>,
    /// The instances by whose end a raise is given back: one raise each.
    given_back: BTreeSet<InstanceId>,
}

/// Plans for all notices of a batch, from the same facts.
pub fn plans(
    notices: &[Notice],
    groups: &Groups,
    health: &Health,
    config: &Config,
    now: Timestamp,
) -> Vec<Plan> {
    let interrupted: BTreeSet<&InstanceId> = notices
        .iter()
        .filter(|notice| ends_in_two_minutes(notice))
        .map(|notice| &notice.instance)
        .collect();
    let mut in_batch = InBatch::default();
    let plan_of = |notice: &Notice| {
        if !ends_in_two_minutes(notice) && interrupted.contains(&notice.instance) {
            return Plan::nothing(&notice.instance, Skip::InterruptedMeanwhile);
        }
        plan(notice, groups, health, config, now, &mut in_batch)
    };
    notices.iter().map(plan_of).collect()
}

fn ends_in_two_minutes(notice: &Notice) -> bool {
    let terminate = InstanceAction::Terminate;
    matches!(&notice.signal, Signal::InterruptionWarning { action } if *action == terminate)
}

fn plan(
    notice: &Notice,
    groups: &Groups,
    health: &Health,
    config: &Config,
    now: Timestamp,
    in_batch: &mut InBatch,
) -> Plan {
    let nothing = |skip| Plan::nothing(&notice.instance, skip);
    match &notice.signal {
        Signal::InterruptionWarning {
            action: InstanceAction::Stop | InstanceAction::Hibernate,
        } => nothing(Skip::ComesBack),
        Signal::InterruptionWarning {
            action: InstanceAction::Terminate,
        } => match serving(notice, groups, config.scope, now) {
            Ok((group, member)) => interruption::plan(notice, group, &member, config, now),
            Err(plan) => *plan,
        },
        Signal::RebalanceRecommendation if config.rebalance == RebalanceAction::Ignore => {
            nothing(Skip::RebalanceIgnored)
        }
        Signal::RebalanceRecommendation => match serving(notice, groups, config.scope, now) {
            Ok((group, _)) if group.capacity_rebalance => nothing(Skip::LeftToAutoScaling),
            Ok((group, _)) => {
                let mut plan = exchange::begin(notice, group, Cause::Rebalance, now, in_batch);
                let group = group.name.clone();
                plan.warnings.push(Warning::CapacityRebalancingOff { group });
                plan
            }
            Err(plan) => *plan,
        },
        Signal::ScheduledRetirement { .. } => match serving(notice, groups, config.scope, now) {
            Ok((group, _)) => exchange::begin(notice, group, Cause::Retirement, now, in_batch),
            Err(plan) => *plan,
        },
        Signal::StateChange { .. } => nothing(Skip::LeftToHealthCheck),
        Signal::FollowUp(follow_up) => match &follow_up.step {
            Step::AwaitReplacement { group } => {
                exchange::await_replacement(notice, follow_up, group, groups, health, now, in_batch)
            }
            Step::Retire { group } => exchange::retire(notice, follow_up, group, groups, now, in_batch),
            Step::GiveUp { group } => exchange::give_up(notice, group, groups, in_batch),
            Step::MoveWork { .. }
            | Step::StopTasks { .. }
            | Step::AwaitTasks { .. }
            | Step::Look { .. }
            | Step::Tell => nothing(Skip::NotForThisFunction),
        },
        Signal::TerminateLifecycleAction(_) => nothing(Skip::NotForThisFunction),
    }
}

/// The group in which the instance serves, where it does and the group is ours and may launch.
fn serving<'a>(
    notice: &Notice,
    groups: &'a Groups,
    scope: Scope,
    now: Timestamp,
) -> Result<(&'a Group, Member), Box<Plan>> {
    let nothing = |skip| Err(Box::new(Plan::nothing(&notice.instance, skip)));
    let (group, member) = match groups.of_instance(&notice.instance) {
        GroupOf::Some { group, member } => (group, member),
        GroupOf::None => return nothing(Skip::InNoGroup),
        GroupOf::Unknown(error) => {
            return Err(Box::new(Plan {
                problems: vec![error.to_string()],
                ..Plan::default()
            }));
        }
    };
    if let Err(why) = scope.admits(Some(group)) {
        return nothing(Skip::OutOfScope(why));
    }
    match member.lifecycle {
        Lifecycle::InService => {}
        Lifecycle::Terminating | Lifecycle::Detaching => {
            let mut plan = Plan::nothing(&notice.instance, Skip::AlreadyLeaving);
            if exchange_of(group, &member.id).is_some() {
                plan.actions.push(exchange::clean_up(notice, group, now));
            }
            return Err(Box::new(plan));
        }
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
