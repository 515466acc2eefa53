//! The item in the table: all exchanges of a group, and their part of its desired capacity.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::autoscaling::groups::{Group, Lifecycle, Member};
use crate::notice::{Cause, InstanceId};
pub use crate::report::Ending;
use crate::state::{Item, Key};

/// How long the item is kept after its last write: as long as a dead letter, whose redrive may need it.
const KEPT: SignedDuration = SignedDuration::from_hours(15 * 24);

/// All exchanges of one group. They are one item, and each write expects the version that was read. So two invocations,
/// or two exchanges of a group, decide one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Exchanges {
    /// The group.
    pub group: String,
    /// What the desired capacity should be with our raises in it; `None` if it contains no raise of ours.
    #[serde(default)]
    pub capacity: Option<Capacity>,
    /// The members of the group when the first exchange under way began. All others came later.
    #[serde(default)]
    pub known: BTreeSet<InstanceId>,
    /// The exchanges under way, by the instance to be replaced.
    #[serde(default)]
    pub under_way: BTreeMap<InstanceId, Exchange>,
    /// Until when an invocation may be setting the desired capacity. Others only write what it should be, and leave the
    /// call to that invocation.
    #[serde(default)]
    pub setting_until: Option<Timestamp>,
    /// When the last exchange because of a recommendation ended.
    #[serde(default)]
    pub recommendation_over: Option<Timestamp>,
    /// When the last interruption warning came for an instance of the group, if an exchange had to know.
    #[serde(default)]
    pub warned: Option<Timestamp>,
    /// When it was last written.
    pub written: Timestamp,
}

/// The desired capacity as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Capacity {
    /// The number that it should be.
    pub to: i32,
    /// The lowest and the highest value that the group can show until all our changes have arrived.
    pub low: i32,
    /// See `low`.
    pub high: i32,
    /// When we last changed it.
    pub since: Timestamp,
    /// Since when the group has shown a value that is not ours: somebody has set it, or the read was stale.
    #[serde(default)]
    pub doubted: Option<Timestamp>,
}

/// The exchange of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Exchange {
    /// Why the instance goes.
    pub cause: Cause,
    /// When it began.
    pub begun: Timestamp,
    /// When its replacement has to be there.
    pub limit: Timestamp,
    /// Whether its raise is in the desired capacity, so that it has to be lowered again.
    pub raised: bool,
    /// Members that are not in `known`, but were there before this raise.
    #[serde(default)]
    pub already: BTreeSet<InstanceId>,
    /// The instance that replaces it.
    #[serde(default)]
    pub replacement: Option<InstanceId>,
    /// How far it is.
    pub stage: Stage,
    /// When its next message comes. A message that comes earlier is a copy; one that is overdue was lost.
    pub next_look: Timestamp,
}

/// How far an exchange is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Stage {
    /// Nothing is raised yet: the desired capacity was not as we left it, and the next look checks it again.
    Waiting,
    /// The desired capacity is raised, and the replacement has not come yet.
    Awaiting,
    /// The replacement is there, and drain-tasks moves the work.
    Moving,
    /// The work has moved.
    Moved,
    /// The instance has been told to leave.
    Leaving {
        /// Whether the desired capacity goes down with it.
        decrement: bool,
        /// When it was last told to leave.
        since: Timestamp,
    },
    /// It ends without a replacement: its raise is lowered again.
    GivingBack {
        /// Why.
        why: Ending,
        /// The instance that is terminated with decrement. `None` if only the desired capacity is lowered.
        instance: Option<InstanceId>,
        /// When that was last done.
        since: Timestamp,
    },
}

impl Exchanges {
    /// The state of a group without exchanges.
    pub fn none(group: &str, now: Timestamp) -> Self {
        Self {
            group: group.to_owned(),
            capacity: None,
            known: BTreeSet::new(),
            under_way: BTreeMap::new(),
            setting_until: None,
            recommendation_over: None,
            warned: None,
            written: now,
        }
    }

    /// The key of a group's item.
    pub fn key_of(group: &str) -> Key {
        Key::new(format!("group#{group}"), "exchanges")
    }

    /// The members that came after this exchange raised the desired capacity, except replacements of others.
    pub fn newcomers<'a>(
        &'a self,
        exchange: &'a Exchange,
        group: &'a Group,
    ) -> impl Iterator<Item = &'a Member> + 'a {
        let others: BTreeSet<&InstanceId> = self
            .under_way
            .values()
            .filter(|other| !std::ptr::eq(*other, exchange))
            .filter_map(|other| other.replacement.as_ref())
            .collect();
        self.unknown(group).filter(move |member| {
            is_coming_or_there(member)
                && !exchange.already.contains(&member.id)
                && !others.contains(&member.id)
        })
    }

    /// All members that came after the first of the exchanges began.
    pub fn unknown<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Member> + 'a {
        let members = group.instances.iter();
        members.filter(|member| !self.known.contains(&member.id) && !self.under_way.contains_key(&member.id))
    }

    /// How many of our decrements are still to come: their instances have not begun to leave.
    pub fn decrements_to_come(&self, group: &Group) -> i32 {
        let stays = |id: &InstanceId| {
            let mut members = group.instances.iter();
            members.any(|member| member.id == *id && is_coming_or_there(member))
        };
        let to_come = self
            .under_way
            .iter()
            .filter(|(old, exchange)| match &exchange.stage {
                Stage::Leaving { decrement: true, .. } => stays(old),
                Stage::GivingBack {
                    instance: Some(id), ..
                } => stays(id),
                _ => false,
            });
        count(to_come)
    }
}

/// Whether a member counts for the capacity of its group.
pub fn is_coming_or_there(member: &Member) -> bool {
    matches!(member.lifecycle, Lifecycle::Pending | Lifecycle::InService)
}

/// The number of items, as the type that Auto Scaling uses.
pub fn count<T>(items: impl Iterator<Item = T>) -> i32 {
    i32::try_from(items.count()).unwrap_or(i32::MAX)
}

impl Item for Exchanges {
    fn key(&self) -> Key {
        Self::key_of(&self.group)
    }

    fn expires(&self) -> Timestamp {
        self.written.saturating_add(KEPT).unwrap_or(self.written)
    }
}
