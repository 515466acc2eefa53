//! Everything that the functions of a bed said and did, in order.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use spot_handoff::report::Report;
use spot_handoff::report::log_line;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::locked;
use crate::logs::{self, LogLine};
use crate::outcome::Outcome;

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When, by the world's clock.
    pub at: Timestamp,
    /// The function it happened to.
    pub function: String,
    /// What happened.
    pub event: Event,
}

/// What can happen to a function.
#[derive(Debug, Clone)]
pub enum Event {
    /// It reported on an instance.
    Report(Box<Report>),
    /// It wrote another line of JSON: a log line or a metric.
    Log(Value),
    /// It wrote something that is not JSON.
    Text(String),
    /// An invocation began.
    Invoked {
        /// The id Lambda gives the invocation.
        request_id: String,
        /// Whether a new process had to be started for it.
        cold: bool,
    },
    /// An invocation ended.
    Ended {
        /// The id Lambda gave the invocation.
        request_id: String,
        /// How long it took, in real time.
        took: Duration,
        /// How it ended.
        outcome: Outcome,
    },
    /// A batch from its queue was settled.
    Batch {
        /// How many messages it had.
        messages: usize,
        /// The ids of those that go back to the queue.
        failed: Vec<String>,
        /// Why the whole batch failed, where it did.
        problem: Option<String>,
    },
    /// Its queue could not be polled, or messages not be deleted.
    Trouble(String),
}

impl Entry {
    /// A line of a function's output.
    pub fn of_line(at: Timestamp, function: &str, line: &str) -> Self {
        Self {
            at,
            function: function.to_owned(),
            event: Event::of_line(line),
        }
    }
}

impl Event {
    fn of_line(line: &str) -> Self {
        match log_line::LogLine::read(line) {
            log_line::LogLine::Report(report) => Self::Report(report),
            log_line::LogLine::Record(record) => Self::Log(record),
            log_line::LogLine::Text(text) => Self::Text(text),
        }
    }
}

/// The record of a bed. It only grows, so a reader who remembers their position misses nothing.
pub struct Journal {
    clock: Clock,
    entries: Mutex<Vec<Entry>>,
    length: watch::Sender<usize>,
    /// Where the lines go that Lambda would put into a log group.
    log: Option<UnboundedSender<LogLine>>,
}

impl Journal {
    /// An empty record for a world with this clock.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            entries: Mutex::default(),
            length: watch::Sender::new(0),
            log: None,
        }
    }

    /// The same record, of a world whose functions have log groups.
    pub(crate) fn with_log(self, log: UnboundedSender<LogLine>) -> Self {
        Self {
            log: Some(log),
            ..self
        }
    }

    pub(crate) fn add(&self, function: &str, event: Event) {
        let entry = Entry {
            at: self.clock.now(),
            function: function.to_owned(),
            event,
        };
        if let Event::Ended {
            request_id, outcome, ..
        } = &entry.event
            && let Some(line) = logs::line_of_lambda(entry.at, request_id, outcome)
        {
            self.log(entry.at, function, line);
        }
        let mut entries = locked(&self.entries);
        entries.push(entry);
        self.length.send_replace(entries.len());
    }

    fn log(&self, at: Timestamp, function: &str, line: String) {
        let Some(log) = &self.log else { return };
        // Fails only when the bed ends, and the log groups with it.
        let _ = log.send(LogLine {
            at,
            function: function.to_owned(),
            text: line,
        });
    }

    /// Sorts a line of a function's output in.
    pub(crate) fn add_line(&self, function: &str, line: &str) {
        self.log(self.clock.now(), function, line.to_owned());
        self.add(function, Event::of_line(line));
    }

    /// The entries from a position on.
    pub fn since(&self, position: usize) -> Vec<Entry> {
        let entries = locked(&self.entries);
        entries.get(position..).unwrap_or_default().to_vec()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        locked(&self.entries).len()
    }

    /// Whether nothing happened yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until there are more entries than `position`.
    pub async fn beyond(&self, position: usize) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self
            .length
            .subscribe()
            .wait_for(|&length| length > position)
            .await;
    }

    /// Every report so far.
    pub fn reports(&self) -> Vec<Report> {
        let entries = locked(&self.entries);
        let reports = entries.iter().filter_map(|entry| match &entry.event {
            Event::Report(report) => Some((**report).clone()),
            _ => None,
        });
        reports.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let journal = Journal::new(Clock::real());
        journal.add_line("drain-tasks", r#"{"level":"INFO","message":"ready"}"#);
        journal.add_line("drain-tasks", "thread 'main' panicked");
        let kinds: Vec<_> = journal.since(0).into_iter().map(|e| e.event).collect();
        assert!(matches!(kinds[0], Event::Log(_)), "{kinds:?}");
        assert!(matches!(kinds[1], Event::Text(_)), "{kinds:?}");
        assert!(journal.reports().is_empty());
    }

    #[test]
    fn a_reader_behind_the_end_gets_nothing() {
        assert!(Journal::new(Clock::real()).since(7).is_empty());
    }
}
