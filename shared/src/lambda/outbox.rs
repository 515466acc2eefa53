//! Sends follow-ups: delayed messages on our own queues.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use jiff::{SignedDuration, Timestamp};

use crate::notice::{FollowUp, Notice};
use crate::runtime::aws::CallError;
use crate::runtime::invocation::{self, Invocation};

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
const MESSAGES_PER_CALL: usize = 10;
/// If one of these notices fails, the whole message comes back.
const NOTICES_PER_MESSAGE: usize = 50;
/// Ten messages of this size fit into the 256 KiB of one call.
const BYTES_PER_MESSAGE: usize = 24_000;
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
    /// How long SQS delays it.
    pub delay: Duration,
}

impl Outgoing {
    /// A follow-up to a notice. It arrives at `at`, or after SQS's longest delay.
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

/// Sends follow-ups to many notices to one queue. Those for the same moment share as few messages as possible. Returns
/// the results in the order of the follow-ups.
pub async fn send_together(
    client: &Client,
    invocation: &Invocation,
    queue_url: &str,
    follow_ups: &[(&Notice, &FollowUp, Timestamp)],
) -> Vec<Result<(), CallError>> {
    let now = invocation.clock.now();
    let (messages, of_messages): (Vec<Outgoing>, Vec<Vec<usize>>) =
        together(queue_url, follow_ups, now).into_iter().unzip();
    let mut results = vec![Ok(()); follow_ups.len()];
    for (indexes, answer) in of_messages
        .into_iter()
        .zip(send(client, invocation, &messages).await)
    {
        for index in indexes {
            results[index] = answer.clone();
        }
    }
    results
}

/// The messages for follow-ups, each with the indexes of its follow-ups.
fn together(
    queue_url: &str,
    follow_ups: &[(&Notice, &FollowUp, Timestamp)],
    now: Timestamp,
) -> Vec<(Outgoing, Vec<usize>)> {
    // The delay of a message has whole seconds.
    let mut by_second: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (index, (_, _, at)) in follow_ups.iter().enumerate() {
        by_second.entry(at.as_second()).or_default().push(index);
    }
    let mut chunks: Vec<Vec<usize>> = vec![];
    for indexes in by_second.into_values() {
        let (mut chunk, mut bytes) = (vec![], 0);
        for index in indexes {
            let (notice, follow_up, _) = follow_ups[index];
            let more = follow_up.to_body(notice).len();
            let is_full = chunk.len() == NOTICES_PER_MESSAGE || bytes + more > BYTES_PER_MESSAGE;
            if is_full && !chunk.is_empty() {
                chunks.push(std::mem::take(&mut chunk));
                bytes = 0;
            }
            bytes += more;
            chunk.push(index);
        }
        chunks.push(chunk);
    }
    let message = |chunk: Vec<usize>| {
        let some: Vec<_> = chunk.iter().map(|index| follow_ups[*index]).collect();
        let at = some.iter().map(|(_, _, at)| *at).min()?;
        let message = match some[..] {
            [(notice, follow_up, _)] => Outgoing::new(queue_url, notice, follow_up, at, now),
            _ => {
                let pairs = some.iter().map(|(notice, follow_up, _)| (*notice, *follow_up));
                let pairs: Vec<_> = pairs.collect();
                Outgoing {
                    queue_url: queue_url.to_owned(),
                    body: FollowUp::many_to_body(&pairs)?,
                    delay: delay_until(at, now),
                }
            }
        };
        Some((message, chunk))
    };
    chunks.into_iter().filter_map(message).collect()
}

/// Whole seconds until `at`, rounded down: up to a second early is safe, late is not.
fn delay_until(at: Timestamp, now: Timestamp) -> Duration {
    let seconds = at.duration_since(now).max(SignedDuration::ZERO).as_secs();
    Duration::from_secs(seconds.unsigned_abs()).min(LONGEST_DELAY)
}

/// Sends messages, ten a call. Returns the results in the order of the messages.
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
    let answers = invocation::together(
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

/// The messages of the chunk that SQS refused, each with its error.
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

    #[test]
    fn follow_ups_of_the_same_second_go_together_as_far_as_they_fit() {
        use crate::notice::{Cause, Signal, Step};
        let now: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
        let notice = Notice {
            event_id: "e".to_owned(),
            instance: "i-1234567890abcdef0".parse().expect("an id"),
            time: now,
            signal: Signal::RebalanceRecommendation,
            ends: None,
            drill: None,
        };
        let with = |bytes| FollowUp {
            cause: Cause::Interruption,
            deadline: None,
            step: Step::StopTasks {
                cluster: "c".to_owned(),
                container_instance: "ci".to_owned(),
                tasks: vec!["t".repeat(bytes)],
                as_last: None,
                reruns: vec![],
            },
        };
        let (small, large) = (with(10), with(20_000));
        let counts = |list: &[(&FollowUp, i64)]| -> Vec<(usize, u64)> {
            let list: Vec<_> = list
                .iter()
                .map(|(follow_up, seconds)| (&notice, *follow_up, now + SignedDuration::from_secs(*seconds)))
                .collect();
            let messages = together("url", &list, now);
            let all: usize = messages.iter().map(|(_, indexes)| indexes.len()).sum();
            assert_eq!(all, list.len());
            messages
                .iter()
                .map(|(message, indexes)| (indexes.len(), message.delay.as_secs()))
                .collect()
        };
        assert_eq!(counts(&[]), []);
        assert_eq!(
            counts(&[(&small, 80), (&small, 70), (&small, 80)]),
            [(1, 70), (2, 80)]
        );
        assert_eq!(counts(&[(&small, 1); 120]), [(50, 1), (50, 1), (20, 1)]);
        assert_eq!(counts(&[(&large, 1), (&large, 1), (&small, 1)]), [(1, 1), (2, 1)]);
        let too_large = with(30_000);
        assert_eq!(counts(&[(&too_large, 1), (&too_large, 1)]), [(1, 1), (1, 1)]);
    }
}
