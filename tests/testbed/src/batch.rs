//! A batch of SQS messages: how Lambda shows it to a function and what it reads from the answer.

use std::collections::{BTreeMap, HashSet};

use aws_sdk_sqs::types::Message;
use serde_json::{Map, Value, json};

use crate::outcome::Outcome;

/// The event a function is invoked with.
pub(crate) fn event(messages: &[Message], queue_arn: &str) -> Value {
    // arn:aws:sqs:REGION:ACCOUNT:NAME
    let region = queue_arn.split(':').nth(3).unwrap_or_default();
    let records = messages.iter().map(|message| {
        let attributes: BTreeMap<&str, &str> = message
            .attributes()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        json!({
            "messageId": message.message_id(),
            "receiptHandle": message.receipt_handle(),
            "body": message.body(),
            "attributes": attributes,
            "messageAttributes": message_attributes(message),
            "md5OfBody": message.md5_of_body(),
            "eventSource": "aws:sqs",
            "eventSourceARN": queue_arn,
            "awsRegion": region,
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

fn message_attributes(message: &Message) -> Map<String, Value> {
    let attributes = message.message_attributes().into_iter().flatten();
    let shown = attributes.map(|(name, value)| {
        let value = json!({
            "stringValue": value.string_value(),
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": value.data_type(),
        });
        (name.clone(), value)
    });
    shown.collect()
}

/// What an invocation means for the messages of its batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// These messages go back to the queue; all others are done and deleted.
    Failed(Vec<String>),
    /// The whole batch goes back, for this reason.
    AllFailed(String),
}

/// Reads an answer the way Lambda's documentation on partial batch responses says.
pub(crate) fn verdict(outcome: &Outcome, sent: &[&str], partial: bool) -> Verdict {
    let Outcome::Answer(answer) = outcome else {
        return Verdict::AllFailed(outcome.to_string());
    };
    if !partial {
        return Verdict::Failed(Vec::new());
    }
    let answer: Value = match serde_json::from_str(answer) {
        Ok(answer) => answer,
        Err(error) => return Verdict::AllFailed(format!("the answer is not JSON: {error}")),
    };
    let failures = match &answer["batchItemFailures"] {
        // An empty answer, or one that names nothing, means that all went well.
        Value::Null => return Verdict::Failed(Vec::new()),
        Value::Array(failures) => failures,
        other => return Verdict::AllFailed(format!("batchItemFailures is not a list: {other}")),
    };

    let sent: HashSet<&str> = sent.iter().copied().collect();
    let mut failed = Vec::new();
    for failure in failures {
        match failure["itemIdentifier"].as_str() {
            Some(id) if sent.contains(id) => failed.push(id.to_owned()),
            // Including the empty string, null and a key by another name.
            _ => {
                return Verdict::AllFailed(format!(
                    "batchItemFailures names no message of the batch: {failure}"
                ));
            }
        }
    }
    Verdict::Failed(failed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName as Attribute};

    use super::*;

    const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:drain-tasks";

    fn judge(answer: &str) -> Verdict {
        verdict(&Outcome::Answer(answer.to_owned()), &["a", "b"], true)
    }

    #[test]
    fn an_answer_without_failures_is_success() {
        for answer in [
            "null",
            "{}",
            r#"{"batchItemFailures":null}"#,
            r#"{"batchItemFailures":[]}"#,
        ] {
            assert_eq!(judge(answer), Verdict::Failed(Vec::new()), "{answer}");
        }
    }

    #[test]
    fn named_messages_fail_alone() {
        let answer = r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#;
        assert_eq!(judge(answer), Verdict::Failed(vec!["b".to_owned()]));
    }

    #[test]
    fn an_answer_that_names_no_message_fails_the_whole_batch() {
        for answer in [
            "not json",
            "",
            r#"{"batchItemFailures":"b"}"#,
            r#"{"batchItemFailures":["b"]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"messageId":"b"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"z"}]}"#,
        ] {
            assert!(matches!(judge(answer), Verdict::AllFailed(_)), "{answer}");
        }
    }

    #[test]
    fn a_failed_invocation_fails_the_whole_batch() {
        for outcome in [
            Outcome::Error("Oops: no".to_owned()),
            Outcome::TimedOut(Duration::from_secs(15)),
            Outcome::Crashed("exit status: 1".to_owned()),
        ] {
            let verdict = verdict(&outcome, &["a"], true);
            assert!(matches!(verdict, Verdict::AllFailed(_)), "{outcome}");
        }
    }

    #[test]
    fn without_partial_responses_the_answer_is_not_read() {
        let outcome = Outcome::Answer(r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#.into());
        assert_eq!(verdict(&outcome, &["a"], false), Verdict::Failed(Vec::new()));
    }

    #[test]
    fn a_message_is_shown_to_the_function_as_lambda_shows_it() {
        let trace = MessageAttributeValue::builder()
            .data_type("String")
            .string_value("1-5f")
            .build()
            .unwrap();
        let message = Message::builder()
            .message_id("059f36b4")
            .receipt_handle("AQEB")
            .body("{}")
            .md5_of_body("99914b932bd37a50b983c5e7c90ae93b")
            .attributes(Attribute::ApproximateReceiveCount, "1")
            .attributes(Attribute::SentTimestamp, "1795492800000")
            .message_attributes("trace", trace)
            .build();
        assert_eq!(
            event(&[message], QUEUE),
            json!({"Records": [{
                "messageId": "059f36b4",
                "receiptHandle": "AQEB",
                "body": "{}",
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1795492800000"
                },
                "messageAttributes": {"trace": {
                    "stringValue": "1-5f",
                    "stringListValues": [],
                    "binaryListValues": [],
                    "dataType": "String"
                }},
                "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
                "eventSource": "aws:sqs",
                "eventSourceARN": QUEUE,
                "awsRegion": "eu-central-1"
            }]})
        );
    }
}
