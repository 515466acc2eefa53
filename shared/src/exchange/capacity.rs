//! What of a group's desired capacity is ours.
//!
//! The desired capacity is one number that anybody may set, and no call of Auto Scaling can expect a value. So the item
//! says what it is to be with our raises in it. Each change is written there first, and then made as an absolute number,
//! or by a termination with decrement. What the group shows is compared at every look:
//!
//! | it shows | it means |
//! |---|---|
//! | what it is to be | our raises are in it |
//! | a value that our own changes pass through, and they are recent | a call is on its way, or was lost: it is made again |
//! | anything else, at two looks | somebody has set it: they are obeyed, and no raise is ours to lower any more |
//!
//! Two calls at the same time may arrive in the other order, and Auto Scaling would terminate any instance for the lower
//! number. So one invocation at a time sets it ([`Exchanges::setting_until`]). What others write meanwhile it sees when its
//! call is over, and sets that as well.

use jiff::{SignedDuration, Timestamp};

use super::state::{Capacity, Exchanges};
use crate::autoscaling::groups::Group;

/// How long a call may be on its way, and a read be stale. An attempt takes four seconds at most, and what must not be carried
/// out twice is looked at before the next one.
pub const SETTLES: SignedDuration = SignedDuration::from_secs(10);
/// How long whoever changes the desired capacity has it for itself, where it does not say before that it is done.
pub const CALL_LASTS: SignedDuration = SignedDuration::from_secs(5);

/// What a look at the desired capacity says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// None of it is ours.
    NotOurs,
    /// Our raises are in it.
    AsMeant,
    /// A change of ours is on its way. It is to be made again with this number, where there is one.
    OnItsWay {
        /// The number.
        again: Option<i32>,
    },
    /// It is not as we left it. The next look says whether it stays so.
    Doubted,
}

/// Looks at the desired capacity, and remembers what it says.
pub fn look(state: &mut Exchanges, group: &Group, now: Timestamp) -> Standing {
    let to_come = state.decrements_to_come(group);
    let Some(ours) = &mut state.capacity else {
        return Standing::NotOurs;
    };
    let wanted = ours.to + to_come;
    let is_settled = now.duration_since(ours.since) >= SETTLES;
    let is_possible = (group.min..=group.max).contains(&wanted);
    let passes_through = (ours.low..=ours.high).contains(&group.desired);
    if group.desired == wanted {
        ours.doubted = None;
        if is_settled && to_come == 0 {
            (ours.low, ours.high) = (ours.to, ours.to);
        }
        return Standing::AsMeant;
    }
    if passes_through && is_possible {
        ours.doubted = None;
        if is_settled {
            ours.since = now;
            ours.low = ours.low.min(wanted);
            ours.high = ours.high.max(wanted);
        }
        return Standing::OnItsWay {
            again: is_settled.then_some(wanted),
        };
    }
    let since = *ours.doubted.get_or_insert(now);
    if now.duration_since(since) < SETTLES {
        return Standing::Doubted;
    }
    // Somebody has set it, and nothing in it is ours to lower any more.
    state.capacity = None;
    for exchange in state.under_way.values_mut() {
        exchange.raised = false;
    }
    Standing::NotOurs
}

/// Raises what the desired capacity is to be by one, or lowers it; answers with the number to set.
pub fn change(state: &mut Exchanges, group: &Group, by: i32, now: Timestamp) -> i32 {
    let to_come = state.decrements_to_come(group);
    let ours = state.capacity.get_or_insert(Capacity {
        to: group.desired,
        low: group.desired,
        high: group.desired,
        since: now,
        doubted: None,
    });
    ours.to += by;
    let at_present = ours.to + to_come;
    ours.low = ours.low.min(ours.to);
    // Where the read was stale, no decrement is to come any more, and this is too high for a while.
    ours.high = ours.high.max(at_present);
    ours.since = now;
    at_present
}

/// The number that is to be set now, where another of our own numbers is seen.
pub fn to_set(state: &Exchanges, group: &Group) -> Option<i32> {
    let ours = state.capacity.as_ref()?;
    let wanted = meant(state, group);
    let is_possible = (group.min..=group.max).contains(&wanted);
    let is_ours = (ours.low..=ours.high).contains(&group.desired);
    (group.desired != wanted && is_possible && is_ours).then_some(wanted)
}

/// What the desired capacity is to be at present, as far as it is ours to say.
pub fn meant(state: &Exchanges, group: &Group) -> i32 {
    let to_come = state.decrements_to_come(group);
    state
        .capacity
        .as_ref()
        .map_or(group.desired, |ours| ours.to + to_come)
}
