//! Task definitions, read once for each revision.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{Task, TaskDefinition};

use crate::runtime::invocation::{Invocation, together};

/// Task definitions, remembered between invocations: a revision never changes.
#[derive(Debug, Default)]
pub struct TaskDefinitions(Mutex<HashMap<String, Arc<TaskDefinition>>>);

impl TaskDefinitions {
    /// The definitions of these tasks, by their ARNs. A definition that cannot be read is left out, and logged.
    pub async fn of(
        &self,
        ecs: &Client,
        invocation: &Invocation,
        tasks: &[&Task],
    ) -> HashMap<String, Arc<TaskDefinition>> {
        let wanted: BTreeSet<&str> = tasks
            .iter()
            .filter_map(|task| task.task_definition_arn())
            .collect();
        let missing: Vec<&str> = wanted
            .iter()
            .copied()
            .filter(|arn| self.get(arn).is_none())
            .collect();
        let calls = missing.iter().map(|arn| async move {
            let asking = ecs.describe_task_definition().task_definition(*arn).send();
            invocation.briefly().call("DescribeTaskDefinition", asking).await
        });
        for (arn, answer) in missing.iter().zip(together(calls).await) {
            match (answer, self.0.lock()) {
                (Ok(answer), Ok(mut known)) => {
                    known.extend(
                        answer
                            .task_definition
                            .map(|definition| (arn.to_string(), Arc::new(definition))),
                    );
                }
                // Without its definition, a task counts as one with a long grace, and only with the accelerators that
                // it names itself.
                (Err(error), _) => tracing::warn!("cannot read task definition {arn}: {error}"),
                (Ok(_), Err(_)) => {}
            }
        }
        wanted
            .into_iter()
            .filter_map(|arn| Some((arn.to_owned(), self.get(arn)?)))
            .collect()
    }

    fn get(&self, arn: &str) -> Option<Arc<TaskDefinition>> {
        self.0.lock().ok()?.get(arn).cloned()
    }
}
