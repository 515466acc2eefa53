//! When something is told about a notice: that its hand-off has begun, as soon as a function has reported that it acts, and
//! how it went, when it is over.
//!
//! A notice comes some seconds after the others have got it. Whatever is not so yet is looked for again: the next message
//! says "look now", the table says what is so.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::notice::{Cause, FollowUp, InstanceAction, Notice, Signal, Step};
use spot_handoff::report::{Outcome as Reported, Report};

use super::Skip;
use crate::facts::{RUN_COMMANDS, Reporter};

/// After the end of an instance: for the last reports to be written.
const LAST_REPORTS: SignedDuration = SignedDuration::from_secs(30);
/// A warning that leaves no time is over when one that leaves two minutes would be.
const NOTICE: SignedDuration = spot_handoff::notice::NOTICE;
/// Between two looks for reports that are late.
const LATE: SignedDuration = SignedDuration::from_secs(15);
/// So long late reports are waited for.
const NO_LATER_THAN: SignedDuration = SignedDuration::from_secs(60);
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
                    Step::AwaitWhole { action } => (*action, Asked::Whole),
                    _ => return Err(Skip::NoInterruption),
                };
                Ok(Self {
                    cause: *cause,
                    action,
                    deadline,
                    asked,
                })
            }
            _ => Err(Skip::NoInterruption),
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
