//! What Lambda hands to a function: an SQS batch of EventBridge events, or one bare event from somebody's replay.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse};
use jiff::Timestamp;
use serde_json::Value;

use crate::notice::{self, Message, Notice, NoticeError};

/// A payload, taken apart message by message.
#[derive(Debug)]
pub struct Batch {
    /// Whether the payload came from a queue, which decides how failures are answered.
    pub from_queue: bool,
    /// Every message, in its order.
    pub messages: Vec<QueueMessage>,
}

/// One message of a batch.
#[derive(Debug)]
pub struct QueueMessage {
    /// SQS message id; of a bare event, the word `event`.
    pub id: String,
    /// What it says, or why that cannot be read.
    pub content: Result<Message, NoticeError>,
}

impl Batch {
    /// Takes a payload apart. Nothing in it can make this fail: what cannot be read is a message with an error.
    pub fn read(payload: &Value, now: Timestamp) -> Self {
        match payload.get("Records").and_then(Value::as_array) {
            Some(records) => Self {
                from_queue: true,
                messages: records
                    .iter()
                    .map(|record| QueueMessage::of_record(record, now))
                    .collect(),
            },
            None => Self {
                from_queue: false,
                messages: vec![QueueMessage {
                    id: "event".to_owned(),
                    content: notice::parse(&payload.to_string(), now),
                }],
            },
        }
    }

    /// All notices, each with the index of the message it came in.
    pub fn notices(&self) -> Vec<(usize, Notice)> {
        let notices_of = |(index, message): (usize, &QueueMessage)| match &message.content {
            Ok(Message::Notices(notices)) => notices.iter().map(|notice| (index, notice.clone())).collect(),
            Ok(Message::NotOurs { .. }) | Err(_) => vec![],
        };
        self.messages.iter().enumerate().flat_map(notices_of).collect()
    }

    /// The answer to SQS: these messages come back, the others are done.
    pub fn response(&self, failed: &[bool]) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = self
            .messages
            .iter()
            .zip(failed)
            .filter(|(_, failed)| **failed)
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
    fn of_record(record: &Value, now: Timestamp) -> Self {
        let text = |field: &str| record.get(field).and_then(Value::as_str);
        let content = match text("body") {
            Some(body) => notice::parse(body, now),
            None => Err(NoticeError::Field {
                field: "body".to_owned(),
                problem: "missing or not text".to_owned(),
            }),
        };
        Self {
            id: text("messageId").unwrap_or_default().to_owned(),
            content,
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
        let batch = Batch::read(&payload, Timestamp::now());
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
    fn a_bare_event_is_read_like_a_message() {
        let batch = Batch::read(&warning(), Timestamp::now());
        assert!(!batch.from_queue);
        assert_eq!(batch.notices().len(), 1);
    }
}
