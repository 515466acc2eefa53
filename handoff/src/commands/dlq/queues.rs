//! The dead-letter queues: reads them without removing anything, sends messages back, and deletes them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName as Attribute,
};
use jiff::Timestamp;

use super::letter::{Letter, Undelivered};
use crate::refusal::cannot;
use crate::stack::Stack;

/// How long a message is hidden while its queue is read to the end.
const HIDDEN_SECONDS: i32 = 30;
/// The most messages in one call of SQS.
const BATCH: usize = 10;
/// A queue counts as read after this many empty answers in a row: SQS answers from a sample of its servers.
const EMPTY_ANSWERS: usize = 2;

/// The dead-letter queues of a stack.
pub struct Queues<'a> {
    client: Client,
    stack: &'a Stack,
}

impl<'a> Queues<'a> {
    /// The queues of this stack.
    pub fn new(config: &SdkConfig, stack: &'a Stack) -> Self {
        Self {
            client: Client::new(config),
            stack,
        }
    }

    /// Every message, the oldest first. They stay hidden for half a minute, or until [`Self::put_back`].
    ///
    /// # Errors
    /// If SQS refuses.
    pub async fn letters(&self) -> Result<Vec<Letter>> {
        let mut letters = Vec::new();
        for function in self.stack.all_functions() {
            for message in self.receive(&function.dead_letters).await? {
                let (name, source) = (function.name.clone(), function.queue.clone());
                letters.push(letter(message, &function.dead_letters, name, source, None));
            }
        }
        for message in self.receive(&self.stack.undelivered).await? {
            let attributes = message.message_attributes().into_iter().flatten();
            let attributes: BTreeMap<String, String> = attributes
                .filter_map(|(name, value)| Some((name.clone(), value.string_value()?.to_owned())))
                .collect();
            let undelivered = Undelivered::of(&attributes);
            let target = undelivered.target.rsplit(':').next().unwrap_or_default();
            let function = self
                .stack
                .all_functions()
                .find(|function| function.queue.rsplit('/').next() == Some(target));
            let (name, source) = match function {
                Some(function) => (function.name.clone(), function.queue.clone()),
                None => (target.to_owned(), String::new()),
            };
            letters.push(letter(
                message,
                &self.stack.undelivered,
                name,
                source,
                Some(undelivered),
            ));
        }
        letters.sort_by(|a, b| (a.sent, &a.id).cmp(&(b.sent, &b.id)));
        Ok(letters)
    }

    async fn receive(&self, queue: &str) -> Result<Vec<Message>> {
        let (mut messages, mut seen, mut empty) = (Vec::new(), BTreeSet::new(), 0);
        while empty < EMPTY_ANSWERS {
            let request = self
                .client
                .receive_message()
                .queue_url(queue)
                .max_number_of_messages(BATCH as i32)
                .visibility_timeout(HIDDEN_SECONDS)
                .message_system_attribute_names(Attribute::All)
                .message_attribute_names("All");
            let answer = request
                .send()
                .await
                .map_err(|error| cannot(format!("look into {queue}"), "sqs:ReceiveMessage", &error))?;
            let before = messages.len();
            for message in answer.messages.unwrap_or_default() {
                if seen.insert(message.message_id().unwrap_or_default().to_owned()) {
                    messages.push(message);
                }
            }
            empty = if messages.len() == before { empty + 1 } else { 0 };
        }
        Ok(messages)
    }

    /// Makes the messages visible again, as they were.
    ///
    /// # Errors
    /// If SQS refuses.
    pub async fn put_back(&self, letters: &[Letter]) -> Result<()> {
        let mut by_queue = BTreeMap::<&str, Vec<&Letter>>::new();
        for letter in letters {
            by_queue.entry(&letter.queue).or_default().push(letter);
        }
        for (queue, letters) in by_queue {
            for chunk in letters.chunks(BATCH) {
                let entries = chunk.iter().enumerate().map(|(n, letter)| {
                    ChangeMessageVisibilityBatchRequestEntry::builder()
                        .id(n.to_string())
                        .receipt_handle(&letter.receipt)
                        .visibility_timeout(0)
                        .build()
                });
                let entries = entries.collect::<Result<Vec<_>, _>>()?;
                let call = self.client.change_message_visibility_batch().queue_url(queue);
                let call = call.set_entries(Some(entries)).send();
                call.await.map_err(|error| {
                    let what = format!(
                        "make the messages of {queue} visible again (they are so in {HIDDEN_SECONDS} s by themselves)"
                    );
                    cannot(what, "sqs:ChangeMessageVisibility", &error)
                })?;
            }
        }
        Ok(())
    }

    /// Sends a message back to where it came from, then deletes it from the dead-letter queue. In this order it cannot
    /// be lost. A function that handles it twice finds that it is already done.
    ///
    /// # Errors
    /// If SQS refuses.
    pub async fn redrive(&self, letter: &Letter) -> Result<()> {
        let send = self
            .client
            .send_message()
            .queue_url(&letter.source)
            .message_body(&letter.body);
        send.send()
            .await
            .map_err(|error| cannot(format!("send to {}", letter.source), "sqs:SendMessage", &error))?;
        self.delete(letter).await.context("it is sent back")
    }

    /// Deletes a message from its dead-letter queue for good.
    ///
    /// # Errors
    /// If SQS refuses.
    pub async fn delete(&self, letter: &Letter) -> Result<()> {
        let delete = self.client.delete_message().queue_url(&letter.queue);
        let deleted = delete.receipt_handle(&letter.receipt).send().await;
        let what = || format!("delete {} from {}", letter.id, letter.queue);
        deleted
            .map(drop)
            .map_err(|error| cannot(what(), "sqs:DeleteMessage", &error))
    }
}

fn letter(
    message: Message,
    queue: &str,
    function: String,
    source: String,
    undelivered: Option<Undelivered>,
) -> Letter {
    let sent = message
        .attributes()
        .and_then(|all| all.get(&Attribute::SentTimestamp));
    let sent = sent.and_then(|ms| Timestamp::from_millisecond(ms.parse().ok()?).ok());
    Letter {
        id: message.message_id.unwrap_or_default(),
        function,
        source,
        queue: queue.to_owned(),
        receipt: message.receipt_handle.unwrap_or_default(),
        sent: sent.unwrap_or(Timestamp::UNIX_EPOCH),
        body: message.body.unwrap_or_default(),
        undelivered,
    }
}
