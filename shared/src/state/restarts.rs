//! Future restarts by AWS: one item for each instance and change.
//!
//! A message comes back every quarter of an hour until the date, which may be weeks away. The item says which message
//! counts, so that copies of the event or of a message never lead to two chains of looks. It also keeps AWS's latest
//! word about the restart, so that a new date or a cancellation takes effect.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Item, Key};
use crate::notice::InstanceId;

/// How long an item is kept after the restart, for late copies of its event.
const KEPT_AFTER: SignedDuration = SignedDuration::from_hours(3 * 24);

/// A restart of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Restart {
    /// The instance.
    pub instance: InstanceId,
    /// The change that it belongs to.
    pub change: String,
    /// The Auto Scaling group of the instance when the restart was announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When AWS last said something about it.
    pub said_at: Timestamp,
    /// The earliest moment.
    pub starts: Timestamp,
    /// The latest moment, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// Whether AWS says that it is over or cancelled.
    pub over: bool,
    /// How far it is.
    pub stage: Stage,
    /// Whether the ECS agent was seen disconnected since the earliest moment of the restart.
    #[serde(default)]
    pub was_silent: bool,
    /// The look that counts.
    pub turn: Timestamp,
}

/// How far a restart is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its date has not come yet.
    Waiting,
    /// The work has left the instance. After this moment nobody looks at it any more.
    Aside(Timestamp),
    /// Nothing is left to do.
    Over,
}

impl Restart {
    /// The key of a restart's item.
    pub fn key_of(instance: &InstanceId, change: &str) -> Key {
        Key::new(instance.as_str(), format!("restart#{change}"))
    }

    /// The latest moment of the restart.
    pub fn last(&self) -> Timestamp {
        self.ends.unwrap_or(self.starts).max(self.starts)
    }
}

impl Item for Restart {
    fn key(&self) -> Key {
        Self::key_of(&self.instance, &self.change)
    }

    fn expires(&self) -> Timestamp {
        let last = self.last().max(self.said_at);
        last.saturating_add(KEPT_AFTER).unwrap_or(last)
    }
}
