//! An event source mapping: takes messages from a queue, invokes the function, settles the batch.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName, QueueAttributeName,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::batch::{self, Verdict};
use crate::clock::Clock;
use crate::journal::{Event, Journal};
use crate::lambda::{InHand, Lambda};
use crate::stack::{Mapping, Queue};

/// The most messages SQS hands out, or takes back, in one call.
const SQS_BATCH: usize = 10;
/// How long a poll waits for a first message, as Lambda's pollers do.
const LONG_POLL_SECONDS: i32 = 20;
/// Lambda adds up to 300 processes that read batches a minute while messages are waiting, up to 1,000.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>
const MORE_POLLERS: usize = 5;
const MORE_POLLERS_EVERY: Duration = Duration::from_secs(1);
const MOST_POLLERS: usize = 1_000;
/// How often a batch that is not full looks for more.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long to leave a queue alone that could not be polled.
const AFTER_TROUBLE: Duration = Duration::from_millis(250);
/// The longest visibility timeout SQS takes.
const LONGEST_HIDING: f64 = 43_200.0;

/// One mapping and all it needs to do its work.
pub(crate) struct EventSource {
    pub(crate) function: String,
    pub(crate) mapping: Mapping,
    pub(crate) queue: Queue,
    /// Signed as Lambda polls: under the role of the function.
    pub(crate) sqs: Client,
    /// AWS has no such caller. It corrects what a fast world gets wrong.
    pub(crate) set_right: Client,
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) clock: Clock,
    /// Whether the function itself makes failed messages visible again, unless it crashes.
    pub(crate) brings_back: bool,
    /// The mapping's maximum concurrency.
    pub(crate) slots: Arc<Semaphore>,
}

/// A batch and when it was taken from the queue.
struct Batch {
    messages: Vec<Message>,
    received: Instant,
    _in_hand: InHand,
}

impl EventSource {
    /// Polls for as long as the task lives.
    pub(crate) async fn poll(self: Arc<Self>) {
        // This is dropped with the task, and then the batches in it are given up.
        let mut at_work = JoinSet::new();
        loop {
            while at_work.try_join_next().is_some() {}
            // Take the slot first: a message must not wait here while its time runs out.
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                return;
            };
            match self.gather().await {
                Ok(batch) if batch.messages.is_empty() => {}
                Ok(batch) => {
                    let source = Arc::clone(&self);
                    at_work.spawn(async move {
                        source.handle(batch).await;
                        drop(slot);
                    });
                }
                Err(trouble) => {
                    self.note(Event::Trouble(trouble));
                    sleep(AFTER_TROUBLE).await;
                }
            }
        }
    }

    /// Adds pollers, each with a slot, while the queue has more messages than the pollers have taken.
    pub(crate) async fn grow(self: Arc<Self>, mut pollers: usize) {
        let most = self.mapping.maximum_concurrency.unwrap_or(MOST_POLLERS);
        let mut joined = JoinSet::new();
        loop {
            sleep(self.clock.real_span(MORE_POLLERS_EVERY)).await;
            if pollers < most && self.has_messages_waiting().await {
                let more = MORE_POLLERS.min(most - pollers);
                self.slots.add_permits(more);
                for _ in 0..more {
                    joined.spawn(Arc::clone(&self).poll());
                }
                pollers += more;
            }
        }
    }

    async fn has_messages_waiting(&self) -> bool {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let asking = self.sqs.get_queue_attributes().queue_url(&self.mapping.queue_url);
        let answer = asking.attribute_names(name.clone()).send().await;
        let waiting = answer
            .ok()
            .and_then(|answer| answer.attributes()?.get(&name).cloned());
        waiting.is_some_and(|count| count != "0")
    }

    /// Waits for a first message, then until the batch is full or its window has passed.
    async fn gather(&self) -> Result<Batch, String> {
        let messages = self.receive(self.mapping.batch_size, LONG_POLL_SECONDS).await?;
        let received = Instant::now();
        let mut batch = Batch {
            messages,
            received,
            _in_hand: InHand::one_more(&self.lambda),
        };
        self.lambda.count_received(batch.messages.len());
        if batch.messages.is_empty() {
            return Ok(batch);
        }
        let window = Duration::from_secs(self.mapping.window_seconds);
        let closes = received + self.clock.real_span(window);
        while batch.messages.len() < self.mapping.batch_size {
            let left = closes.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let room = self.mapping.batch_size - batch.messages.len();
            match self.receive(room, 0).await {
                Ok(more) if !more.is_empty() => {
                    self.lambda.count_received(more.len());
                    batch.messages.extend(more);
                }
                // Keep what has been received, even if the next call fails.
                Ok(_) | Err(_) => sleep(left.min(LOOK_AGAIN)).await,
            }
        }
        Ok(batch)
    }

    async fn receive(&self, room: usize, wait_seconds: i32) -> Result<Vec<Message>, String> {
        let answer = self
            .sqs
            .receive_message()
            .queue_url(&self.mapping.queue_url)
            .max_number_of_messages(room.min(SQS_BATCH) as i32)
            .wait_time_seconds(wait_seconds)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .set_visibility_timeout(self.hiding())
            .send()
            .await
            .map_err(|error| format!("cannot poll: {}", DisplayErrorContext(error)))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// For how long a message is hidden while a function works on it.
    ///
    /// In real time it is the queue's own setting. In a fast world, the function works at its usual pace, so a minute
    /// would be over before it had a chance. There the message stays hidden for as long as it would in real time, and
    /// [`Self::give_back`] corrects this afterwards.
    fn hiding(&self) -> Option<i32> {
        let setting = self.queue.visibility_timeout as f64;
        self.clock
            .is_fast()
            .then(|| (setting * self.clock.speed()).min(LONGEST_HIDING) as i32)
    }

    async fn handle(&self, batch: Batch) {
        let event = batch::event(&batch.messages, &self.mapping.queue_arn);
        let ids: Vec<&str> = batch.messages.iter().filter_map(|m| m.message_id()).collect();
        let verdict = match self.lambda.invoke(&self.function, event.to_string()).await {
            Ok(outcome) => batch::verdict(&outcome, &ids, self.mapping.report_batch_item_failures),
            Err(error) => Verdict::AllFailed(format!("{error:#}")),
        };
        let (failed, problem) = match verdict {
            Verdict::Failed(failed) => (failed, None),
            Verdict::AllFailed(why) => (ids.iter().map(|&id| id.to_owned()).collect(), Some(why)),
        };

        let (back, done): (Vec<_>, Vec<_>) = batch.messages.iter().partition(|message| {
            let id = message.message_id().unwrap_or_default();
            failed.iter().any(|failed| failed == id)
        });
        self.delete(&done).await;
        if self.clock.is_fast() && (problem.is_some() || !self.brings_back) {
            self.give_back(&back, batch.received).await;
        }
        self.note(Event::Batch {
            messages: batch.messages.len(),
            failed,
            problem,
        });
    }

    async fn delete(&self, messages: &[&Message]) {
        for chunk in messages.chunks(SQS_BATCH) {
            let entries = numbered(chunk).map(|(id, receipt)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(id)
                    .receipt_handle(receipt)
                    .build()
            });
            let request = self
                .sqs
                .delete_message_batch()
                .queue_url(&self.mapping.queue_url)
                .set_entries(entries.collect::<Result<_, _>>().ok());
            if let Err(error) = request.send().await {
                let error = DisplayErrorContext(error);
                self.note(Event::Trouble(format!("cannot delete messages: {error}")));
            }
        }
    }

    /// Makes failed messages appear at the moment at which they would have appeared if the function were as fast as
    /// the world.
    async fn give_back(&self, messages: &[&Message], received: Instant) {
        let worked = received.elapsed().as_secs();
        let left = self.queue.visibility_timeout.saturating_sub(worked) as i32;
        for chunk in messages.chunks(SQS_BATCH) {
            let entries = numbered(chunk).map(|(id, receipt)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(id)
                    .receipt_handle(receipt)
                    .visibility_timeout(left)
                    .build()
            });
            let request = self
                .set_right
                .change_message_visibility_batch()
                .queue_url(&self.mapping.queue_url)
                .set_entries(entries.collect::<Result<_, _>>().ok());
            if let Err(error) = request.send().await {
                let error = DisplayErrorContext(error);
                self.note(Event::Trouble(format!("cannot return messages: {error}")));
            }
        }
    }

    fn note(&self, event: Event) {
        self.journal.add(&self.function, event);
    }
}

/// The entries of a batch call: an id within the call, and the receipt.
fn numbered<'a>(messages: &'a [&Message]) -> impl Iterator<Item = (String, &'a str)> {
    let receipts = messages.iter().map(|m| m.receipt_handle().unwrap_or_default());
    receipts.enumerate().map(|(n, receipt)| (n.to_string(), receipt))
}
