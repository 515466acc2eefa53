//! What the three functions that hand off, and this one in an earlier try, have reported about these notices: read from
//! their log groups.

use std::collections::HashMap;

use aws_sdk_cloudwatchlogs::Client;
use jiff::Timestamp;
use spot_handoff::notice::Notice;
use spot_handoff::report::Report;
use spot_handoff::report::log_patterns::Pattern;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};

/// A filter pattern has at most 1,024 characters: so many ids of events fit.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
const IDS_PER_QUERY: usize = 16;
/// The length of a UUID, which is what EventBridge gives its events.
const LONGEST_ID: usize = 36;

/// A function, and where it writes its reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    /// The function.
    pub function: &'static str,
    /// Its log group.
    pub log_group: String,
}

/// The reports of one function about these notices, in the order of time.
pub type Reports = Result<Vec<Report>, CallError>;

/// Reads the reports of every function: one query for each log group, and more only for many notices or many pages.
pub async fn reports(
    logs: &Client,
    invocation: &Invocation,
    reporters: impl Iterator<Item = &Reporter> + Clone,
    notices: &[&Notice],
) -> HashMap<&'static str, Reports> {
    let readings = reporters
        .clone()
        .map(|reporter| reports_of(logs, invocation, reporter, notices));
    let read = together(readings).await;
    reporters.map(|reporter| reporter.function).zip(read).collect()
}

async fn reports_of(
    logs: &Client,
    invocation: &Invocation,
    reporter: &Reporter,
    notices: &[&Notice],
) -> Reports {
    let Some(since) = notices.iter().map(|notice| notice.time).min() else {
        return Ok(vec![]);
    };
    let mut ids: Vec<&str> = notices.iter().map(|notice| notice.event_id.as_str()).collect();
    ids.retain(|id| can_be_asked_for(id));
    ids.sort_unstable();
    ids.dedup();
    let queries = ids
        .chunks(IDS_PER_QUERY)
        .map(|ids| query(logs, invocation, &reporter.log_group, ids, since));
    let mut reports = vec![];
    for found in together(queries).await {
        reports.extend(found?);
    }
    reports.sort_by_key(|report| report.started_at);
    Ok(reports)
}

async fn query(
    logs: &Client,
    invocation: &Invocation,
    log_group: &str,
    ids: &[&str],
    since: Timestamp,
) -> Reports {
    let pages = logs
        .filter_log_events()
        .log_group_name(log_group)
        .filter_pattern(pattern(ids).as_str())
        .start_time(since.as_millisecond())
        .into_paginator()
        .send()
        .collect::<Result<Vec<_>, _>>();
    let pages = invocation.call("FilterLogEvents", pages).await?;
    let events = pages.into_iter().flat_map(|page| page.events.unwrap_or_default());
    Ok(events
        .filter_map(|event| Report::from_line(event.message()?))
        .collect())
}

fn pattern(ids: &[&str]) -> Pattern {
    let fields: Vec<_> = ids.iter().map(|id| ("event_id", *id)).collect();
    Pattern::any(&fields)
}

/// An id is a UUID; one with other characters, from somebody's own event, would not be a value inside the pattern.
pub fn can_be_asked_for(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= LONGEST_ID
        && id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_every_notice_and_has_no_more_characters_than_cloudwatch_takes() {
        assert_eq!(pattern(&["a"]).as_str(), r#"{ $.event_id = "a" }"#);
        assert_eq!(
            pattern(&["a", "b"]).as_str(),
            r#"{ ($.event_id = "a") || ($.event_id = "b") }"#
        );
        let longest = "x".repeat(LONGEST_ID);
        assert!(pattern(&vec![longest.as_str(); IDS_PER_QUERY]).as_str().len() <= 1024);
    }

    #[test]
    fn an_id_that_would_break_the_pattern_is_not_asked_for() {
        assert!(can_be_asked_for("b2f1c9d4-0a1e-4e55-9d3a-2f6f0b7c8d11"));
        for id in ["", "a\" || \"", "a b", &"x".repeat(LONGEST_ID + 1)] {
            assert!(!can_be_asked_for(id), "{id}");
        }
    }
}
