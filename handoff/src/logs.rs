//! What the functions of a stack wrote to their log groups.

use anyhow::Result;
use aws_sdk_cloudwatchlogs::Client;
use jiff::Timestamp;
use spot_handoff::report::log_patterns::Pattern;
use spot_handoff::report::{REPORT_MARKER, Report};
use testbed::{Entry, Event};

use crate::refusal::cannot;
use crate::stack::{Function, Stack};

/// The lines of one function, oldest first.
///
/// # Errors
/// Where CloudWatch Logs refuses.
pub async fn entries(
    client: &Client,
    function: &Function,
    pattern: &Pattern,
    since: Timestamp,
    until: Option<Timestamp>,
) -> Result<Vec<Entry>> {
    let request = client
        .filter_log_events()
        .log_group_name(&function.log_group)
        .filter_pattern(pattern.as_str())
        .start_time(since.as_millisecond())
        .set_end_time(until.map(|until| until.as_millisecond()));
    let mut pages = request.into_paginator().send();
    let mut entries = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| {
            let what = format!("read the log group {}", function.log_group);
            cannot(what, "logs:FilterLogEvents", &error)
        })?;
        for event in page.events() {
            let at = event
                .timestamp()
                .and_then(|ms| Timestamp::from_millisecond(ms).ok());
            if let (Some(at), Some(line)) = (at, event.message()) {
                entries.push(Entry::of_line(at, &function.name, line.trim_end()));
            }
        }
    }
    Ok(entries)
}

/// The reports of all functions whose fields have these values, oldest first.
///
/// # Errors
/// Where CloudWatch Logs refuses.
pub async fn reports(
    client: &Client,
    stack: &Stack,
    fields: &[(&str, &str)],
    since: Timestamp,
) -> Result<Vec<Report>> {
    let fields: Vec<_> = [("report", REPORT_MARKER)]
        .into_iter()
        .chain(fields.iter().copied())
        .collect();
    let pattern = Pattern::all(&fields);
    let mut reports = Vec::new();
    for function in &stack.functions {
        for entry in entries(client, function, &pattern, since, None).await? {
            if let Event::Report(report) = entry.event {
                reports.push(*report);
            }
        }
    }
    reports.sort_by_key(|report| report.started_at);
    Ok(reports)
}
