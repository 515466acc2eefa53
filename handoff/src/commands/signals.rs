//! The signals that can be sent on purpose: their events, and which functions the template's rules send them to.

use clap::ValueEnum;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use spot_handoff::lambda::FUNCTIONS;

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Signal {
    /// EC2 takes the instance back in two minutes
    InterruptionWarning,
    /// The instance is at risk
    RebalanceRecommendation,
    /// Auto Scaling waits at a hook before it terminates the instance
    TerminateLifecycleAction,
    /// The instance is shutting down
    StateChange,
    /// AWS will retire the hardware, in two weeks
    ScheduledRetirement,
}

impl Signal {
    /// Whether the instance is exchanged, which takes up to 15 minutes.
    pub fn begins_exchange(self) -> bool {
        matches!(self, Self::RebalanceRecommendation | Self::ScheduledRetirement)
    }

    /// The signal with this detail-type.
    pub fn of(detail_type: &str) -> Option<Self> {
        let all = Self::value_variants().iter().copied();
        all.clone().find(|signal| signal.detail_type() == detail_type)
    }

    /// The detail-type of its event.
    pub fn detail_type(self) -> &'static str {
        match self {
            Self::InterruptionWarning => "EC2 Spot Instance Interruption Warning",
            Self::RebalanceRecommendation => "EC2 Instance Rebalance Recommendation",
            Self::TerminateLifecycleAction => "EC2 Instance-terminate Lifecycle Action",
            Self::StateChange => "EC2 Instance State-change Notification",
            Self::ScheduledRetirement => "AWS Health Event",
        }
    }

    /// The functions that get it first.
    pub fn functions(self) -> &'static [&'static str] {
        match self {
            Self::InterruptionWarning | Self::ScheduledRetirement => &FUNCTIONS,
            Self::TerminateLifecycleAction | Self::StateChange => &["deregister-targets", "drain-tasks"],
            Self::RebalanceRecommendation => &["replace-capacity"],
        }
    }

    /// The detail of its event, for this instance of this group.
    pub fn detail(self, instance: &str, group: &str, now: Timestamp) -> Value {
        match self {
            Self::InterruptionWarning => json!({"instance-id": instance, "instance-action": "terminate"}),
            Self::RebalanceRecommendation => json!({"instance-id": instance}),
            Self::TerminateLifecycleAction => json!({
                "EC2InstanceId": instance,
                "AutoScalingGroupName": group,
                "LifecycleHookName": "spot-handoff-drill",
                "LifecycleActionToken": uuid::Uuid::new_v4().to_string(),
                "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
            }),
            Self::StateChange => json!({"instance-id": instance, "state": "shutting-down"}),
            Self::ScheduledRetirement => {
                let starts = now.saturating_add(SignedDuration::from_hours(14 * 24));
                let starts = starts.ok().and_then(|starts| {
                    rfc2822::DateTimePrinter::new()
                        .timestamp_to_rfc9110_string(&starts)
                        .ok()
                });
                json!({
                    "service": "EC2",
                    "eventTypeCategory": "scheduledChange",
                    "eventTypeCode": "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED",
                    "startTime": starts,
                    "affectedEntities": [{"entityValue": instance}],
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use spot_handoff::notice::{self, DRILL_SOURCE, Message};

    use super::*;

    #[test]
    fn every_signal_is_an_event_that_the_functions_read() {
        let now: Timestamp = "2026-11-24T04:00:00Z".parse().unwrap();
        for signal in Signal::value_variants() {
            let event = json!({
                "id": "1", "source": DRILL_SOURCE, "time": now,
                "detail-type": signal.detail_type(),
                "detail": signal.detail("i-1234567890abcdef0", "g", now),
            });
            let Ok(Message::Notices(notices)) = notice::parse(&event.to_string(), now) else {
                panic!("{event}");
            };
            assert_eq!(notices[0].instance.as_str(), "i-1234567890abcdef0");
            assert!(notices[0].is_planned_only());
            assert_eq!(Signal::of(signal.detail_type()), Some(*signal));
        }
    }
}
