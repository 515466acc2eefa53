//! A message in a dead-letter queue.

use std::collections::BTreeMap;

use jiff::Timestamp;
use spot_handoff::notice::{self, Message as Read, Notice};

/// How many characters of an id name a message in a list.
const SHORT: usize = 8;

/// A message in a dead-letter queue.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its id, the same as in the queue it came from.
    pub id: String,
    /// The function that could not handle it, or never got it.
    pub function: String,
    /// URL of the queue to send it back to; empty if that is not a queue of the stack.
    pub source: String,
    /// URL of the dead-letter queue.
    pub queue: String,
    /// The receipt handle, for deleting it.
    pub receipt: String,
    /// When it was sent.
    pub sent: Timestamp,
    /// Its body.
    pub body: String,
    /// What EventBridge wrote on it, if EventBridge could not deliver it.
    pub undelivered: Option<Undelivered>,
}

/// What EventBridge writes on an event that it could not deliver.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/rule-dlq.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// `RULE_ARN`.
    pub rule: String,
    /// `TARGET_ARN`.
    pub target: String,
    /// `ERROR_CODE`.
    pub code: String,
    /// `ERROR_MESSAGE`.
    pub message: String,
}

impl Undelivered {
    /// Reads the attributes of a message.
    pub fn of(attributes: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| attributes.get(name).cloned().unwrap_or_default();
        Self {
            rule: text("RULE_ARN"),
            target: text("TARGET_ARN"),
            code: text("ERROR_CODE"),
            message: text("ERROR_MESSAGE"),
        }
    }
}

impl Letter {
    /// The beginning of the id.
    pub fn short_id(&self) -> &str {
        self.id.get(..SHORT).unwrap_or(&self.id)
    }

    /// The notices in it, or why they cannot be read.
    pub fn read(&self, now: Timestamp) -> Result<Vec<Notice>, String> {
        match notice::parse(&self.body, now) {
            Ok(Read::Notices(notices) | Read::Announced { notices, .. }) => Ok(notices),
            Ok(Read::LaunchFailed(launch)) => Err(format!(
                "names no instance: a launch of group {} failed",
                launch.group
            )),
            Ok(Read::Advice(advice)) => Err(format!("only to be told: {}", advice.subject())),
            Ok(Read::NotOurs { what }) => Err(format!("not an event for spot-handoff: {what}")),
            Err(error) => Err(error.to_string()),
        }
    }
}
