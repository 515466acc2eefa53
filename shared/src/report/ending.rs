//! How exchanges end, as in reports.

use serde::{Deserialize, Serialize};

/// Why an exchange is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The instance left after its replacement had come.
    Exchanged,
    /// The instance left earlier: it was interrupted, or somebody took it out.
    LeftMeanwhile,
    /// No replacement came into service in time.
    NeverCame,
    /// The replacement is in service, but no requests reach it, or it is not in the cluster.
    NeverReady,
    /// The work could not move, or somebody ended the exchange by hand.
    CalledOff,
    /// Somebody else set the desired capacity, so no replacement comes of it.
    Overruled,
    /// When its turn came, MaxSize had no room.
    NoRoom,
    /// The group was deleted.
    GroupGone,
}
