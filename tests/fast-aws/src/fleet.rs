//! What stands in a fast AWS before anything happens; the sample fleet is read from the embedded AWS.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Region of everything in a fast AWS.
pub const REGION: &str = "us-east-1";
/// Account of everything in a fast AWS.
pub const ACCOUNT: &str = "123456789012";

/// Everything the functions read, without the stack itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Fleet {
    /// EC2 instances.
    pub instances: Vec<Instance>,
    /// Auto Scaling groups.
    pub groups: Vec<Group>,
    /// Target groups.
    pub target_groups: Vec<TargetGroup>,
    /// ECS clusters.
    pub clusters: Vec<Cluster>,
    /// Task definitions, as ECS describes them.
    pub task_definitions: Vec<Value>,
}

/// An EC2 instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Instance {
    pub id: String,
    pub zone: String,
    pub state: String,
    pub private_ip: Option<String>,
    /// The tags that a sample in Python looks its group up by.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// An Auto Scaling group.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Group {
    pub name: String,
    pub min: i64,
    pub max: i64,
    pub desired: i64,
    pub zones: Vec<String>,
    pub target_groups: Vec<String>,
    pub capacity_rebalance: bool,
    #[serde(default)]
    pub suspended: Vec<String>,
    pub tags: BTreeMap<String, String>,
    /// Name of the launch template; `None` for a launch configuration.
    pub launch_template: Option<String>,
    /// On-Demand base and percentage above it, of a mixed instances policy.
    pub distribution: Option<(i64, i64)>,
    pub members: Vec<Member>,
}

/// An instance of a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Member {
    pub id: String,
    pub zone: String,
    pub lifecycle: String,
}

/// A target group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TargetGroup {
    pub arn: String,
    pub name: String,
    pub target_type: String,
    pub port: u16,
    /// Deregistration delay in seconds.
    pub delay: u32,
    /// Id and port.
    pub targets: BTreeSet<(String, u16)>,
}

/// An ECS cluster; its parts are kept as ECS describes them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Cluster {
    pub name: String,
    pub arn: String,
    pub container_instances: Vec<Value>,
    pub tasks: Vec<Value>,
    pub services: Vec<Value>,
}
