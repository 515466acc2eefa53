//! What AWS Health says of a restart: a reboot, or maintenance of the power, which the instance survives.

use jiff::Timestamp;

/// A restart at a date.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScheduledRestart {
    /// What tells this change from another one of the same instance: the ARN of the health event.
    pub change: String,
    /// The earliest moment of the restart.
    pub starts: Timestamp,
    /// The latest one, where the event says it.
    pub ends: Option<Timestamp>,
    /// Whether it is over: carried out, or called off.
    pub over: bool,
}
