//! When something is told about a notice: that its hand-off has begun, as soon as a function has reported that it acts, and
//! how it went, when it is over.
//!
//! A notice comes some seconds after the others have got it. Whatever is not so yet is looked for again: the next message
//! says "look now", the table says what is so.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::notice::{Cause, FollowUp, InstanceAction, Notice, Signal, Step};
use spot_handoff::report::{ActionKind, ActionLine, ActionResult, Ending, Outcome as Reported, Report};

use super::Skip;
use crate::facts::{RUN_COMMANDS, Reporter};

/// After the end of an instance: for the last reports to be written.
const LAST_REPORTS: SignedDuration = SignedDuration::from_secs(30);
/// A warning that leaves no time is over when one that leaves two minutes would be.
const NOTICE: SignedDuration = spot_handoff::notice::NOTICE;
/// Between two looks for reports that are late.
const LATE: SignedDuration = SignedDuration::from_secs(15);
/// So long late reports are waited for: whatever fails has had its five tries by then.
const NO_LATER_THAN: SignedDuration = SignedDuration::from_mins(3);
/// So long after the notice a group is waited for: longer than it is watched.
const GROUP_WITHIN: SignedDuration = SignedDuration::from_mins(45);
/// Until the first look whether somebody has begun.
const SOON: SignedDuration = SignedDuration::from_secs(3);

/// What a notice is to this function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// Why the instance goes.
    pub cause: Cause,
    /// What EC2 does to it, where it was interrupted.
    pub action: Option<InstanceAction>,
    /// When it goes, where that is known.
    pub deadline: Option<Timestamp>,
    /// What is to be looked for.
    pub asked: Asked,
}

/// What a message asks to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Both: it is the notice itself.
    All,
    /// Whether it has begun.
    Start,
    /// Whether it is over.
    End,
    /// Whether the instance, which has left its group, has ended.
    Gone,
    /// Whether its group is whole again, of which it was told that it was not.
    Whole,
}

impl Subject {
    /// What this notice is about.
    ///
    /// # Errors
    /// Where nothing is told of it: why.
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

    /// What the notice was, as reports call it.
    pub fn signal(&self) -> &'static str {
        match self.cause {
            Cause::Interruption | Cause::StateChange => Signal::INTERRUPTION_WARNING,
            Cause::Rebalance => Signal::RebalanceRecommendation.name(),
            Cause::Retirement => "scheduled-retirement",
            Cause::Termination => "terminate-lifecycle-action",
            Cause::Restart => "scheduled-restart",
        }
    }

    /// Whether the function is to act on the notice itself, and not only when another one asks it to.
    pub fn is_for(&self, function: &str) -> bool {
        match self.cause {
            Cause::Interruption | Cause::StateChange | Cause::Retirement => true,
            Cause::Rebalance => function == "replace-capacity",
            Cause::Termination => function != "replace-capacity",
            Cause::Restart => function == "drain-tasks",
        }
    }

    /// When it is over, and the last of it is reported.
    pub fn over_at(&self, notice: &Notice) -> Timestamp {
        let in_two_minutes = notice.time.saturating_add(NOTICE).unwrap_or(notice.time);
        let end = self.deadline.unwrap_or(in_two_minutes);
        end.saturating_add(LAST_REPORTS).unwrap_or(end)
    }

    /// The message that looks again.
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
    /// Nobody has by now: it is looked again at this moment.
    Awaited(Timestamp),
    /// All have said that there is nothing to do, or it is too late for anybody to act.
    Never,
}

/// Whether it has begun, by what was reported until now.
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
    // Ever more seldom: who has not begun by now is waiting for something.
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

/// Whether a report says that something was done, or tried, or is kept for a while: it is not left alone.
fn has_begun(report: &Report) -> bool {
    !report.actions.is_empty() || !report.held.is_empty()
}

/// When to look again for reports that have not come yet; `None` where nobody waits any longer.
pub fn late(notice: &Notice, subject: &Subject, now: Timestamp) -> Option<Timestamp> {
    let at = now.saturating_add(LATE).ok()?;
    let last = subject.over_at(notice).saturating_add(NO_LATER_THAN).ok()?;
    (at <= last).then_some(at)
}

/// When to look again whether the group is whole: ever more seldom. `None` where nobody waits any longer.
pub fn whole(notice: &Notice, now: Timestamp) -> Option<Timestamp> {
    let age = now.duration_since(notice.time).max(SignedDuration::ZERO);
    let at = now.saturating_add((age / 10).max(LATE)).ok()?;
    (age < GROUP_WITHIN).then_some(at)
}

/// How far a hand-off has come that has no known moment of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It is over, an exchange so.
    Over(Option<Ending>),
    /// It is not, and is looked at again at this moment.
    Awaited(Timestamp),
    /// Nobody waits for its end any longer.
    GivenUp,
    /// There was nothing to do.
    Nothing,
}

/// How often to look whether it is over.
const OFTEN: SignedDuration = SignedDuration::from_secs(30);
/// A message waits no longer.
const SELDOM: SignedDuration = SignedDuration::from_mins(15);
/// An exchange has so long: its limit, the move of the work, the end of the instance.
const EXCHANGE_WITHIN: SignedDuration = SignedDuration::from_mins(60);
/// A hook waits 48 hours at the most.
const HOOK_WITHIN: SignedDuration = SignedDuration::from_hours(49);
/// Work that is moved for a retirement is moved in the last hour before it.
const RETIRES_SOON: SignedDuration = SignedDuration::from_hours(2);

/// How far it has come, by what was reported until now.
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
        // Nothing is exchanged: the work moves at once, and the date is the end.
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
