//! What has become of a group that interruptions had made smaller.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What has become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupStanding {
    /// It has as much in service as it is to have.
    Whole,
    /// It lacked something when the time for waiting was over.
    Short,
    /// It was deleted.
    Gone,
    /// On-Demand fills it, since Spot has no capacity.
    FilledOnDemand,
    /// What was changed of its mixture is changed back.
    BackOnSpot,
    /// Somebody else has changed its mixture, which stays so.
    LeftToOthers,
    /// Its mixture could not be changed.
    NotChanged,
    /// What an older or a newer version tells.
    #[serde(other)]
    Unknown,
}

/// A group, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupLine {
    /// The group.
    pub group: String,
    /// What has become of it.
    pub standing: GroupStanding,
    /// How many seconds after the first notice that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_seconds: Option<u32>,
    /// How much it lacks, in units of its capacity: instances, where its instance types have no weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_of: Option<u32>,
    /// The whole of it in words, with what to do about it.
    pub detail: String,
}

impl fmt::Display for GroupLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {} {}", self.group, self.detail)
    }
}
