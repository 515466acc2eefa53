//! A function's own queue. In a storm, an invocation takes more messages from it than Lambda hands over. And it makes
//! failed messages come back soon.
//!
//! Lambda hands over up to ten messages at once. With a batching window it hands over more, but a lone notice would
//! wait as well: up to 20 seconds on a quiet queue. So there is no window. An invocation with several messages looks
//! itself for more. Then a few invocations handle a storm, and their calls to AWS name many instances each.
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>

use std::future::Future;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName,
};
use aws_sdk_sqs::{Client, Config};
use aws_types::SdkConfig;
use jiff::SignedDuration;
use tokio::time::{Instant, sleep};

use crate::lambda::envelope::{Batch, Origin, QueueMessage};
use crate::runtime::aws::{self, CallCounter, CallError};
use crate::runtime::config::Env;
use crate::runtime::invocation::at_most;

/// The most messages in one call.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>
const MESSAGES_PER_CALL: usize = 10;
/// If an invocation has this many messages, it is a storm, and waiting for the rest saves calls.
const STORM: usize = 10;
/// A storm is over after this much silence. Long polling takes whole seconds.
const SILENCE_SECONDS: i32 = 1;
/// How long an invocation gathers messages.
pub const GATHERING: Duration = Duration::from_secs(2);
/// From this number on, a function may gather for longer.
const MANY: usize = 500;
/// How many calls receive at the same time: enough for thousands of messages a second.
const READERS: usize = 16;
/// A reader that got less than a full call waits this long for more to gather.
const PAUSE: Duration = Duration::from_millis(100);
/// How many calls settle messages at the same time. SQS has no limit for a standard queue; this limits the sockets.
const CALLS_AT_ONCE: usize = 20;
/// A failed message comes back this long after it was received: five tries fit into the two minutes.
const TRIED_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(20);

/// The queue that a function is invoked from.
#[derive(Debug)]
pub struct OwnQueue {
    config: Config,
    /// Made when it is first needed: in a storm, or when something has failed.
    client: OnceLock<Client>,
    url: String,
}

impl OwnQueue {
    /// The queue of a function, if the environment names it: for `drain-tasks` in `DRAIN_TASKS_QUEUE_URL`.
    pub fn of(function: &str, env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Option<Self> {
        let variable = format!("{}_QUEUE_URL", function.replace('-', "_").to_uppercase());
        let config = aws_sdk_sqs::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter);
        Some(Self {
            url: env.get(&variable)?,
            config: config.build(),
            client: OnceLock::new(),
        })
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::from_conf(self.config.clone()))
    }

    /// More messages, for an invocation that was given several. None if the queue is empty or cannot be read. In a
    /// storm of many hundreds, it gathers for `many_for`, or until there is silence.
    pub async fn more(&self, given: usize, many_for: Duration) -> Vec<Message> {
        // A lone notice is the usual case, and waits for nothing.
        if given < 2 {
            return vec![];
        }
        let taken = self.take(given, many_for).await;
        if !taken.is_empty() {
            tracing::info!(
                "took {} further notices from the queue, besides {given}",
                taken.len()
            );
        }
        taken
    }

    async fn take(&self, given: usize, many_for: Duration) -> Vec<Message> {
        let mut messages: Vec<Message> = vec![];
        let began = Instant::now();
        let stop_at = began + GATHERING;
        while given + messages.len() < STORM {
            match self.receive(stop_at, 0).await {
                more if more.is_empty() => return messages,
                more => messages.extend(more),
            }
        }
        let gathered = Mutex::new(messages);
        let reader = || async {
            let mut until = stop_at;
            while Instant::now() < until {
                let more = self.receive(until + GATHERING, SILENCE_SECONDS).await;
                let found = more.len();
                let so_far = {
                    let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
                    gathered.extend(more);
                    gathered.len()
                };
                if so_far >= MANY {
                    until = began + many_for;
                }
                match found {
                    0 => return,
                    MESSAGES_PER_CALL => {}
                    _ => sleep(PAUSE).await,
                }
            }
        };
        futures::future::join_all((0..READERS).map(|_| reader())).await;
        gathered.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn receive(&self, stop_at: Instant, wait_seconds: i32) -> Vec<Message> {
        let receiving = self
            .client()
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(MESSAGES_PER_CALL as i32)
            .wait_time_seconds(wait_seconds)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .customize()
            // The messages in hand wait meanwhile, so there is no retry. Lambda will hand over what was not taken.
            .config_override(Config::builder().retry_config(RetryConfig::disabled()))
            .send();
        match aws::call(|| stop_at, "ReceiveMessage", receiving).await {
            Ok(answer) => answer.messages.unwrap_or_default(),
            Err(error) => {
                tracing::warn!("no further notices from the queue, Lambda will hand them over: {error}");
                vec![]
            }
        }
    }

    /// Deletes the messages that are done, unless Lambda deletes them, and makes failed messages come back soon.
    ///
    /// A message that could not be deleted comes back, and the function finds that it is done. A failed message comes
    /// back at the latest when its visibility timeout is over.
    pub async fn settle(&self, batch: &Batch, failed: &[bool], worked: SignedDuration, stop_at: Instant) {
        let messages = || batch.messages.iter().zip(failed);
        let done: Vec<&str> = messages()
            .filter_map(|(message, failed)| to_delete(message, *failed))
            .collect();
        let back: Vec<&str> = messages()
            .filter_map(|(message, failed)| to_bring_back(message, *failed))
            .collect();
        let hidden_for = hidden_for(worked);
        let deleting = done.chunks(MESSAGES_PER_CALL).map(|receipts| {
            let entries = numbered(receipts, |id, receipt| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(id)
                    .receipt_handle(receipt)
                    .build()
                    .ok()
            });
            let sending = self
                .client()
                .delete_message_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries))
                .send();
            async move {
                refused(
                    aws::call(|| stop_at, "DeleteMessageBatch", sending)
                        .await
                        .map(|answer| answer.failed),
                )
            }
        });
        let bringing_back = back.chunks(MESSAGES_PER_CALL).map(|receipts| {
            let entries = numbered(receipts, |id, receipt| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(id)
                    .receipt_handle(receipt)
                    .visibility_timeout(hidden_for)
                    .build()
                    .ok()
            });
            let sending = self
                .client()
                .change_message_visibility_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries))
                .send();
            async move {
                refused(
                    aws::call(|| stop_at, "ChangeMessageVisibilityBatch", sending)
                        .await
                        .map(|answer| answer.failed),
                )
            }
        });
        let (not_deleted, not_brought_back) = tokio::join!(all(deleting), all(bringing_back));
        if let Some(error) = not_deleted {
            tracing::warn!("some messages that are done could not be deleted and will come again: {error}");
        }
        if let Some(error) = not_brought_back {
            tracing::warn!(
                "some messages that failed come back only after their visibility timeout: {error}"
            );
        }
    }
}

/// The receipt handle of a message that is done, if Lambda does not delete it.
fn to_delete(message: &QueueMessage, failed: bool) -> Option<&str> {
    match &message.origin {
        Origin::Queue { receipt } if !failed => Some(receipt),
        Origin::Queue { .. } | Origin::Mapping { .. } | Origin::Event => None,
    }
}

/// The receipt handle of a message that failed.
fn to_bring_back(message: &QueueMessage, failed: bool) -> Option<&str> {
    match &message.origin {
        Origin::Queue { receipt } | Origin::Mapping { receipt } if failed && !receipt.is_empty() => {
            Some(receipt)
        }
        Origin::Queue { .. } | Origin::Mapping { .. } | Origin::Event => None,
    }
}

/// For how many more seconds a failed message stays hidden, after this much work on it.
fn hidden_for(worked: SignedDuration) -> i32 {
    let left = TRIED_AGAIN_AFTER.saturating_sub(worked).max(SignedDuration::ZERO);
    i32::try_from(left.as_secs()).unwrap_or_default()
}

/// The entries of a batch call.
fn numbered<T>(receipts: &[&str], entry: impl Fn(String, &str) -> Option<T>) -> Vec<T> {
    let numbered = receipts.iter().enumerate();
    numbered
        .filter_map(|(index, receipt)| entry(index.to_string(), receipt))
        .collect()
}

/// Why the whole call, or its first failed entry, was refused.
fn refused(answer: Result<Vec<BatchResultErrorEntry>, CallError>) -> Option<String> {
    match answer {
        Ok(failed) => failed
            .first()
            .map(|entry| format!("{}: {}", entry.code, entry.message.as_deref().unwrap_or_default())),
        Err(error) => Some(error.to_string()),
    }
}

/// Makes all calls. Returns the first refusal.
async fn all(calls: impl Iterator<Item = impl Future<Output = Option<String>>>) -> Option<String> {
    at_most(CALLS_AT_ONCE, calls).await.into_iter().flatten().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Message;

    #[test]
    fn lambda_deletes_what_it_handed_over_and_we_what_we_took() {
        let message = |origin| QueueMessage {
            id: "m".to_owned(),
            content: Ok(Message::Notices(vec![])),
            origin,
            came_before: false,
        };
        let receipt = || "r".to_owned();
        let handed_over = message(Origin::Mapping { receipt: receipt() });
        let taken = message(Origin::Queue { receipt: receipt() });
        let unknown = message(Origin::Mapping {
            receipt: String::new(),
        });
        let settled = |message, failed| (to_delete(message, failed), to_bring_back(message, failed));
        assert_eq!(settled(&handed_over, false), (None, None));
        assert_eq!(settled(&handed_over, true), (None, Some("r")));
        assert_eq!(settled(&taken, false), (Some("r"), None));
        assert_eq!(settled(&taken, true), (None, Some("r")));
        assert_eq!(settled(&unknown, true), (None, None));
        assert_eq!(settled(&message(Origin::Event), true), (None, None));
    }

    #[test]
    fn a_failed_message_is_tried_again_twenty_seconds_after_it_came() {
        assert_eq!(hidden_for(SignedDuration::from_millis(1_300)), 18);
        assert_eq!(hidden_for(SignedDuration::from_secs(45)), 0);
    }
}
