//! What Lambda hands to a function: an SQS batch of EventBridge events, or one bare event that somebody replays.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse};
use aws_sdk_sqs::types::MessageSystemAttributeName;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::notice::{self, Home, Message, Notice, NoticeError};

/// A payload, split into messages.
#[derive(Debug)]
pub struct Batch {
    /// Whether the payload came from a queue. This decides how the function answers a failure.
    pub from_queue: bool,
    /// Every message, in order.
    pub messages: Vec<QueueMessage>,
}

/// One message of a batch.
#[derive(Debug)]
pub struct QueueMessage {
    /// SQS message id; for a bare event, the word `event`.
    pub id: String,
    /// Its content, or why it cannot be read.
    pub content: Result<Message, NoticeError>,
    /// How it came to the function.
    pub origin: Origin,
    /// Whether it came before. Then its first try failed, or nobody knows how that try ended.
    pub came_before: bool,
}

/// How a message came to the function. This decides who deletes it from the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Somebody invoked the function with it.
    Event,
    /// Lambda took it from the queue, and deletes it unless the function reports that it failed.
    Mapping {
        /// The receipt handle of the message; empty if it could not be read.
        receipt: String,
    },
    /// The function took it from the queue itself.
    Queue {
        /// The receipt handle of the message.
        receipt: String,
    },
}

/// The part of a payload that tells a batch from a bare event.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    records: Option<&'a RawValue>,
}

/// The fields of a record that are needed.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
struct Record {
    message_id: String,
    receipt_handle: Value,
    body: Value,
    attributes: Value,
}

/// The receive count of a message that comes for the first time.
const FIRST: &str = "1";

impl Batch {
    /// Splits a payload into messages. It cannot fail: a message that cannot be read becomes a message with an error.
    ///
    /// An event from the queue about another place than `home` is not ours. But whoever sends a bare event knows to
    /// which function they send it.
    pub fn read(payload: &str, home: &Home, now: Timestamp) -> Self {
        let envelope = serde_json::from_str(payload).unwrap_or(Envelope { records: None });
        let Some(records) = envelope.records else {
            return Self::bare(notice::parse(payload, now));
        };
        match serde_json::from_str::<Vec<&RawValue>>(records.get()) {
            Ok(records) => Self {
                from_queue: true,
                messages: records
                    .into_iter()
                    .map(|record| QueueMessage::of_record(record, home, now))
                    .collect(),
            },
            Err(_) => Self::bare(Err(NoticeError::field(
                "Records",
                "expected a list of SQS messages",
            ))),
        }
    }

    fn bare(content: Result<Message, NoticeError>) -> Self {
        Self {
            from_queue: false,
            messages: vec![QueueMessage {
                id: "event".to_owned(),
                content,
                origin: Origin::Event,
                came_before: false,
            }],
        }
    }

    /// Adds messages that the function took from its queue itself.
    pub fn add(&mut self, messages: Vec<aws_sdk_sqs::types::Message>, home: &Home, now: Timestamp) {
        let taken = messages.into_iter().map(|message| QueueMessage {
            id: message.message_id.unwrap_or_default(),
            content: notice::parse_at(&message.body.unwrap_or_default(), home, now),
            origin: Origin::Queue {
                receipt: message.receipt_handle.unwrap_or_default(),
            },
            came_before: message
                .attributes
                .as_ref()
                .and_then(|attributes| attributes.get(&MessageSystemAttributeName::ApproximateReceiveCount))
                .is_some_and(|count| count != FIRST),
        });
        self.messages.extend(taken);
    }

    /// All notices, each with the index of the message it came in.
    pub fn notices(&self) -> Vec<(usize, Notice)> {
        let notices_of = |(index, message): (usize, &QueueMessage)| match &message.content {
            Ok(Message::Notices(notices) | Message::Announced { notices, .. }) => {
                notices.iter().map(|notice| (index, notice.clone())).collect()
            }
            Ok(Message::Advice(_) | Message::LaunchFailed(_) | Message::NotOurs { .. }) | Err(_) => vec![],
        };
        self.messages.iter().enumerate().flat_map(notices_of).collect()
    }

    /// The answer to Lambda: the failed messages come back, the others are done.
    pub fn response(&self, failed: &[bool]) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = self
            .messages
            .iter()
            .zip(failed)
            .filter(|(message, failed)| **failed && matches!(message.origin, Origin::Mapping { .. }))
            .map(|(message, _)| {
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = message.id.clone();
                failure
            })
            .collect();
        response
    }
}

impl QueueMessage {
    /// If the id of a record cannot be read, it is empty. Then Lambda gives the whole batch back to the queue.
    fn of_record(record: &RawValue, home: &Home, now: Timestamp) -> Self {
        let record: Record = match serde_json::from_str(record.get()) {
            Ok(record) => record,
            Err(error) => {
                return Self {
                    id: String::new(),
                    content: Err(NoticeError::field("Records", error.to_string())),
                    origin: Origin::Mapping {
                        receipt: String::new(),
                    },
                    came_before: false,
                };
            }
        };
        let content = match record.body {
            Value::String(body) => notice::parse_at(&body, home, now),
            _ => Err(NoticeError::field("body", "missing or not text")),
        };
        let receipt = record.receipt_handle.as_str().unwrap_or_default().to_owned();
        Self {
            id: record.message_id,
            content,
            origin: Origin::Mapping { receipt },
            came_before: record.attributes["ApproximateReceiveCount"]
                .as_str()
                .is_some_and(|count| count != FIRST),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(id: &str, body: Value) -> Value {
        json!({"messageId": id, "body": body})
    }

    fn warning() -> Value {
        json!({"id": "1", "source": "aws.ec2", "detail-type": "EC2 Spot Instance Interruption Warning",
            "time": "2026-11-24T04:00:00Z",
            "detail": {"instance-id": "i-1234567890abcdef0", "instance-action": "terminate"}})
    }

    #[test]
    fn one_bad_message_fails_alone() {
        let payload = json!({"Records": [
            record("good", warning().to_string().into()),
            record("not-json", "{".into()),
            record("no-text", json!(7)),
            record("not-ours", json!({"source": "aws.s3", "detail-type": "x", "detail": {}}).to_string().into()),
        ]});
        let batch = Batch::read(&payload.to_string(), &Home::default(), Timestamp::now());
        assert!(batch.from_queue);
        let indexes: Vec<_> = batch.notices().iter().map(|(index, _)| *index).collect();
        assert_eq!(indexes, [0]);
        let failed: Vec<_> = batch
            .messages
            .iter()
            .map(|message| message.content.is_err())
            .collect();
        let response = json!(batch.response(&failed));
        assert_eq!(
            response,
            json!({"batchItemFailures": [{"itemIdentifier": "not-json"}, {"itemIdentifier": "no-text"}]})
        );
    }

    #[test]
    fn lambda_is_answered_about_its_own_messages_only() {
        let payload = json!({"Records": [record("given", "{".into())]}).to_string();
        let mut batch = Batch::read(&payload, &Home::default(), Timestamp::now());
        let taken = aws_sdk_sqs::types::Message::builder()
            .message_id("taken")
            .receipt_handle("r")
            .body(warning().to_string());
        batch.add(vec![taken.build()], &Home::default(), Timestamp::now());
        assert_eq!(batch.notices().len(), 1, "that of the message that was taken");
        let response = json!(batch.response(&[true, true]));
        assert_eq!(
            response,
            json!({"batchItemFailures": [{"itemIdentifier": "given"}]})
        );
    }

    #[test]
    fn a_bare_event_is_read_like_a_message() {
        let batch = Batch::read(&warning().to_string(), &Home::default(), Timestamp::now());
        assert!(!batch.from_queue);
        assert_eq!(batch.notices().len(), 1);
    }
}
