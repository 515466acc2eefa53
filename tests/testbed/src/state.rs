//! The current state of a world: instances, groups, targets, tasks, queues.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything in a world that the functions look at or change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// EC2 instances.
    pub instances: Vec<Instance>,
    /// Auto Scaling groups.
    pub groups: Vec<Group>,
    /// Target groups of load balancers.
    pub target_groups: Vec<TargetGroup>,
    /// ECS clusters.
    pub clusters: Vec<Cluster>,
    /// SQS queues.
    pub queues: Vec<QueueState>,
    /// Lifecycle actions that were begun.
    #[serde(default)]
    pub lifecycle_actions: Vec<LifecycleAction>,
    /// Commands of Systems Manager, one for each instance that got them.
    #[serde(default)]
    pub scripts: Vec<Script>,
}

/// A command on an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Script {
    pub command: String,
    pub instance: String,
    pub document: String,
    pub parameters: BTreeMap<String, String>,
    pub sent_ms: i64,
    pub ended_ms: Option<i64>,
    /// In the words of Systems Manager.
    pub status: String,
    /// What lies in the directory of the instance by now.
    pub files: BTreeMap<String, String>,
}

/// An EC2 instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Instance {
    pub id: String,
    pub zone: String,
    /// The group it is in.
    pub group: Option<String>,
    pub state: String,
    pub private_ip: Option<String>,
}

/// An Auto Scaling group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Group {
    pub name: String,
    pub desired: i64,
    pub min: i64,
    pub max: i64,
    #[serde(default)]
    pub capacity_rebalance: bool,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    pub instances: Vec<Member>,
    #[serde(default)]
    pub target_groups: Vec<String>,
}

/// An instance as its group sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Member {
    pub id: String,
    pub zone: String,
    pub lifecycle: String,
    pub health: String,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TargetGroup {
    pub arn: String,
    pub name: String,
    pub target_type: String,
    pub targets: Vec<Target>,
}

/// A target: an instance or an address, and its port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Target {
    pub id: String,
    pub port: Option<u16>,
    pub zone: Option<String>,
    pub state: String,
}

/// An ECS cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Cluster {
    pub arn: String,
    pub name: String,
    pub container_instances: Vec<ContainerInstance>,
    pub tasks: Vec<Task>,
    #[serde(default)]
    pub services: Vec<Service>,
}

/// An instance as its cluster sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ContainerInstance {
    pub arn: String,
    pub instance: String,
    pub status: String,
    pub running_tasks: i64,
}

/// An ECS task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Task {
    pub arn: String,
    pub family: String,
    pub group: Option<String>,
    /// `service` or `standalone`.
    pub kind: String,
    pub instance: Option<String>,
    pub container_instance: Option<String>,
    pub last_status: String,
    pub desired_status: String,
    pub stopped_reason: Option<String>,
    #[serde(default)]
    pub accelerators: Vec<String>,
    pub started_by: Option<String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// An ECS service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Service {
    pub name: String,
    pub desired: i64,
    pub running: i64,
}

/// An SQS queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct QueueState {
    pub name: String,
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
    /// How many of the delayed messages look at a group that is not whole yet.
    #[serde(default)]
    pub watching: u64,
    /// The messages of a dead-letter queue.
    #[serde(default)]
    pub bodies: Vec<String>,
}

/// A lifecycle action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LifecycleAction {
    pub instance: String,
    pub group: String,
    pub hook: String,
    pub token: String,
    /// `CONTINUE` or `ABANDON` once it is completed.
    pub result: Option<String>,
    #[serde(default)]
    pub heartbeats: u64,
}

impl State {
    /// An instance by its id.
    pub fn instance(&self, id: &str) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.id == id)
    }

    /// A group by its name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The group an instance is in now.
    pub fn group_of(&self, instance: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.member(instance).is_some())
    }

    /// A target group by its name.
    pub fn target_group(&self, name: &str) -> Option<&TargetGroup> {
        self.target_groups.iter().find(|group| group.name == name)
    }

    /// A cluster by its name.
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name == name)
    }

    /// The cluster an instance is registered in, and its registration there.
    pub fn registration(&self, instance: &str) -> Option<(&Cluster, &ContainerInstance)> {
        self.clusters.iter().find_map(|cluster| {
            let registered = &cluster.container_instances;
            let found = registered.iter().find(|one| one.instance == instance)?;
            Some((cluster, found))
        })
    }

    /// The tasks that were placed on an instance, in every cluster.
    pub fn tasks_on(&self, instance: &str) -> impl Iterator<Item = &Task> {
        let tasks = self.clusters.iter().flat_map(|cluster| &cluster.tasks);
        tasks.filter(move |task| task.instance.as_deref() == Some(instance))
    }

    /// A queue by its name.
    pub fn queue(&self, name: &str) -> Option<&QueueState> {
        self.queues.iter().find(|queue| queue.name == name)
    }
}

impl Group {
    /// An instance of the group.
    pub fn member(&self, instance: &str) -> Option<&Member> {
        self.instances.iter().find(|member| member.id == instance)
    }
}
