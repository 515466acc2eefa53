//! Telling: events to the bus at once, messages to the topic when some seconds' worth has gathered.

<<<<<<< HEAD
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use spot_handoff::notice::{Advice, FOLLOW_UP_SOURCE};
use spot_handoff::report::plan::{Done, Results};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};

use crate::plan::{Action, DETAIL_TYPE, Message, Outcome};
=======
mod bus;
mod topic;

use spot_handoff::notice::Notice;
use spot_handoff::report::plan::Results;
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::state::Table;
>>>>>>> d8045b2 (Hand-offs are announced from the table, and in one message for many)

use crate::plan::Action;

/// Where is told.
pub struct Outlets {
    /// The topic.
    pub topic_arn: String,
    /// URL of this function's own queue.
    pub own_queue_url: String,
    /// SNS.
    pub sns: aws_sdk_sns::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// EventBridge, whose default bus gets the events.
    pub eventbridge: aws_sdk_eventbridge::Client,
    /// The table, in which messages gather.
    pub table: Table,
}

impl Outlets {
    /// Carries the actions out and tells how each went.
    pub async fn tell(&self, invocation: &Invocation, asked: &[(&Notice, &Action)]) -> Results<Action> {
        let (put, gathered, published) = tokio::join!(
            self.put_events(invocation, asked),
            self.gather(invocation, asked),
            self.publish_pending(invocation, asked),
        );
<<<<<<< HEAD
        let mut results = Results::new();
        for (actions, answers) in [(messages, published), (events, put)] {
            for (first, length, answer) in answers {
                for (offset, action) in actions[first..first + length].iter().enumerate() {
                    let done = match &answer {
                        Ok(refused) => match refused.iter().find(|(index, _)| *index == offset) {
                            Some((_, error)) => Done::failed(invocation.clock, error),
                            None => Done::now(invocation.clock),
                        },
                        Err(error) => Done::failed(invocation.clock, error),
                    };
                    results.insert((*action).clone(), done);
                }
            }
        }
        results
    }

    /// Publishes what people have to know and no function acts on.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn advise(&self, invocation: &Invocation, advice: &Advice) -> Result<(), CallError> {
        let message = Message {
            subject: subject(&advice.subject()),
            text: advice.to_string(),
            outcome: Outcome::NothingToDo,
            drill: advice.drill,
        };
        let refused = self.publish(invocation, &[&message]).await?;
        match refused.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// The messages that SNS did not take, by their place in the chunk.
    async fn publish(
        &self,
        invocation: &Invocation,
        messages: &[&Message],
    ) -> Result<Vec<(usize, CallError)>, CallError> {
        let text = |value: &str| {
            MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .ok()
        };
        let entry = |(index, message): (usize, &&Message)| {
            PublishBatchRequestEntry::builder()
                .id(index.to_string())
                .subject(&message.subject)
                .message(&message.text)
                .set_message_attributes(
                    [
                        ("outcome", text(message.outcome.name())),
                        ("drill", text(if message.drill { "true" } else { "false" })),
                    ]
                    .into_iter()
                    .map(|(name, value)| Some((name.to_owned(), value?)))
                    .collect(),
                )
                .build()
                .ok()
        };
        let sending = self
            .sns
            .publish_batch()
            .topic_arn(&self.topic_arn)
            .set_publish_batch_request_entries(messages.iter().enumerate().map(entry).collect())
            .send();
        let answer = invocation.call("PublishBatch", sending).await?;
        let refusal = |failed: aws_sdk_sns::types::BatchResultErrorEntry| {
            let refused = CallError::Refused {
                action: "PublishBatch",
                code: failed.code,
                message: failed.message.unwrap_or_default(),
            };
            Some((failed.id.parse().ok()?, refused))
        };
        Ok(answer
            .failed
            .unwrap_or_default()
            .into_iter()
            .filter_map(refusal)
            .collect())
    }

    /// The events that EventBridge did not take, by their place in the chunk.
    async fn put_events(
        &self,
        invocation: &Invocation,
        details: &[&str],
    ) -> Result<Vec<(usize, CallError)>, CallError> {
        let entries = details.iter().map(|detail| {
            PutEventsRequestEntry::builder()
                .source(FOLLOW_UP_SOURCE)
                .detail_type(DETAIL_TYPE)
                .detail(*detail)
                .build()
        });
        let sending = self
            .eventbridge
            .put_events()
            .set_entries(Some(entries.collect()))
            .send();
        let answer = invocation.call("PutEvents", sending).await?;
        let answers = answer.entries.unwrap_or_default().into_iter().enumerate();
        let refusal = |(index, answer): (usize, aws_sdk_eventbridge::types::PutEventsResultEntry)| {
            let refused = CallError::Refused {
                action: "PutEvents",
                code: answer.error_code?,
                message: answer.error_message.unwrap_or_default(),
            };
            Some((index, refused))
        };
        Ok(answers.filter_map(refusal).collect())
    }
}

/// A subject as SNS takes it: fewer than 100 characters of ASCII.
/// <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
fn subject(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii() && !c.is_control())
        .take(99)
        .collect()
}

fn messages_of<'a>(actions: &[&'a Action]) -> Vec<&'a Message> {
    let message = |action: &&'a Action| match action {
        Action::Publish(message) => Some(message),
        Action::PutEvent { .. } => None,
    };
    actions.iter().filter_map(message).collect()
}

fn events_of<'a>(actions: &[&'a Action]) -> Vec<&'a str> {
    let detail = |action: &&'a Action| match action {
        Action::PutEvent { detail, .. } => Some(detail.as_str()),
        Action::Publish(_) => None,
    };
    actions.iter().filter_map(detail).collect()
}

/// Parts of a list that fit into a call each, with the place of their first entry.
fn calls<T>(entries: &[T], bytes: impl Fn(&T) -> usize) -> Vec<(usize, &[T])> {
    let mut calls = vec![];
    let (mut first, mut size) = (0, 0);
    for (index, entry) in entries.iter().enumerate() {
        let full = index - first == ENTRIES_PER_CALL || size + bytes(entry) > BYTES_PER_CALL;
        if full && index > first {
            calls.push((first, &entries[first..index]));
            (first, size) = (index, 0);
        }
        size += bytes(entry);
    }
    if first < entries.len() {
        calls.push((first, &entries[first..]));
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_no_more_entries_and_bytes_than_aws_takes() {
        let lengths = |entries: &[usize]| -> Vec<(usize, usize)> {
            let calls = calls(entries, |bytes| *bytes);
            calls
                .into_iter()
                .map(|(first, call)| (first, call.len()))
                .collect()
        };
        assert_eq!(lengths(&[]), []);
        assert_eq!(lengths(&[1; 21]), [(0, 10), (10, 10), (20, 1)]);
        assert_eq!(lengths(&[100_000; 5]), [(0, 2), (2, 2), (4, 1)]);
        // One that is too large by itself is for AWS to refuse.
        assert_eq!(lengths(&[300_000, 1]), [(0, 1), (1, 1)]);
=======
        put.into_iter().chain(gathered).chain(published).collect()
>>>>>>> d8045b2 (Hand-offs are announced from the table, and in one message for many)
    }
}
