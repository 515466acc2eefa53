//! What this function can do, why it leaves something alone, and what it warns of, with the texts of the reports.

use std::fmt;

use jiff::Timestamp;
use spot_handoff::autoscaling::groups::Lifecycle;
use spot_handoff::autoscaling::policies::UnknownValue;
use spot_handoff::autoscaling::scope::OutOfScope;
use spot_handoff::exchange::{Brake, Ending, NotRaised, Told};
use spot_handoff::notice::{FollowUp, InstanceId, Step};
use spot_handoff::report::ActionKind;
use spot_handoff::report::plan as shared_plan;

use super::fallback::SetBase;

/// What this function can do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Take an interrupted instance out of its group.
    Detach(Leaving),
    /// The same, but by terminating it, so that lifecycle hooks run.
    Terminate(Leaving),
    /// Terminate an instance whose replacement serves: the end of an exchange.
    Retire(Leaving),
    /// Set the desired capacity: one more, for the replacement of an instance that still serves; or one less, for a
    /// raise that is not needed.
    SetDesired {
        /// The group.
        group: String,
        /// The instance to be replaced.
        instance: InstanceId,
        /// What it is now.
        from: i32,
        /// What it should be.
        to: i32,
    },
    /// Set how much of a group is On-Demand first.
    SetBase {
        /// The group.
        group: String,
        /// The step.
        base: SetBase,
    },
    /// Terminate a replacement that is not needed, and lower the desired capacity with it.
    GiveBack {
        /// The group.
        group: String,
        /// The replacement.
        replacement: InstanceId,
    },
    /// Look again later, or ask another function for the next step.
    Send {
        /// Whose queue.
        to: Queue,
        /// The instance that it is about.
        instance: InstanceId,
        /// When it should arrive.
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
    /// Whether the desired capacity goes down with it: only if it was raised for it before.
    pub decrement: bool,
}

/// A queue that follow-ups are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// The queue of deregister-targets.
    DeregisterTargets,
    /// The queue of drain-tasks.
    DrainTasks,
    /// The queue of run-commands.
    RunCommands,
    /// This function's own.
    Own,
}

impl shared_plan::Action for Action {
    fn describe(&self) -> (ActionKind, String, String) {
        let replaced = |leaving: &Leaving| {
            let capacity = if leaving.decrement {
                "its replacement has been launched, desired capacity goes down by one"
            } else {
                "the group launches its replacement"
            };
            format!("{}: {capacity}", leaving.instance)
        };
        match self {
            Self::Detach(leaving) => (
                ActionKind::DetachInstance,
                leaving.group.clone(),
                replaced(leaving),
            ),
            Self::Terminate(leaving) => (
                ActionKind::TerminateInstance,
                leaving.group.clone(),
                replaced(leaving),
            ),
            Self::Retire(leaving) => (
                ActionKind::RetireInstance,
                leaving.group.clone(),
                replaced(leaving),
            ),
            Self::SetDesired {
                group,
                instance,
                from,
                to,
            } => {
                let (name, why) = if to > from {
                    (ActionKind::RaiseDesiredCapacity, "for")
                } else {
                    (ActionKind::LowerDesiredCapacity, "raised for")
                };
                (
                    name,
                    group.clone(),
                    format!("{why} {instance}, from {from} to {to}"),
                )
            }
            Self::SetBase { group, base } => {
                let name = if base.to > base.from {
                    ActionKind::RaiseOnDemandBase
                } else {
                    ActionKind::LowerOnDemandBase
                };
                (name, group.clone(), format!("from {} to {}", base.from, base.to))
            }
            Self::GiveBack { group, replacement } => (
                ActionKind::GiveCapacityBack,
                group.clone(),
                format!("{replacement} is not needed, desired capacity goes down by one"),
            ),
            Self::Send {
                to,
                instance,
                at,
                follow_up,
            } => send_in_words(*to, instance, *at, follow_up),
        }
    }

    fn group(&self) -> Option<&str> {
        match self {
            Self::Detach(leaving) | Self::Terminate(leaving) | Self::Retire(leaving) => Some(&leaving.group),
            Self::SetDesired { group, .. } | Self::SetBase { group, .. } | Self::GiveBack { group, .. } => {
                Some(group)
            }
            Self::Send { follow_up, .. } => follow_up.step.group(),
        }
    }

    fn launches(&self) -> bool {
        match self {
            Self::Detach(leaving) | Self::Terminate(leaving) => !leaving.decrement,
            Self::SetDesired { from, to, .. } => to > from,
            Self::Retire(_) | Self::SetBase { .. } | Self::GiveBack { .. } | Self::Send { .. } => false,
        }
    }
}

fn send_in_words(
    to: Queue,
    instance: &InstanceId,
    at: Timestamp,
    follow_up: &FollowUp,
) -> (ActionKind, String, String) {
    let name = match (to, &follow_up.step) {
        (Queue::Own, Step::WatchGroup { .. }) => ActionKind::WatchGroup,
        (Queue::Own, _) => ActionKind::AwaitReplacement,
        (Queue::DeregisterTargets | Queue::DrainTasks, _) => ActionKind::AskToMoveWork,
        (Queue::RunCommands, _) => ActionKind::AskToRunStopScript,
    };
    let detail = match &follow_up.step {
        Step::MoveWork { group, .. } => format!("group {group}"),
        Step::WatchGroup { group, .. }
        | Step::AwaitReplacement { group }
        | Step::Look {
            group: Some(group), ..
        } => {
            format!("group {group}, look again at {}", at.strftime("%H:%M:%S"))
        }
        _ => format!("at {}", at.strftime("%H:%M:%S")),
    };
    (name, instance.to_string(), detail)
}

/// Why something is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// The group is not ours to act on.
    OutOfScope(OutOfScope),
    /// The instance is in no group, or not in one any more.
    InNoGroup,
    /// The interruption stops or hibernates the instance, and it comes back under the same id.
    ComesBack,
    /// The instance is not in service in the group.
    NotInService {
        /// Its lifecycle state.
        lifecycle: Lifecycle,
    },
    /// It is already leaving.
    AlreadyLeaving,
    /// The group's process Launch is suspended.
    LaunchSuspended {
        /// The group.
        group: String,
    },
    /// Capacity Rebalancing is on.
    LeftToAutoScaling,
    /// `RebalanceAction=ignore`, or the group's tag says so.
    RebalanceIgnored,
    /// The instances of the group have different weights.
    Weighted,
    /// MaxSize has no room for a replacement beside the instance.
    NoRoom {
        /// MaxSize.
        max: i32,
    },
    /// It is still needed, and its replacement cannot be launched beside it.
    NotRaised(NotRaised),
    /// An interruption warning for the same instance is in the same batch.
    InterruptedMeanwhile,
    /// replace-capacity does not act on the recommendation.
    Held(Brake),
    /// The watch over its group goes on with another message.
    Watched,
    /// Its exchange is under way.
    UnderWay,
    /// The instance has no exchange.
    NoExchange,
    /// The exchange is over.
    Over(Ending),
    /// Auto Scaling's health check replaces a stopped instance.
    LeftToHealthCheck,
    /// The step or signal belongs to another function.
    NotForThisFunction,
}

impl Skip {
    /// The result of `next`, if it is a reason to leave something alone.
    pub fn of(told: &Told) -> Option<Self> {
        Some(match told {
            Told::UnderWay => Self::UnderWay,
            Told::NoExchange => Self::NoExchange,
            Told::Over(ending) => Self::Over(*ending),
            Told::NoRoom { max } => Self::NoRoom { max: *max },
            Told::NotRaised(why) => Self::NotRaised(*why),
            Told::Held(brake) => Self::Held(brake.clone()),
            Told::ReplacementLost => return None,
        })
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfScope(why) => why.fmt(f),
            Self::InNoGroup => write!(
                f,
                "not in any Auto Scaling group, or detached by now: nothing to replace"
            ),
            Self::ComesBack => write!(
                f,
                "the interruption does not terminate it: it comes back under the same id and needs no replacement"
            ),
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
            Self::LeftToAutoScaling => write!(
                f,
                "Capacity Rebalancing is on: Auto Scaling launches the replacement itself"
            ),
            Self::RebalanceIgnored => write!(
                f,
                "RebalanceAction is `ignore`, by parameter or by the group's tag"
            ),
            Self::Weighted => write!(
                f,
                "the instance types of the group have weights, so one instance is not one unit of capacity: it is replaced \
                 when it is interrupted, or by Capacity Rebalancing"
            ),
            Self::NoRoom { max } => write!(
                f,
                "MaxSize {max} leaves no room for a replacement beside it; raise MaxSize by one or more to \
                 have replacements launched first"
            ),
            Self::NotRaised(NotRaised::NoRoom { max }) => write!(
                f,
                "MaxSize {max} leaves no room for its replacement beside it, which is launched when it leaves; raise MaxSize \
                 by one or more to have it launched at once"
            ),
            Self::NotRaised(NotRaised::Weighted) => write!(
                f,
                "the instance types of the group have weights, so one instance is not one unit of capacity: its replacement is \
                 launched when it leaves"
            ),
            Self::InterruptedMeanwhile => write!(f, "an interruption warning has come for it as well"),
            Self::Held(brake) => brake.fmt(f),
            Self::UnderWay => write!(f, "its exchange is under way, its next look comes by itself"),
            Self::NoExchange => write!(f, "its exchange is over, or there has been none"),
            Self::Over(ending) => f.write_str(in_words(*ending)),
            Self::Watched => write!(f, "the watch over its group goes on"),
            Self::LeftToHealthCheck => {
                write!(f, "Auto Scaling's health check replaces an instance that stops")
            }
            Self::NotForThisFunction => write!(f, "this belongs to another function"),
        }
    }
}

fn in_words(ending: Ending) -> &'static str {
    match ending {
        Ending::Exchanged => "its exchange is over: it has left its group",
        Ending::LeftMeanwhile => "its exchange is over: it was interrupted or terminated meanwhile",
        Ending::NeverCame => {
            "its exchange is over: no replacement came into service in time, it goes on serving; look at the group's \
             scaling activities"
        }
        Ending::NeverReady => {
            "its exchange is over: its replacement did not become healthy in the group's target groups and ACTIVE in its \
             cluster in time. It goes on serving, and the replacement goes; look at the health checks of the target \
             groups, and at the ECS agent"
        }
        Ending::CalledOff => {
            "its exchange is over: its work cannot move to its replacement, or somebody ended the exchange. It goes on \
             serving, and the replacement goes"
        }
        Ending::Overruled => {
            "its exchange is over: somebody has set the desired capacity meanwhile, so no replacement comes. It \
             goes on serving"
        }
        Ending::NoRoom => "its exchange is over: MaxSize has left no room, it goes on serving",
        Ending::GroupGone => "its exchange is over: its group was deleted",
    }
}

/// A setting that causes trouble, or a fact that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The health of the replacement could not be read, and the time for waiting is over.
    HealthUnread {
        /// The error.
        error: String,
    },
    /// An exchange ends, and the group has fewer instances in service than before.
    ReplacementLost {
        /// The group.
        group: String,
    },
    /// `ReplacementStrategy=terminate`: without a termination lifecycle hook, the instance loses its two minutes.
    StrategyTerminatesEarly {
        /// The group.
        group: String,
    },
    /// The table did not answer, so it is not known whether the instance has an exchange.
    ExchangesUnread {
        /// The error.
        error: String,
    },
    /// The target health of the group could not be read.
    TargetsUnread {
        /// ARN of the target group.
        target_group: String,
        /// The error.
        error: String,
    },
    /// It could not be read whether a hook of ours waits in the group, and its strategy depends on that.
    HooksUnread {
        /// The group.
        group: String,
        /// The error.
        error: String,
    },
    /// A group whose tag asks for On-Demand, but the stack does not allow it.
    FallbackForbidden {
        /// The group.
        group: String,
    },
    /// A group for On-Demand to fill, but without a mixed instances policy.
    CannotMix {
        /// The group.
        group: String,
    },
    /// The table did not answer, so the watch over a group goes on without it.
    WatchUnread {
        /// The group.
        group: String,
        /// The error.
        error: String,
    },
    /// The state of a group could not be written.
    WatchUnwritten {
        /// The group.
        group: String,
        /// The error.
        error: String,
    },
    /// At one look the group could not be read.
    GroupUnread {
        /// The group.
        group: String,
        /// The error.
        error: String,
    },
    /// A tag of the group has a value that is not valid.
    UnknownPolicy(UnknownValue),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HealthUnread { error } => write!(
                f,
                "whether its replacement is ready could not be read in time, so the exchange is given up: {error}"
            ),
            Self::ReplacementLost { group } => write!(
                f,
                "Auto Scaling group {group}: the replacement is not in service any more, and the time for waiting is \
                 over: the group is short of an instance until Auto Scaling has launched another; look at its scaling \
                 activities"
            ),
            Self::StrategyTerminatesEarly { group } => write!(
                f,
                "Auto Scaling group {group}: its strategy is `terminate`, without a termination lifecycle hook \
                 the instance ends now and not in two minutes"
            ),
            Self::ExchangesUnread { error } => write!(
                f,
                "the table did not say whether it has an exchange, so it is treated as having none: {error}"
            ),
            Self::TargetsUnread { target_group, error } => write!(
                f,
                "{target_group}: the health of its targets could not be read, so each instance of the group in service counts as \
                 healthy: {error}"
            ),
            Self::HooksUnread { group, error } => write!(
                f,
                "Auto Scaling group {group}: its strategy is `auto`, and whether a lifecycle hook of spot-handoff waits is \
                 not known, so the instance is detached: {error}"
            ),
            Self::FallbackForbidden { group } => write!(
                f,
                "Auto Scaling group {group}: its tag spot-handoff:fallback asks for On-Demand, and the stack's parameter \
                 SpotFallback is `off`"
            ),
            Self::CannotMix { group } => write!(
                f,
                "Auto Scaling group {group}: On-Demand cannot fill it, since it has no mixed instances policy: give it one, \
                 with OnDemandPercentageAboveBaseCapacity 0"
            ),
            Self::WatchUnread { group, error } => write!(
                f,
                "Auto Scaling group {group}: the table did not tell how far the watch over it has come, so it goes on as if \
                 it began: {error}"
            ),
            Self::WatchUnwritten { group, error } => write!(
                f,
                "Auto Scaling group {group}: its standing could not be written to the table: {error}"
            ),
            Self::GroupUnread { group, error } => write!(
                f,
                "Auto Scaling group {group}: it could not be read, and is looked at again: {error}"
            ),
            Self::UnknownPolicy(unknown) => unknown.fmt(f),
        }
    }
}
