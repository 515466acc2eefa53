//! The targets of a target group and their health. All reading of target health is here.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{TargetHealthDescription, TargetHealthStateEnum};

use crate::runtime::aws::CallError;
use crate::runtime::invocation::{Invocation, together};

/// A target of a target group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Instance id or IP address.
    pub id: String,
    /// The port that it was registered with. DeregisterTargets needs it.
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html>
    pub port: Option<i32>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.id),
            None => f.write_str(&self.id),
        }
    }
}

/// Whether requests reach a target.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Requests reach it.
    Healthy,
    /// Its health checks fail.
    Unhealthy,
    /// Its first health checks have not passed yet.
    Initial,
    /// It was deregistered, and requests under way may end.
    Draining,
    /// No load balancer sends requests to it: none uses the target group, its zone is not enabled, or the target does
    /// not run.
    Unused,
    /// Nobody checks its health.
    Unavailable,
}

/// A registered target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The target.
    pub target: Target,
    /// Whether requests reach it.
    pub state: State,
    /// Its zone, if it was registered with one.
    pub zone: Option<String>,
}

/// The registered targets of each target group, by ARN; or why they could not be read.
pub type TargetHealth = HashMap<String, Result<Vec<Registered>, CallError>>;

/// Reads the registered targets of each of these target groups, one call each.
pub async fn read(client: &Client, invocation: &Invocation, arns: BTreeSet<String>) -> TargetHealth {
    let calls = arns.iter().map(|arn| {
        let asking = client.describe_target_health().target_group_arn(arn).send();
        invocation.call("DescribeTargetHealth", asking)
    });
    let answers = together(calls).await;
    let registered = |description: Vec<TargetHealthDescription>| {
        description.into_iter().filter_map(Registered::known).collect()
    };
    arns.into_iter()
        .zip(answers)
        .map(|(arn, answer)| {
            let health = answer.map(|answer| answer.target_health_descriptions.unwrap_or_default());
            (arn, health.map(registered))
        })
        .collect()
}

/// Whether the error says that the target group was deleted. Then it has no targets.
pub fn is_gone(error: &CallError) -> bool {
    error.code() == Some("TargetGroupNotFound")
}

impl Registered {
    fn known(description: TargetHealthDescription) -> Option<Self> {
        let state = description.target_health.and_then(|health| health.state);
        let target = description.target?;
        Some(Self {
            target: Target {
                id: target.id?,
                port: target.port,
            },
            state: State::of(state.as_ref()),
            zone: target.availability_zone,
        })
    }
}

impl State {
    /// A state that we do not know counts as one that nobody checks.
    fn of(state: Option<&TargetHealthStateEnum>) -> Self {
        match state {
            Some(TargetHealthStateEnum::Healthy) => Self::Healthy,
            // It is still registered. It gets no new connections, and its existing ones end.
            Some(TargetHealthStateEnum::Unhealthy | TargetHealthStateEnum::UnhealthyDraining) => {
                Self::Unhealthy
            }
            Some(TargetHealthStateEnum::Initial) => Self::Initial,
            Some(TargetHealthStateEnum::Draining) => Self::Draining,
            Some(TargetHealthStateEnum::Unused) => Self::Unused,
            _ => Self::Unavailable,
        }
    }
}
