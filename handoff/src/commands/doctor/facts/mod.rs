//! What an account looks like, as far as it matters in an interruption. Read only.

mod clusters;
mod deployment;
mod groups;
mod history;
mod parameters;
mod policies;
mod reading;
mod scripts;
mod target_groups;

use std::collections::{BTreeMap, BTreeSet};

use crate::commands::pools::rows::Row;
use aws_config::SdkConfig;
use spot_handoff::autoscaling::policies::{
    DefaultStopTimeout, KeepHealthy, LifecycleHooks, RebalanceAction, ReplacementStrategy, SpotFallback,
    StandaloneTasks,
};
use spot_handoff::ecs::rerun_roles::RerunRoles;
use spot_handoff::runtime::config::Scope;

#[cfg(test)]
pub use clusters::Provider;
pub use clusters::{Cluster, ContainerInstance, Definition, Needs, Service, Task};
pub use deployment::Deployment;
pub use groups::{Group, Hook, Purchase, Types};
pub use parameters::read as parameters;
pub use policies::{Policies, misspelled};
pub use reading::{Cause, Reader, Unread};
pub use scripts::{Document, Script};

/// All facts for the rules.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The name that the stack has or will have.
    pub stack: String,
    /// How spot-handoff is or will be deployed.
    pub settings: Settings,
    /// Whether its rules exist.
    pub deployment: Deployment,
    /// Auto Scaling groups.
    pub groups: Vec<Group>,
    /// ECS clusters that have container instances.
    pub clusters: Vec<Cluster>,
    /// Task definitions by ARN.
    pub definitions: BTreeMap<String, Definition>,
    /// Deregistration delays in seconds by ARN of the target group.
    pub delays: BTreeMap<String, i64>,
    /// Stop scripts, by the name of their group.
    pub scripts: BTreeMap<String, Script>,
    /// The history of a group's pools, by the name of the group, the worst first; only if a stack is deployed.
    pub history: BTreeMap<String, Vec<Row>>,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// The group that the caller asked about, if only one.
    pub only: Option<String>,
}

/// The parameters of template.yaml that the rules depend on.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `Scope`.
    pub scope: Scope,
    /// `Clusters`; `None` for all.
    pub clusters: Option<Vec<String>>,
    /// `StandaloneTasks`.
    pub standalone_tasks: StandaloneTasks,
    /// `ReplacementStrategy`.
    pub replacement: ReplacementStrategy,
    /// `LifecycleHooks`.
    pub hooks: LifecycleHooks,
    /// `RebalanceAction`.
    pub rebalance: RebalanceAction,
    /// `SpotFallback`.
    pub fallback: SpotFallback,
    /// `RerunRoles`.
    pub rerun_roles: RerunRoles,
    /// `KeepHealthy`.
    pub keep_healthy: KeepHealthy,
    /// `DefaultStopTimeout`.
    pub default_stop_timeout: DefaultStopTimeout,
    /// `DryRun`.
    pub dry_run: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scope: Scope::All,
            clusters: None,
            standalone_tasks: StandaloneTasks::StopLate,
            replacement: ReplacementStrategy::Detach,
            hooks: LifecycleHooks::of("spot-handoff-*"),
            rebalance: RebalanceAction::LaunchFirst,
            fallback: SpotFallback::Off,
            rerun_roles: RerunRoles::NoRerun,
            keep_healthy: KeepHealthy::default(),
            default_stop_timeout: DefaultStopTimeout::OF_AGENTS,
            dry_run: false,
        }
    }
}

/// Reads an account, with many calls at the same time.
pub async fn read(
    config: &SdkConfig,
    reader: Reader,
    stack: &str,
    settings: Settings,
    only: Option<String>,
    is_deployed: bool,
) -> Facts {
    let history = async {
        match is_deployed {
            true => history::read(config, &reader, stack).await,
            false => BTreeMap::new(),
        }
    };
    let (groups, (clusters, definitions), deployment, history) = tokio::join!(
        groups::read(config, &reader, only.as_deref()),
        clusters::read(
            config,
            &reader,
            settings.clusters.as_deref(),
            &settings.rerun_roles
        ),
        deployment::read(config, &reader),
        history,
    );
    let mut facts = Facts {
        stack: stack.to_owned(),
        settings,
        deployment,
        groups,
        clusters,
        definitions,
        history,
        only,
        ..Facts::default()
    };
    let wanted = facts.target_groups_in_use();
    let (delays, scripts) = tokio::join!(
        target_groups::read(config, &reader, wanted),
        scripts::read(config, &reader, facts.groups_at_risk()),
    );
    facts.delays = delays;
    facts.scripts = scripts;
    facts.unread = reader.unread();
    facts
}

impl Facts {
    /// The groups that AWS may interrupt and on which spot-handoff acts.
    pub fn groups_at_risk(&self) -> impl Iterator<Item = &Group> {
        self.interruptible()
            .filter(|group| self.settings.scope.admits(Some(&group.core)).is_ok())
    }

    /// The groups that AWS may interrupt.
    pub fn interruptible(&self) -> impl Iterator<Item = &Group> {
        self.groups
            .iter()
            .filter(|group| group.purchase != Purchase::OnDemand)
    }

    /// The group of an EC2 instance.
    pub fn group_of(&self, instance: &str) -> Option<&Group> {
        self.groups.iter().find(|group| {
            let mut members = group.core.instances.iter();
            members.any(|member| member.id.as_str() == instance)
        })
    }

    /// The policies of a group.
    pub fn policies_of(&self, group: &Group) -> Policies {
        Policies::of(Some(group), &self.settings)
    }

    /// The policies for a task.
    pub fn policies_on(&self, cluster: &Cluster, task: &Task) -> Policies {
        let mut instances = cluster.instances.iter();
        let on = instances.find(|one| one.arn == task.container_instance);
        let group = on.and_then(|one| self.group_of(&one.instance));
        Policies::of(group, &self.settings)
    }

    /// Whether AWS may interrupt the instance of a container instance, and spot-handoff acts on it.
    ///
    /// An instance in no group may be a Spot Instance as well. If the caller asked about one group, only its members
    /// count.
    pub fn is_at_risk(&self, container_instance: &ContainerInstance) -> bool {
        match self.group_of(&container_instance.instance) {
            Some(group) => self.groups_at_risk().any(|other| other.name() == group.name()),
            None => self.only.is_none() && self.settings.scope == Scope::All,
        }
    }

    /// The services with tasks on an instance at risk, with their clusters and those tasks.
    pub fn services_at_risk(&self) -> impl Iterator<Item = (&Cluster, &Service, Vec<&Task>)> {
        self.clusters.iter().flat_map(move |cluster| {
            let tasks = self.tasks_at_risk(cluster);
            cluster.services.iter().filter_map(move |service| {
                let own: Vec<&Task> = tasks
                    .iter()
                    .copied()
                    .filter(|task| task.service.as_deref() == Some(service.name.as_str()))
                    .collect();
                (!own.is_empty()).then_some((cluster, service, own))
            })
        })
    }

    /// The tasks of a cluster that are on an instance at risk.
    pub fn tasks_at_risk<'a>(&self, cluster: &'a Cluster) -> Vec<&'a Task> {
        let at_risk: BTreeSet<&str> = cluster
            .instances
            .iter()
            .filter(|container_instance| self.is_at_risk(container_instance))
            .map(|container_instance| container_instance.arn.as_str())
            .collect();
        let tasks = cluster.tasks.iter();
        tasks
            .filter(|task| at_risk.contains(task.container_instance.as_str()))
            .collect()
    }

    /// The container instances of a group, with their clusters.
    pub fn container_instances_of<'a>(
        &'a self,
        group: &'a Group,
    ) -> impl Iterator<Item = (&'a Cluster, &'a ContainerInstance)> {
        self.clusters.iter().flat_map(move |cluster| {
            let own = cluster.instances.iter().filter(move |container_instance| {
                let mut members = group.core.instances.iter();
                members.any(|member| member.id.as_str() == container_instance.instance)
            });
            own.map(move |container_instance| (cluster, container_instance))
        })
    }

    /// Target groups of the groups and services at risk.
    fn target_groups_in_use(&self) -> BTreeSet<String> {
        let of_groups = self
            .groups_at_risk()
            .flat_map(|group| group.core.target_groups.iter());
        let of_services = self
            .services_at_risk()
            .flat_map(|(_, service, _)| service.target_groups.iter());
        of_groups.chain(of_services).cloned().collect()
    }
}
