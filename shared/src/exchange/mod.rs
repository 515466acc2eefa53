//! Exchanges: an instance that may serve for a while longer leaves only after its replacement has come.
//!
//! A rebalance recommendation or a retirement begins an exchange. So does an interruption warning if the instance's
//! targets are still needed. Messages come every ten seconds, and replace-capacity moves the exchange on. It gets
//! capacity by raising the group's desired capacity by one. It gives it back by lowering it by one, but only while that
//! raise is still in it.
//!
//! | stage | who moves it on | to | what undoes it |
//! |---|---|---|---|
//! | waiting | a look that finds the desired capacity as we left it: raise it by one | awaiting | nothing is done yet |
//! | awaiting | a look that finds a member that was not there before, in service, healthy, ACTIVE: ask drain-tasks to move the work | moving | giving back |
//! | moving | drain-tasks: the work has moved, or cannot | moved, giving back | giving back, while the instance is not DRAINING |
//! | moved | a look that finds the group covered without the instance: terminate it, with decrement | leaving | nothing: its work is gone |
//! | leaving | a look that finds it gone | over | nothing |
//! | giving back | a look that finds the replacement gone, or the desired capacity lowered | over | nothing |
//!
//! Besides, at any stage:
//! - An instance under notice leaves when its target may leave, at the latest at the last safe moment. It leaves with
//!   decrement if the raise is in the desired capacity, otherwise without. If nothing can be raised, it still waits for
//!   that moment.
//! - These lead to giving back: the instance has left for another reason, fifteen minutes pass without a replacement,
//!   the work cannot move, or somebody runs `cargo handoff exchange end`. Then the old instance serves on, and the
//!   replacement goes.
//! - If somebody else sets the desired capacity, that number stands. The raise is not ours any more, and nobody lowers
//!   it.
//!
//! The whole state of a group is one item of the table, [`state`]. An invocation writes it before it acts, and only if
//! nobody else has written it since it was read. So two invocations, or several exchanges of a group, decide one after
//! the other. Every act can be repeated, so the next look makes up for a kill at any call.
//!
//! [`next`] decides, as a pure function. [`capacity`] says which part of the desired capacity is ours. [`restraint`]
//! says on which recommendations replace-capacity does not act. [`messages`] are the messages.

pub mod capacity;
pub mod messages;
mod next;
pub mod restraint;
pub mod state;

use jiff::SignedDuration;

pub use next::{Act, Asked, LOOK_AGAIN, LOOK_SELDOM, NotRaised, Seen, Step, Told, next};
pub use restraint::Brake;
pub use state::{Capacity, Ending, Exchange, Exchanges, Stage};

use crate::autoscaling::groups::{Group, GroupOf, Lifecycle, Member};
use crate::notice::{Notice, Signal};

/// How long an exchange may take until its replacement is there and its work has moved. It is also the deadline for
/// stopping standalone tasks on the old instance. A message can be delayed for just as long.
pub const LIMIT: SignedDuration = SignedDuration::from_mins(15);
/// In the last hour before a retirement, [`replacement_comes_first`] waits only if an exchange still has time.
const LAST_PART: SignedDuration = SignedDuration::from_hours(1);

/// Whether the work stays on the instance until replace-capacity says that the replacement is there.
///
/// For a rebalance recommendation always. For a retirement always until an hour before its date; after that only if
/// there is time for an exchange and one can begin. Otherwise the work is moved at once.
pub fn replacement_comes_first(notice: &Notice, group: &GroupOf<'_>) -> bool {
    match (&notice.signal, group) {
        (Signal::RebalanceRecommendation, _) => true,
        (Signal::ScheduledRetirement { starts }, group) => {
            let left = starts.duration_since(notice.time);
            let can_begin = match group {
                GroupOf::Some { group, member } => can_be_exchanged(group, member),
                GroupOf::None | GroupOf::Unknown(_) => false,
            };
            left > LAST_PART || (left > LIMIT && can_begin)
        }
        _ => false,
    }
}

/// Whether an exchange of the instance can begin. replace-capacity decides whether it does: it knows how many other
/// exchanges take room in the group.
fn can_be_exchanged(group: &Group, member: &Member) -> bool {
    let serves = member.lifecycle == Lifecycle::InService;
    let has_room = group.desired < group.max && !group.suspended.contains("Launch");
    serves && has_room && !group.is_weighted
}

#[cfg(test)]
mod any_state;
#[cfg(test)]
mod tests;
