//! Exchanges: an instance that may serve on for a while goes only after its replacement has come.
//!
//! A rebalance recommendation or a retirement begins one; so does an interruption warning where the instance's targets
//! are still needed. replace-capacity moves it on, at messages that come every ten seconds. Capacity comes by raising the
//! group's desired capacity by one, and goes by lowering it by one, only while that raise is still in it.
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
//! - An instance under notice leaves when its target may, at the latest at the last safe moment: with decrement where the
//!   raise is in the desired capacity, without where it is not. Where nothing can be raised, it waits for its moment all the
//!   same.
//! - An instance that has left for another reason, fifteen minutes without a replacement, work that cannot move, and
//!   `cargo handoff exchange end` lead to giving back. So the old instance serves on, and the replacement goes.
//! - A desired capacity that somebody else has set is obeyed: the raise is not ours any more, and is never lowered.
//!
//! The whole state stands in one item of the table for each group, [`state`]. It is written before anything is done, and
//! only if nobody else has written it since it was read. So two invocations, and several exchanges of a group, are decided
//! one after the other. What is done can be repeated, so a kill at any call is made good at the next look. [`next`] decides,
//! as a pure function; [`capacity`] says what of the desired capacity is ours; [`restraint`] says which recommendations are
//! not acted on; [`messages`] is what is sent.

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

/// How long an exchange may take until its replacement is there and its work has moved. Also the deadline by which
/// standalone tasks on the old instance are stopped, and as far as one delayed message reaches.
pub const LIMIT: SignedDuration = SignedDuration::from_mins(15);
/// Before this last part of the time until a retirement nothing is taken out of service for it.
const LAST_PART: SignedDuration = SignedDuration::from_hours(1);

/// Whether the work stays on the instance until replace-capacity says that the replacement is there.
///
/// A rebalance recommendation always waits. So does a retirement until an hour before its date, and after that where
/// there is time for an exchange and one can begin; else the work is moved at once.
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

/// Whether an exchange of the instance can begin. Whether it does is for replace-capacity to see, which knows how many
/// others take room in the group at the same time.
fn can_be_exchanged(group: &Group, member: &Member) -> bool {
    let serves = member.lifecycle == Lifecycle::InService;
    let has_room = group.desired < group.max && !group.suspended.contains("Launch");
    serves && has_room && !group.is_weighted
}

#[cfg(test)]
mod any_state;
#[cfg(test)]
mod tests;
