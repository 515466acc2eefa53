//! A re-run that is due: what the new task has to be like, and how far the re-run is.
//!
//! It is kept in the table. It travels in a message if the table does not answer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A re-run of one task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RerunOrder {
    /// ARN of the task that has to go.
    pub task: String,
    /// Its cluster.
    pub cluster: String,
    /// When the order was first written.
    pub since: Timestamp,
    /// How far it is.
    pub stage: RerunStage,
    /// How often ECS has definitely refused it. Each refusal leads to a new token: for a day, ECS may give the same
    /// answer to the same token.
    pub refusals: u32,
    /// What the new task has to be like.
    pub copy: TaskCopy,
}

/// How far a re-run is. The stages are in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RerunStage {
    /// The task still runs, but has to go.
    Noted,
    /// We have stopped the task, or it ended with its instance.
    Cut,
    /// The new task runs.
    Runs {
        /// ARN of the new task.
        new: String,
    },
}

/// What RunTask needs to run a task like another one, as far as ECS tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct TaskCopy {
    /// ARN of the task definition.
    pub definition: String,
    /// `overrides`, if there are any.
    pub overrides: Option<Overrides>,
    /// `capacityProviderName`.
    pub provider: Option<String>,
    /// `launchType`, if no provider placed it.
    pub launch_type: Option<String>,
    /// Subnets of its own network interface.
    pub subnets: Vec<String>,
    /// Security groups of its own network interface.
    pub security_groups: Vec<String>,
    /// Its tags, without those of AWS.
    pub tags: Vec<(String, String)>,
    /// Whether ECS put its own tags on it.
    pub managed_tags: bool,
    /// `group`, if it is not that of the family.
    pub group: Option<String>,
    /// `startedBy`.
    pub started_by: Option<String>,
    /// `enableExecuteCommand`.
    pub execute_command: bool,
}

/// `overrides` of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Overrides {
    /// `cpu`.
    pub cpu: Option<String>,
    /// `memory`.
    pub memory: Option<String>,
    /// `taskRoleArn`.
    pub task_role: Option<String>,
    /// `executionRoleArn`.
    pub execution_role: Option<String>,
    /// `containerOverrides`.
    pub containers: Vec<ContainerOverrides>,
}

/// `containerOverrides` of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ContainerOverrides {
    /// `name`.
    pub name: Option<String>,
    /// `command`.
    pub command: Option<Vec<String>>,
    /// `environment`: names and values.
    pub environment: Option<Vec<(Option<String>, Option<String>)>>,
    /// `environmentFiles`: types and values.
    pub environment_files: Option<Vec<(String, String)>>,
    /// `cpu`.
    pub cpu: Option<i32>,
    /// `memory`.
    pub memory: Option<i32>,
    /// `memoryReservation`.
    pub memory_reservation: Option<i32>,
    /// `resourceRequirements`: types and values.
    pub resources: Option<Vec<(String, String)>>,
}

impl RerunOrder {
    /// Joins what two invocations know about one re-run: the later stage, and the higher number of refusals.
    pub fn joined(self, other: &Self) -> Self {
        Self {
            since: self.since.min(other.since),
            stage: self.stage.max(other.stage.clone()),
            refusals: self.refusals.max(other.refusals),
            ..self
        }
    }

    /// The client token of the next try: the id of the task and the number of refusals. With it, ECS runs the task only
    /// once, however often it is asked.
    /// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html>
    pub fn token(&self) -> String {
        let id = self.task.rsplit('/').next().unwrap_or(&self.task);
        match self.refusals {
            0 => id.to_owned(),
            refusals => format!("{id}-{refusals}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(stage: RerunStage, refusals: u32) -> RerunOrder {
        RerunOrder {
            task: "arn:aws:ecs:us-east-1:123456789012:task/c/ef01".to_owned(),
            cluster: "c".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            stage,
            refusals,
            copy: TaskCopy::default(),
        }
    }

    #[test]
    fn what_two_invocations_know_is_the_same_in_either_order() {
        let runs = || RerunStage::Runs { new: "t".to_owned() };
        let orders = [
            order(RerunStage::Noted, 0),
            order(RerunStage::Cut, 2),
            order(runs(), 1),
        ];
        for one in &orders {
            for other in &orders {
                let joined = one.clone().joined(other);
                assert_eq!(joined, other.clone().joined(one));
                assert_eq!(joined.clone().joined(one), joined);
            }
        }
        let all = orders[0].clone().joined(&orders[1]).joined(&orders[2]);
        assert_eq!((all.stage, all.refusals), (runs(), 2));
    }

    #[test]
    fn every_refusal_has_the_next_token() {
        let tokens = [0, 1, 2].map(|refusals| order(RerunStage::Cut, refusals).token());
        assert_eq!(tokens, ["ef01", "ef01-1", "ef01-2"]);
    }
}
