//! Figures as a table in Markdown.

use std::fmt::Write as _;

use crate::figures::Figures;
use crate::figures::Work;
use crate::run::{Outcome, work_of};

/// The head of the table.
pub fn head() -> String {
    let columns = [
        "instances",
        "function",
        "until",
        "p50 s",
        "p99 s",
        "max s",
        "not done",
        "calls",
        "calls per instance",
        "round trips",
        "queue calls",
        "throttled",
        "came back",
        "dead letters",
    ];
    format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()))
}

/// The rows of one storm.
pub fn rows(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (function, figures) in &outcome.functions {
        let until = match work_of(function) {
            Work::Deregister => "last target deregistered",
            Work::Drain => "instance draining",
            Work::Replace => "replacement requested",
        };
        let seconds = |p| {
            figures
                .percentile(p)
                .map_or("-".to_owned(), |seconds| format!("{seconds:.1}"))
        };
        let instances = outcome.size.instances;
        let per_instance = figures.calls as f64 / instances.max(1) as f64;
        let Figures {
            unfinished,
            calls,
            round_trips,
            queue_calls,
            throttled,
            came_back,
            ..
        } = figures;
        let dead = outcome.dead_letters;
        // Of several invocations, side by side and after each other, the chain says nothing.
        let round_trips = match instances {
            1 => round_trips.to_string(),
            _ => String::new(),
        };
        let _ = writeln!(
            text,
            "| {instances} | {function} | {until} | {} | {} | {} | {unfinished} | {calls} | {per_instance:.2} | {round_trips} | {queue_calls} | {throttled} | {came_back} | {dead} |",
            seconds(50.0),
            seconds(99.0),
            seconds(100.0),
        );
    }
    text
}

/// How the calls of each function are made up, most frequent first.
pub fn calls(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (function, figures) in &outcome.functions {
        let mut actions: Vec<_> = figures.by_action.iter().collect();
        actions.sort_by(|a, b| b.1.cmp(a.1));
        let actions: Vec<String> = actions
            .iter()
            .map(|(action, count)| format!("{action} {count}"))
            .collect();
        let _ = writeln!(text, "  {function}: {}", actions.join(", "));
    }
    text
}
