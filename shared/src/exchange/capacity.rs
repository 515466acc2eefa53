//! Which part of a group's desired capacity is ours.
//!
//! The desired capacity is one number that anybody may set, and Auto Scaling has no conditional update for it. So the
//! item in the table says what the number should be with our raises in it. Each change is first written there. Then it
//! is made: as an absolute number, or by a termination with decrement. Every look compares what the group shows:
//!
//! | it shows | it means |
//! |---|---|
//! | what it should be | our raises are in it |
//! | a value that our own recent changes pass through | a call is on its way, or was lost: it is made again |
//! | anything else, at two looks | somebody else has set it: that number stands, and we lower no raise any more |
//!
//! If two calls overlap, they may arrive in the wrong order. Auto Scaling would then terminate any instance to reach
//! the lower number. So only one invocation sets the number at a time ([`Exchanges::setting_until`]). Others only write
//! what it should be. When the call is over, the first invocation sees what they wrote, and sets that as well.

use jiff::{SignedDuration, Timestamp};

use super::state::{Capacity, Exchanges};
use crate::autoscaling::groups::Group;

/// How long a call may be on its way, and how long a read may be stale. An attempt takes four seconds at most. If a
/// call must not be made twice, there is a look before the next attempt.
pub const SETTLES: SignedDuration = SignedDuration::from_secs(10);
/// How long an invocation that sets the desired capacity has it for itself, unless it says earlier that it is done.
pub const CALL_LASTS: SignedDuration = SignedDuration::from_secs(5);

/// What a look at the desired capacity says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// None of it is ours.
    NotOurs,
    /// Our raises are in it.
    AsMeant,
    /// A change of ours is on its way.
    OnItsWay {
        /// Set this number again; `None` if nothing is to be set.
        again: Option<i32>,
    },
    /// It is not as we left it. The next look shows whether it stays so.
    Doubted,
}

/// Looks at the desired capacity, and remembers the result.
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
    // Somebody else has set it, and we may not lower it any more.
    state.capacity = None;
    for exchange in state.under_way.values_mut() {
        exchange.raised = false;
    }
    Standing::NotOurs
}

/// Raises or lowers the number that the desired capacity should be, by `by`. Returns the number to set.
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
    // If the read was stale, no decrement is to come any more, and this is too high for a while.
    ours.high = ours.high.max(at_present);
    ours.since = now;
    at_present
}

/// The number to set now, if the group shows another of our own numbers.
pub fn to_set(state: &Exchanges, group: &Group) -> Option<i32> {
    let ours = state.capacity.as_ref()?;
    let wanted = meant(state, group);
    let is_possible = (group.min..=group.max).contains(&wanted);
    let is_ours = (ours.low..=ours.high).contains(&group.desired);
    (group.desired != wanted && is_possible && is_ours).then_some(wanted)
}

/// What the desired capacity should be at present, as far as we may say.
pub fn meant(state: &Exchanges, group: &Group) -> i32 {
    let to_come = state.decrements_to_come(group);
    state
        .capacity
        .as_ref()
        .map_or(group.desired, |ours| ours.to + to_come)
}
