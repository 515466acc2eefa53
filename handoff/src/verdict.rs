//! The end of a hand-off: what each function did, and whether all went well.

#[cfg(feature = "local")]
mod replay;

use std::collections::{BTreeMap, BTreeSet};

#[cfg(feature = "local")]
pub use replay::Leftovers;

use jiff::SignedDuration;
use spot_handoff::notice::{NOTICE, Signal};
use spot_handoff::report::kept::Kept;
use spot_handoff::report::names::Names;
use spot_handoff::report::{ActionKind, ActionLine, ActionResult, GroupLine, GroupStanding, Outcome, Report};

use crate::words::{count, span};
use crate::{style, terminal};

/// The result of what was skipped.
const LEFT_ALONE: &str = "left alone";
/// From this number of columns on, a function's results and seconds are in columns.
const WIDE: usize = 92;

/// The verdict on a hand-off.
#[derive(Debug)]
pub struct Verdict {
    summary: BTreeMap<(String, bool), Summary>,
    problems: Vec<String>,
    notes: Vec<String>,
    /// Later steps that were planned but not reported yet.
    to_follow: usize,
    /// Tasks whose end has not been reported yet.
    unseen: usize,
    /// What became of the work.
    work: Vec<String>,
}

/// The overall result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything is done, and everybody who should report has reported.
    Good,
    /// Nothing failed, but something is not known or done yet.
    Open,
    /// Something failed, came too late, or was not reported.
    Bad,
}

/// What a function did with the event itself, or with the follow-ups to it.
#[derive(Debug, Default)]
struct Summary {
    /// What was done to what, by result. A set, since looking again is not doing it again.
    results: BTreeMap<&'static str, BTreeSet<What>>,
    planned: bool,
    /// Later steps that were planned.
    later: usize,
    /// The least time of the two minutes that was left when it was done.
    seconds_left: Option<f64>,
    /// The notices that count for that. A repeated notice always comes late, so it does not count.
    notices: BTreeSet<(String, String)>,
}

/// Something that was acted on, or left alone.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct What {
    instance: String,
    action: Option<ActionKind>,
    resource: String,
    detail: String,
}

impl Verdict {
    /// Judges the functions' reports.
    pub fn on<'r>(reports: impl IntoIterator<Item = &'r Report>) -> Self {
        let mut verdict = Self {
            summary: BTreeMap::new(),
            problems: Vec::new(),
            notes: Vec::new(),
            to_follow: 0,
            unseen: 0,
            work: Vec::new(),
        };
        let reports = last_reports(reports);
        verdict.to_follow = to_follow(&reports);
        verdict.add_losses(&reports);
        verdict.add_groups(&reports);
        for (index, report) in reports.iter().enumerate() {
            verdict.add_report(report);
            verdict.add_impossible(report, &reports[index + 1..]);
        }
        verdict
    }

    /// What became of the work of each instance, and what part of it was lost.
    fn add_losses(&mut self, reports: &[&Report]) {
        let mut by_instance: BTreeMap<(&str, &str), Vec<&Report>> = BTreeMap::new();
        for report in reports {
            let about = (report.instance.as_str(), report.event_id.as_str());
            by_instance.entry(about).or_default().push(report);
        }
        for ((instance, _), reports) in by_instance {
            let kept = Kept::of(reports);
            let losses = kept.losses().into_iter();
            self.problems
                .extend(losses.map(|loss| format!("{instance}: {loss}")));
            self.unseen += kept.unseen();
            self.work.extend(kept.sentences());
        }
    }

    /// How the groups stand. If a group was watched more than once, the last watch counts, as in announcements.
    fn add_groups(&mut self, reports: &[&Report]) {
        let mut in_order: Vec<&&Report> = reports.iter().collect();
        in_order.sort_by_key(|report| report.started_at);
        let lines: Vec<&GroupLine> = in_order.iter().flat_map(|report| &report.groups).collect();
        let is_end = |line: &GroupLine| {
            matches!(
                line.standing,
                GroupStanding::Whole | GroupStanding::Short | GroupStanding::Gone
            )
        };
        for (index, line) in lines.iter().enumerate() {
            let mut later = lines[index + 1..].iter();
            let is_overtaken = is_end(line) && later.any(|other| other.group == line.group && is_end(other));
            if is_overtaken {
                continue;
            }
            let is_bad = matches!(line.standing, GroupStanding::Short | GroupStanding::NotChanged);
            let said = if is_bad {
                &mut self.problems
            } else {
                &mut self.work
            };
            let sentence = line.to_string();
            if !said.contains(&sentence) {
                said.push(sentence);
            }
        }
    }

    /// The number of tasks whose end has not been reported yet.
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// What became of the work, one sentence each.
    pub fn work(&self) -> &[String] {
        &self.work
    }

    /// Adds a problem that is not in the reports, as a sentence.
    pub fn add_problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Adds a reason why the result is still open, as a sentence.
    pub fn add_note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// The number of later steps that were planned but not reported yet.
    pub fn to_follow(&self) -> usize {
        self.to_follow
    }

    /// What AWS could not do, unless a later report is about the same thing.
    fn add_impossible(&mut self, report: &Report, later: &[&Report]) {
        let about = (&report.instance, &report.event_id);
        let is_spoken_of = |resource: &str| {
            let later = later
                .iter()
                .filter(|other| (&other.instance, &other.event_id) == about);
            later.into_iter().any(|other| {
                other.actions.iter().any(|action| action.resource == resource)
                    || other.skipped.iter().any(|skipped| skipped.what == resource)
            })
        };
        let names = Names::of(report);
        for action in &report.actions {
            let stands = match action.result {
                ActionResult::Lost => true,
                ActionResult::NotPossible => !is_spoken_of(&action.resource),
                _ => false,
            };
            if stands {
                let what = format!(
                    "{} {}",
                    action.action.in_words(),
                    names.resource(&action.resource)
                );
                let why = action.error.as_deref().map(|why| names.sentence(why));
                let why = why.map_or(String::new(), |why| format!(": {why}"));
                self.problems
                    .push(format!("{} could not {what}{why}", report.function));
            }
        }
    }

    fn add_report(&mut self, report: &Report) {
        let follow_up = report.is_follow_up();
        let key = (report.function.clone(), follow_up);
        let summary = self.summary.entry(key).or_default();
        for action in &report.actions {
            // The first report may have several of a kind. Those of follow-ups are repeated.
            let detail = if follow_up { "" } else { &action.detail };
            let what = What {
                instance: report.instance.clone(),
                action: Some(action.action),
                resource: action.resource.clone(),
                detail: detail.to_owned(),
            };
            match word(action.result) {
                Some(word) => summary.add(word, what),
                None => summary.later += 1,
            }
        }
        for skipped in &report.skipped {
            let what = What {
                instance: report.instance.clone(),
                action: None,
                resource: skipped.what.clone(),
                detail: String::new(),
            };
            summary.add(LEFT_ALONE, what);
        }
        summary.planned |= report.outcome == Outcome::Planned;
        let notice = (report.instance.clone(), report.event_id.clone());
        let first = summary.notices.insert(notice);
        // Other limits than the two minutes are hours away, and an old event is only a replay.
        let left = report
            .seconds_left_at_end
            .filter(|left| left.abs() <= NOTICE.as_secs_f64());
        // A later step has its own time, which may be after the deadline.
        if let Some(left) = left.filter(|left| if follow_up { *left >= 0.0 } else { first }) {
            let least = summary.seconds_left.unwrap_or(left).min(left);
            summary.seconds_left = Some(least);
        }
        if report.outcome == Outcome::Failed {
            self.problems.push(report.message.clone());
        }
        if first && !follow_up {
            self.add_delay(report);
        }
    }

    /// What was done for a warning when it was too late.
    fn add_delay(&mut self, report: &Report) {
        let acted = report
            .actions
            .iter()
            .any(|action| action.result == ActionResult::Done);
        let late = report
            .seconds_left_at_end
            .filter(|left| *left < 0.0)
            .map(|left| -left);
        let Some(late) = late.filter(|_| acted && report.signal == Signal::INTERRUPTION_WARNING) else {
            return;
        };
        let Report {
            function, instance, ..
        } = report;
        if late <= NOTICE.as_secs_f64() {
            self.problems.push(format!(
                "{function} was too late: it was done {late:.1} s after the two minutes of {instance}"
            ));
        } else {
            let age = span(SignedDuration::from_secs(late as i64) + NOTICE);
            self.notes.push(format!(
                "the event about {instance} was {age} old when {function} was done with it: too late for a hand-off"
            ));
        }
    }

    /// Whether nothing went wrong.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    /// The overall result.
    pub fn state(&self) -> State {
        match (self.problems.is_empty(), self.notes.is_empty()) {
            (false, _) => State::Bad,
            (true, false) => State::Open,
            (true, true) => State::Good,
        }
    }

    /// Why the result is still open, one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What went wrong, one sentence each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The summary and the verdict, without a trailing line break.
    pub fn render(&self) -> String {
        let mut lines = Vec::new();
        for ((function, follow_up), summary) in &self.summary {
            let who = if *follow_up {
                format!("{function} (follow-up)")
            } else {
                function.clone()
            };
            let who = style::function(function, &format!("{who:30}"));
            let to_follow = summary.later.min(self.to_follow);
            lines.push(terminal::hang(&format!("{who}  "), &summary.render(to_follow)));
        }
        for sentence in &self.work {
            lines.push(terminal::hang(&format!("{:30}  ", "the work"), sentence));
        }
        lines.push(String::new());
        for problem in &self.problems {
            lines.push(terminal::hang(&format!("{} ", style::bad("✗")), problem));
        }
        for note in &self.notes {
            lines.push(terminal::hang(&format!("{} ", style::warning("!")), note));
        }
        if self.state() == State::Good && !self.summary.is_empty() {
            lines.push(style::good(&terminal::hang("", &self.praise())));
        }
        lines.join("\n")
    }

    /// What went well, as a sentence.
    pub fn praise(&self) -> String {
        let planned = self.summary.values().any(|summary| summary.planned);
        let functions = self.summary.keys().filter(|(_, follow_up)| !follow_up);
        let functions = count(functions.count() as u64, "function");
        let at_once = self.summary.iter().filter(|((_, follow_up), _)| !follow_up);
        let left = at_once.filter_map(|(_, summary)| summary.seconds_left);
        let left = left.reduce(f64::min);
        let acted = self.summary.values().any(Summary::acted);
        match (planned, left) {
            (false, _) if !acted => "✓ there was nothing to do".to_owned(),
            (true, _) => format!("✓ {functions} planned; nothing was changed"),
            (false, Some(left)) if left >= 0.0 => {
                format!("✓ {functions} did all there was to do, with at least {left:.1} s of the notice left")
            }
            (false, _) => format!("✓ {functions} did all there was to do"),
        }
    }
}

impl Summary {
    fn add(&mut self, word: &'static str, what: What) {
        self.results.entry(word).or_default().insert(what);
    }

    /// Whether anything was done, or there was something to do.
    fn acted(&self) -> bool {
        self.later > 0 || self.results.keys().any(|word| *word != LEFT_ALONE)
    }

    fn render(&self, to_follow: usize) -> String {
        let mut parts: Vec<String> = self
            .results
            .iter()
            .map(|(word, what)| format!("{} {word}", what.len()))
            .collect();
        if to_follow > 0 {
            parts.push(format!("{to_follow} to follow"));
        }
        if parts.is_empty() {
            let nothing = if self.later > 0 {
                "followed up"
            } else {
                "nothing to do"
            };
            parts.push(nothing.to_owned());
        }
        let left = match self.seconds_left {
            Some(left) if left >= 0.0 => format!("{left:>6.1} s left"),
            Some(late) => format!("{:>6.1} s late", -late),
            None => String::new(),
        };
        let parts = parts.join(", ");
        // A narrow terminal has no room for a column.
        match terminal::columns() {
            Some(columns) if columns < WIDE => {
                format!("{parts}  {}", left.trim_start()).trim_end().to_owned()
            }
            _ => format!("{parts:44}  {left}").trim_end().to_owned(),
        }
    }
}

/// The result of an action in words; `None` if it is still to come.
fn word(result: ActionResult) -> Option<&'static str> {
    match result {
        ActionResult::Done => Some("done"),
        ActionResult::AlreadyDone => Some("already done"),
        ActionResult::Planned => Some("planned"),
        ActionResult::Later => None,
        ActionResult::Failed => Some("FAILED"),
        ActionResult::NotPossible => Some("not possible"),
        ActionResult::Lost => Some("LOST"),
    }
}

/// Each later step is a message, and each message leads to the report of a follow-up.
fn to_follow(reports: &[&Report]) -> usize {
    let mut open: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for report in reports {
        let open = open.entry((&report.instance, &report.event_id)).or_default();
        if report.is_follow_up() {
            *open = open.saturating_sub(1);
        }
        let is_later = |action: &&ActionLine| action.result == ActionResult::Later;
        *open += report.actions.iter().filter(is_later).count();
    }
    open.into_values().sum()
}

/// If a message failed, it is tried again, and only its last report counts. Each follow-up counts separately.
fn last_reports<'r>(reports: impl IntoIterator<Item = &'r Report>) -> Vec<&'r Report> {
    let mut last = Vec::<&Report>::new();
    for report in reports {
        let same = |other: &&Report| {
            (&other.function, &other.instance, &other.event_id, &other.signal)
                == (
                    &report.function,
                    &report.instance,
                    &report.event_id,
                    &report.signal,
                )
        };
        let retried = last
            .iter()
            .position(|other| same(other) && other.outcome == Outcome::Failed);
        match retried {
            Some(position) => last[position] = report,
            None => last.push(report),
        }
    }
    last
}

#[cfg(test)]
mod tests;
