//! On-Demand while Spot has no capacity, and the way back: how much of a group's mixture we have changed, step by step.
//!
//! | so far | seen | step |
//! |---|---|---|
//! | nothing | launches of Spot have failed for as long as the policy says, and the group lacks capacity | the On-Demand base goes up by what is missing, within its bound |
//! | asked for | the group has the new base | it counts as seen |
//! | | the group has the earlier base | asked again |
//! | seen | more is missing, and Spot still fails | up again, within its bound |
//! | seen | a Spot launch has succeeded, or a quarter of an hour has passed | half of the way down: a trial |
//! | trial | a launch has succeeded since, and nothing is missing | the next half of the way down; at the end it is over |
//! | trial | a launch has failed since | up again; the next trial is in a quarter of an hour |
//! | any | the group has another base | somebody else has set it: it stays, and the fallback is over |
//! | any | the policy does not allow it any more | all of the way down |
//!
//! If there is too much of one kind, Auto Scaling replaces it by itself, new before old. So the group stays whole
//! meanwhile.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::group::{Distribution, Group, Lifecycle};
use spot_handoff::autoscaling::policies::FallbackBounds;
use spot_handoff::state::group_watch::Fallback;

use crate::facts::launches::Launches;

/// How often to try Spot again.
const TRIED_EVERY: SignedDuration = SignedDuration::from_mins(15);
/// How soon to look whether a step has taken effect.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(20);
/// How soon to look again while nothing is under way.
const LOOK_SELDOM: SignedDuration = SignedDuration::from_mins(5);
/// If nothing was launched for this long after a trial, there was nothing to replace.
const NOTHING_TO_REPLACE: SignedDuration = SignedDuration::from_mins(5);
/// How long to repeat a raise that does not take effect. The next constant is for a step down.
const RAISE_TRIED_FOR: SignedDuration = SignedDuration::from_mins(5);
const LOWER_TRIED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// A delayed message comes up to this much early, since SQS takes whole seconds.
const EARLY: SignedDuration = SignedDuration::from_secs(2);

/// The facts about a group.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// When.
    pub now: Timestamp,
    /// The group.
    pub group: &'a Group,
    /// How much it lacks.
    pub short_of: u32,
    /// Whether the group's policy allows On-Demand.
    pub is_allowed: bool,
    /// How much On-Demand, and when.
    pub bounds: FallbackBounds,
    /// How launches went.
    pub launches: &'a Launches,
    /// From when on launches count.
    pub since: Timestamp,
}

/// Setting the On-Demand base of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SetBase {
    /// The base before.
    pub from: u32,
    /// The base after.
    pub to: u32,
}

/// What the report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// On-Demand fills the group.
    Filled {
        /// How much more of the group is On-Demand than before.
        extra: u32,
        /// The step.
        base: SetBase,
        /// How many seconds launches of Spot had failed.
        failed_for: i64,
    },
    /// The group is back to its earlier base.
    Back {
        /// The base.
        base: u32,
        /// After how many seconds.
        after: i64,
    },
    /// Somebody else has set another base.
    Overruled {
        /// The base that the group has; `None` if it cannot mix any more.
        found: Option<u32>,
        /// What we had set.
        set: u32,
    },
    /// Our change never took effect.
    NotTaken {
        /// The base that we asked for.
        set: u32,
    },
    /// The group has no mixed instances policy, so it cannot mix.
    CannotMix,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// Our change after this step.
    pub fallback: Option<Fallback>,
    /// The base to set, once this is written to the table.
    pub set: Option<SetBase>,
    /// When to look again at the latest.
    pub look_at: Option<Timestamp>,
    /// What the report says.
    pub told: Option<Told>,
}

/// Decides the next step.
pub fn next(fallback: Option<&Fallback>, seen: &Seen<'_>) -> Step {
    match fallback {
        None => begin(seen),
        Some(fallback) => go_on(fallback, seen),
    }
}

fn begin(seen: &Seen<'_>) -> Step {
    let failing = seen.launches.failing(seen.since);
    let Some(failing) = failing.filter(|failing| failing.last.trouble.is_of_spot()) else {
        return Step::default();
    };
    if !seen.is_allowed || seen.short_of == 0 {
        return Step::default();
    }
    let Some(distribution) = seen.group.distribution else {
        return Step {
            told: Some(Told::CannotMix),
            ..Step::default()
        };
    };
    let due = later(failing.since, seen.bounds.after);
    if later(seen.now, EARLY) < due {
        return Step {
            look_at: Some(due),
            ..Step::default()
        };
    }
    let Some(to) = raised(seen, distribution, 0) else {
        return Step::default();
    };
    let fallback = Fallback {
        before: distribution.base,
        from: distribution.base,
        set: to,
        asked_at: seen.now,
        seen: false,
        since: seen.now,
        raised_at: seen.now,
        is_trial: false,
        next_trial: later(seen.now, TRIED_EVERY),
    };
    let failed_for = seen.now.duration_since(failing.since).as_secs();
    asked(fallback, seen, Some(failed_for))
}

/// A base that makes On-Demand of what is missing, as far as the bound allows; `used` of the bound is already used.
fn raised(seen: &Seen<'_>, now: Distribution, used: u32) -> Option<u32> {
    let desired = u32::try_from(seen.group.desired).unwrap_or(0);
    let left = seen.bounds.most(desired).saturating_sub(used);
    let wanted = now.on_demand(desired) + seen.short_of.min(left);
    let with = |base| Distribution { base, ..now }.on_demand(desired);
    let base = (now.base..=desired).find(|base| with(*base) >= wanted)?;
    (base > now.base).then_some(base)
}

fn asked(fallback: Fallback, seen: &Seen<'_>, failed_for: Option<i64>) -> Step {
    let base = SetBase {
        from: fallback.from,
        to: fallback.set,
    };
    let told = failed_for.map(|failed_for| Told::Filled {
        extra: extra(&fallback, seen),
        base,
        failed_for,
    });
    Step {
        fallback: Some(fallback),
        set: Some(base),
        look_at: Some(later(seen.now, LOOK_AGAIN)),
        told,
    }
}

/// How much more of the group is On-Demand because of us.
fn extra(fallback: &Fallback, seen: &Seen<'_>) -> u32 {
    let desired = u32::try_from(seen.group.desired).unwrap_or(0);
    let percent_above = seen.group.distribution.map_or(0, |now| now.percent_above);
    let with = |base| Distribution { base, percent_above }.on_demand(desired);
    with(fallback.set).saturating_sub(with(fallback.before))
}

fn go_on(fallback: &Fallback, seen: &Seen<'_>) -> Step {
    let found = seen.group.distribution.map(|now| now.base);
    let mut fallback = fallback.clone();
    if found == Some(fallback.set) {
        fallback.seen = true;
        return from_here(fallback, seen);
    }
    if found == Some(fallback.from) && !fallback.seen {
        return ask_again(fallback, seen);
    }
    Step {
        told: Some(Told::Overruled {
            found,
            set: fallback.set,
        }),
        ..Step::default()
    }
}

fn ask_again(fallback: Fallback, seen: &Seen<'_>) -> Step {
    let passed = seen.now.duration_since(fallback.asked_at);
    let limit = if fallback.set > fallback.from {
        RAISE_TRIED_FOR
    } else {
        LOWER_TRIED_FOR
    };
    if passed >= limit {
        return Step {
            told: Some(Told::NotTaken { set: fallback.set }),
            ..Step::default()
        };
    }
    let pause = (passed / 2).clamp(LOOK_AGAIN, LOOK_SELDOM);
    Step {
        look_at: Some(later(seen.now, pause)),
        ..asked(fallback, seen, None)
    }
}

/// The next step if the group has the base that we asked for last.
fn from_here(fallback: Fallback, seen: &Seen<'_>) -> Step {
    let is_down = fallback.set <= fallback.before;
    if !seen.is_allowed && !is_down {
        let to = fallback.before;
        return lower(fallback, seen, to, false);
    }
    if fallback.is_trial {
        return of_trial(fallback, seen);
    }
    if is_down {
        return over(&fallback, seen);
    }
    if let Some(step) = raise_again(&fallback, seen) {
        return step;
    }
    let launched = seen.launches.succeeded(fallback.raised_at);
    let spot_is_back = launched > extra(&fallback, seen) as usize;
    if spot_is_back || later(seen.now, EARLY) >= fallback.next_trial {
        let to = fallback.before + fallback.extra() / 2;
        return lower(fallback, seen, to, true);
    }
    let at = later(seen.now, LOOK_SELDOM).min(fallback.next_trial);
    Step {
        look_at: Some(at),
        fallback: Some(fallback),
        ..Step::default()
    }
}

fn raise_again(fallback: &Fallback, seen: &Seen<'_>) -> Option<Step> {
    let failing = seen.launches.failing(fallback.asked_at)?;
    let is_due = later(seen.now, EARLY) >= later(failing.since, seen.bounds.after);
    if seen.short_of == 0 || !failing.last.trouble.is_of_spot() || !is_due {
        return None;
    }
    let to = raised(seen, seen.group.distribution?, extra(fallback, seen))?;
    let failed_for = seen.now.duration_since(failing.since).as_secs();
    let next = Fallback {
        from: fallback.set,
        set: to,
        asked_at: seen.now,
        raised_at: seen.now,
        seen: false,
        next_trial: later(seen.now, TRIED_EVERY),
        ..fallback.clone()
    };
    Some(asked(next, seen, Some(failed_for)))
}

fn lower(fallback: Fallback, seen: &Seen<'_>, to: u32, is_trial: bool) -> Step {
    let next = Fallback {
        from: fallback.set,
        set: to,
        asked_at: seen.now,
        seen: false,
        is_trial,
        ..fallback
    };
    asked(next, seen, None)
}

fn of_trial(fallback: Fallback, seen: &Seen<'_>) -> Step {
    let now = seen.now;
    if seen.launches.failing(fallback.asked_at).is_some() {
        // What the group has too much of stays in service until there is Spot capacity. But the next instance that is
        // lost would not be replaced.
        let back = Fallback {
            from: fallback.set,
            set: fallback.from,
            asked_at: now,
            seen: false,
            is_trial: false,
            next_trial: later(now, TRIED_EVERY),
            ..fallback
        };
        return asked(back, seen, None);
    }
    let mut members = seen.group.instances.iter();
    let is_launching = members.any(|member| member.lifecycle == Lifecycle::Pending);
    let has_launched = seen.launches.succeeded(fallback.asked_at) > 0;
    let is_settled = seen.short_of == 0 && !is_launching;
    let has_nothing_to_replace = now.duration_since(fallback.asked_at) >= NOTHING_TO_REPLACE;
    if is_settled && (has_launched || has_nothing_to_replace) {
        if fallback.set <= fallback.before {
            return over(&fallback, seen);
        }
        let to = fallback.before + fallback.extra() / 2;
        return lower(fallback, seen, to, true);
    }
    Step {
        look_at: Some(later(now, LOOK_AGAIN)),
        fallback: Some(fallback),
        ..Step::default()
    }
}

fn over(fallback: &Fallback, seen: &Seen<'_>) -> Step {
    Step {
        told: Some(Told::Back {
            base: fallback.before,
            after: seen.now.duration_since(fallback.since).as_secs(),
        }),
        ..Step::default()
    }
}

fn later(moment: Timestamp, span: SignedDuration) -> Timestamp {
    moment.saturating_add(span).unwrap_or(moment)
}

#[cfg(test)]
mod tests;
