//! Groups that lost instances to interruptions, and how they stand.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupStanding {
    /// As much capacity is in service as desired.
    Whole,
    /// It lacked capacity when the time for waiting was over.
    Short,
    /// It was deleted.
    Gone,
    /// On-Demand fills it, since Spot has no capacity.
    FilledOnDemand,
    /// Our change of its mixture is undone.
    BackOnSpot,
    /// Somebody else has changed its mixture; that stays.
    LeftToOthers,
    /// Its mixture could not be changed.
    NotChanged,
    /// A standing that only an older or a newer version knows.
    #[serde(other)]
    Unknown,
}

/// A group, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupLine {
    /// The group.
    pub group: String,
    /// How it stands.
    pub standing: GroupStanding,
    /// How many seconds after the first notice this was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_seconds: Option<u32>,
    /// How much it lacks, in units of its capacity: instances, unless its instance types have weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_of: Option<u32>,
    /// All of it in words, with what to do about it.
    pub detail: String,
}

impl fmt::Display for GroupLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {} {}", self.group, self.detail)
    }
}
