//! Restarts by AWS that are to come: one item for each instance and change.
//!
//! A message comes back every quarter of an hour until the date, which may be weeks away. The item says which of these
//! messages counts, so that copies of the event and of the messages never make two rows of looks out of one; and what was
//! said of the restart last, so that one that is moved or called off is obeyed.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Item, Key};
use crate::notice::InstanceId;

/// How long an item is kept after the restart: late copies of its event find it there.
const KEPT_AFTER: SignedDuration = SignedDuration::from_hours(3 * 24);

/// A restart of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Restart {
    /// The instance.
    pub instance: InstanceId,
    /// Which change it is.
    pub change: String,
    /// The Auto Scaling group that the instance was in when it was announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When it was said last.
    pub said_at: Timestamp,
    /// The earliest moment.
    pub starts: Timestamp,
    /// The latest one, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// Whether AWS says that it is over, or called off.
    pub over: bool,
    /// How far it is.
    pub stage: Stage,
    /// Whether the ECS agent was seen disconnected since the earliest moment.
    #[serde(default)]
    pub was_silent: bool,
    /// The look that counts.
    pub turn: Timestamp,
}

/// How far a restart is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its date is to come.
    Waiting,
    /// The instance has let go of its work, and nobody looks at that after this moment.
    Aside(Timestamp),
    /// Nothing is left to be done.
    Over,
}

impl Restart {
    /// Where it stands.
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
