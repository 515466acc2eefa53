//! The watch over a group that lost instances to interruptions: one item for each group.
//!
//! Twenty seconds after the notice, replace-capacity begins to look at the group. It looks until the group is whole
//! again (as many healthy instances in service as desired), or for half an hour. There is only one chain of messages
//! for a group, however many of its instances are interrupted meanwhile: later interruptions join the watch. The item
//! records the result.
//!
//! A message carries the number of its look, and the item carries the number of the next look. A message with an older
//! number changes nothing. The next message is sent before the item is written. So a function that is killed between
//! the two leaves two messages for one look, and the first one counts. It never leaves none.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Item, Key, Table, Versioned};
use crate::autoscaling::launch_failures::LaunchFailure;
use crate::notice::{InstanceId, Notice};
use crate::runtime::aws::CallError;
use crate::runtime::invocation::Invocation;

/// How long a group is watched after a notice.
pub const WATCHED_FOR: SignedDuration = SignedDuration::from_mins(30);
/// How long an item is kept after its watch: longer than anybody asks how a hand-off went.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long the end of an earlier watch is kept beside a new one: announcements look back some minutes.
const EARLIER_KEPT_FOR: SignedDuration = SignedDuration::from_mins(15);
/// At most this many interruptions are named, some 120 bytes each. DynamoDB allows 400 KB for an item.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub const MOST_NAMED: usize = 1000;

/// The watch over one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupWatch {
    /// The group.
    pub group: String,
    /// The interruptions that the watch is for, the first one first.
    pub interruptions: Vec<Interruption>,
    /// When the last look was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
    /// Number of the next look.
    pub look: u32,
    /// When the next look comes.
    pub next_look: Timestamp,
    /// When the watch ends.
    pub until: Timestamp,
    /// Since when the group's launches have failed, and why. `None` if none has failed since the last success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// Our change of its mixture that is not undone yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// How the group stands.
    pub standing: Standing,
    /// Earlier watches that ended not long ago.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Earlier>,
}

/// One interruption.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Interruption {
    /// Id of the event.
    pub event_id: String,
    /// The instance.
    pub instance: InstanceId,
    /// When AWS sent the notice.
    pub noticed: Timestamp,
}

impl Interruption {
    /// The interruption of a notice.
    pub fn of(notice: &Notice) -> Self {
        Self {
            event_id: notice.event_id.clone(),
            instance: notice.instance.clone(),
            noticed: notice.time,
        }
    }
}

/// Launches that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failing {
    /// Since when.
    pub since: Timestamp,
    /// The last failure.
    pub last: LaunchFailure,
}

/// On-Demand capacity in place of Spot: the `OnDemandBaseCapacity` of the group, as it was and as we have set it.
///
/// It is written before the call. If the group then shows another value, somebody else has set it. There is one
/// exception: the earlier value, as long as our call was never seen to have taken effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fallback {
    /// The value before our first change.
    pub before: u32,
    /// The value before our last change.
    pub from: u32,
    /// The value of our last call.
    pub set: u32,
    /// When we made that call.
    pub asked_at: Timestamp,
    /// Whether the group has shown that value.
    pub seen: bool,
    /// When we first raised it.
    pub since: Timestamp,
    /// When we last raised it.
    pub raised_at: Timestamp,
    /// Whether our last change lowered it, and no Spot launch has succeeded since.
    pub is_trial: bool,
    /// When to try Spot again.
    pub next_trial: Timestamp,
}

impl Fallback {
    /// How much is On-Demand because of us.
    pub fn extra(&self) -> u32 {
        self.set.saturating_sub(self.before)
    }
}

/// How a group stands. Amounts are in units of its capacity: instances, unless its instance types have weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Standing {
    /// It is still being watched.
    Looking {
        /// How much it lacked at the last look; `None` before the first one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        short_of: Option<u32>,
    },
    /// As much capacity is healthy and in service as desired.
    Whole {
        /// How many seconds after the first notice this was seen.
        after_seconds: u32,
    },
    /// It was not whole when the watch ended.
    Short {
        /// How much it lacks.
        short_of: u32,
        /// How many seconds after the first notice the watch ended.
        after_seconds: u32,
        /// Why its last launch failed; `None` if none did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<LaunchFailure>,
        /// What to do about it.
        advice: String,
    },
    /// The group was deleted.
    Gone,
}

impl Standing {
    /// Whether the watch is over.
    pub fn is_over(&self) -> bool {
        !matches!(self, Self::Looking { .. })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Looking { short_of: None } => write!(f, "is watched until it is whole"),
            Self::Looking {
                short_of: Some(short_of),
            } => write!(f, "is short of {short_of}, and watched until it is whole"),
            Self::Whole { after_seconds } => {
                write!(f, "was whole again within {after_seconds} s of the first notice")
            }
            Self::Short {
                short_of,
                after_seconds,
                failure,
                advice,
            } => {
                write!(
                    f,
                    "was still short of {short_of} after {} minutes",
                    after_seconds / 60
                )?;
                match failure {
                    Some(failure) => write!(f, ": {failure}; {advice}"),
                    None => write!(f, "; {advice}"),
                }
            }
            Self::Gone => write!(f, "was deleted"),
        }
    }
}

/// A watch that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Earlier {
    /// Its interruptions.
    pub interruptions: Vec<Interruption>,
    /// How it ended.
    pub standing: Standing,
    /// When the next one began.
    pub until: Timestamp,
}

impl GroupWatch {
    /// A watch that begins with this interruption. Its first look is now.
    pub fn begun(group: &str, interruption: Interruption, now: Timestamp) -> Self {
        let until = interruption.noticed.saturating_add(WATCHED_FOR);
        Self {
            group: group.to_owned(),
            until: until.unwrap_or(now),
            interruptions: vec![interruption],
            looked_at: None,
            look: 0,
            next_look: now,
            failing: None,
            fallback: None,
            standing: Standing::Looking { short_of: None },
            earlier: vec![],
        }
    }

    /// The key of the watch over a group.
    pub fn key_of(group: &str) -> Key {
        Key::new(format!("group#{group}"), "watch")
    }

    /// When AWS sent the first of the notices.
    pub fn since(&self) -> Timestamp {
        let first = self.interruptions.iter().map(|one| one.noticed).min();
        first.unwrap_or(self.next_look)
    }

    /// Whether messages still look at the group: its standing is open, or a change of ours has to be undone.
    pub fn goes_on(&self) -> bool {
        !self.standing.is_over() || self.fallback.is_some()
    }

    /// Whether the watch is or was for this interruption.
    pub fn includes(&self, event_id: &str, instance: &InstanceId) -> bool {
        is_among(&self.interruptions, event_id, instance)
    }

    /// How the group stands for one interruption. A later watch does not hide how an earlier one ended.
    pub fn standing_of(&self, event_id: &str, instance: &InstanceId) -> Option<&Standing> {
        if self.includes(event_id, instance) {
            return Some(&self.standing);
        }
        let mut earlier = self.earlier.iter().rev();
        let one = earlier.find(|one| is_among(&one.interruptions, event_id, instance))?;
        Some(&one.standing)
    }

    /// Adds an interruption to the watch. Returns whether it is new.
    pub fn join(&mut self, interruption: Interruption) -> bool {
        if self.includes(&interruption.event_id, &interruption.instance) {
            return false;
        }
        let until = interruption.noticed.saturating_add(WATCHED_FOR);
        self.until = self.until.max(until.unwrap_or(self.until));
        if self.interruptions.len() < MOST_NAMED {
            self.interruptions.push(interruption);
        }
        true
    }

    /// A new watch after this one, which is over.
    pub fn anew(self, interruption: Interruption, now: Timestamp) -> Self {
        let mut next = Self::begun(&self.group, interruption, now);
        next.look = self.look;
        next.fallback = self.fallback;
        next.earlier = self.earlier;
        next.earlier.push(Earlier {
            interruptions: self.interruptions,
            standing: self.standing,
            until: now,
        });
        next.earlier
            .retain(|one| now.duration_since(one.until) < EARLIER_KEPT_FOR);
        let mut named = 0;
        for one in next.earlier.iter_mut().rev() {
            one.interruptions.truncate(MOST_NAMED.saturating_sub(named));
            named += one.interruptions.len();
        }
        next
    }
}

fn is_among(interruptions: &[Interruption], event_id: &str, instance: &InstanceId) -> bool {
    let mut all = interruptions.iter();
    all.any(|one| one.event_id == event_id && one.instance == *instance)
}

impl Item for GroupWatch {
    fn key(&self) -> Key {
        Self::key_of(&self.group)
    }

    fn expires(&self) -> Timestamp {
        let last = self.until.max(self.next_look);
        last.saturating_add(KEPT_FOR).unwrap_or(last)
    }
}

/// The watches over these groups. Groups without a recent watch are left out.
///
/// # Errors
/// See [`CallError`].
pub async fn read<'a>(
    table: &Table,
    invocation: &Invocation,
    groups: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Versioned<GroupWatch>>, CallError> {
    let keys: std::collections::BTreeSet<Key> = groups.into_iter().map(GroupWatch::key_of).collect();
    let keys: Vec<Key> = keys.into_iter().collect();
    if keys.is_empty() {
        return Ok(vec![]);
    }
    table.get_all(invocation, &keys).await
}

#[cfg(test)]
mod tests;
