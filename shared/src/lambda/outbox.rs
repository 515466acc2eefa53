//! Sending follow-ups: delayed messages on our own queues.

use std::collections::BTreeMap;
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
const NOTICES_PER_MESSAGE: usize = 50;
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

/// Sends follow-ups to many notices to one queue: those of the same second go in as few messages as may be. Answers in
/// their order.
pub async fn send_together(
    client: &Client,
    invocation: &Invocation,
    queue_url: &str,
    follow_ups: &[(&Notice, &FollowUp, Timestamp)],
) -> Vec<Result<(), CallError>> {
    // The delay of a message has whole seconds.
    let mut by_second: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (index, (_, _, at)) in follow_ups.iter().enumerate() {
        by_second.entry(at.as_second()).or_default().push(index);
    }
    let chunks = by_second.values().flat_map(|all| all.chunks(NOTICES_PER_MESSAGE));
    let chunks: Vec<&[usize]> = chunks.collect();
    let now = invocation.clock.now();
    let message = |chunk: &&[usize]| {
        let earliest = chunk
            .iter()
            .map(|index| follow_ups[*index].2)
            .min()
            .unwrap_or(now);
        let about = chunk
            .iter()
            .map(|index| (follow_ups[*index].0, follow_ups[*index].1));
        about_many(queue_url, &about.collect::<Vec<_>>(), earliest, now)
    };
    let messages: Vec<Outgoing> = chunks.iter().flat_map(message).collect();
    let answers = send(client, invocation, &messages).await;
    let mut results = vec![Ok(()); follow_ups.len()];
    for (chunk, answer) in chunks.into_iter().zip(answers) {
        for index in chunk {
            results[*index] = answer.clone();
        }
    }
    results
}

/// One message about many notices; `None` where there are none.
fn about_many(
    queue_url: &str,
    follow_ups: &[(&Notice, &FollowUp)],
    at: Timestamp,
    now: Timestamp,
) -> Option<Outgoing> {
    Some(Outgoing {
        queue_url: queue_url.to_owned(),
        body: FollowUp::many_to_body(follow_ups)?,
        delay: delay_until(at, now),
    })
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
