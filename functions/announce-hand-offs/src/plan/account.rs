//! One account of a hand-off, from the reports of functions that know nothing about each other.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use spot_handoff::notice::{InstanceAction, Notice};
use spot_handoff::report::Pool;
use spot_handoff::report::kept::{Kept, Loss};
use spot_handoff::report::names::Names;
use spot_handoff::report::verdict::{Findings, Verdict as Outcome};
use spot_handoff::report::{
    ActionKind, ActionLine, ActionResult, Ending, Outcome as Reported, Report, ScriptLine,
};
use spot_handoff::state::group_watch::Standing;

use super::watch::{Progress, Subject};
use crate::facts::{RUN_COMMANDS, Reporter};

/// Nobody reads a long message to its end; the log has the rest.
const LINES_SHOWN: usize = 20;

/// A hand-off, as far as it is reported.
pub struct HandOff<'a> {
    /// The interruption warning.
    pub notice: &'a Notice,
    /// When AWS takes the instance.
    pub deadline: Option<Timestamp>,
    /// What AWS does to the instance.
    pub action: Option<InstanceAction>,
    /// Its Auto Scaling group, if replace-capacity named it.
    pub group: Option<String>,
    /// Its pool, if a report has it.
    pub pool: Option<Pool>,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// How it went.
    pub outcome: Outcome,
    /// What became of the work.
    pub kept: Kept,
    /// What part of it was lost.
    pub losses: Vec<Loss>,
    /// The kind of notice, as in reports.
    pub signal: &'static str,
    /// How an exchange ended.
    pub ended: End,
    /// How the group stands, if it is watched.
    pub standing: Option<Standing>,
    /// Seconds of the notice left when the last function was done with it. Late stops are planned, and do not count.
    pub seconds_left: Option<f64>,
    /// Each function's part.
    pub parts: Vec<Part<'a>>,
    /// Stop scripts, and how they ended.
    pub scripts: Vec<ScriptLine>,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As intended; or there was no exchange.
    AsMeant,
    /// No replacement came, or it was of no use. The instance serves on.
    InVain,
    /// It was called off, or the group did not allow it.
    CalledOff,
    /// No end is known.
    Unknown,
}

impl End {
    fn of(progress: Progress) -> Self {
        match progress {
            Progress::Over(None | Some(Ending::Exchanged | Ending::LeftMeanwhile)) => Self::AsMeant,
            Progress::Over(Some(Ending::NeverCame | Ending::NeverReady)) => Self::InVain,
            Progress::Over(Some(
                Ending::CalledOff | Ending::Overruled | Ending::NoRoom | Ending::GroupGone,
            )) => Self::CalledOff,
            Progress::GivenUp | Progress::Awaited(_) | Progress::Nothing => Self::Unknown,
        }
    }

    /// Whether somebody has to look at it.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::InVain | Self::Unknown)
    }

    /// What to say about it; nothing if it ended as intended.
    pub fn in_words(self) -> Option<&'static str> {
        match self {
            Self::AsMeant => None,
            Self::InVain => Some("no replacement came into service: the instance goes on serving"),
            Self::CalledOff => Some("it was called off: the instance goes on serving"),
            Self::Unknown => Some("nobody reported its end"),
        }
    }
}

/// What one function did.
pub struct Part<'a> {
    /// The function.
    pub function: &'a str,
    /// The log group of its reports.
    pub log_group: &'a str,
    /// How its part went.
    pub state: State,
    /// Seconds of the notice left when it was done.
    pub seconds_left: Option<f64>,
    /// What it did, what it left alone, and what it warned of.
    pub lines: Vec<Line>,
}

/// How a function's part went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Everything is done.
    Done,
    /// There was nothing to do.
    NothingToDo,
    /// A dry run.
    Planned,
    /// Something failed or could not be done.
    Failed,
    /// A later step that it announced was not reported.
    NotFinished,
    /// It wrote no report.
    NotReported,
}

impl State {
    /// Whether somebody has to look at it.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::NotFinished | Self::NotReported)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::NothingToDo => "nothing to do",
            Self::Planned => "planned",
            Self::Failed => "failed",
            Self::NotFinished => "did not finish",
            Self::NotReported => "did not report",
        })
    }
}

/// The result of something that a function did or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// It is done.
    Done,
    /// It had been done before.
    Already,
    /// A dry run: it would have been done.
    Would,
    /// It will be done later.
    Later,
    /// It stays for now.
    Held,
    /// It was left alone.
    Left,
    /// It causes trouble.
    Warning,
    /// It cannot be done now.
    #[serde(rename = "NOT POSSIBLE")]
    NotPossible,
    /// It failed.
    #[serde(rename = "FAILED")]
    Failed,
    /// It ended badly, and the instance's work is lost.
    #[serde(rename = "LOST")]
    Lost,
    /// It is not shown.
    #[serde(rename = "")]
    Unsaid,
}

impl Became {
    /// Whether people have to know it, however much else the message contains.
    fn is_bad(self) -> bool {
        matches!(self, Self::NotPossible | Self::Failed | Self::Lost)
    }
}

impl fmt::Display for Became {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One thing that a function did, left alone, or warned of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The result.
    pub result: Became,
    /// What it is about.
    pub text: String,
}

impl<'a> HandOff<'a> {
    /// The account of a notice. The reports of each function are ordered by time.
    pub fn of(
        notice: &'a Notice,
        subject: &Subject,
        standing: Option<&Standing>,
        progress: Progress,
        found: &[(&'a Reporter, Vec<&Report>)],
    ) -> Self {
        let followed_up = found
            .iter()
            .flat_map(|(_, reports)| reports)
            .any(|report| report.is_follow_up());
        let asked_for_script = || {
            let mut actions = found
                .iter()
                .flat_map(|(_, reports)| reports)
                .flat_map(|report| &report.actions);
            actions.any(|line| line.action == ActionKind::AskToRunStopScript)
        };
        let has_part = |reporter: &Reporter, reports: &[&Report]| {
            let is_expected = reporter.function != RUN_COMMANDS && subject.is_for(reporter.function);
            is_expected || !reports.is_empty() || (reporter.function == RUN_COMMANDS && asked_for_script())
        };
        let parts: Vec<Part<'a>> = found
            .iter()
            .filter(|(reporter, reports)| has_part(reporter, reports))
            .map(|(reporter, reports)| part(reporter, reports, followed_up, subject))
            .collect();
        let reports = || found.iter().flat_map(|(_, reports)| reports.iter().copied());
        let dry_run = reports().any(|report| report.dry_run);
        let all = |state| parts.iter().all(|part| part.state == state);
        let ended = End::of(progress);
        let kept = Kept::of(reports());
        let mut losses = kept.losses();
        if kept.unseen() > 0 {
            losses.push(Loss::NotReported(kept.unseen()));
        }
        let is_whole = |standing: &&Standing| matches!(standing, Standing::Whole { .. } | Standing::Gone);
        let outcome = Outcome::of(Findings {
            failed: parts.iter().any(|part| part.state.is_bad()) || ended.is_bad(),
            nothing_to_do: all(State::NothingToDo),
            planned: dry_run,
            losses: &losses,
            called_off: ended == End::CalledOff,
            short: standing.is_some_and(|standing| !is_whole(&standing)),
        });
        let left = parts.iter().filter_map(|part| part.seconds_left);
        Self {
            notice,
            deadline: subject.deadline,
            action: subject.action,
            group: reports().find_map(|report| report.group.clone()),
            pool: reports().find_map(|report| report.pool.clone()),
            dry_run,
            outcome,
            kept,
            losses,
            standing: standing.cloned(),
            signal: subject.signal(),
            ended,
            // The end of a retirement is days away.
            seconds_left: left.min_by(f64::total_cmp).filter(|_| subject.is_interrupted()),
            parts,
            scripts: reports().flat_map(|report| report.scripts.clone()).collect(),
        }
    }
}

fn part<'a>(reporter: &'a Reporter, reports: &[&Report], followed_up: bool, subject: &Subject) -> Part<'a> {
    // Each try makes a new plan from new facts, so the last one says what is left to do.
    let last_try = reports.iter().rev().find(|report| !report.is_follow_up());
    // Perhaps only another function asked it to act. Then all its reports are about follow-ups.
    let last_try = match reporter.function {
        RUN_COMMANDS => last_try.or(reports.last()),
        function if !subject.is_for(function) => last_try.or(reports.last()),
        _ => last_try,
    };
    let state = match last_try {
        None => State::NotReported,
        Some(_) if reporter.function == RUN_COMMANDS && has_no_end(reports) => State::NotFinished,
        Some(_) if !failures(reports).is_empty() || has_problems(reports) => State::Failed,
        Some(last) if !followed_up && last.actions.iter().any(|line| line.result == ActionResult::Later) => {
            State::NotFinished
        }
        Some(last) if last.dry_run && last.outcome == Reported::Planned => State::Planned,
        Some(_)
            if reports
                .iter()
                .all(|report| report.outcome == Reported::NothingToDo) =>
        {
            State::NothingToDo
        }
        Some(_) => State::Done,
    };
    Part {
        function: reporter.function,
        log_group: &reporter.log_group,
        state,
        seconds_left: last_try
            .filter(|report| !report.is_follow_up())
            .and_then(|report| report.seconds_left_at_end),
        lines: lines(reports, followed_up),
    }
}

/// Whether a stop script was begun, or planned, but no report says how it ended.
fn has_no_end(reports: &[&Report]) -> bool {
    let is_begun = |line: &ActionLine| match line.action {
        ActionKind::RunStopScript => line.result == ActionResult::Done,
        ActionKind::RunStopScriptLater => line.result == ActionResult::Later,
        _ => false,
    };
    let mut actions = reports.iter().flat_map(|report| &report.actions);
    actions.any(is_begun) && reports.iter().all(|report| report.scripts.is_empty())
}

/// What failed or could not be done, and did not succeed later.
fn failures<'r>(reports: &[&'r Report]) -> Vec<(&'r Report, &'r ActionLine)> {
    let failed = |line: &ActionLine| {
        matches!(
            line.result,
            ActionResult::Failed | ActionResult::NotPossible | ActionResult::Lost
        )
    };
    let of_report = |(index, report): (usize, &&'r Report)| {
        let later: Vec<&&Report> = reports[index + 1..].iter().collect();
        let report: &'r Report = report;
        let stands = move |line: &&'r ActionLine| failed(line) && !is_made_good(report, line, &later);
        let standing: Vec<_> = report
            .actions
            .iter()
            .filter(stands)
            .map(|line| (report, line))
            .collect();
        standing
    };
    reports.iter().enumerate().flat_map(of_report).collect()
}

/// A later try has made a new plan. A later follow-up counts if it is about the same thing. What is lost stays lost.
fn is_made_good(report: &Report, line: &ActionLine, later: &[&&Report]) -> bool {
    if line.result == ActionResult::Lost {
        return false;
    }
    later.iter().any(|other| {
        let speaks_of_it = other
            .actions
            .iter()
            .any(|action| action.resource == line.resource)
            || other.skipped.iter().any(|skipped| skipped.what == line.resource);
        speaks_of_it || (!report.is_follow_up() && !other.is_follow_up())
    })
}

/// Whether the last try, or the last follow-up, could not read something.
fn has_problems(reports: &[&Report]) -> bool {
    let last = |follow_ups| {
        reports
            .iter()
            .rev()
            .find(|report| report.is_follow_up() == follow_ups)
    };
    [last(false), last(true)]
        .into_iter()
        .flatten()
        .any(|report| !report.problems.is_empty())
}

fn lines(reports: &[&Report], followed_up: bool) -> Vec<Line> {
    let mut lines: Vec<Line> = vec![];
    let mut add = |result, text| {
        let line = Line { result, text };
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    let standing = failures(reports);
    let acted_on = |what: &str| {
        reports
            .iter()
            .flat_map(|report| &report.actions)
            .any(|line| line.resource == what && line.result == ActionResult::Done)
    };
    for report in reports {
        let names = Names::of(report);
        for line in &report.actions {
            let result = match line.result {
                ActionResult::Done => Became::Done,
                ActionResult::AlreadyDone => Became::Already,
                ActionResult::Planned => Became::Would,
                // A later report has its result.
                ActionResult::Later if followed_up => continue,
                ActionResult::Later => Became::Later,
                ActionResult::NotPossible | ActionResult::Failed
                    if !standing.iter().any(|(_, failure)| *failure == line) =>
                {
                    continue;
                }
                ActionResult::NotPossible => Became::NotPossible,
                ActionResult::Failed => Became::Failed,
                ActionResult::Lost => Became::Lost,
            };
            add(result, action_text(line, &names));
        }
        for held in &report.held {
            let (what, why) = (names.resource(&held.target_group), names.sentence(&held.reason));
            add(Became::Held, format!("{} in {what}: {why}", held.target));
        }
        for skipped in report.skipped.iter().filter(|skipped| !acted_on(&skipped.what)) {
            let (what, why) = (names.resource(&skipped.what), names.sentence(&skipped.reason));
            add(Became::Left, format!("{what}: {why}"));
        }
        for warning in &report.warnings {
            add(Became::Warning, names.sentence(warning));
        }
    }
    if has_problems(reports) {
        for problem in reports.iter().flat_map(|report| &report.problems) {
            add(Became::Failed, problem.clone());
        }
    }
    if lines.len() > LINES_SHOWN {
        // Failures are kept, whatever else is not shown.
        lines.sort_by_key(|line| !line.result.is_bad());
        let more = lines.len() - LINES_SHOWN;
        lines.truncate(LINES_SHOWN);
        lines.push(Line {
            result: Became::Unsaid,
            text: format!("and {more} more in the log"),
        });
    }
    lines
}

fn action_text(line: &ActionLine, names: &Names) -> String {
    let mut text = format!("{} {}", line.action.in_words(), names.resource(&line.resource));
    if !line.detail.is_empty() {
        text.push_str(&format!(", {}", names.sentence(&line.detail)));
    }
    if let Some(error) = &line.error {
        text.push_str(&format!(" ({})", names.sentence(error)));
    }
    text
}
