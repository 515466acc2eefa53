//! A sample: one EventBridge event, or a batch of messages as Lambda gets them from SQS.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::retarget::Retarget;
use crate::usage::UsageError;

/// The content of a file under `events/`.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// One event, for the bus.
    Event(Value),
    /// The bodies of messages, for the queues. They may be no events, or not even JSON.
    Batch(Vec<String>),
}

impl Sample {
    /// Reads a file; `-` is standard input.
    pub fn read(path: &Path) -> Result<Self> {
        let text = if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("cannot read standard input")?;
            text
        } else {
            std::fs::read_to_string(path).map_err(|error| {
                let path = path.display();
                UsageError::new(format!(
                    "cannot read {path}: {error} (the samples are in events/)"
                ))
            })?
        };
        Ok(Self::parse(&text)?)
    }

    /// The same sample for the instances of the fleet.
    pub fn retarget(self, retarget: &mut Retarget) -> Self {
        match self {
            Self::Event(mut event) => {
                retarget.event(&mut event);
                Self::Event(event)
            }
            Self::Batch(bodies) => {
                let bodies = bodies.iter().map(|body| retarget.body(body));
                Self::Batch(bodies.collect())
            }
        }
    }

    fn parse(text: &str) -> Result<Self, UsageError> {
        // Some editors on Windows put a byte order mark before the text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let value: Value = serde_json::from_str(text)
            .map_err(|error| UsageError::new(format!("the sample is not JSON: {error}")))?;
        if let Some(records) = value["Records"].as_array() {
            let bodies = records.iter().map(|record| record["body"].as_str());
            let bodies: Option<Vec<String>> = bodies.map(|body| Some(body?.to_owned())).collect();
            return bodies.map(Self::Batch).ok_or_else(|| {
                UsageError::new("a record of the batch has no body, so it is not one of SQS")
            });
        }
        if value["detail-type"].is_string() {
            return Ok(Self::Event(value));
        }
        Err(UsageError::new(
            "the sample is neither an EventBridge event (it has no detail-type) nor an SQS batch (it has no Records); see events/",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_and_a_batch_are_told_apart() {
        let event = Sample::parse(r#"{"detail-type": "x"}"#).unwrap();
        assert!(matches!(event, Sample::Event(_)));
        let batch = Sample::parse(r#"{"Records": [{"body": "no JSON"}]}"#).unwrap();
        assert_eq!(batch, Sample::Batch(vec!["no JSON".to_owned()]));
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert!(Sample::parse("\u{feff}{\"detail-type\": \"x\"}").is_ok());
    }

    #[test]
    fn anything_else_is_a_mistake_of_the_caller() {
        for text in ["", "{}", "[]", r#"{"Records": [{}]}"#] {
            assert!(Sample::parse(text).is_err(), "{text}");
        }
    }
}
