//! The watch over a group that lost instances to interruptions. It begins twenty seconds after a notice, unless the
//! group is already watched: then the notice joins that watch. It is over when the group is whole, or half an hour
//! after the last notice.
//!
//! An interrupted instance does not count as in service while AWS may still take it. If it did, a group could seem
//! whole because of an instance that is about to go.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::group::{Group, Lifecycle, Member};
use spot_handoff::autoscaling::groups::{GroupOf, Groups};
use spot_handoff::autoscaling::policies::{DryRun, FallbackBounds, SpotFallback};
use spot_handoff::notice::{Cause, FollowUp, InstanceAction, NOTICE, Notice, Signal, Step};
use spot_handoff::report::{GroupLine, GroupStanding};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::config::Scope;
use spot_handoff::state::group_watch::{GroupWatch, Interruption, Standing, WATCHED_FOR};

use super::Warning;
use super::fallback::{self, SetBase, Told};
use crate::facts::launches::Launches;

/// When to look first: by then AWS has begun to launch, or has failed to.
const FIRST_LOOK: SignedDuration = SignedDuration::from_secs(20);
/// The next look comes after half of the time that has passed, within these bounds. So the recorded moment at which a
/// group was whole is never wrong by more than a third, nor by more than a minute.
const SHORTEST: SignedDuration = SignedDuration::from_secs(20);
const LONGEST: SignedDuration = SignedDuration::from_mins(1);
/// A failed launch makes the next look earlier, but keeps this distance from the last look: many launches fail in a
/// row.
const AT_LEAST_BETWEEN: SignedDuration = SignedDuration::from_secs(10);
/// A delayed message comes up to this much early, since SQS takes whole seconds.
const EARLY: SignedDuration = SignedDuration::from_secs(2);
/// How long after the end of its notice an instance counts again if it is still in service: AWS has left it.
const LEFT_TO_IT: SignedDuration = SignedDuration::from_mins(1);

/// A group has to be watched because of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// Index of the notice.
    pub index: usize,
    /// When the message comes.
    pub at: Timestamp,
    /// The message.
    pub follow_up: FollowUp,
}

/// The watches for these notices: one for each interruption that makes a group of ours smaller.
///
/// The instance may already be leaving: Capacity Rebalancing, or another copy of the notice, was faster.
pub fn beginnings(notices: &[Notice], groups: &Groups, scope: Scope, now: Timestamp) -> Vec<Beginning> {
    let beginning = |(index, notice): (usize, &Notice)| {
        let terminate = InstanceAction::Terminate;
        if !matches!(&notice.signal, Signal::InterruptionWarning { action } if *action == terminate) {
            return None;
        }
        let GroupOf::Some { group, member } = groups.of_instance(&notice.instance) else {
            return None;
        };
        let counted = !matches!(member.lifecycle, Lifecycle::Standby | Lifecycle::Other);
        let is_ours = scope.admits(Some(group)).is_ok() && !DryRun::of(Some(group)).0;
        (counted && is_ours).then(|| Beginning {
            index,
            at: later(notice.time, FIRST_LOOK).max(now),
            follow_up: look(&group.name, 0, Some(later(notice.time, WATCHED_FOR))),
        })
    };
    notices.iter().enumerate().filter_map(beginning).collect()
}

/// The message of a look.
fn look(group: &str, look: u32, until: Option<Timestamp>) -> FollowUp {
    FollowUp {
        cause: Cause::Interruption,
        deadline: until,
        step: Step::WatchGroup {
            group: group.to_owned(),
            look,
        },
    }
}

/// The number of the look that a message asks for.
pub fn number(follow_up: &FollowUp) -> u32 {
    match follow_up.step {
        Step::WatchGroup { look, .. } => look,
        _ => 0,
    }
}

/// A message about a group.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The notice of the interruption that it is about.
    pub notice: &'a Notice,
    /// The number of the look.
    pub look: u32,
}

impl<'a> Asked<'a> {
    /// The group, and what is asked about it; `None` for a notice about an instance.
    pub fn of(notice: &'a Notice) -> Option<(&'a str, Self)> {
        match &notice.signal {
            Signal::FollowUp(FollowUp {
                step: Step::WatchGroup { group, look },
                ..
            }) => Some((group, Self { notice, look: *look })),
            _ => None,
        }
    }
}

/// The facts about a group at one look.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// When.
    pub now: Timestamp,
    /// The group; `None` if it was deleted.
    pub group: Result<Option<&'a Group>, &'a CallError>,
    /// What the table says.
    pub known: Result<Option<&'a GroupWatch>, &'a CallError>,
    /// How its launches went.
    pub launches: &'a Launches,
    /// Which groups are ours.
    pub scope: Scope,
    /// Whether On-Demand fills groups, how much and when.
    pub fallback: (SpotFallback, FallbackBounds),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Turn {
    /// The next look, and when it comes: sent before the item is written.
    pub next: Option<(FollowUp, Timestamp)>,
    /// The item, if it changes.
    pub item: Option<GroupWatch>,
    /// The base to set, once the item is written.
    pub set: Option<SetBase>,
    /// How the group stands, if this is known now.
    pub told: Option<Standing>,
    /// The news about its mixture.
    pub told_of_mixture: Option<Told>,
    /// What was not known.
    pub warnings: Vec<Warning>,
    /// Why the message has to come back.
    pub problem: Option<String>,
}

/// Decides about the watch over one group, from all messages about it in a batch.
pub fn next(name: &str, asked: &[Asked<'_>], seen: &Seen<'_>) -> Turn {
    let mut turn = Turn::default();
    let Some((mut watch, is_due)) = joined(name, asked, seen) else {
        return turn;
    };
    if let Err(error) = seen.known {
        let (group, error) = (name.to_owned(), error.to_string());
        turn.warnings.push(Warning::WatchUnread { group, error });
    }
    if !is_due {
        return turn;
    }
    let now = seen.now;
    let is_late = later(now, EARLY) >= watch.until;
    watch.looked_at = Some(now);
    let was_over = watch.standing.is_over();
    let since = watch.since();
    watch.failing = seen.launches.failing(since);
    let mut fallback_looks_at = None;
    match seen.group {
        Err(error) if is_late && !was_over => {
            turn.problem = Some(error.to_string());
            return turn;
        }
        Err(error) => {
            let (group, error) = (name.to_owned(), error.to_string());
            turn.warnings.push(Warning::GroupUnread { group, error });
            fallback_looks_at = Some(later(now, LONGEST));
        }
        Ok(None) => {
            watch.standing = Standing::Gone;
            watch.fallback = None;
        }
        Ok(Some(group)) => {
            if !was_over {
                watch.standing = standing(&watch, group, now, is_late);
            }
            // Nothing is done that was not written first.
            if seen.known.is_ok() {
                fallback_looks_at = turn.mix(&mut watch, group, seen);
            }
        }
    }
    if watch.standing.is_over() && !was_over {
        turn.told = Some(watch.standing.clone());
    }
    if watch.goes_on() {
        let of_watch = (!watch.standing.is_over()).then(|| later(now, pause(&watch, now)).min(watch.until));
        let at = of_watch.into_iter().chain(fallback_looks_at).min();
        let at = at.unwrap_or_else(|| later(now, LONGEST));
        watch.next_look = at;
        turn.next = Some((look(name, watch.look + 1, of_watch.map(|_| watch.until)), at));
    }
    watch.look += 1;
    // If the item could not be read, it cannot be written.
    turn.item = seen.known.is_ok().then_some(watch);
    turn
}

impl Turn {
    /// Decides about the mixture of the group. Returns when to look again because of it.
    fn mix(&mut self, watch: &mut GroupWatch, group: &Group, seen: &Seen<'_>) -> Option<Timestamp> {
        let (policy, bounds) = seen.fallback;
        let name = || group.name.clone();
        let is_ours = seen.scope.admits(Some(group)).is_ok() && !DryRun::of(Some(group)).0;
        let (is_allowed, unknown) = policy.of(group);
        let step = fallback::next(
            watch.fallback.as_ref(),
            &fallback::Seen {
                now: seen.now,
                group,
                short_of: short_of(watch, group, seen.now),
                is_allowed: is_allowed && is_ours,
                bounds,
                launches: seen.launches,
                since: watch.since(),
            },
        );
        let is_short = matches!(watch.standing, Standing::Short { .. });
        match step.told {
            // Once, together with how the group stands.
            Some(Told::CannotMix) if is_short => self.warnings.push(Warning::CannotMix { group: name() }),
            Some(Told::CannotMix) => {}
            told => self.told_of_mixture = told,
        }
        if is_short {
            self.warnings.extend(unknown.map(Warning::UnknownPolicy));
        }
        if is_short && policy.is_forbidden(group) {
            self.warnings.push(Warning::FallbackForbidden { group: name() });
        }
        watch.fallback = step.fallback;
        self.set = step.set;
        step.look_at
    }
}

/// The watch with all that the messages ask for, and whether it is time to look; `None` if they ask for nothing.
fn joined(name: &str, asked: &[Asked<'_>], seen: &Seen<'_>) -> Option<(GroupWatch, bool)> {
    let mut watch = seen.known.ok().flatten().cloned();
    let mut is_due = false;
    for one in asked {
        let interruption = Interruption::of(one.notice);
        watch = Some(match watch {
            None => {
                is_due = true;
                let begun = GroupWatch::begun(name, interruption, seen.now);
                GroupWatch {
                    look: one.look,
                    ..begun
                }
            }
            // The next look of the chain.
            Some(mut watch) if watch.goes_on() && one.look > 0 && one.look >= watch.look => {
                is_due = true;
                watch.look = one.look;
                if !watch.standing.is_over() {
                    watch.join(interruption);
                }
                watch
            }
            // The message came twice or late.
            Some(watch) if watch.standing.is_over() && knows(&watch, &interruption) => watch,
            Some(watch) if watch.standing.is_over() => {
                is_due = true;
                watch.anew(interruption, seen.now)
            }
            Some(mut watch) => {
                is_due |= watch.join(interruption);
                watch
            }
        });
    }
    watch.map(|watch| (watch, is_due))
}

fn knows(watch: &GroupWatch, interruption: &Interruption) -> bool {
    let standing = watch.standing_of(&interruption.event_id, &interruption.instance);
    standing.is_some()
}

fn standing(watch: &GroupWatch, group: &Group, now: Timestamp, is_late: bool) -> Standing {
    let after_seconds = seconds_since(watch.since(), now);
    match (short_of(watch, group, now), is_late) {
        (0, _) => Standing::Whole { after_seconds },
        (short_of, false) => Standing::Looking {
            short_of: Some(short_of),
        },
        (short_of, true) => {
            let failure = watch.failing.as_ref().map(|failing| failing.last.clone());
            let advice = match &failure {
                Some(failure) => failure.trouble.advice().to_owned(),
                None => without_failure(group),
            };
            Standing::Short {
                short_of,
                after_seconds,
                failure,
                advice,
            }
        }
    }
}

/// How much the group lacks, in units of its capacity.
pub fn short_of(watch: &GroupWatch, group: &Group, now: Timestamp) -> u32 {
    let is_doomed = |member: &Member| {
        let mut interruptions = watch.interruptions.iter();
        interruptions
            .any(|one| one.instance == member.id && now < later(later(one.noticed, NOTICE), LEFT_TO_IT))
    };
    let weight = |member: &Member| group.weights.get(&member.id).copied().unwrap_or(1);
    let serves = |member: &&Member| {
        let is_healthy = !group.unhealthy.contains(&member.id);
        member.lifecycle == Lifecycle::InService && is_healthy && !is_doomed(member)
    };
    let serving: u32 = group.instances.iter().filter(serves).map(weight).sum();
    u32::try_from(group.desired).unwrap_or(0).saturating_sub(serving)
}

/// What to do about a group that lacks capacity although no launch has failed.
fn without_failure(group: &Group) -> String {
    let is_coming = |member: &Member| member.lifecycle == Lifecycle::Pending;
    let name = &group.name;
    if group.suspended.contains("Launch") {
        format!(
            "its process Launch is suspended: aws autoscaling resume-processes --auto-scaling-group-name {name} \
             --scaling-processes Launch"
        )
    } else if group.instances.iter().any(is_coming) {
        "instances are launched and do not come into service: look at the launch lifecycle hooks of the group"
            .to_owned()
    } else if !group.unhealthy.is_empty() {
        "instances in service are unhealthy: look at the health checks of the group".to_owned()
    } else {
        format!(
            "no launch has failed: look at its activity history: aws autoscaling describe-scaling-activities \
             --auto-scaling-group-name {name}"
        )
    }
}

/// Half of the time since the last notice.
fn pause(watch: &GroupWatch, now: Timestamp) -> SignedDuration {
    let last = watch.interruptions.iter().map(|one| one.noticed).max();
    let passed = now.duration_since(last.unwrap_or(now));
    (passed / 2).clamp(SHORTEST, LONGEST)
}

/// The look that a failed launch makes earlier. `None` if nobody watches the group, if it is known that launches fail,
/// or if the next look is just as near.
pub fn brought_forward(watch: &GroupWatch, now: Timestamp) -> Option<(Notice, FollowUp, Timestamp)> {
    let is_trial = watch.fallback.as_ref().is_some_and(|fallback| fallback.is_trial);
    let is_news = watch.failing.is_none() || is_trial;
    if !watch.goes_on() || !is_news {
        return None;
    }
    let first = watch.interruptions.first()?;
    let soonest = watch.looked_at.map_or(now, |at| later(at, AT_LEAST_BETWEEN));
    let at = soonest.max(now);
    let notice = Notice {
        event_id: first.event_id.clone(),
        instance: first.instance.clone(),
        time: first.noticed,
        signal: Signal::InterruptionWarning {
            action: InstanceAction::Terminate,
        },
        ends: None,
        drill: None,
    };
    let until = (!watch.standing.is_over()).then_some(watch.until);
    let follow_up = look(&watch.group, watch.look, until);
    (later(at, EARLY) < watch.next_look).then_some((notice, follow_up, at))
}

/// What a report says about a group.
pub fn line(group: &str, standing: &Standing) -> Option<GroupLine> {
    let (is, after_seconds, short_of) = match standing {
        Standing::Looking { .. } => return None,
        Standing::Whole { after_seconds } => (GroupStanding::Whole, Some(*after_seconds), None),
        Standing::Short {
            short_of,
            after_seconds,
            ..
        } => (GroupStanding::Short, Some(*after_seconds), Some(*short_of)),
        Standing::Gone => (GroupStanding::Gone, None, None),
    };
    Some(GroupLine {
        group: group.to_owned(),
        standing: is,
        after_seconds,
        short_of,
        detail: standing.to_string(),
    })
}

/// What a report says about the mixture of a group.
pub fn line_of_mixture(group: &str, told: &Told) -> Option<GroupLine> {
    let (is, short_of, after_seconds, detail) = match told {
        Told::CannotMix => return None,
        Told::Filled {
            extra,
            base,
            failed_for,
        } => (
            GroupStanding::FilledOnDemand,
            None,
            None,
            format!(
                "gets {extra} of its capacity from On-Demand, since launches of Spot have failed for {failed_for} s: \
                 OnDemandBaseCapacity goes from {} to {}. It costs the On-Demand price until Spot launches again, which is \
                 tried every 15 minutes",
                base.from, base.to
            ),
        ),
        Told::Back { base, after } => (
            GroupStanding::BackOnSpot,
            None,
            u32::try_from(*after).ok(),
            format!("is back on Spot after {after} s: OnDemandBaseCapacity is {base} again"),
        ),
        Told::Overruled { found, set } => (
            GroupStanding::LeftToOthers,
            None,
            None,
            match found {
                Some(found) => format!(
                    "has the OnDemandBaseCapacity {found}, which somebody else has set in place of our {set}: it stays"
                ),
                None => "has no mixed instances policy any more: it stays like this".to_owned(),
            },
        ),
        Told::NotTaken { set } => (
            GroupStanding::NotChanged,
            None,
            None,
            format!("did not take the OnDemandBaseCapacity {set}: it stays as it is, look at it by hand"),
        ),
    };
    Some(GroupLine {
        group: group.to_owned(),
        standing: is,
        after_seconds,
        short_of,
        detail,
    })
}

fn later(moment: Timestamp, span: SignedDuration) -> Timestamp {
    moment.saturating_add(span).unwrap_or(moment)
}

fn seconds_since(earlier: Timestamp, now: Timestamp) -> u32 {
    u32::try_from(now.duration_since(earlier).as_secs()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
