//! What Lambda does with a function's output: it writes some lines at a time into its log group.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use crate::outcome::Outcome;

/// The stream in every log group. Lambda has one for each execution environment.
pub(crate) const LOG_STREAM: &str = "[$LATEST]testbed";

/// For how long lines are gathered before they are sent.
const GATHERING: Duration = Duration::from_millis(100);
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html> takes 10,000 events
/// and a megabyte. Our lines are shorter than a few kilobytes.
const EVENTS_PER_CALL: usize = 200;

/// A line of a function.
#[derive(Debug)]
pub(crate) struct LogLine {
    /// When it was written, by the world's clock.
    pub(crate) at: Timestamp,
    /// The function.
    pub(crate) function: String,
    /// What was written.
    pub(crate) text: String,
}

/// Sends the lines to the functions' log groups until nobody is left to write any. As in Lambda, a line that cannot
/// be sent is lost.
pub(crate) async fn ship(
    client: Client,
    groups: BTreeMap<String, String>,
    mut lines: UnboundedReceiver<LogLine>,
) {
    for group in groups.values() {
        let stream = client.create_log_stream().log_group_name(group);
        let _ = stream.log_stream_name(LOG_STREAM).send().await;
    }
    while let Some(first) = lines.recv().await {
        sleep(GATHERING).await;
        let mut by_function = BTreeMap::<String, Vec<LogLine>>::new();
        let mut next = Some(first);
        while let Some(line) = next {
            by_function.entry(line.function.clone()).or_default().push(line);
            next = lines.try_recv().ok();
        }
        for (function, mut lines) in by_function {
            let Some(group) = groups.get(&function) else {
                continue;
            };
            // The API refuses a call whose events are not in chronological order.
            lines.sort_by_key(|line| line.at);
            for chunk in lines.chunks(EVENTS_PER_CALL) {
                let events = chunk.iter().map(event).collect::<Option<Vec<_>>>();
                let call = client.put_log_events().log_group_name(group);
                let call = call.log_stream_name(LOG_STREAM).set_log_events(events);
                let _ = call.send().await;
            }
        }
    }
}

fn event(line: &LogLine) -> Option<InputLogEvent> {
    let event = InputLogEvent::builder().timestamp(line.at.as_millisecond());
    event.message(&line.text).build().ok()
}

/// What Lambda itself writes about an invocation if the function ended before it could report.
pub(crate) fn line_of_lambda(at: Timestamp, request_id: &str, outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Answer(_) | Outcome::Error(_) => None,
        Outcome::TimedOut(limit) => {
            let seconds = limit.as_secs_f64();
            Some(format!(
                "{at:.3} {request_id} Task timed out after {seconds:.2} seconds"
            ))
        }
        Outcome::Crashed(how) | Outcome::NotStarted(how) => Some(format!(
            "RequestId: {request_id} Error: Runtime exited with error: {how}\nRuntime.ExitError"
        )),
    }
}
