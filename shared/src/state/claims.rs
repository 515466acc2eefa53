//! Who puts which event on the bus. There is one item for each event about a hand-off, so that only one of two
//! invocations puts it.
//!
//! An invocation first writes that it will put the event, and only one such write succeeds. If the bus refuses the
//! event, the item is deleted. If an invocation is killed in between, its claim stays; after a while, others take it
//! over.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Item, Key};

/// All copies of a message come within this time.
const KEPT: SignedDuration = SignedDuration::from_hours(15 * 24);
/// If a claimed event is not put within this time, the claiming invocation has ended: it tries calls for 15 seconds.
const CLAIMED_FOR: SignedDuration = SignedDuration::from_secs(20);

/// An event about a hand-off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Claim {
    /// Id of the notice.
    pub event_id: String,
    /// The instance.
    pub instance: String,
    /// The kind of event.
    pub of: Event,
    /// When it was claimed.
    pub since: Timestamp,
    /// Whether it was put on the bus.
    pub put: bool,
}

/// The events about a hand-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// It has begun.
    Started,
    /// It is over.
    Ended,
    /// Its group is whole again, or nobody waits for that any longer.
    Whole,
}

impl Claim {
    /// Whether the invocation that claimed it has ended.
    pub fn is_abandoned(&self, now: Timestamp) -> bool {
        !self.put && now.duration_since(self.since) > CLAIMED_FOR
    }
}

impl Item for Claim {
    fn key(&self) -> Key {
        let what = match self.of {
            Event::Started => "started",
            Event::Ended => "ended",
            Event::Whole => "whole",
        };
        Key::new(format!("event#{}#{}", self.event_id, self.instance), what)
    }

    fn expires(&self) -> Timestamp {
        self.since.saturating_add(KEPT).unwrap_or(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_taken_over_when_nobody_has_put_the_event_for_a_while() {
        let since: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
        let claim = |put| Claim {
            event_id: "e".to_owned(),
            instance: "i".to_owned(),
            of: Event::Started,
            since,
            put,
        };
        let after = |seconds| since + SignedDuration::from_secs(seconds);
        for (put, seconds, expected) in [(false, 19, false), (false, 21, true), (true, 21, false)] {
            assert_eq!(
                claim(put).is_abandoned(after(seconds)),
                expected,
                "{put} {seconds}"
            );
        }
        let ended = Claim {
            of: Event::Ended,
            ..claim(false)
        };
        assert_ne!(ended.key(), claim(false).key(), "each has an item of its own");
    }
}
