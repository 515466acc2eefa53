//! Watches a bed and prints what happens, until nothing more will or the time is up.

use std::time::Duration;

use anyhow::Result;
use jiff::SignedDuration;
use testbed::{Backlog, Entry, Event, Testbed};
use tokio::time::timeout;

use super::Zero;
use super::output::Output;
use crate::timeline::{self, Line, Told, Word};
use crate::words::count;

/// How often the queues are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// For how much longer work that is under way is watched: enough for all tries of a message.
const GRACE: SignedDuration = SignedDuration::from_secs(120);

/// Prints the journal from entry `shown` on, until all is done, or `watch_seconds` of the world are over; answers what was left.
pub async fn follow(
    bed: &Testbed,
    output: &Output,
    zero: Zero,
    watch_seconds: i64,
    mut shown: usize,
) -> Result<Option<Backlog>> {
    let mut quiet_at = None;
    let mut told = Told::default();
    // Whether anything was printed since the waiting was mentioned.
    let mut news = false;
    loop {
        let _ = timeout(LOOK_AGAIN, bed.journal().beyond(shown)).await;
        let backlog = bed.backlog().await?;
        for entry in bed.journal().since(shown) {
            shown += 1;
            if let Event::Report(report) = &entry.event {
                output.report(report);
            }
            for line in told.filter(lines(&entry)) {
                output.line(&line, zero);
                news = true;
            }
        }

        // Twice the same, since the queues cannot all be looked at in one moment.
        if backlog.is_settled() && quiet_at == Some(shown) {
            return Ok(None);
        }
        quiet_at = backlog.is_settled().then_some(shown);

        let now = bed.world.clock().now();
        let passed = now.duration_since(zero);
        let over = passed >= SignedDuration::from_secs(watch_seconds);
        let long_over = passed >= SignedDuration::from_secs(watch_seconds) + GRACE;
        if over && backlog.is_idle() && !backlog.is_settled() || long_over {
            return Ok(Some(backlog));
        }
        if backlog.is_idle() && backlog.delayed > 0 && news {
            news = false;
            output.waiting(backlog.delayed, bed.world.clock(), zero);
        }
    }
}

/// What a person should know of an entry besides the report.
fn lines(entry: &Entry) -> Vec<Line> {
    let line = |word, text: String| vec![Line::new(entry.at, &entry.function, word, text)];
    match &entry.event {
        Event::Report(report) => timeline::lines(report),
        Event::Log(log) => match log["level"].as_str() {
            Some("ERROR") => line(Word::Failed, log_text(log)),
            Some("WARN") => line(Word::Warning, log_text(log)),
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

/// The message of a log line, wherever the logger put it.
fn log_text(log: &serde_json::Value) -> String {
    let message = log["message"]
        .as_str()
        .or_else(|| log["fields"]["message"].as_str());
    message.map_or_else(|| log.to_string(), str::to_owned)
}
