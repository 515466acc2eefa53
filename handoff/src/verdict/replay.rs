//! What a replay knows in addition to the reports: functions that crashed, dead letters, and what was left to do.

use std::collections::BTreeMap;

use testbed::{Backlog, Entry, Event};

use super::Verdict;
use crate::words::count;

/// What was left at the end of watching.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Messages in the dead-letter queues, by function.
    pub dead_letters: BTreeMap<String, Vec<String>>,
    /// What was still to do; `None` if nothing was.
    pub backlog: Option<Backlog>,
    /// How many instances interrupted groups lack, by their names.
    pub short: BTreeMap<String, u64>,
}

impl Verdict {
    /// Judges what happened on this machine.
    pub fn on_replay(entries: &[Entry], leftovers: &Leftovers) -> Self {
        let reports = entries.iter().filter_map(|entry| match &entry.event {
            Event::Report(report) => Some(&**report),
            _ => None,
        });
        let mut verdict = Self::on(reports);
        // The queues know better than the reports what is still to come.
        verdict.to_follow = 0;
        for (function, why) in last_failures(entries) {
            verdict.problems.push(format!("{function} {why}"));
        }
        for (function, bodies) in &leftovers.dead_letters {
            for body in bodies {
                verdict.problems.push(format!(
                    "{function} gave up on a message, now in its dead-letter queue: {}",
                    beginning(body)
                ));
            }
        }
        match &leftovers.backlog {
            Some(backlog) if backlog.is_idle() => verdict.notes.push(format!(
                "still to come: {}; a larger --watch waits longer",
                count(backlog.delayed, "delayed message")
            )),
            Some(backlog) => verdict
                .problems
                .push(format!("the time to watch was over with work left: {backlog}")),
            None => {}
        }
        for (group, missing) in &leftovers.short {
            verdict.notes.push(format!(
                "{group} is still short of {} that it asks for",
                count(*missing, "instance")
            ));
        }
        if verdict.summary.is_empty() && verdict.problems.is_empty() {
            let note = "no function had anything to report";
            verdict.notes.push(note.to_owned());
        }
        verdict
    }
}

/// Functions whose last invocation failed as a whole.
fn last_failures(entries: &[Entry]) -> BTreeMap<&str, String> {
    let mut failures = BTreeMap::new();
    for entry in entries {
        if let Event::Ended { outcome, .. } = &entry.event {
            if outcome.is_failure() {
                failures.insert(entry.function.as_str(), outcome.to_string());
            } else {
                failures.remove(entry.function.as_str());
            }
        }
    }
    failures
}

fn beginning(text: &str) -> String {
    const ENOUGH: usize = 100;
    let mut short: String = text.chars().take(ENOUGH).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
