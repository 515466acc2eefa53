//! The item that stands in the table: all exchanges of a group, and what of its desired capacity is theirs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::autoscaling::groups::{Group, Lifecycle, Member};
use crate::notice::{Cause, InstanceId};
pub use crate::report::Ending;
use crate::state::{Item, Key};

/// How long the item is kept after it was last written: as long as a dead letter, whose redrive may need it.
const KEPT: SignedDuration = SignedDuration::from_hours(15 * 24);

/// All exchanges of one group. One item, so that two invocations, and two exchanges of a group, are decided one after the
/// other: each write expects the version that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Exchanges {
    /// The group.
    pub group: String,
    /// What the desired capacity is to be with our raises in it; `None` where none of ours is in it.
    #[serde(default)]
    pub capacity: Option<Capacity>,
    /// Who was in the group when the first of the exchanges under way began: whoever is not among them came since.
    #[serde(default)]
    pub known: BTreeSet<InstanceId>,
    /// The exchanges under way, by the instance that is to be replaced.
    #[serde(default)]
    pub under_way: BTreeMap<InstanceId, Exchange>,
    /// Until when an invocation may be setting the desired capacity. Others write what it is to be, and leave the call to it.
    #[serde(default)]
    pub setting_until: Option<Timestamp>,
    /// When the last exchange that a recommendation had begun was over.
    #[serde(default)]
    pub recommendation_over: Option<Timestamp>,
    /// When the last interruption warning came for an instance of the group, as far as an exchange had to know.
    #[serde(default)]
    pub warned: Option<Timestamp>,
    /// When it was last written.
    pub written: Timestamp,
}

/// The desired capacity as we mean it to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Capacity {
    /// What it is to be.
    pub to: i32,
    /// The lowest and the highest value that our own changes can show until all of them have been seen.
    pub low: i32,
    /// See `low`.
    pub high: i32,
    /// When we last changed it.
    pub since: Timestamp,
    /// Since when another value has been seen than ours can be: somebody has set it, or the read was stale.
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
    /// Whether its raise is in the desired capacity, and so has to be lowered by it.
    pub raised: bool,
    /// Who had come since `known`, and was there before this raise.
    #[serde(default)]
    pub already: BTreeSet<InstanceId>,
    /// The instance that takes its place.
    #[serde(default)]
    pub replacement: Option<InstanceId>,
    /// How far it has come.
    pub stage: Stage,
    /// When its next message comes. One that comes sooner is a copy; one that is overdue was lost.
    pub next_look: Timestamp,
}

/// How far an exchange has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Stage {
    /// Nothing is raised yet: the desired capacity was not as we had left it, and is looked at again first.
    Waiting,
    /// The desired capacity is raised, and the replacement is awaited.
    Awaiting,
    /// The replacement is there, and drain-tasks moves the work.
    Moving,
    /// The work has moved.
    Moved,
    /// The instance has been told to leave.
    Leaving {
        /// Whether the desired capacity goes down with it.
        decrement: bool,
        /// When it was last told.
        since: Timestamp,
    },
    /// It ends without its purpose: what it raised is lowered again.
    GivingBack {
        /// Why.
        why: Ending,
        /// The instance that is terminated with decrement; `None` where the desired capacity itself is lowered.
        instance: Option<InstanceId>,
        /// When that was last asked for.
        since: Timestamp,
    },
}

impl Exchanges {
    /// What stands in the table where nothing does.
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

    /// Where the exchanges of a group stand.
    pub fn key_of(group: &str) -> Key {
        Key::new(format!("group#{group}"), "exchanges")
    }

    /// The members that have come since the exchange raised the desired capacity, and are nobody else's replacement.
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

    /// The members that have come since the first of the exchanges began, whoever has a claim on them.
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

/// How many there are, as Auto Scaling counts.
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
