//! When to announce something about a notice: that its hand-off has begun, as soon as a function reports that it acts;
//! and how it went, when it is over.
//!
//! A notice comes some seconds after the other functions have got it. If something has not happened yet, there is
//! another look: the next message says "look now", and the facts are in the table.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::notice::{Cause, FollowUp, InstanceAction, Notice, Signal, Step};
use spot_handoff::report::{ActionKind, ActionLine, ActionResult, Ending, Outcome as Reported, Report};

use super::Skip;
use crate::facts::{RUN_COMMANDS, Reporter};

/// Time after the end of an instance for the last reports.
const LAST_REPORTS: SignedDuration = SignedDuration::from_secs(30);
/// A warning that leaves no time is over when a warning with two minutes would be.
const NOTICE: SignedDuration = spot_handoff::notice::NOTICE;
/// The time between two looks for late reports.
const LATE: SignedDuration = SignedDuration::from_secs(15);
/// How long to wait for late reports: by then, anything that fails has had its five tries.
const NO_LATER_THAN: SignedDuration = SignedDuration::from_mins(3);
/// How long after the notice to wait for a group: longer than it is watched.
const GROUP_WITHIN: SignedDuration = SignedDuration::from_mins(45);
/// The time until the first look whether a function has begun.
const SOON: SignedDuration = SignedDuration::from_secs(3);

/// What a notice means for this function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// Why the instance goes.
    pub cause: Cause,
    /// What EC2 does to it, if it was interrupted.
    pub action: Option<InstanceAction>,
    /// When it goes, if this is known.
    pub deadline: Option<Timestamp>,
    /// What to look for.
    pub asked: Asked,
}

/// What a message asks to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Everything: it is the notice itself.
    All,
    /// Whether the hand-off has begun.
    Start,
    /// Whether the hand-off is over.
    End,
    /// Whether the instance, which has left its group, has ended.
    Gone,
    /// Whether its group is whole again, after an announcement that it was not.
    Whole,
}

impl Subject {
    /// What this notice is about.
    ///
    /// # Errors
    /// The reason, if nothing is announced about it.
    pub fn of(notice: &Notice) -> Result<Self, Skip> {
        let deadline = notice.deadline();
        match &notice.signal {
            Signal::InterruptionWarning { action } => Ok(Self {
                cause: Cause::Interruption,
                action: Some(*action),
                deadline,
                asked: Asked::All,
            }),
            Signal::FollowUp(FollowUp { cause, step, .. }) => {
                let (action, asked) = match step {
                    Step::AwaitStart { action } => (Some(*action), Asked::Start),
                    Step::AwaitEnd { action } => (*action, Asked::End),
                    Step::AwaitGone { action } => (Some(*action), Asked::Gone),
                    Step::AwaitWhole { action } => (*action, Asked::Whole),
                    _ => return Err(Skip::NotAnnounced),
                };
                Ok(Self {
                    cause: *cause,
                    action,
                    deadline,
                    asked,
                })
            }
            Signal::RebalanceRecommendation => Ok(Self::of_cause(Cause::Rebalance, deadline)),
            Signal::ScheduledRetirement { .. } => Ok(Self::of_cause(Cause::Retirement, deadline)),
            Signal::TerminateLifecycleAction(_) => Ok(Self::of_cause(Cause::Termination, deadline)),
            // An instance survives a restart, and keeps its work.
            Signal::StateChange { .. } | Signal::Returned | Signal::ScheduledRestart(_) => {
                Err(Skip::NotAnnounced)
            }
        }
    }

    fn of_cause(cause: Cause, deadline: Option<Timestamp>) -> Self {
        Self {
            cause,
            action: None,
            deadline,
            asked: Asked::All,
        }
    }

    /// Whether an interruption warning has come for the instance.
    pub fn is_interrupted(&self) -> bool {
        matches!(self.cause, Cause::Interruption | Cause::StateChange)
    }

    /// The kind of notice, as in reports.
    pub fn signal(&self) -> &'static str {
        match self.cause {
            Cause::Interruption | Cause::StateChange => Signal::INTERRUPTION_WARNING,
            Cause::Rebalance => Signal::RebalanceRecommendation.name(),
            Cause::Retirement => "scheduled-retirement",
            Cause::Termination => "terminate-lifecycle-action",
            Cause::Restart => "scheduled-restart",
        }
    }

    /// Whether the function should act on the notice itself, and not only when another function asks it to.
    pub fn is_for(&self, function: &str) -> bool {
        match self.cause {
            Cause::Interruption | Cause::StateChange | Cause::Retirement => true,
            Cause::Rebalance => function == "replace-capacity",
            Cause::Termination => function != "replace-capacity",
            Cause::Restart => function == "drain-tasks",
        }
    }

    /// When it is over, and the last reports are written.
    pub fn over_at(&self, notice: &Notice) -> Timestamp {
        let in_two_minutes = notice.time.saturating_add(NOTICE).unwrap_or(notice.time);
        let end = self.deadline.unwrap_or(in_two_minutes);
        end.saturating_add(LAST_REPORTS).unwrap_or(end)
    }

    /// The message for another look.
    pub fn look_again(&self, step: Step) -> FollowUp {
        FollowUp {
            cause: self.cause,
            deadline: self.deadline,
            step,
        }
    }
}

/// Whether a hand-off has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// These functions have begun.
    Begun(Vec<&'static str>),
    /// No function has begun yet: look again at this moment.
    Awaited(Timestamp),
    /// All have reported that there is nothing to do, or it is too late to act.
    Never,
}

/// Whether it has begun, according to the reports so far.
pub fn start(
    notice: &Notice,
    subject: &Subject,
    found: &[(&Reporter, Vec<&Report>)],
    now: Timestamp,
) -> Start {
    let begun: Vec<&'static str> = found
        .iter()
        .filter(|(_, reports)| reports.iter().any(|report| has_begun(report)))
        .map(|(reporter, _)| reporter.function)
        .collect();
    if !begun.is_empty() {
        return Start::Begun(begun);
    }
    let mut hands_off = found
        .iter()
        .filter(|(reporter, _)| reporter.function != RUN_COMMANDS);
    let is_idle = |report: &&Report| report.outcome == Reported::NothingToDo;
    if hands_off.all(|(_, reports)| reports.last().is_some_and(is_idle)) {
        return Start::Never;
    }
    // Less and less often: a function that has not begun by now is waiting for something.
    let age = now.duration_since(notice.time).max(SignedDuration::ZERO);
    let at = now.saturating_add((age / 2).max(SOON)).unwrap_or(now);
    let ends = subject
        .over_at(notice)
        .saturating_sub(LAST_REPORTS)
        .unwrap_or(now);
    if at < ends {
        Start::Awaited(at)
    } else {
        Start::Never
    }
}

/// Whether a report says that something was done, tried, or held for a while. Then the instance is not left alone.
fn has_begun(report: &Report) -> bool {
    !report.actions.is_empty() || !report.held.is_empty()
}

/// When to look again for late reports; `None` if nobody waits any longer.
pub fn late(notice: &Notice, subject: &Subject, now: Timestamp) -> Option<Timestamp> {
    let at = now.saturating_add(LATE).ok()?;
    let last = subject.over_at(notice).saturating_add(NO_LATER_THAN).ok()?;
    (at <= last).then_some(at)
}

/// When to look again whether the group is whole: less and less often. `None` if nobody waits any longer.
pub fn whole(notice: &Notice, now: Timestamp) -> Option<Timestamp> {
    let age = now.duration_since(notice.time).max(SignedDuration::ZERO);
    let at = now.saturating_add((age / 10).max(LATE)).ok()?;
    (age < GROUP_WITHIN).then_some(at)
}

/// The progress of a hand-off whose end has no known moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It is over; an exchange ended like this.
    Over(Option<Ending>),
    /// It is not over: look again at this moment.
    Awaited(Timestamp),
    /// Nobody waits for its end any longer.
    GivenUp,
    /// There was nothing to do.
    Nothing,
}

/// How often to look whether it is over.
const OFTEN: SignedDuration = SignedDuration::from_secs(30);
/// A message cannot be delayed for longer.
const SELDOM: SignedDuration = SignedDuration::from_mins(15);
/// The time for an exchange: its limit, moving the work, the end of the instance.
const EXCHANGE_WITHIN: SignedDuration = SignedDuration::from_mins(60);
/// A hook waits 48 hours at most.
const HOOK_WITHIN: SignedDuration = SignedDuration::from_hours(49);
/// For a retirement, work is moved in the last hour before it.
const RETIRES_SOON: SignedDuration = SignedDuration::from_hours(2);

/// The progress, according to the reports so far.
pub fn progress(
    notice: &Notice,
    subject: &Subject,
    found: &[(&Reporter, Vec<&Report>)],
    now: Timestamp,
) -> Progress {
    let of = |function: &str| -> &[&Report] {
        let mut all = found.iter();
        all.find(|(reporter, _)| reporter.function == function)
            .map_or(&[], |(_, reports)| reports.as_slice())
    };
    let ending = of("replace-capacity")
        .iter()
        .rev()
        .find_map(|report| report.ending);
    if ending.is_some() {
        return Progress::Over(ending);
    }
    let is_planned = |report: &&Report| report.dry_run && report.outcome == Reported::Planned;
    let mut expected = found
        .iter()
        .filter(|(reporter, _)| reporter.function != RUN_COMMANDS && subject.is_for(reporter.function));
    let all_have = expected.clone().all(|(_, reports)| !reports.is_empty());
    let is_idle = |report: &&Report| report.outcome == Reported::NothingToDo;
    if expected.all(|(_, reports)| !reports.is_empty() && reports.iter().all(is_idle)) {
        return Progress::Nothing;
    }
    let mut reports = found.iter().flat_map(|(_, reports)| reports);
    if all_have && reports.any(is_planned) {
        return Progress::Over(None);
    }
    let age = now.duration_since(notice.time).max(SignedDuration::ZERO);
    let exchanges = of("replace-capacity").iter().any(|report| has_begun(report));
    let within = match subject.cause {
        Cause::Termination => {
            let is_let_go = |line: &ActionLine| {
                let kind = matches!(
                    line.action,
                    ActionKind::CompleteLifecycleAction | ActionKind::AbandonLifecycleAction
                );
                kind && matches!(line.result, ActionResult::Done | ActionResult::AlreadyDone)
            };
            let drains = of("drain-tasks");
            let lets_go = drains.iter().flat_map(|report| &report.actions).any(is_let_go);
            if lets_go || (!drains.is_empty() && drains.iter().all(is_idle)) {
                return Progress::Over(None);
            }
            HOOK_WITHIN
        }
        // There is no exchange: the work moves at once, and the date is the end.
        Cause::Retirement if all_have && !exchanges => {
            let over = subject.over_at(notice);
            if over <= now {
                return Progress::Over(None);
            }
            if over.duration_since(now) > RETIRES_SOON {
                return Progress::Nothing;
            }
            return Progress::Awaited(over.min(now.saturating_add(SELDOM).unwrap_or(over)));
        }
        _ => EXCHANGE_WITHIN,
    };
    if age > within {
        return Progress::GivenUp;
    }
    let wait = (age / 4).clamp(OFTEN, SELDOM);
    Progress::Awaited(now.saturating_add(wait).unwrap_or(now))
}
