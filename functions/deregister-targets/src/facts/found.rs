//! What reads have found: where tasks are registered, and the targets of instances in no group and no cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::SignedDuration;
use spot_handoff::ecs::accelerators::Accelerator;
use spot_handoff::elb::health::{Target, TargetHealth};
use spot_handoff::notice::InstanceId;
use spot_handoff::report::names;
use spot_handoff::runtime::aws::CallError;

/// A way to reach a service that this function does not close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OtherWay {
    /// ECS service discovery.
    CloudMap,
    /// Amazon VPC Lattice.
    VpcLattice,
}

/// Where tasks are registered, by the container instance that they are on.
#[derive(Debug, Clone, Default)]
pub struct TaskEndpoints {
    /// By ARN of the container instance: the endpoints, or why they could not be read.
    pub on: HashMap<String, Result<Vec<Endpoint>, CallError>>,
    /// By ARN of the container instance: services of its tasks whose target groups could not be read.
    pub unread_services: HashMap<String, BTreeMap<String, CallError>>,
    /// By ARN of the container instance: services of its tasks that can be reached in other ways, too.
    pub other_ways: HashMap<String, BTreeSet<(String, OtherWay)>>,
}

/// A task in a target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The service.
    pub service: String,
    /// ARN of the task.
    pub task: String,
    /// ARN of the target group.
    pub target_group: String,
    /// Addresses of the task's network interface (`awsvpc`), for `ip` targets.
    pub addresses: BTreeSet<String>,
    /// Ports of the host (`bridge` mode), for `instance` targets.
    pub host_ports: BTreeSet<i32>,
    /// What decides when the task is stopped if ECS has not moved it by then. `None` for a task of a DAEMON service,
    /// which is left to ECS.
    pub stop: Option<Stop>,
}

/// What decides when a task is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// How long its containers may take to end.
    pub grace: SignedDuration,
    /// A shorter grace, if it is the last of its service and nobody asked for more.
    pub as_last: Option<SignedDuration>,
    /// The accelerators it holds.
    pub accelerators: Vec<Accelerator>,
}

impl Endpoint {
    /// Whether this target belongs to the task.
    ///
    /// In `host` mode ECS tells neither an address nor a port, since the agent reports no network bindings. Then every
    /// target of the instance in the service's target group counts as the task's, since the whole instance goes.
    pub fn is_target(&self, target: &Target, instance: &InstanceId) -> bool {
        let by_address = self.addresses.contains(&target.id);
        let on_the_host = target.id == instance.as_str();
        let by_port = target.port.is_some_and(|port| self.host_ports.contains(&port));
        let is_untold = self.addresses.is_empty() && self.host_ports.is_empty();
        by_address || (on_the_host && (by_port || is_untold))
    }

    /// The name of the task in reports.
    pub fn words(&self) -> String {
        format!("task {} of {}", names::last(&self.task), self.service)
    }
}

impl TaskEndpoints {
    /// All target groups of any endpoint.
    pub fn target_groups(&self) -> BTreeSet<String> {
        self.on
            .values()
            .flatten()
            .flatten()
            .map(|endpoint| endpoint.target_group.clone())
            .collect()
    }
}

/// The result of searching the account's target groups for one instance.
#[derive(Debug, Clone, Default)]
pub struct Searched {
    /// The registered targets in the target groups in which it was found.
    pub found: TargetHealth,
    /// How many target groups were looked at.
    pub looked_at: usize,
    /// How many were not looked at, and will not be.
    pub rest: usize,
    /// Why the search stopped; the next try continues it.
    pub problem: Option<String>,
}
