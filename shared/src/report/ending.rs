//! How exchanges end, as reports carry it.

use serde::{Deserialize, Serialize};

/// Why an exchange is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The instance has left after its replacement.
    Exchanged,
    /// The instance left meanwhile: it was interrupted, or somebody took it out.
    LeftMeanwhile,
    /// No replacement came into service in time.
    NeverCame,
    /// The replacement is in service, but no requests reach it, or it is not in the cluster.
    NeverReady,
    /// The work could not move, or somebody ended the exchange by hand.
    CalledOff,
    /// Somebody set the desired capacity meanwhile, and no replacement comes of it.
    Overruled,
    /// MaxSize left no room when its turn came.
    NoRoom,
    /// The group was deleted.
    GroupGone,
}
