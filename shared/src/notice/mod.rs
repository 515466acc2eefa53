//! Notices: what AWS, or one of our own functions, says about an instance.
//!
//! One file for each event: the detail-type it answers to, the fields it needs, the [`Signal`] it becomes. A message
//! is parsed by itself, so that one which cannot be read fails alone, and the error names the field.

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

/// The source of drills: AWS refuses `aws.*` sources in PutEvents, so a game day sends the same events under this one.
pub const DRILL_SOURCE: &str = "spot-handoff.drill";

/// How long before the interruption EC2 sends its warning.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>
pub const NOTICE: SignedDuration = SignedDuration::from_secs(120);

/// What Auto Scaling calls a warm pool where it says whence an instance comes and where it goes.
const WARM_POOL: &str = "WarmPool";

/// What one event says about one instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Notice {
    /// Id of the EventBridge event.
    pub event_id: String,
    /// The instance the event names in its detail. The ARN in `resources` is not used: for an interruption warning it
    /// carries the Availability Zone in the place of the region.
    pub instance: InstanceId,
    /// When the event was emitted.
    pub time: Timestamp,
    /// What is said about the instance.
    pub signal: Signal,
    /// When the instance goes, where the event itself says so, and not two minutes after it.
    pub ends: Option<Timestamp>,
    /// Where somebody holds a drill: which kind.
    pub drill: Option<Drill>,
}

/// A drill: an event under [`DRILL_SOURCE`], and the follow-ups to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Drill {
    /// Whether it is acted on. A drill is only planned, unless its detail has `"for-real": true`.
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

/// What is said about the instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Signal {
    /// EC2 takes the instance back: in two minutes, or when the notice itself says.
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
    /// The instance runs, perhaps again: it has been started, or has left a warm pool.
    Returned,
    /// AWS will retire the hardware under the instance.
    ScheduledRetirement {
        /// When AWS will stop the instance.
        starts: Timestamp,
    },
    /// AWS will restart the instance, which comes back under the same id.
    ScheduledRestart(ScheduledRestart),
    /// One of our own functions comes back to the instance.
    FollowUp(FollowUp),
}

impl Signal {
    /// The name of an interruption warning.
    pub const INTERRUPTION_WARNING: &'static str = "interruption-warning";
    /// The name of the signal that an instance runs.
    pub const RETURNED: &'static str = "returned";
    /// The name of a follow-up.
    pub const FOLLOW_UP: &'static str = "follow-up";

    /// The name of the kind, as reports and metrics carry it.
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
    /// Whether to plan only, whatever the function is set to.
    pub fn is_planned_only(&self) -> bool {
        self.drill.is_some_and(|drill| !drill.for_real)
    }

    /// Whether the instance comes back under the same id from where it goes.
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

    /// Whether what was taken from the instance is to be given back.
    pub fn is_back(&self) -> bool {
        match &self.signal {
            Signal::Returned => true,
            Signal::FollowUp(follow_up) => follow_up.step == Step::StepBack,
            _ => false,
        }
    }

    /// When the instance goes away, where the notice says so.
    pub fn deadline(&self) -> Option<Timestamp> {
        match &self.signal {
            // Hibernation begins with the warning itself: there are no two minutes, and no seconds to be left.
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
            // An instance that stops already has no known moment left; everything is due now.
            Signal::StateChange { .. }
            | Signal::Returned
            | Signal::RebalanceRecommendation
            | Signal::TerminateLifecycleAction(_) => None,
        }
    }

    /// Where a look before this one has seen the instance registered.
    pub fn registered(&self) -> &[Registered] {
        match &self.signal {
            Signal::FollowUp(FollowUp {
                step: Step::Look { registered, .. },
                ..
            }) => registered,
            _ => &[],
        }
    }

    /// Whether the notice is so old that the instance it speaks of may be another one by now: a Spot instance that was
    /// stopped comes back under the same id. Lifecycle actions and follow-ups carry limits of their own.
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

/// What a message turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Notices, one for each instance the event names.
    Notices(Vec<Notice>),
    /// Something that people have to know and no function acts on.
    Advice(Advice),
    /// Something that people have to know, and what it says about each instance.
    Announced {
        /// What they have to know.
        advice: Advice,
        /// Notices, one for each instance.
        notices: Vec<Notice>,
    },
    /// A launch that failed: of a group, and mostly of no instance.
    LaunchFailed(LaunchFailed),
    /// An event that asks nothing of us.
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
    /// What is said about one instance.
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
