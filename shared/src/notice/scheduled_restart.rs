//! A restart that AWS Health announces: a reboot, or maintenance of the power. The instance survives it.

use jiff::Timestamp;

/// A restart at a known date.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScheduledRestart {
    /// The ARN of the health event. It distinguishes this change from others of the same instance.
    pub change: String,
    /// The earliest moment of the restart.
    pub starts: Timestamp,
    /// The latest moment, if the event has one.
    pub ends: Option<Timestamp>,
    /// Whether it is over: carried out or cancelled.
    pub over: bool,
}
