//! On which recommendations replace-capacity does not act.
//!
//! AWS sends recommendations within minutes of a launch, again and again, and no interruption follows most of them. One
//! user counted 30 in 17 hours; 9 came true (<https://github.com/aws/aws-node-termination-handler/issues/141>). An
//! exchange for each would replace instances without end.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::state::{Exchanges, Stage, count};
use crate::autoscaling::groups::Group;
use crate::notice::Cause;

/// The least age of an instance for acting on its recommendation.
pub const OLD_ENOUGH: SignedDuration = SignedDuration::from_mins(30);
/// If no warning followed a recommendation, the next ones in the group are only reported for this long.
pub const REST: SignedDuration = SignedDuration::from_mins(30);

/// Why replace-capacity does not act on a recommendation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Brake {
    /// The instance is in no ECS cluster, so nobody knows what runs on it and whether that can move.
    NotInCluster,
    /// The instance was launched only a short while ago.
    Young {
        /// When it registered in its cluster, or was launched.
        since: Timestamp,
    },
    /// Enough instances of the group are being exchanged already.
    Enough {
        /// How many.
        under_way: i32,
    },
    /// No warning followed the last recommendation in the group.
    InVain {
        /// Until when the next ones are only reported.
        until: Timestamp,
    },
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInCluster => write!(
                f,
                "recommendations are acted on only for instances in an ECS cluster, since their tasks can move; to replace this \
                 group's instances anyway, tag it spot-handoff:rebalance=launch-first"
            ),
            Self::Young { since } => write!(
                f,
                "it has been there since {} only: recommendations for instances younger than {} minutes are reported and \
                 not acted on",
                since.strftime("%H:%M:%S"),
                OLD_ENOUGH.as_mins()
            ),
            Self::Enough { under_way } => write!(
                f,
                "{under_way} of its group are being exchanged: recommendations exchange at most a tenth of a group at a time, \
                 but at least one instance"
            ),
            Self::InVain { until } => write!(
                f,
                "no interruption warning followed the last recommendation that was acted on in its group: the next ones \
                 are only reported until {}",
                until.strftime("%H:%M:%S")
            ),
        }
    }
}

/// Why the group's own exchanges hold a recommendation back, if they do.
pub fn of_group(state: &Exchanges, group: &Group, now: Timestamp) -> Option<Brake> {
    let of_recommendations = state.under_way.values().filter(|exchange| {
        exchange.cause == Cause::Rebalance && !matches!(exchange.stage, Stage::GivingBack { .. })
    });
    let under_way = count(of_recommendations);
    if under_way >= (group.desired / 10).max(1) {
        return Some(Brake::Enough { under_way });
    }
    let over = state.recommendation_over?;
    let until = over.saturating_add(REST).unwrap_or(over);
    // A warning during the exchange counts as well; the exchange took fifteen minutes at most.
    let begun = over.saturating_sub(super::LIMIT).unwrap_or(over);
    let was_followed = state.warned.is_some_and(|warned| warned >= begun);
    (now < until && !was_followed).then_some(Brake::InVain { until })
}
