//! Records that instances have ended. A detached instance is in nobody's list any more. If EC2 does not take it after
//! all, it runs on and costs money.
//!
//! EC2 says so in an event: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html>

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Item, Key};
use crate::notice::{InstanceId, Notice, Signal};

/// How long the record is kept: longer than anybody asks for it.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// An instance has ended, or is about to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstanceEnd {
    /// The instance.
    pub instance: InstanceId,
    /// When EC2 said so.
    pub at: Timestamp,
}

impl InstanceEnd {
    /// The key of an instance's item.
    pub fn key_of(instance: &InstanceId) -> Key {
        Key::new(instance.as_str(), "end")
    }

    /// The end that a notice reports, if it does.
    pub fn of(notice: &Notice) -> Option<Self> {
        let is_end = matches!(notice.signal, Signal::StateChange { .. });
        is_end.then(|| Self {
            instance: notice.instance.clone(),
            at: notice.time,
        })
    }
}

impl Item for InstanceEnd {
    fn key(&self) -> Key {
        Self::key_of(&self.instance)
    }

    fn expires(&self) -> Timestamp {
        self.at.saturating_add(KEPT).unwrap_or(self.at)
    }
}
