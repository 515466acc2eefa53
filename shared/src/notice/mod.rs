//! Notices: what AWS or one of our own functions says about an instance.
//!
//! Each event has its own file, with its detail-type, the fields it needs and the [`Signal`] that it becomes. Each
//! message is parsed by itself. So a message that cannot be read fails alone, and the error names the field.

mod advice;
mod capacity_block;
mod capacity_interruption;
mod error;
mod follow_up;
mod home;
mod instance_id;
mod interruption_warning;
mod launch_failed;
mod left_warm_pool;
mod parse;
mod rebalance_recommendation;
mod rerun_order;
mod scheduled_change;
mod scheduled_restart;
mod state_change;
mod terminate_lifecycle_action;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use serde_json::value::RawValue;

pub use advice::{Advice, Matter};
pub use error::NoticeError;
pub use follow_up::{
    Cause, FollowUp, Registered, SOURCE as FOLLOW_UP_SOURCE, Serving, Step, Then, between_looks, next_look,
};
pub use home::Home;
pub use instance_id::InstanceId;
pub use interruption_warning::InstanceAction;
pub use launch_failed::LaunchFailed;
pub use parse::{parse, parse_at};
pub use rerun_order::{ContainerOverrides, Overrides, RerunOrder, RerunStage, TaskCopy};
pub use scheduled_restart::ScheduledRestart;
pub use state_change::InstanceState;
pub use terminate_lifecycle_action::LifecycleAction;

use error::{cut, detail};
use parse::{Content, Event, check_event_id};

/// The source of drills. PutEvents refuses `aws.*` sources, so a game day sends the same events with this source.
pub const DRILL_SOURCE: &str = "spot-handoff.drill";

/// How long before the interruption EC2 sends its warning.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>
pub const NOTICE: SignedDuration = SignedDuration::from_secs(120);

/// Auto Scaling's name for a warm pool as the origin or destination of an instance.
const WARM_POOL: &str = "WarmPool";

/// What one event says about one instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Notice {
    /// Id of the EventBridge event.
    pub event_id: String,
    /// The instance in the event's detail. The ARN in `resources` is not used: for an interruption warning it has the
    /// Availability Zone in place of the region.
    pub instance: InstanceId,
    /// When the event was emitted.
    pub time: Timestamp,
    /// What the event says about the instance.
    pub signal: Signal,
    /// When the instance goes, if the event itself gives a time. Otherwise it goes two minutes after the event.
    pub ends: Option<Timestamp>,
    /// The kind of drill, if it is one.
    pub drill: Option<Drill>,
}

/// A drill: an event under [`DRILL_SOURCE`], and the follow-ups to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Drill {
    /// Whether the functions act on it. They only plan a drill, unless its detail has `"for-real": true`.
    pub for_real: bool,
}

impl Drill {
    fn of(source: &str, detail: &RawValue) -> Option<Self> {
        let detail: Value = serde_json::from_str(detail.get()).ok()?;
        let is_drill = source == DRILL_SOURCE || (source == FOLLOW_UP_SOURCE && detail["drill"] == true);
        is_drill.then(|| Self {
            for_real: detail["for-real"] == true,
        })
    }
}

/// What the event says about the instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Signal {
    /// EC2 takes the instance back: in two minutes, or when the notice says.
    InterruptionWarning {
        /// What EC2 will do to the instance.
        action: InstanceAction,
    },
    /// The instance is at an elevated risk of interruption.
    RebalanceRecommendation,
    /// Auto Scaling is about to terminate the instance and waits for the hook.
    TerminateLifecycleAction(LifecycleAction),
    /// The instance is stopping or shutting down already.
    StateChange {
        /// The state it is in.
        state: InstanceState,
    },
    /// The instance runs, perhaps again: it was started, or it left a warm pool.
    Returned,
    /// AWS will retire the hardware under the instance.
    ScheduledRetirement {
        /// When AWS will stop the instance.
        starts: Timestamp,
    },
    /// AWS will restart the instance. It comes back under the same id.
    ScheduledRestart(ScheduledRestart),
    /// One of our own functions looks at the instance again.
    FollowUp(FollowUp),
}

impl Signal {
    /// The name of an interruption warning.
    pub const INTERRUPTION_WARNING: &'static str = "interruption-warning";
    /// The name of the signal that an instance runs.
    pub const RETURNED: &'static str = "returned";
    /// The name of a follow-up.
    pub const FOLLOW_UP: &'static str = "follow-up";

    /// The name of the kind in reports and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InterruptionWarning { .. } => Self::INTERRUPTION_WARNING,
            Self::RebalanceRecommendation => "rebalance-recommendation",
            Self::TerminateLifecycleAction(_) => "terminate-lifecycle-action",
            Self::StateChange { .. } => "state-change",
            Self::Returned => Self::RETURNED,
            Self::ScheduledRetirement { .. } => "scheduled-retirement",
            Self::ScheduledRestart(_) => "scheduled-restart",
            Self::FollowUp(_) => Self::FOLLOW_UP,
        }
    }
}

impl Notice {
    /// Whether the function only plans it, whatever its configuration says.
    pub fn is_planned_only(&self) -> bool {
        self.drill.is_some_and(|drill| !drill.for_real)
    }

    /// Whether the instance will come back under the same id.
    pub fn comes_back(&self) -> bool {
        match &self.signal {
            Signal::InterruptionWarning { action } => *action != InstanceAction::Terminate,
            Signal::TerminateLifecycleAction(action) => action.to_warm_pool,
            Signal::ScheduledRestart(_) => true,
            Signal::FollowUp(follow_up) => matches!(follow_up.step, Step::StepAside { .. }),
            Signal::RebalanceRecommendation
            | Signal::StateChange { .. }
            | Signal::Returned
            | Signal::ScheduledRetirement { .. } => false,
        }
    }

    /// Whether the functions have to give back what they took from the instance.
    pub fn is_back(&self) -> bool {
        match &self.signal {
            Signal::Returned => true,
            Signal::FollowUp(follow_up) => follow_up.step == Step::StepBack,
            _ => false,
        }
    }

    /// When the instance goes away, if the notice says so.
    pub fn deadline(&self) -> Option<Timestamp> {
        match &self.signal {
            // Hibernation begins at once with the warning: there are no two minutes to use.
            Signal::InterruptionWarning {
                action: InstanceAction::Hibernate,
            } => None,
            Signal::InterruptionWarning { .. } => {
                let in_two_minutes = || self.time.saturating_add(NOTICE).unwrap_or(self.time);
                Some(self.ends.unwrap_or_else(in_two_minutes))
            }
            Signal::ScheduledRetirement { starts } => Some(*starts),
            Signal::ScheduledRestart(restart) => Some(restart.starts),
            Signal::FollowUp(follow_up) => follow_up.deadline,
            // An instance that is already stopping has no known time left; everything is due now.
            Signal::StateChange { .. }
            | Signal::Returned
            | Signal::RebalanceRecommendation
            | Signal::TerminateLifecycleAction(_) => None,
        }
    }

    /// Where an earlier look found the instance registered.
    pub fn registered(&self) -> &[Registered] {
        match &self.signal {
            Signal::FollowUp(FollowUp {
                step: Step::Look { registered, .. },
                ..
            }) => registered,
            _ => &[],
        }
    }

    /// Whether the notice is so old that its id may mean a restarted instance by now: a stopped Spot Instance comes
    /// back under the same id. Lifecycle actions and follow-ups have limits of their own.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        const STALE_AFTER: SignedDuration = SignedDuration::from_mins(30);
        match self.signal {
            Signal::InterruptionWarning { .. }
            | Signal::RebalanceRecommendation
            | Signal::Returned
            | Signal::StateChange { .. } => now.duration_since(self.time) > STALE_AFTER,
            Signal::ScheduledRetirement { .. }
            | Signal::ScheduledRestart(_)
            | Signal::TerminateLifecycleAction(_)
            | Signal::FollowUp(_) => false,
        }
    }
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Notices, one for each instance the event names.
    Notices(Vec<Notice>),
    /// Something that people have to know, but on which no function acts.
    Advice(Advice),
    /// Something that people have to know, and notices for the instances.
    Announced {
        /// What people have to know.
        advice: Advice,
        /// Notices, one for each instance.
        notices: Vec<Notice>,
    },
    /// A failed launch: about a group, and usually about no instance.
    LaunchFailed(LaunchFailed),
    /// An event that we do not handle.
    NotOurs {
        /// Its source and detail-type, for the log.
        what: String,
    },
}

/// What an event says about the instances that it names.
struct Parsed {
    instances: Vec<InstanceId>,
    signal: Signal,
    ends: Option<Timestamp>,
}

impl Parsed {
    /// The same signal about one instance.
    fn one(instance: InstanceId, signal: Signal) -> Self {
        Self {
            instances: vec![instance],
            signal,
            ends: None,
        }
    }
}

#[cfg(test)]
mod tests;
