//! Sending follow-ups: delayed messages on our own queues.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use jiff::{SignedDuration, Timestamp};

use crate::notice::{FollowUp, Notice};
use crate::runtime::aws::CallError;
use crate::runtime::invocation::{Invocation, together};

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
const MESSAGES_PER_CALL: usize = 10;
/// Some 300 bytes each, so that ten such messages fit into the 256 KiB of one call.
pub const NOTICES_PER_MESSAGE: usize = 50;
/// The longest delay of a message: 15 minutes.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html>
pub const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// A follow-up on its way to a queue.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// URL of the queue.
    pub queue_url: String,
    /// The message body.
    pub body: String,
    /// How long SQS keeps it back.
    pub delay: Duration,
}

impl Outgoing {
    /// A follow-up to a notice, to arrive at `at`, or as late as SQS can hold it back.
    pub fn new(
        queue_url: &str,
        notice: &Notice,
        follow_up: &FollowUp,
        at: Timestamp,
        now: Timestamp,
    ) -> Self {
        Self {
            queue_url: queue_url.to_owned(),
            body: follow_up.to_body(notice),
            delay: delay_until(at, now),
        }
    }
}

/// Follow-ups to many notices that go to the same queue at the same time, in as few messages as may be.
pub fn together_at(
    queue_url: &str,
    follow_ups: &[(&Notice, &FollowUp)],
    at: Timestamp,
    now: Timestamp,
) -> Vec<Outgoing> {
    follow_ups
        .chunks(NOTICES_PER_MESSAGE)
        .filter_map(FollowUp::many_to_body)
        .map(|body| Outgoing {
            queue_url: queue_url.to_owned(),
            body,
            delay: delay_until(at, now),
        })
        .collect()
}

/// Whole seconds until `at`, rounded down: early by less than a second is safe, late is not.
fn delay_until(at: Timestamp, now: Timestamp) -> Duration {
    let seconds = at.duration_since(now).max(SignedDuration::ZERO).as_secs();
    Duration::from_secs(seconds.unsigned_abs()).min(LONGEST_DELAY)
}

/// Sends messages, ten a call; answers in the order of the messages.
pub async fn send(
    client: &Client,
    invocation: &Invocation,
    messages: &[Outgoing],
) -> Vec<Result<(), CallError>> {
    let mut results = vec![Ok(()); messages.len()];
    let mut queues: Vec<&str> = messages
        .iter()
        .map(|message| message.queue_url.as_str())
        .collect();
    queues.sort_unstable();
    queues.dedup();
    let numbered: Vec<(usize, &Outgoing)> = messages.iter().enumerate().collect();
    let mut calls: Vec<(&str, Vec<(usize, &Outgoing)>)> = vec![];
    for queue in queues {
        let own: Vec<_> = numbered
            .iter()
            .copied()
            .filter(|(_, message)| message.queue_url == queue)
            .collect();
        calls.extend(own.chunks(MESSAGES_PER_CALL).map(|chunk| (queue, chunk.to_vec())));
    }
    let answers = together(
        calls
            .iter()
            .map(|(queue, chunk)| send_chunk(client, invocation, queue, chunk)),
    )
    .await;
    for ((_, chunk), answer) in calls.iter().zip(answers) {
        match answer {
            Ok(failed) => {
                for (index, error) in failed {
                    results[index] = Err(error);
                }
            }
            Err(error) => {
                for (index, _) in chunk {
                    results[*index] = Err(error.clone());
                }
            }
        }
    }
    results
}

/// The messages of the chunk that SQS did not take, each with its error.
async fn send_chunk(
    client: &Client,
    invocation: &Invocation,
    queue_url: &str,
    chunk: &[(usize, &Outgoing)],
) -> Result<Vec<(usize, CallError)>, CallError> {
    let entry = |(index, message): &(usize, &Outgoing)| {
        SendMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .message_body(&message.body)
            .delay_seconds(i32::try_from(message.delay.as_secs()).unwrap_or(0))
            .build()
            .ok()
    };
    let entries: Vec<_> = chunk.iter().filter_map(entry).collect();
    let sending = client
        .send_message_batch()
        .queue_url(queue_url)
        .set_entries(Some(entries))
        .send();
    let answer = invocation.call("SendMessageBatch", sending).await?;
    let error = |failed: aws_sdk_sqs::types::BatchResultErrorEntry| {
        let index = failed.id.parse().ok()?;
        let refused = CallError::Refused {
            action: "SendMessageBatch",
            code: failed.code,
            message: failed.message.unwrap_or_default(),
        };
        Some((index, refused))
    };
    Ok(answer.failed.into_iter().filter_map(error).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follow_up_is_never_late_and_never_delayed_longer_than_sqs_can() {
        let now: Timestamp = "2026-11-24T04:00:00.400Z".parse().expect("a time");
        let at = |text: &str| delay_until(text.parse().expect("a time"), now).as_secs();
        assert_eq!(at("2026-11-24T04:00:10Z"), 9);
        assert_eq!(at("2026-11-24T03:59:00Z"), 0);
        assert_eq!(at("2026-11-24T09:00:00Z"), 900);
    }
}
