//! Why a message failed: from the log of its function, or from what EventBridge wrote on it.

use anyhow::Result;
use aws_sdk_cloudwatchlogs::Client;
use jiff::{SignedDuration, Timestamp};
use spot_handoff::report::log_patterns::Pattern;
use spot_handoff::report::{ActionResult, Outcome, Report};

use super::letter::Letter;
use crate::logs::{self, LogLine, message};
use crate::stack::Stack;
use crate::timeline::names::Names;

/// What Lambda itself logs if an invocation ends before the function can report.
const ENDS: [&str; 2] = ["Task timed out", "Runtime exited with error"];
/// Within this time after it was sent, a message has had all its tries. The longest case is a follow-up that is delayed
/// for 900 s, then received five times, 65 s apart, by invocations that end after 60 s: 900 + 4 × 65 + 60 = 1,220 s.
/// For announce-hand-offs, 90 s apart, it is 900 + 4 × 90 + 60 = 1,320 s. The rest is for busy pollers.
const TRIES: SignedDuration = SignedDuration::from_mins(25);
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// Why a message failed, and which part of its work is not done.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// Why, as a sentence.
    pub why: String,
    /// What should have been done but is not. Empty if nobody can tell.
    pub undone: Vec<String>,
    /// How often it was tried, according to the log.
    pub tries: usize,
}

/// Looks for the reason.
///
/// # Errors
/// If CloudWatch Logs refuses.
pub async fn of(client: &Client, stack: &Stack, letter: &Letter) -> Result<Reason> {
    if let Some(undelivered) = &letter.undelivered {
        let rule = undelivered.rule.rsplit('/').next().unwrap_or_default();
        return Ok(Reason {
            why: format!(
                "EventBridge could not deliver it (rule {rule}): {}: {}",
                undelivered.code, undelivered.message
            ),
            undone: vec![],
            tries: 0,
        });
    }
    let Some(function) = stack.function(&letter.function) else {
        return Ok(from_lines(&[], &[]));
    };
    let event: serde_json::Value = serde_json::from_str(&letter.body).unwrap_or_default();
    let mut fields = vec![("message_id", letter.id.as_str())];
    fields.extend(event["id"].as_str().map(|id| ("event_id", id)));
    let since = letter.sent - SKEW;
    let about_it = logs::lines(client, function, &Pattern::any(&fields), since, None).await?;
    let about_it = only_of(letter, about_it);
    if !about_it.is_empty() {
        return Ok(from_lines(&about_it, &[]));
    }
    let until = letter.sent.saturating_add(TRIES).unwrap_or(Timestamp::MAX);
    let ends = logs::lines(client, function, &Pattern::phrases(&ENDS), since, Some(until)).await?;
    Ok(from_lines(&[], &ends))
}

/// Only the reports on this letter. An event's first notice and its follow-ups share the event's id, so this compares
/// instances and signals.
fn only_of(letter: &Letter, lines: Vec<LogLine>) -> Vec<LogLine> {
    let notices = letter.read(letter.sent).unwrap_or_default();
    let is_about_it = |line: &LogLine| match line {
        LogLine::Report(report) => notices.iter().any(|notice| {
            (notice.instance.as_str(), notice.signal.name())
                == (report.instance.as_str(), report.signal.as_str())
        }),
        _ => true,
    };
    lines.into_iter().filter(is_about_it).collect()
}

/// The last line in the log about a message; without one, how invocations ended at that time.
fn from_lines(about_it: &[LogLine], ends: &[LogLine]) -> Reason {
    let failed = about_it.iter().filter_map(|line| match line {
        LogLine::Report(report) if report.outcome == Outcome::Failed => Some(&**report),
        _ => None,
    });
    let failed: Vec<&Report> = failed.collect();
    if let Some(last) = failed.last() {
        return of_report(last, failed.len());
    }
    let errors: Vec<String> = about_it
        .iter()
        .filter_map(|line| match line {
            LogLine::Record(log) if is_error(log) => Some(message(log)),
            _ => None,
        })
        .collect();
    if let Some(last) = errors.last() {
        return Reason {
            why: last.clone(),
            undone: vec![],
            tries: errors.len(),
        };
    }
    let why = match ends.last() {
        Some(LogLine::Text(text)) => {
            let first = text.lines().next().unwrap_or_default();
            format!("the function did not finish: {first}")
        }
        _ => {
            "the log has no word of it: the function was throttled or disabled, or the log is gone".to_owned()
        }
    };
    Reason {
        why,
        undone: vec![],
        tries: ends.len(),
    }
}

/// Whether the line is an error.
fn is_error(log: &serde_json::Value) -> bool {
    log["level"] == "ERROR"
}

fn of_report(report: &Report, tries: usize) -> Reason {
    let names = Names::of(report);
    let failed = || {
        report
            .actions
            .iter()
            .filter(|action| action.result == ActionResult::Failed)
    };
    let errors = failed().filter_map(|action| action.error.as_deref());
    let mut why: Vec<String> = report
        .problems
        .iter()
        .map(String::as_str)
        .chain(errors)
        .map(|text| names.sentence(text))
        .collect();
    why.dedup();
    let undone = failed().map(|action| {
        let what = action.action.in_words();
        format!("{what} {}", names.resource(&action.resource))
    });
    Reason {
        why: why.join("; "),
        undone: undone.collect(),
        tries,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(outcome: &str, error: Option<&str>) -> String {
        json!({
            "report": "spot-handoff", "function": "drain-tasks", "level": "ERROR", "message": "", "event_id": "e",
            "signal": "interruption-warning", "instance": "i-1", "notice_time": "2026-11-24T04:00:00Z",
            "started_at": "2026-11-24T04:00:00Z", "seconds_left_at_start": null, "seconds_left_at_end": null,
            "dry_run": false, "outcome": outcome,
            "actions": [{"action": "stop-task", "resource": "arn:aws:ecs:us-east-1:1:task/c/0123456789abcdef",
                "result": if error.is_some() { "failed" } else { "done" }, "error": error,
                "finished_at": "2026-11-24T04:00:00Z"}],
        })
        .to_string()
    }

    #[test]
    fn the_last_failed_report_says_why_and_what_is_not_done() {
        let lines = [
            LogLine::read(&report("failed", Some("first"))),
            LogLine::read(&report("failed", Some("StopTask refused"))),
            // Another notice about the same event went well.
            LogLine::read(&report("done", None)),
        ];
        let reason = from_lines(&lines, &[]);
        assert_eq!(reason.why, "StopTask refused");
        assert_eq!(reason.undone, ["stop task c/01234567"]);
        assert_eq!(reason.tries, 2);
    }

    #[test]
    fn reports_on_other_messages_of_the_same_event_are_not_about_it() {
        let body = json!({"id": "e", "source": "aws.ec2", "detail-type": "EC2 Instance Rebalance Recommendation",
            "time": "2026-11-24T04:00:00Z", "detail": {"instance-id": "i-1234567890abcdef0"}});
        let letter = Letter {
            id: "m".to_owned(),
            function: "drain-tasks".to_owned(),
            source: String::new(),
            queue: String::new(),
            receipt: String::new(),
            sent: "2026-11-24T04:00:00Z".parse().unwrap(),
            body: body.to_string(),
            undelivered: None,
        };
        let other = LogLine::read(&report("failed", Some("of an interruption")));
        let own = report("failed", Some("of the recommendation"))
            .replace("interruption-warning", "rebalance-recommendation")
            .replace("i-1", "i-1234567890abcdef0");
        let left = only_of(&letter, vec![LogLine::read(&own), other]);
        assert_eq!(from_lines(&left, &[]).why, "of the recommendation");
    }

    #[test]
    fn without_a_report_the_log_lines_tell() {
        let unreadable = LogLine::read(r#"{"level":"ERROR","message":"cannot read the message: no JSON"}"#);
        assert_eq!(
            from_lines(&[unreadable], &[]).why,
            "cannot read the message: no JSON"
        );
        let timed_out = LogLine::read("2026-11-24T04:01:00Z abc Task timed out after 60.00 seconds");
        assert!(
            from_lines(&[], &[timed_out])
                .why
                .contains("timed out after 60.00 seconds")
        );
        assert!(from_lines(&[], &[]).why.starts_with("the log has no word of it"));
    }
}
