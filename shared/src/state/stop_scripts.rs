//! The stop script of an instance: one item for each instance, so that two signals, two copies of a message, or two
//! invocations run it only once.
//!
//! An invocation first writes that it is sending the command, and only one such write succeeds. If it is killed before
//! it sends the command, its claim stays. After a while, others look whether a command was sent, and may take over.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Item, Key};
use crate::notice::InstanceId;

/// How long the item is kept: an instance goes once, and a copy of a message may come days later.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// If a claim led to no command within this time, the claiming invocation has ended.
const CLAIMED_FOR: SignedDuration = SignedDuration::from_secs(20);
/// If it is not known when the instance has to go, nobody waits for its targets longer than this.
const TARGETS_WITHIN: SignedDuration = SignedDuration::from_mins(6);
/// Time for a command to reach the instance, and for its answer to be seen.
pub const ON_THE_WAY: SignedDuration = SignedDuration::from_secs(10);

/// The stop script of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StopScript {
    /// The instance.
    pub instance: InstanceId,
    /// The document.
    pub document: String,
    /// How far it is.
    pub stage: Stage,
    /// When it was last written.
    pub written: Timestamp,
}

/// How far a stop script is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Stage {
    /// An invocation is sending the command.
    Claimed,
    /// The command was sent.
    Sent {
        /// Its id.
        command: String,
    },
    /// It has ended, well or badly, or it never ran.
    Over,
}

impl StopScript {
    /// The key of an instance's item.
    pub fn key_of(instance: &InstanceId) -> Key {
        Key::new(format!("stop-script#{instance}"), "stop-script")
    }

    /// Whether the invocation that claimed it has ended.
    pub fn is_abandoned(&self, now: Timestamp) -> bool {
        self.stage == Stage::Claimed && now.duration_since(self.written) > CLAIMED_FOR
    }
}

impl Item for StopScript {
    fn key(&self) -> Key {
        Self::key_of(&self.instance)
    }

    fn expires(&self) -> Timestamp {
        self.written.saturating_add(KEPT).unwrap_or(self.written)
    }
}

/// The last moment at which a stop script can begin that may take `takes`. The instance goes at `deadline`, and its
/// notice came at `told`.
pub fn begins_by(told: Timestamp, deadline: Option<Timestamp>, takes: SignedDuration) -> Timestamp {
    let longest = told.saturating_add(TARGETS_WITHIN).unwrap_or(told);
    let safe = deadline.map(|deadline| {
        let before = takes.saturating_add(ON_THE_WAY);
        deadline.saturating_sub(before).unwrap_or(deadline)
    });
    safe.map_or(longest, |safe| safe.min(longest))
}

/// When a stop script is over at the latest. Nobody waits for it any longer.
pub fn over_by(told: Timestamp, deadline: Option<Timestamp>, takes: SignedDuration) -> Timestamp {
    /// Five tries of a message fit into it.
    const TRIES: SignedDuration = SignedDuration::from_secs(120);
    let begun = begins_by(told, deadline, takes);
    begun.saturating_add(takes.saturating_add(TRIES)).unwrap_or(begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_begins_while_there_is_the_time_for_it() {
        let told: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
        let after = |seconds| told + SignedDuration::from_secs(seconds);
        let table = [
            (Some(after(120)), 60, after(50)),
            (Some(after(120)), 30, after(80)),
            // There is not enough time: at once.
            (Some(after(120)), 300, after(-190)),
            // A date far away, and no date at all.
            (Some(after(3600)), 60, after(360)),
            (None, 60, after(360)),
        ];
        for (deadline, takes, expected) in table {
            let begins = begins_by(told, deadline, SignedDuration::from_secs(takes));
            assert_eq!(begins, expected, "{deadline:?} {takes}");
        }
    }

    #[test]
    fn a_claim_without_a_command_is_taken_over_after_a_while() {
        let written: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
        let of = |stage| StopScript {
            instance: "i-1234567890abcdef0".parse().expect("an id"),
            document: "checkpoint".to_owned(),
            stage,
            written,
        };
        let after = |seconds| written + SignedDuration::from_secs(seconds);
        assert!(!of(Stage::Claimed).is_abandoned(after(19)));
        assert!(of(Stage::Claimed).is_abandoned(after(21)));
        let command = "c".to_owned();
        assert!(!of(Stage::Sent { command }).is_abandoned(after(21)));
    }
}
