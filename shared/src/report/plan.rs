//! Plans as values: what a function will do about one notice, what it leaves alone, and why.
//!
//! Every function has three enums: actions, reasons to skip, and warnings. This module turns them into text, and only
//! when the text is written. A dry run prints the plan, tests compare it, effects carry it out.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use jiff::Timestamp;

use crate::notice::Notice;
use crate::report::{
    ActionKind, ActionLine, ActionResult, Ending, GroupLine, HeldLine, Outcome, REPORT_MARKER, Report,
    ScriptLine, SkippedLine, TaskLine, Work,
};
use crate::runtime::clock::Clock;
use crate::runtime::invocation::Invocation;

/// An action of a plan. Actions are comparable, so that two notices that ask for the same action cause it once.
pub trait Action: Clone + Eq + Hash {
    /// What it is, what it is done to, and the particulars.
    fn describe(&self) -> (ActionKind, String, String);

    /// The Auto Scaling group that it changes.
    fn group(&self) -> Option<&str> {
        None
    }

    /// Whether it makes Auto Scaling launch a replacement. If an exchange has launched the replacement, the
    /// interruption of the old instance does not launch another.
    fn launches(&self) -> bool {
        false
    }
}

/// What a function will do about one notice.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<A, S, W> {
    /// What will be done.
    pub actions: Vec<A>,
    /// What is left alone, and why.
    pub skipped: Vec<Skipped<S>>,
    /// Settings that will cause trouble.
    pub warnings: Vec<W>,
    /// What could not be read. The rest of the plan stays as it is, and the notice is tried again.
    pub problems: Vec<String>,
    /// Targets that stay for now, and until when.
    pub held: Vec<HeldLine>,
    /// The tasks on the instance.
    pub tasks: Vec<TaskLine>,
    /// Stop scripts that have ended, or never ran.
    pub scripts: Vec<ScriptLine>,
    /// How the exchange of the instance has ended.
    pub ending: Option<Ending>,
    /// What was seen of the work.
    pub work: Work,
    /// Groups that lost instances to interruptions, and how they stand.
    pub groups: Vec<GroupLine>,
}

/// Something left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped<S> {
    /// Name or ARN.
    pub what: String,
    /// Why.
    pub reason: S,
}

impl<A, S, W> Default for Plan<A, S, W> {
    fn default() -> Self {
        Self {
            actions: vec![],
            skipped: vec![],
            warnings: vec![],
            problems: vec![],
            held: vec![],
            tasks: vec![],
            scripts: vec![],
            ending: None,
            work: Work::default(),
            groups: vec![],
        }
    }
}

impl<A, S, W> Plan<A, S, W> {
    /// Leaves something alone.
    pub fn skip(&mut self, what: impl Display, reason: S) {
        self.skipped.push(Skipped {
            what: what.to_string(),
            reason,
        });
    }

    /// A plan to do nothing, for one reason.
    pub fn nothing(what: impl Display, reason: S) -> Self {
        let mut plan = Self::default();
        plan.skip(what, reason);
        plan
    }

    /// Whether one of its actions has failed.
    pub fn has_failed_action(&self, results: &Results<A>) -> bool
    where
        A: Eq + Hash,
    {
        let failed = |action| {
            let done = results.get(action);
            done.is_some_and(|done| done.result == ActionResult::Failed)
        };
        self.actions.iter().any(failed)
    }

    /// Whether there was something to do, everything needed was read, and all of it was done.
    pub fn is_done(&self, results: &Results<A>) -> bool
    where
        A: Eq + Hash,
    {
        let was_tried = |action| results.contains_key(action);
        self.problems.is_empty()
            && !self.actions.is_empty()
            && self.actions.iter().all(was_tried)
            && !self.has_failed_action(results)
    }
}

/// The plans for the effects. A plan of a notice that is only planned has no actions here.
pub fn to_carry_out<'a, A: Clone, S: Clone, W: Clone>(
    plans: &'a [Plan<A, S, W>],
    planned_only: &[bool],
) -> Cow<'a, [Plan<A, S, W>]> {
    if !planned_only.contains(&true) {
        return Cow::Borrowed(plans);
    }
    let plan = |(plan, planned_only): (&Plan<A, S, W>, &bool)| match planned_only {
        true => Plan::default(),
        false => plan.clone(),
    };
    plans.iter().zip(planned_only).map(plan).collect()
}

/// How one action went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The result.
    pub result: ActionResult,
    /// When it came.
    pub finished_at: Timestamp,
    /// The error of a failed action, or a remark.
    pub note: Option<String>,
}

impl Done {
    /// AWS accepted the action.
    pub fn now(clock: Clock) -> Self {
        Self {
            result: ActionResult::Done,
            finished_at: clock.now(),
            note: None,
        }
    }

    /// The action had been done before.
    pub fn already(clock: Clock, note: impl Display) -> Self {
        Self {
            result: ActionResult::AlreadyDone,
            finished_at: clock.now(),
            note: Some(note.to_string()),
        }
    }

    /// A delayed message is on its way.
    pub fn later(clock: Clock) -> Self {
        Self {
            result: ActionResult::Later,
            finished_at: clock.now(),
            note: None,
        }
    }

    /// AWS cannot do it now.
    pub fn not_possible(clock: Clock, why: impl Display) -> Self {
        Self {
            result: ActionResult::NotPossible,
            finished_at: clock.now(),
            note: Some(why.to_string()),
        }
    }

    /// What should have been saved is lost.
    pub fn lost(clock: Clock, why: impl Display) -> Self {
        Self {
            result: ActionResult::Lost,
            finished_at: clock.now(),
            note: Some(why.to_string()),
        }
    }

    /// The action failed.
    pub fn failed(clock: Clock, error: impl Display) -> Self {
        Self {
            result: ActionResult::Failed,
            finished_at: clock.now(),
            note: Some(error.to_string()),
        }
    }

    /// `Done` or `Failed`, depending on the call.
    pub fn of<T, E: Display>(clock: Clock, result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::now(clock),
            Err(error) => Self::failed(clock, error),
        }
    }
}

/// How every action went. If several plans have the same action, it is carried out once, and all of them find it here.
pub type Results<A> = HashMap<A, Done>;

impl Invocation {
    /// Reports on one notice: its plan, with the results of the effects. In a dry run, the plan alone.
    pub fn report<A: Action, S: Display, W: Display>(
        &self,
        notice: &Notice,
        plan: &Plan<A, S, W>,
        results: &Results<A>,
    ) -> Report {
        let now = self.clock.now();
        let actions: Vec<_> = plan
            .actions
            .iter()
            .map(|action| self.action_line(action, results))
            .collect();
        let failed =
            actions.iter().any(|line| line.result == ActionResult::Failed) || !plan.problems.is_empty();
        // A held target will be handled later, and the standing of a group was asked for. So both count as something to
        // do.
        let is_empty = actions.is_empty() && plan.held.is_empty() && plan.groups.is_empty();
        let outcome = match (failed, is_empty, self.dry_run) {
            (true, ..) => Outcome::Failed,
            (false, true, _) => Outcome::NothingToDo,
            (false, false, true) => Outcome::Planned,
            (false, false, false) => Outcome::Done,
        };
        let seconds_left = |at| notice.deadline().map(|deadline| seconds_between(at, deadline));
        let mut report = Report {
            about: Some(Box::new(notice.clone())),
            report: REPORT_MARKER.to_owned(),
            function: self.function.to_owned(),
            level: if failed { "ERROR" } else { "INFO" }.to_owned(),
            message: String::new(),
            event_id: notice.event_id.clone(),
            signal: notice.signal.name().to_owned(),
            instance: notice.instance.to_string(),
            group: plan.actions.iter().find_map(Action::group).map(str::to_owned),
            pool: None,
            in_cluster_since: None,
            notice_time: notice.time,
            started_at: self.started_at,
            seconds_left_at_start: seconds_left(self.started_at),
            seconds_left_at_end: seconds_left(now),
            dry_run: self.dry_run,
            drill: notice.drill.is_some(),
            outcome,
            actions,
            skipped: plan.skipped.iter().map(skipped_line).collect(),
            warnings: plan.warnings.iter().map(W::to_string).collect(),
            problems: plan.problems.clone(),
            held: plan.held.clone(),
            tasks: plan.tasks.clone(),
            scripts: plan.scripts.clone(),
            ending: plan.ending,
            work: plan.work.clone(),
            groups: plan.groups.clone(),
        };
        report.message = sentence(&report);
        report
    }

    fn action_line<A: Action>(&self, action: &A, results: &Results<A>) -> ActionLine {
        let (kind, resource, detail) = action.describe();
        let done = results.get(action).cloned().unwrap_or_else(|| {
            let at = self.clock.now();
            if self.dry_run {
                Done {
                    result: ActionResult::Planned,
                    finished_at: at,
                    note: None,
                }
            } else {
                Done {
                    result: ActionResult::Failed,
                    finished_at: at,
                    note: Some("was not carried out".to_owned()),
                }
            }
        });
        ActionLine {
            action: kind,
            resource,
            detail,
            launches: action.launches(),
            result: done.result,
            finished_at: done.finished_at,
            error: done.note,
        }
    }
}

fn skipped_line<S: Display>(skipped: &Skipped<S>) -> SkippedLine {
    SkippedLine {
        what: skipped.what.clone(),
        reason: skipped.reason.to_string(),
    }
}

impl Report {
    /// The same, plus something that could not be done besides the plan. The notice is tried again.
    pub fn with_problem(mut self, problem: String) -> Self {
        self.problems.push(problem);
        self.outcome = Outcome::Failed;
        "ERROR".clone_into(&mut self.level);
        self.message = sentence(&self);
        self
    }

    /// The report of a function that does not work against the notice's deadline.
    pub fn without_deadline(mut self) -> Self {
        self.seconds_left_at_start = None;
        self.seconds_left_at_end = None;
        self.message = sentence(&self);
        self
    }
}

/// Seconds from one moment to another, to the millisecond; negative if the other is earlier.
fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    (to.duration_since(from).as_secs_f64() * 1000.0).round() / 1000.0
}

/// The whole report as one sentence, for people who read the log at night.
fn sentence(report: &Report) -> String {
    let count = |result| report.actions.iter().filter(|line| line.result == result).count();
    let counted: [_; 7] = [
        (ActionResult::Done, "done"),
        (ActionResult::AlreadyDone, "already done"),
        (ActionResult::Planned, "planned (dry run)"),
        (ActionResult::Later, "to follow"),
        (ActionResult::NotPossible, "NOT POSSIBLE"),
        (ActionResult::Failed, "FAILED"),
        (ActionResult::Lost, "LOST"),
    ];
    let mut parts: Vec<String> = counted
        .into_iter()
        .filter(|(result, _)| count(*result) > 0)
        .map(|(result, word)| format!("{} {word}", count(result)))
        .collect();
    if !report.held.is_empty() {
        parts.push(format!("{} held", report.held.len()));
    }
    if !report.skipped.is_empty() {
        parts.push(format!("{} left alone", report.skipped.len()));
    }
    if !report.problems.is_empty() {
        parts.push(format!("{} not readable", report.problems.len()));
    }
    parts.extend(report.groups.iter().map(GroupLine::to_string));
    if parts.is_empty() {
        parts.push("nothing to do".to_owned());
    }
    let left = match report.seconds_left_at_end {
        Some(left) if left >= 0.0 => format!("; {left:.1} s left"),
        Some(late) => format!("; {:.1} s past the deadline", -late),
        None => String::new(),
    };
    let drill = if report.drill { " drill" } else { "" };
    format!(
        "{} {}{drill} {}: {}{left}",
        report.function,
        report.signal,
        report.instance,
        parts.join(", ")
    )
}
