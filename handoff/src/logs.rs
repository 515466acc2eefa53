//! Reads what the functions of a stack wrote to their log groups.

use anyhow::Result;
use aws_sdk_cloudwatchlogs::Client;
use jiff::Timestamp;
pub use spot_handoff::report::log_line::{LogLine, message};
use spot_handoff::report::log_patterns::Pattern;
use spot_handoff::report::{REPORT_MARKER, Report};

use crate::refusal::cannot;
use crate::stack::{Function, Stack};

/// The lines of one function, oldest first.
///
/// # Errors
/// If CloudWatch Logs refuses.
pub async fn lines(
    client: &Client,
    function: &Function,
    pattern: &Pattern,
    since: Timestamp,
    until: Option<Timestamp>,
) -> Result<Vec<LogLine>> {
    let request = client
        .filter_log_events()
        .log_group_name(&function.log_group)
        .filter_pattern(pattern.as_str())
        .start_time(since.as_millisecond())
        .set_end_time(until.map(|until| until.as_millisecond()));
    let mut pages = request.into_paginator().send();
    let mut lines = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| {
            let what = format!("read the log group {}", function.log_group);
            cannot(what, "logs:FilterLogEvents", &error)
        })?;
        for event in page.events() {
            lines.extend(event.message().map(|line| LogLine::read(line.trim_end())));
        }
    }
    Ok(lines)
}

/// The reports of all functions whose fields have these values, oldest first.
///
/// # Errors
/// If CloudWatch Logs refuses.
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
        for line in lines(client, function, &pattern, since, None).await? {
            if let LogLine::Report(report) = line {
                reports.push(*report);
            }
        }
    }
    reports.sort_by_key(|report| report.started_at);
    Ok(reports)
}
