//! What people are to be told, until it is told: hand-offs gather for some seconds and go out in one message.
//!
//! SNS ends an e-mail subscription for good at more than ten messages a second.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Item, Key};
use crate::notice::Notice;

/// Under which key all that is to be told stands.
pub const PENDING: &str = "announcements#pending";
/// How long something is worth telling.
const WORTH_TELLING: SignedDuration = SignedDuration::from_hours(24);
/// Who was to tell and did not within so long (five tries of its message) is not waited for.
const TELLS_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// One hand-off that is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Id of the event.
    pub event_id: String,
    /// The instance.
    pub instance: String,
    /// Whether it is told that the instance runs on, and not how its hand-off went.
    #[serde(default)]
    pub runs_on: bool,
    /// Its group, where it is known.
    pub group: Option<String>,
    /// Its message's subject.
    pub subject: String,
    /// Its message.
    pub text: String,
    /// How it went, by the name of the outcome.
    pub outcome: String,
    /// Whether that is bad.
    pub is_bad: bool,
    /// Whether it was a drill.
    pub drill: bool,
    /// When it was found out.
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

/// That a message is under way that will have all told which is pending then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    /// Whose notice had it sent.
    pub by: String,
    /// When it comes.
    pub at: Timestamp,
}

impl Telling {
    /// Where it stands.
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
