//! What to deregister: pure functions from facts to plans.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use spot_handoff::autoscaling::groups::GroupOf;
use spot_handoff::autoscaling::restarts;
use spot_handoff::autoscaling::scope::OutOfScope;
use spot_handoff::ecs::container_instances::ContainerInstances;
use spot_handoff::exchange;
use spot_handoff::notice::{Cause, InstanceId, NOTICE, Notice, Signal};
use spot_handoff::report::plan as shared_plan;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::config::Scope;

/// A plan of this function.
pub type Plan = shared_plan::Plan<Action, Skip, Warning>;

/// Take one target out of one target group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Action {
    /// ARN of the target group.
    pub target_group: String,
    /// The target.
    pub target: Target,
    /// The instance it is on, and the task where it is one.
    pub of: String,
}

/// What is registered in a target group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Instance id or IP address.
    pub id: String,
    /// The port it was registered with; it has to be given to deregister it.
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html>
    pub port: Option<i32>,
}

impl shared_plan::Action for Action {
    fn describe(&self) -> (&'static str, String, String) {
        let port = self
            .target
            .port
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let of = if self.of == self.target.id {
            String::new()
        } else {
            format!(" ({})", self.of)
        };
        (
            "deregister-target",
            self.target_group.clone(),
            format!("{}{port}{of}", self.target.id),
        )
    }
}

/// Why something is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// The instance is not ours to act on.
    OutOfScope(OutOfScope),
    /// A rebalance recommendation or a retirement: the replacement comes first.
    WaitsForReplacement,
    /// The instance is being stopped, and nobody terminates it for that.
    MayStartAgain,
    /// The instance is in a group, but not, or no longer, in this target group of it.
    NotRegistered,
    /// A deregistered target is draining its connections already.
    AlreadyDraining,
    /// The instance is in no group and no cluster, and registered in no target group.
    RegisteredNowhere,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfScope(why) => why.fmt(f),
            Self::WaitsForReplacement => write!(f, "its targets stay until a replacement is in service"),
            Self::MayStartAgain => write!(
                f,
                "it may be started again: the load balancers find out by themselves that it is stopped"
            ),
            Self::NotRegistered => write!(f, "the instance is not registered in this target group"),
            Self::AlreadyDraining => write!(f, "already deregistered; its connections are draining"),
            Self::RegisteredNowhere => {
                write!(
                    f,
                    "in no Auto Scaling group, no ECS cluster and no target group: nothing to deregister"
                )
            }
        }
    }
}

/// A setting that will hurt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The deregistration delay is longer than the notice.
    LongDeregistrationDelay {
        /// ARN of the target group.
        target_group: String,
        /// The delay in seconds.
        seconds: u32,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongDeregistrationDelay {
                target_group,
                seconds,
            } => write!(
                f,
                "{target_group}: deregistration delay is {seconds} s, longer than the 120 s that an interruption leaves; \
                 set deregistration_delay.timeout_seconds to 90 or less"
            ),
        }
    }
}

/// What is registered in the target groups that were looked at; or why that could not be read.
pub type Health = HashMap<String, Result<Vec<Registered>, CallError>>;

/// A target and whether it is being deregistered already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The target.
    pub target: Target,
    /// Whether it is `draining`.
    pub draining: bool,
}

/// Where a task can be reached, by the container instance it is on.
#[derive(Debug, Clone, Default)]
pub struct TaskEndpoints {
    /// By ARN of the container instance: the endpoints, or why they could not be read.
    pub on: HashMap<String, Result<Vec<Endpoint>, CallError>>,
    /// By ARN of the container instance: services of tasks on it whose target groups could not be read.
    pub unread_services: HashMap<String, BTreeMap<String, CallError>>,
}

/// One address of one task in one target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The service.
    pub service: String,
    /// ARN of the task.
    pub task: String,
    /// ARN of the target group.
    pub target_group: String,
    /// Address of the task's network interface (`awsvpc`), by which `ip` targets are registered.
    pub address: Option<String>,
    /// Ports of the host (`bridge` mode), by which `instance` targets are registered.
    pub host_ports: BTreeSet<i32>,
}

impl Endpoint {
    /// Whether this target is the task.
    ///
    /// Of a task in `host` mode ECS tells neither an address nor a port: the agent reports no network bindings then. Every
    /// target of the instance in the service's target group counts as the task's, since the whole instance goes.
    fn is_target(&self, target: &Target, instance: &InstanceId) -> bool {
        let by_address = self.address.as_deref() == Some(target.id.as_str());
        let on_the_host = target.id == instance.as_str();
        let by_port = target.port.is_some_and(|port| self.host_ports.contains(&port));
        let is_untold = self.address.is_none() && self.host_ports.is_empty();
        by_address || (on_the_host && (by_port || is_untold))
    }
}

impl TaskEndpoints {
    /// All target groups that any endpoint is in.
    pub fn target_groups(&self) -> BTreeSet<String> {
        self.on
            .values()
            .flatten()
            .flatten()
            .map(|endpoint| endpoint.target_group.clone())
            .collect()
    }
}

/// Whether somebody decided already that the instance is ours: replace-capacity, before it sent the follow-up. The
/// instance may be in no group any more by the time it arrives.
fn scope_is_decided(signal: &Signal) -> bool {
    matches!(signal, Signal::FollowUp(_))
}

/// Why the instance is left alone, where it is: it is not ours, it may come back, or its replacement comes first and
/// replace-capacity will ask when it is there.
fn why_not(notice: &Notice, group: &GroupOf<'_>, scope: Scope) -> Option<Skip> {
    let admitted = match group {
        _ if scope_is_decided(&notice.signal) => Ok(()),
        GroupOf::Unknown(_) => Ok(()),
        GroupOf::None => scope.admits(None),
        GroupOf::Some { group, .. } => scope.admits(Some(group)),
    };
    match admitted {
        Err(why) => Some(Skip::OutOfScope(why)),
        Ok(()) if exchange::replacement_comes_first(notice, group) => Some(Skip::WaitsForReplacement),
        Ok(()) if restarts::may_start_again(&notice.signal, group) => Some(Skip::MayStartAgain),
        Ok(()) => None,
    }
}

/// Whether the notice asks this function to act on an instance that is ours.
pub fn in_scope(notice: &Notice, group: &GroupOf<'_>, scope: Scope) -> bool {
    !matches!(group, GroupOf::Unknown(_)) && why_not(notice, group, scope).is_none()
}

/// Targets in the target groups attached to the instance's Auto Scaling group.
pub fn for_group_targets(notice: &Notice, group: &GroupOf<'_>, scope: Scope, health: &Health) -> Plan {
    let instance = &notice.instance;
    if let Some(skip) = why_not(notice, group, scope) {
        return Plan::nothing(instance, skip);
    }
    let group = match group {
        GroupOf::Unknown(error) => {
            return Plan {
                problems: vec![error.to_string()],
                ..Plan::default()
            };
        }
        GroupOf::None => None,
        GroupOf::Some { group, .. } => Some(*group),
    };
    let mut plan = Plan::default();
    for target_group in group.iter().flat_map(|group| &group.target_groups) {
        let found = deregister_matching(&mut plan, health, target_group, instance.as_str(), |target| {
            target.id == instance.as_str()
        });
        if !found {
            plan.skip(target_group, Skip::NotRegistered);
        }
    }
    plan
}

/// Whether the targets of services are ours to deregister. In an exchange ECS moves the tasks of the draining instance
/// in its own time, and deregisters each when its successor is there.
pub fn moves_at_once(notice: &Notice) -> bool {
    !matches!(&notice.signal, Signal::FollowUp(follow_up) if follow_up.cause != Cause::Interruption)
}

/// Targets of the services whose tasks are on the instance.
pub fn for_service_targets(
    notice: &Notice,
    found: &ContainerInstances,
    endpoints: &TaskEndpoints,
    health: &Health,
) -> Plan {
    let instance = &notice.instance;
    let mut plan = Plan::default();
    plan.problems
        .extend(found.why_not_found(instance).map(ToString::to_string));
    for container_instance in found.of_instance(instance) {
        match endpoints.on.get(&container_instance.arn) {
            Some(Ok(list)) => {
                for endpoint in list {
                    let of = format!("task {} of {}", short_id(&endpoint.task), endpoint.service);
                    deregister_matching(&mut plan, health, &endpoint.target_group, &of, |target| {
                        endpoint.is_target(target, instance)
                    });
                }
            }
            Some(Err(error)) => plan.problems.push(error.to_string()),
            None => {}
        }
        let unread = endpoints.unread_services.get(&container_instance.arn);
        let unread = unread.into_iter().flatten();
        plan.problems
            .extend(unread.map(|(service, error)| format!("service {service}: {error}")));
    }
    plan.problems.dedup();
    plan
}

/// Whether nobody can tell where the instance is registered: it is in no group and no cluster.
pub fn belongs_to_nobody(
    notice: &Notice,
    group: &GroupOf<'_>,
    found: &ContainerInstances,
    scope: Scope,
) -> bool {
    // EC2 reports every instance of the account that stops; a look at every target group for each is too much.
    !matches!(notice.signal, Signal::StateChange { .. })
        && *group == GroupOf::None
        && in_scope(notice, group, scope)
        && found.of_instance(&notice.instance).is_empty()
        && found.why_not_found(&notice.instance).is_none()
}

/// Targets of an instance in no group and no cluster, looked for in all target groups of the account and region.
pub fn for_targets_of_nobody(notice: &Notice, health: &Result<Health, CallError>) -> Plan {
    let instance = &notice.instance;
    let health = match health {
        Ok(health) => health,
        Err(error) => {
            return Plan {
                problems: vec![error.to_string()],
                ..Plan::default()
            };
        }
    };
    let mut plan = Plan::default();
    let target_groups: BTreeSet<&String> = health.keys().collect();
    let mut found = false;
    for target_group in target_groups {
        found |= deregister_matching(&mut plan, health, target_group, instance.as_str(), |target| {
            target.id == instance.as_str()
        });
    }
    if !found && plan.problems.is_empty() {
        plan.skip(instance, Skip::RegisteredNowhere);
    }
    plan
}

/// Plans the deregistration of every matching target; answers whether one was there.
fn deregister_matching(
    plan: &mut Plan,
    health: &Health,
    target_group: &str,
    of: &str,
    matches: impl Fn(&Target) -> bool,
) -> bool {
    let registered = match health.get(target_group) {
        Some(Ok(registered)) => registered,
        Some(Err(error)) if error.code() == Some("TargetGroupNotFound") => return false,
        Some(Err(error)) => {
            plan.problems.push(format!("{target_group}: {error}"));
            return true;
        }
        None => return false,
    };
    let mut found = false;
    for Registered { target, draining } in registered.iter().filter(|registered| matches(&registered.target))
    {
        found = true;
        // Several tasks may be told by their instance alone.
        let is_planned = |a: &Action| a.target_group == target_group && a.target == *target;
        if *draining {
            plan.skip(target_group, Skip::AlreadyDraining);
        } else if !plan.actions.iter().any(is_planned) {
            plan.actions.push(Action {
                target_group: target_group.to_owned(),
                target: target.clone(),
                of: of.to_owned(),
            });
        }
    }
    found
}

/// Adds what another wave found about the same notice; a target that both found is deregistered once.
pub fn merge(plan: &mut Plan, more: Plan) {
    for action in more.actions {
        let known = |a: &Action| a.target_group == action.target_group && a.target == action.target;
        if !plan.actions.iter().any(known) {
            // The group's wave looked at the same target group and found none of its own.
            plan.skipped.retain(|skipped| skipped.what != action.target_group);
            plan.actions.push(action);
        }
    }
    let news = |what: &str| !plan.actions.iter().any(|action| action.target_group == what);
    let skipped: Vec<_> = more
        .skipped
        .into_iter()
        .filter(|skipped| news(&skipped.what))
        .collect();
    plan.skipped.extend(skipped);
    plan.warnings.extend(more.warnings);
    plan.problems.extend(more.problems);
    plan.problems.sort();
    plan.problems.dedup();
}

/// Every action of the plans once, in a stable order.
pub fn distinct_actions(plans: &[Plan]) -> Vec<Action> {
    let distinct: BTreeSet<&Action> = plans.iter().flat_map(|plan| &plan.actions).collect();
    distinct.into_iter().cloned().collect()
}

/// Warns of every target group whose connections will not have drained when the instance goes.
pub fn warn_of_long_delays(plan: &mut Plan, delays: &HashMap<String, u32>) {
    let target_groups: BTreeSet<&String> = plan.actions.iter().map(|action| &action.target_group).collect();
    for target_group in target_groups {
        if let Some(seconds) = delays
            .get(target_group)
            .copied()
            .filter(|s| i64::from(*s) > NOTICE.as_secs())
        {
            let target_group = target_group.clone();
            plan.warnings.push(Warning::LongDeregistrationDelay {
                target_group,
                seconds,
            });
        }
    }
}

/// The last part of an ARN.
fn short_id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests;
