//! Announcements that are not published yet. Hand-offs gather for some seconds and are published in one message.
//!
//! SNS ends an e-mail subscription for good at more than ten messages a second.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Item, Key};
use crate::notice::Notice;

/// The key under which all pending announcements are kept.
pub const PENDING: &str = "announcements#pending";
/// After this time, an announcement is not published any more.
const WORTH_TELLING: SignedDuration = SignedDuration::from_hours(24);
/// If a message that should publish does not do so within this time (five tries), nobody waits for it any longer.
const TELLS_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// A hand-off that is not announced yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Id of the event.
    pub event_id: String,
    /// The instance.
    pub instance: String,
    /// Whether to announce that the instance still runs, and not how its hand-off went.
    #[serde(default)]
    pub runs_on: bool,
    /// Its group, if it is known.
    pub group: Option<String>,
    /// The subject of the message.
    pub subject: String,
    /// The text of the message.
    pub text: String,
    /// The name of the outcome.
    pub outcome: String,
    /// Whether the outcome is bad.
    pub is_bad: bool,
    /// Whether it was a drill.
    pub drill: bool,
    /// When the outcome was known.
    pub since: Timestamp,
}

impl Item for Pending {
    fn key(&self) -> Key {
        let runs_on = if self.runs_on { "#runs-on" } else { "" };
        Key::new(PENDING, format!("{}#{}{runs_on}", self.event_id, self.instance))
    }

    fn expires(&self) -> Timestamp {
        self.since.saturating_add(WORTH_TELLING).unwrap_or(self.since)
    }
}

/// Says that a message is under way which will publish everything that is pending then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    /// The notice that sent it.
    pub by: String,
    /// When it comes.
    pub at: Timestamp,
}

impl Telling {
    /// The key of the item.
    pub fn key() -> Key {
        Key::new("announcements", "telling")
    }

    /// The name of a notice in [`Telling::by`].
    pub fn name_of(notice: &Notice) -> String {
        format!("{}#{}", notice.event_id, notice.instance)
    }
}

impl Item for Telling {
    fn key(&self) -> Key {
        Self::key()
    }

    fn expires(&self) -> Timestamp {
        self.at.saturating_add(TELLS_WITHIN).unwrap_or(self.at)
    }
}
