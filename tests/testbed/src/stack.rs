//! What the template deployed, as the embedded AWS tells it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The deployed stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stack {
    /// The Lambda functions.
    pub functions: Vec<Function>,
    /// The queues, dead-letter queues among them.
    pub queues: Vec<Queue>,
    /// The DynamoDB tables.
    #[serde(default)]
    pub tables: Vec<Table>,
    /// Which queue feeds which function.
    pub event_source_mappings: Vec<Mapping>,
    /// The EventBridge rules, as the embedded AWS describes them.
    #[serde(default)]
    pub rules: Vec<serde_json::Value>,
}

/// A Lambda function of the stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Function {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name in Lambda.
    pub name: String,
    /// Its environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// When Lambda gives it up.
    pub timeout_seconds: u64,
    /// Its memory.
    pub memory_mb: u64,
    /// The log group that its lines go to.
    #[serde(default)]
    pub log_group: String,
}

/// An SQS queue of the stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Queue {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name in SQS.
    pub name: String,
    /// Where it is reached.
    pub url: String,
    /// Its ARN.
    pub arn: String,
    /// For how long a received message is hidden.
    pub visibility_timeout: u64,
    /// How often a message is received before it goes to the dead-letter queue.
    pub max_receive_count: Option<u64>,
    /// The dead-letter queue.
    pub dead_letter_arn: Option<String>,
}

/// A DynamoDB table of the stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Table {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name in DynamoDB.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The attributes of its key: the partition key, and the sort key where it has one.
    pub key: Vec<String>,
    /// The attribute with the time after which an item may be deleted.
    pub expires_by: Option<String>,
}

/// An event source mapping of the stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mapping {
    /// Name, ARN or logical id of the function.
    pub function: String,
    /// The queue it polls.
    pub queue_url: String,
    /// The same queue's ARN.
    pub queue_arn: String,
    /// The most messages an invocation gets.
    pub batch_size: usize,
    /// For how long it waits for a batch to fill.
    #[serde(default)]
    pub window_seconds: u64,
    /// Whether the function may name the messages that failed.
    #[serde(default)]
    pub report_batch_item_failures: bool,
    /// The most invocations at a time.
    #[serde(default)]
    pub maximum_concurrency: Option<usize>,
}

impl Stack {
    /// The function that a binary implements, for example `drain-tasks`.
    pub fn function(&self, binary: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.is(binary))
    }

    /// The mapping that feeds a binary.
    pub fn mapping(&self, binary: &str) -> Option<&Mapping> {
        let function = self.function(binary)?;
        self.event_source_mappings.iter().find(|mapping| {
            let named = mapping.function.rsplit(':').next().unwrap_or_default();
            named == function.name || named == function.logical_id
        })
    }

    /// The same stack at another endpoint.
    pub fn move_to(&mut self, endpoint: &str) {
        let moved = |url: &str| {
            let mut parts = url.rsplitn(3, '/');
            let (name, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            format!("{endpoint}/{account}/{name}")
        };
        for queue in &mut self.queues {
            queue.url = moved(&queue.url);
        }
        for mapping in &mut self.event_source_mappings {
            mapping.queue_url = moved(&mapping.queue_url);
        }
    }

    /// The queue that feeds a binary.
    pub fn queue_of(&self, binary: &str) -> Result<&Queue> {
        let mapping = self.mapping(binary);
        mapping
            .and_then(|mapping| self.queue(&mapping.queue_arn))
            .with_context(|| format!("template.yaml maps no queue to {binary}"))
    }

    /// The region it is in.
    pub fn region(&self) -> &str {
        // arn:PARTITION:SERVICE:REGION:ACCOUNT:NAME
        let arn = self.queues.first().map(|queue| queue.arn.as_str());
        arn.and_then(|arn| arn.split(':').nth(3)).unwrap_or_default()
    }

    /// The queue with this ARN.
    pub fn queue(&self, arn: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.arn == arn)
    }
}

impl Function {
    /// Whether this is the function that a binary implements: `drain-tasks` is
    /// `DrainTasksFunction` in the template and may be `prod-drain-tasks` in Lambda.
    pub fn is(&self, binary: &str) -> bool {
        let letters = |name: &str| -> String {
            name.chars()
                .filter(char::is_ascii_alphanumeric)
                .map(|letter| letter.to_ascii_lowercase())
                .collect()
        };
        letters(&self.logical_id).starts_with(&letters(binary))
            || letters(&self.name).ends_with(&letters(binary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack() -> Stack {
        serde_json::from_value(serde_json::json!({
            "functions": [
                {"logical_id": "DeregisterTargetsFunction", "name": "spot-handoff-A1", "timeout_seconds": 15, "memory_mb": 256},
                {"logical_id": "Drain", "name": "prod-drain-tasks", "timeout_seconds": 15, "memory_mb": 256}
            ],
            "queues": [],
            "event_source_mappings": [
                {"function": "arn:aws:lambda:eu-central-1:123456789012:function:prod-drain-tasks", "queue_url": "q", "queue_arn": "a", "batch_size": 10}
            ]
        }))
        .unwrap()
    }

    #[test]
    fn a_binary_is_recognised_by_logical_id_or_by_name() {
        let stack = stack();
        let name = |binary| stack.function(binary).map(|function| function.name.as_str());
        assert_eq!(name("deregister-targets"), Some("spot-handoff-A1"));
        assert_eq!(name("drain-tasks"), Some("prod-drain-tasks"));
        assert_eq!(name("replace-capacity"), None);
    }

    #[test]
    fn a_mapping_may_name_its_function_by_arn() {
        assert!(stack().mapping("drain-tasks").is_some());
        assert!(stack().mapping("deregister-targets").is_none());
    }
}
