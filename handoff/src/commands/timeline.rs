//! `cargo handoff timeline`: what a deployed stack did, from its logs.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use spot_handoff::notice::InstanceId;
use spot_handoff::report::Report;
use spot_handoff::runtime::clock::Clock;
use spot_handoff::runtime::config::Env;

use crate::stack::StackArguments;
use crate::timeline::html;
use crate::timeline::story::Story;
use crate::words::count;
use crate::{logs, style, terminal};

/// How far before `--since` to look for the beginning of a hand-off. A retirement is announced weeks ahead.
const FARTHEST: SignedDuration = SignedDuration::from_hours(48);

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo handoff timeline --since 1h
  cargo handoff timeline --since 2d --instance i-1234567890abcdef0
  cargo handoff timeline --since 1h --html night.html

Permissions: cloudformation:ListStackResources, logs:FilterLogEvents.")]
pub struct Arguments {
    /// How far to look back: 30m, 1h, 2d
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = span)]
    since: SignedDuration,

    /// Of this instance alone
    #[arg(long, value_name = "ID")]
    instance: Option<InstanceId>,

    /// Write a page for a browser to this file, and no text
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    #[command(flatten)]
    stack: StackArguments,
}

/// Reads a span of time.
pub(super) fn span(text: &str) -> Result<SignedDuration, String> {
    let wrong = || "must look like 30m, 1h or 2d".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let number: i32 = number
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(wrong)?;
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return Err(wrong()),
    };
    Ok(SignedDuration::from_mins(i64::from(number) * minutes))
}

/// The hand-off that a report belongs to.
fn about(report: &Report) -> (String, String) {
    (report.event_id.clone(), report.instance.clone())
}

/// Prints the timeline. Returns whether everything went well.
pub async fn run(arguments: Arguments) -> Result<bool> {
    let now = Clock::from_env(&Env::of_process())?.now();
    let (config, stack) = arguments.stack.find().await?;
    let since = now
        .saturating_sub(arguments.since)
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let client = aws_sdk_cloudwatchlogs::Client::new(&config);
    let fields: Vec<_> = arguments
        .instance
        .iter()
        .map(|id| ("instance", id.as_str()))
        .collect();
    let mut reports = logs::reports(&client, &stack, &fields, since).await?;
    // A story without its beginning would be wrong, so hand-offs that began earlier are read from their beginning.
    let began = reports.iter().map(|report| report.notice_time).min();
    let from = began
        .unwrap_or(since)
        .max(since.saturating_sub(FARTHEST).unwrap_or(since));
    if from < since {
        let wanted: HashSet<(String, String)> = reports.iter().map(about).collect();
        reports = logs::reports(&client, &stack, &fields, from).await?;
        reports.retain(|report| wanted.contains(&about(report)));
    }
    let mut stories = Story::of(reports);
    for story in &mut stories {
        story.is_cut = story.notice_time() < from;
    }

    let read = stories.len();
    if arguments.instance.is_none() {
        stories.retain(|story| !story.is_idle());
    }
    if read > stories.len() {
        let left = count((read - stories.len()) as u64, "event");
        let said = format!(
            "left out: {left} of instances that began or ended, with nothing to do; --instance shows those of one"
        );
        anstream::eprintln!("{}", style::dim(&terminal::hang("", &said)));
    }
    if let Some(file) = &arguments.html {
        let page = html::page(&stories, &arguments.stack.stack, since, now);
        std::fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
        let what = count(stories.len() as u64, "hand-off");
        anstream::println!("{what} since {since:.0}, in {}", file.display());
    } else if stories.is_empty() {
        let whom = arguments
            .instance
            .as_ref()
            .map_or("any instance", InstanceId::as_str);
        anstream::println!(
            "no function of {} reported on {whom} since {since:.0}",
            arguments.stack.stack
        );
    } else {
        let rule = style::dim(&"─".repeat(terminal::columns().unwrap_or(100).min(100)));
        let texts: Vec<String> = stories.iter().map(|story| story.render(now)).collect();
        anstream::println!("{}", texts.join(&format!("\n\n{rule}\n\n")));
    }
    Ok(stories.iter().all(|story| story.verdict(now).is_good()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_minutes_hours_or_days() {
        let minutes = |text| span(text).map(|span| span.as_mins());
        assert_eq!(minutes("30m"), Ok(30));
        assert_eq!(minutes("1h"), Ok(60));
        assert_eq!(minutes("2d"), Ok(2880));
        for wrong in ["", "h", "1", "-1h", "0m", "1w", "1é"] {
            assert!(minutes(wrong).is_err(), "{wrong}");
        }
    }
}
