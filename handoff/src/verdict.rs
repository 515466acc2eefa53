//! The end of a hand-off: what each function achieved, and whether all went well.

#[cfg(feature = "local")]
mod replay;

use std::collections::{BTreeMap, BTreeSet};

#[cfg(feature = "local")]
pub use replay::Leftovers;

use spot_handoff::notice::NOTICE;
use spot_handoff::report::{ActionKind, ActionResult, Outcome, Report};

use crate::style;
use crate::words::count;

/// The verdict on a hand-off.
#[derive(Debug)]
pub struct Verdict {
    summary: BTreeMap<(String, bool), Summary>,
    problems: Vec<String>,
    notes: Vec<String>,
}

/// What a function achieved with the event itself, or with the follow-ups to it.
#[derive(Debug, Default)]
struct Summary {
    /// What was done to what, by how it went. A set, since looking again is not doing it again.
    results: BTreeMap<&'static str, BTreeSet<What>>,
    planned: bool,
    /// The least that was left of the two minutes when it was done.
    seconds_left: Option<f64>,
    /// The notices that count for that: a repeated one comes late by nature.
    notices: BTreeSet<(String, String)>,
}

/// Something that was acted on or left alone.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct What {
    instance: String,
    action: Option<ActionKind>,
    resource: String,
    detail: String,
}

impl Verdict {
    /// Judges what the functions reported.
    pub fn on<'r>(reports: impl IntoIterator<Item = &'r Report>) -> Self {
        let mut verdict = Self {
            summary: BTreeMap::new(),
            problems: Vec::new(),
            notes: Vec::new(),
        };
        for report in last_reports(reports) {
            verdict.add_report(report);
        }
        verdict
    }

    fn add_report(&mut self, report: &Report) {
        let follow_up = report.is_follow_up();
        let key = (report.function.clone(), follow_up);
        let summary = self.summary.entry(key).or_default();
        for action in &report.actions {
            // A first report may have several of a kind; those of follow-ups repeat themselves.
            let detail = if follow_up { "" } else { &action.detail };
            let what = What {
                instance: report.instance.clone(),
                action: Some(action.action),
                resource: action.resource.clone(),
                detail: detail.to_owned(),
            };
            summary.add(word(action.result), what);
        }
        for skipped in &report.skipped {
            let what = What {
                instance: report.instance.clone(),
                action: None,
                resource: skipped.what.clone(),
                detail: String::new(),
            };
            summary.add("left alone", what);
        }
        summary.planned |= report.outcome == Outcome::Planned;
        let notice = (report.instance.clone(), report.event_id.clone());
        let first = summary.notices.insert(notice);
        // Other limits than the two minutes are hours away, and an old event is only a replay.
        let left = report
            .seconds_left_at_end
            .filter(|left| left.abs() <= NOTICE.as_secs_f64());
        if let Some(left) = left.filter(|_| first || follow_up) {
            let least = summary.seconds_left.unwrap_or(left).min(left);
            summary.seconds_left = Some(least);
        }
        if report.outcome == Outcome::Failed {
            self.problems.push(report.message.clone());
        }
    }

    /// Whether all went well.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    /// What went wrong, a sentence each.
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
            lines.push(format!("{who}  {}", summary.render()));
        }
        lines.push(String::new());
        for problem in &self.problems {
            lines.push(format!("{} {problem}", style::bad("✗")));
        }
        for note in &self.notes {
            lines.push(format!("{} {note}", style::warning("!")));
        }
        if self.is_good() && !self.summary.is_empty() {
            lines.push(style::good(&self.praise()));
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
        match (planned, left) {
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

    fn render(&self) -> String {
        let mut parts: Vec<String> = self
            .results
            .iter()
            .map(|(word, what)| format!("{} {word}", what.len()))
            .collect();
        if parts.is_empty() {
            parts.push("nothing to do".to_owned());
        }
        let left = match self.seconds_left {
            Some(left) if left >= 0.0 => format!("{left:>6.1} s left"),
            Some(late) => format!("{:>6.1} s late", -late),
            None => String::new(),
        };
        format!("{:44}  {left}", parts.join(", ")).trim_end().to_owned()
    }
}

fn word(result: ActionResult) -> &'static str {
    match result {
        ActionResult::Done => "done",
        ActionResult::AlreadyDone => "already done",
        ActionResult::Planned => "planned",
        ActionResult::Later => "to follow",
        ActionResult::Failed => "FAILED",
        ActionResult::NotPossible => "not possible",
        ActionResult::Lost => "LOST",
    }
}

/// A message that failed is tried again: the last report on it is the one that counts. Each
/// follow-up is a matter of its own.
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
