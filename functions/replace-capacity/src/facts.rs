//! Reads what Auto Scaling knows about the instances and their groups, what the table knows about exchanges, and what
//! Elastic Load Balancing and ECS know about replacements.

pub mod launches;
mod targets;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_autoscaling::types::LifecycleHook;
use aws_sdk_elasticloadbalancingv2::types::{TargetHealthDescription, TargetHealthStateEnum as State};
use jiff::Timestamp;
use spot_handoff::autoscaling::groups::{self, Group, GroupOf, Groups};
use spot_handoff::autoscaling::policies::{LifecycleHooks, ReplacementStrategy};
use spot_handoff::ecs::container_instances::{self, ContainerInstances, Status};
use spot_handoff::exchange::{Brake, Exchanges, restraint};
use spot_handoff::notice::{Cause, FollowUp, InstanceAction, InstanceId, Notice, Signal, Step};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::Versioned;

use crate::clients::Clients;
use crate::config::Config;

pub use targets::Needed;

/// How long an interruption waits at most for facts that its first action can do without: the table, and hooks.
const DISPENSABLE_WITHIN: Duration = Duration::from_secs(2);

/// Whether the notice is an interruption warning after which AWS terminates the instance.
pub fn ends_in_two_minutes(notice: &Notice) -> bool {
    let terminate = InstanceAction::Terminate;
    matches!(&notice.signal, Signal::InterruptionWarning { action } if *action == terminate)
}

/// The item for the exchanges of each group, or why it is not known.
pub type Items = HashMap<String, Result<Option<Versioned<Exchanges>>, CallError>>;

/// Who uses the termination lifecycle hooks of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TerminationHooks {
    /// There is none.
    None,
    /// Only hooks of others.
    Others,
    /// At least one hook of ours.
    Ours,
}

/// The facts of a batch.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The groups.
    pub groups: Groups,
    /// The exchanges.
    pub items: Items,
    /// Which instances the load balancers send requests to.
    pub health: Health,
    /// Which of the instances are in a cluster.
    pub found: ContainerInstances,
    /// Who uses the termination lifecycle hooks of a group, if it matters for how an instance leaves it.
    pub hooks: HashMap<String, Result<TerminationHooks, CallError>>,
    /// Which of the interrupted instances are still needed.
    pub needed: Needed,
}

/// Reads the facts of a batch whose groups are known. What interruptions need is read at once. What exchanges need
/// takes one more round.
pub async fn read(
    clients: &Clients,
    config: &Config,
    invocation: &Invocation,
    notices: &[Notice],
    groups: Groups,
) -> Facts {
    let mut facts = Facts {
        groups,
        ..Facts::default()
    };
    let names = groups_with_exchanges(notices, &facts.groups);
    let dispensable = if notices.iter().any(ends_in_two_minutes) {
        invocation.for_at_most(DISPENSABLE_WITHIN)
    } else {
        *invocation
    };
    (facts.items, facts.hooks, facts.needed) = tokio::join!(
        items(clients, &dispensable, names),
        hooks(clients, config, &dispensable, notices, &facts),
        targets::read(&clients.keeper, config, invocation, notices, &facts.groups),
    );
    let (health, found) = tokio::join!(
        health_of(clients, invocation, notices, &facts),
        container_instances_of(clients, invocation, notices, &facts),
    );
    facts.health = health;
    facts.found = found;
    facts
}

/// Reads the groups of the notices' instances, and the groups that follow-ups name. For an instance that was detached
/// meanwhile, only its follow-up names the group that it left.
pub async fn groups_of(clients: &Clients, invocation: &Invocation, notices: &[Notice]) -> Groups {
    let ids: Vec<InstanceId> = notices.iter().map(|notice| notice.instance.clone()).collect();
    let named: Vec<String> = notices
        .iter()
        .filter_map(named_group)
        .map(str::to_owned)
        .collect();
    groups::read(&clients.autoscaling, invocation, &ids, &named).await
}

/// Reads the items for the exchanges of these groups.
pub async fn items(
    clients: &Clients,
    invocation: &Invocation,
    names: impl IntoIterator<Item = String>,
) -> Items {
    let read = |name: String| async move {
        let item = clients.table.get(invocation, &Exchanges::key_of(&name)).await;
        (name, item)
    };
    let found = together(names.into_iter().map(read)).await;
    found.into_iter().collect()
}

/// Reads who uses the hooks of those groups that instances leave now, if it matters for how they leave.
async fn hooks(
    clients: &Clients,
    config: &Config,
    invocation: &Invocation,
    notices: &[Notice],
    facts: &Facts,
) -> HashMap<String, Result<TerminationHooks, CallError>> {
    let leaves = |notice: &&Notice| ends_in_two_minutes(notice) || is_interrupted_exchange(notice);
    let leaving = notices.iter().filter(leaves);
    let groups = leaving.filter_map(|notice| facts.group_of(notice));
    let depending = groups
        .filter(|group| group.capacity_rebalance || config.strategy_of(group).0 == ReplacementStrategy::Auto);
    let names: BTreeSet<String> = depending.map(|group| group.name.clone()).collect();
    let read = |name: String| async move {
        let whose = termination_hooks(clients, invocation, &name, &config.lifecycle_hooks).await;
        (name, whose)
    };
    let found = together(names.into_iter().map(read)).await;
    found.into_iter().collect()
}

/// Whether the notice is a look at an exchange whose instance is interrupted.
fn is_interrupted_exchange(notice: &Notice) -> bool {
    matches!(&notice.signal, Signal::FollowUp(follow_up) if follow_up.cause == Cause::Interruption)
}

async fn termination_hooks(
    clients: &Clients,
    invocation: &Invocation,
    group: &str,
    ours: &LifecycleHooks,
) -> Result<TerminationHooks, CallError> {
    let asking = clients
        .autoscaling
        .describe_lifecycle_hooks()
        .auto_scaling_group_name(group)
        .send();
    let answer = invocation.call("DescribeLifecycleHooks", asking).await?;
    let hooks = answer.lifecycle_hooks().iter();
    let terminating: Vec<&LifecycleHook> = hooks
        .filter(|hook| hook.lifecycle_transition() == Some(TERMINATING))
        .collect();
    let is_ours = |hook: &&LifecycleHook| hook.lifecycle_hook_name().is_some_and(|name| ours.include(name));
    Ok(match terminating.iter().find(|hook| is_ours(hook)) {
        Some(_) => TerminationHooks::Ours,
        None if terminating.is_empty() => TerminationHooks::None,
        None => TerminationHooks::Others,
    })
}

/// The transition of termination lifecycle hooks.
const TERMINATING: &str = "autoscaling:EC2_INSTANCE_TERMINATING";

fn named_group(notice: &Notice) -> Option<&str> {
    match &notice.signal {
        Signal::FollowUp(FollowUp {
            step:
                Step::AwaitReplacement { group }
                | Step::Retire { group }
                | Step::GiveUp { group }
                | Step::Look {
                    group: Some(group), ..
                },
            ..
        }) => Some(group),
        _ => None,
    }
}

/// Whether the notice waits for a replacement that takes the work. An instance under notice does not wait for one.
fn awaits_replacement(notice: &Notice) -> bool {
    !matches!(&notice.signal, Signal::FollowUp(follow_up) if matches!(follow_up.step, Step::Look { .. }))
}

/// The groups with possible exchanges that the notices are about.
fn groups_with_exchanges(notices: &[Notice], groups: &Groups) -> BTreeSet<String> {
    let group_of = |notice: &Notice| match (&notice.signal, groups.of_instance(&notice.instance)) {
        (Signal::FollowUp(_), _) => named_group(notice).map(str::to_owned),
        (
            Signal::InterruptionWarning { .. }
            | Signal::RebalanceRecommendation
            | Signal::ScheduledRetirement { .. },
            GroupOf::Some { group, .. },
        ) => Some(group.name.clone()),
        _ => None,
    };
    notices.iter().filter_map(group_of).collect()
}

impl Facts {
    /// The exchanges of a group, if they are known and there are any.
    fn exchanges_of(&self, group: &str) -> Option<&Exchanges> {
        let item = self.items.get(group)?.as_ref().ok()?;
        item.as_ref().map(|versioned| &versioned.item)
    }

    /// The groups of the notices that wait for a replacement, and the instance of each notice.
    fn looks<'a>(&'a self, notices: &'a [Notice]) -> impl Iterator<Item = (&'a Group, &'a InstanceId)> {
        let look = |notice: &'a Notice| {
            let group = self.groups.by_name(named_group(notice)?)?;
            let exchanges = self.exchanges_of(&group.name)?;
            let is_under_way = exchanges.under_way.contains_key(&notice.instance);
            is_under_way.then_some((group, &notice.instance))
        };
        let awaiting = notices.iter().filter(|notice| awaits_replacement(notice));
        awaiting.filter_map(look)
    }

    /// The members that came after the group's exchanges began.
    fn newcomers<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a InstanceId> {
        let exchanges = self.exchanges_of(&group.name);
        let newcomers = exchanges.map(|exchanges| exchanges.unknown(group));
        newcomers.into_iter().flatten().map(|member| &member.id)
    }

    /// The members that could take the work of an instance: ACTIVE in its cluster, and healthy in each target group in
    /// which the instance is healthy.
    ///
    /// # Errors
    /// If that could not be read.
    pub fn ready(&self, group: &Group, old: &InstanceId) -> Result<BTreeSet<InstanceId>, String> {
        let mut ready = BTreeSet::new();
        for newcomer in self.newcomers(group) {
            if self.health.serves_as(group, newcomer, old)? && self.is_active_beside(newcomer, old)? {
                ready.insert(newcomer.clone());
            }
        }
        Ok(ready)
    }

    fn is_active_beside(&self, newcomer: &InstanceId, old: &InstanceId) -> Result<bool, String> {
        if let Some(error) = self.found.why_not_found(old) {
            return Err(error.to_string());
        }
        let active = |cluster: &str| {
            let mut found = self.found.of_instance(newcomer).iter();
            found.any(|one| one.cluster == cluster && one.status == Status::Active)
        };
        let clusters = self.found.of_instance(old).iter();
        let is_active = clusters.into_iter().all(|one| active(&one.cluster));
        match self.found.why_not_found(newcomer) {
            Some(error) if !is_active => Err(error.to_string()),
            _ => Ok(is_active),
        }
    }

    /// The group that a notice names, or that its instance is in.
    pub fn group_of(&self, notice: &Notice) -> Option<&Group> {
        match (named_group(notice), self.groups.of_instance(&notice.instance)) {
            (Some(name), _) => self.groups.by_name(name),
            (None, GroupOf::Some { group, .. }) => Some(group),
            (None, GroupOf::None | GroupOf::Unknown(_)) => None,
        }
    }

    /// Whether the instance is DRAINING in its cluster.
    pub fn drains(&self, instance: &InstanceId) -> bool {
        let mut found = self.found.of_instance(instance).iter();
        found.any(|one| one.status == Status::Draining)
    }

    /// What about the instance itself holds back its recommendation.
    ///
    /// # Errors
    /// If ECS could not be asked.
    pub fn brake_of(&self, instance: &InstanceId, now: Timestamp) -> Result<Option<Brake>, String> {
        if let Some(error) = self.found.why_not_found(instance) {
            return Err(error.to_string());
        }
        let Some(registered) = self.found.of_instance(instance).first() else {
            return Ok(Some(Brake::NotInCluster));
        };
        let since = registered.registered_at.unwrap_or(Timestamp::MIN);
        let is_young = now.duration_since(since) < restraint::OLD_ENOUGH;
        Ok(is_young.then_some(Brake::Young { since }))
    }
}

/// The container instances of instances with a recommendation, of instances that wait for a replacement, and of all
/// members that came since.
async fn container_instances_of(
    clients: &Clients,
    invocation: &Invocation,
    notices: &[Notice],
    facts: &Facts,
) -> ContainerInstances {
    let recommended = notices
        .iter()
        .filter(|notice| notice.signal == Signal::RebalanceRecommendation)
        .map(|notice| &notice.instance);
    let looks = facts
        .looks(notices)
        .flat_map(|(group, instance)| facts.newcomers(group).chain([instance]));
    let ids: BTreeSet<&InstanceId> = recommended.chain(looks).collect();
    let ids: Vec<InstanceId> = ids.into_iter().cloned().collect();
    container_instances::find(&clients.ecs, invocation, clients.clusters.as_deref(), &ids).await
}

/// To which instances the load balancers send requests, by target group.
#[derive(Debug, Clone, Default)]
pub struct Health {
    healthy: BTreeMap<String, BTreeSet<InstanceId>>,
    unread: BTreeMap<String, String>,
}

impl Health {
    /// Given facts, for table tests.
    #[cfg(test)]
    pub fn with(target_group: &str, healthy: impl IntoIterator<Item = InstanceId>) -> Self {
        Self {
            healthy: BTreeMap::from([(target_group.to_owned(), healthy.into_iter().collect())]),
            ..Self::default()
        }
    }

    /// Health that could not be read, for table tests.
    #[cfg(test)]
    pub fn unread(target_group: &str) -> Self {
        Self {
            unread: BTreeMap::from([(target_group.to_owned(), "refused".to_owned())]),
            ..Self::default()
        }
    }

    /// Whether requests reach a member in each target group in which they reach `old`. A target group in which they do
    /// not reach `old` does not count, for example the idle half of a blue/green pair. A target that is not registered
    /// is not healthy.
    fn serves_as(&self, group: &Group, member: &InstanceId, old: &InstanceId) -> Result<bool, String> {
        let mut unread = group.target_groups.iter().filter_map(|arn| self.unread.get(arn));
        if let Some(error) = unread.next() {
            return Err(error.clone());
        }
        let mut read = group.target_groups.iter().filter_map(|arn| self.healthy.get(arn));
        Ok(read.all(|healthy| healthy.contains(member) || !healthy.contains(old)))
    }
}

/// Reads the target health for groups in which something waits for a replacement.
async fn health_of(clients: &Clients, invocation: &Invocation, notices: &[Notice], facts: &Facts) -> Health {
    let arns: BTreeSet<&String> = facts
        .looks(notices)
        .flat_map(|(group, _)| &group.target_groups)
        .collect();
    let answers = together(arns.iter().map(|arn| {
        let asking = clients.elb.describe_target_health().target_group_arn(*arn).send();
        invocation.call("DescribeTargetHealth", asking)
    }))
    .await;
    let mut health = Health::default();
    for (arn, answer) in arns.into_iter().zip(answers) {
        match answer {
            Ok(answer) => {
                let targets = answer.target_health_descriptions.unwrap_or_default();
                let healthy = targets.into_iter().filter_map(healthy).collect();
                health.healthy.insert(arn.clone(), healthy);
            }
            // A target group that was deleted has no targets.
            Err(error) if error.code() == Some("TargetGroupNotFound") => {}
            Err(error) => {
                health.unread.insert(arn.clone(), error.to_string());
            }
        }
    }
    health
}

/// The instance, if requests reach it. A target group that no load balancer uses has no healthy targets, so it does not
/// count.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html>
fn healthy(target: TargetHealthDescription) -> Option<InstanceId> {
    match target.target_health?.state? {
        State::Healthy => target.target?.id?.parse().ok(),
        _ => None,
    }
}
