//! The part of the functions' output that is worth printing, ordered by time.

use std::collections::BTreeMap;

use testbed::{Entry, Event};

use crate::logs::message;
use crate::timeline::{self, Line, Told, Word};
use crate::words::count;

/// The lines of a timeline that is printed while it happens.
///
/// Functions run at the same time, and each reports when it is done. So lines are held back until no function runs, and
/// then printed in the order of their times.
#[derive(Debug, Default)]
pub struct Teller {
    told: Told,
    held: Vec<Line>,
    /// The failures so far, and how often each came: a message is tried five times.
    failures: BTreeMap<(String, String), (usize, Option<Line>)>,
}

impl Teller {
    /// Adds an entry.
    pub fn add(&mut self, entry: &Entry) {
        for line in self.told.filter(lines(entry)) {
            if !matches!(entry.event, Event::Report(_)) {
                let key = (line.who.clone(), line.text.clone());
                let (times, last) = self.failures.entry(key).or_default();
                *times += 1;
                if *times > 1 {
                    *last = Some(line);
                    continue;
                }
            }
            self.held.push(line);
        }
    }

    /// The lines to print now that no function runs.
    pub fn tell(&mut self) -> Vec<Line> {
        let mut lines = std::mem::take(&mut self.held);
        lines.sort_by_key(|line| line.at);
        lines
    }

    /// At the end: the failures that came more than once, each with how often.
    pub fn repeated(&mut self) -> Vec<Line> {
        let failures = std::mem::take(&mut self.failures).into_values();
        let repeated = failures.filter_map(|(times, last)| {
            let mut line = last?;
            line.text.push_str(&format!(" ({})", count(times as u64, "time")));
            Some(line)
        });
        let mut lines: Vec<Line> = repeated.collect();
        lines.sort_by_key(|line| line.at);
        lines
    }
}

/// What people should know about an entry.
pub fn lines(entry: &Entry) -> Vec<Line> {
    let line = |word, text: String| vec![Line::new(entry.at, &entry.function, word, text)];
    match &entry.event {
        Event::Report(report) => timeline::lines(report),
        Event::Log(log) => match log["level"].as_str() {
            Some("ERROR") => line(Word::Failed, message(log)),
            Some("WARN") => line(Word::Warning, message(log)),
            _ => vec![],
        },
        Event::Text(text) => line(Word::Note, text.clone()),
        Event::Ended { outcome, .. } if outcome.is_failure() => line(Word::Failed, outcome.to_string()),
        Event::Batch { messages, failed, .. } if !failed.is_empty() => {
            let of = count(*messages as u64, "message");
            line(
                Word::Warning,
                format!("{} of {of} back to the queue", failed.len()),
            )
        }
        Event::Trouble(trouble) => line(Word::Failed, trouble.clone()),
        Event::Invoked { .. } | Event::Ended { .. } | Event::Batch { .. } => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: u8, line: &str) -> Entry {
        let at = format!("2026-11-24T04:00:{second:02}Z");
        Entry::of_line(at.parse().unwrap(), "drain-tasks", line)
    }

    #[test]
    fn lines_are_told_by_time_and_repetitions_once_more_at_the_end() {
        let unreadable = r#"{"level":"ERROR","message":"cannot read the message"}"#;
        let mut teller = Teller::default();
        for (second, line) in [
            (20, unreadable),
            (0, unreadable),
            (10, "panicked"),
            (40, unreadable),
        ] {
            teller.add(&entry(second, line));
        }
        let told: Vec<_> = teller.tell().into_iter().map(|line| line.text).collect();
        assert_eq!(told, ["panicked", "cannot read the message"]);
        let repeated: Vec<_> = teller.repeated().into_iter().map(|line| line.text).collect();
        assert_eq!(repeated, ["cannot read the message (3 times)"]);
        assert!(teller.tell().is_empty());
    }
}
