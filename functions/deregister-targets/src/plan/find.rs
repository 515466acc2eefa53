//! Finds the targets of an instance under notice: those of its group, of the services on it, or of an instance in no
//! group and no cluster. It plans to deregister each; [`super::hold`] takes back what has to stay.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use spot_handoff::autoscaling::groups::{GroupOf, Groups};
use spot_handoff::ecs::container_instances::ContainerInstances;
use spot_handoff::ecs::grace;
use spot_handoff::elb::health::{self, Registered, State, Target, TargetHealth};
use spot_handoff::notice::{Cause, Notice, Signal};
use spot_handoff::runtime::config::Scope;

use crate::facts::found::{OtherWay, Searched, TaskEndpoints};

use super::{
    Action, Deregistration, Plan, Skip, Warning, deregistrations, group_of, in_scope, look, serves_until,
    why_not,
};

/// When drain-tasks stops the task behind a target, by target group and target.
pub type StopMoments = BTreeMap<(String, Target), StopMoment>;

/// When drain-tasks stops a task that ECS has not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopMoment {
    /// The moment.
    pub at: Timestamp,
    /// The later moment, if the task is the last of its service and there is one.
    pub as_last: Option<Timestamp>,
}

impl StopMoment {
    /// The sooner of the two, for each moment.
    pub fn sooner(self, other: Self) -> Self {
        Self {
            at: self.at.min(other.at),
            as_last: self.as_last.zip(other.as_last).map(|(one, other)| one.min(other)),
        }
    }
}

/// When drain-tasks stops the tasks behind targets that ECS has not moved by then. Both functions calculate the same
/// moments.
pub fn stop_moments(
    notice: &Notice,
    found: &ContainerInstances,
    endpoints: &TaskEndpoints,
    health: &TargetHealth,
) -> StopMoments {
    let mut moments = StopMoments::new();
    // An instance that is already going has no moment left.
    let Some(end) = serves_until(notice).filter(|end| *end > notice.time) else {
        return moments;
    };
    let on = found.of_instance(&notice.instance).iter();
    let endpoints = on.filter_map(|one| endpoints.on.get(&one.arn)?.as_ref().ok());
    for endpoint in endpoints.flatten() {
        let Some(stop) = &endpoint.stop else { continue };
        // In all other cases drain-tasks waits until the tasks have moved, and gives them their whole grace.
        let is_interrupted = look::cause(notice) == Some(Cause::Interruption);
        let latest = |grace| grace::latest_stop_of_service(notice.time, end, grace, &stop.accelerators);
        let at = StopMoment {
            at: latest(stop.grace),
            as_last: stop.as_last.filter(|_| is_interrupted).map(latest),
        };
        let registered = health
            .get(&endpoint.target_group)
            .and_then(|one| one.as_ref().ok());
        let own = registered.into_iter().flatten();
        for one in own.filter(|one| endpoint.is_target(&one.target, &notice.instance)) {
            let key = (endpoint.target_group.clone(), one.target.clone());
            let moment = moments.entry(key).or_insert(at);
            *moment = at.sooner(*moment);
        }
    }
    moments
}

/// Targets in the target groups of the instance's Auto Scaling group.
pub fn for_group_targets(notice: &Notice, groups: &Groups, scope: Scope, health: &TargetHealth) -> Plan {
    let instance = &notice.instance;
    let of_instance = groups.of_instance(instance);
    if let Some(skip) = why_not(notice, &of_instance, scope) {
        return Plan::nothing(instance, skip);
    }
    if let GroupOf::Unknown(error) = of_instance {
        return Plan {
            problems: vec![error.to_string()],
            ..Plan::default()
        };
    }
    let mut plan = Plan::default();
    let Some(group) = group_of(notice, groups) else {
        return plan;
    };
    for target_group in &group.target_groups {
        let found = plan_matching(&mut plan, health, target_group, instance.as_str(), |target| {
            target.id == instance.as_str()
        });
        if !found {
            plan.skip(target_group, Skip::NotRegistered);
        }
    }
    if group.is_reached_by_lattice {
        plan.warnings.push(Warning::OtherWay {
            of: format!("Auto Scaling group {}", group.name),
            way: OtherWay::VpcLattice,
        });
    }
    plan
}

/// Targets of the services whose tasks are on the instance.
pub fn for_service_targets(
    notice: &Notice,
    found: &ContainerInstances,
    endpoints: &TaskEndpoints,
    health: &TargetHealth,
) -> Plan {
    let instance = &notice.instance;
    let mut plan = Plan::default();
    plan.problems
        .extend(found.why_not_found(instance).map(ToString::to_string));
    for container_instance in found.of_instance(instance) {
        if container_instance.is_managed {
            plan.skip(&container_instance.arn, Skip::ManagedByEcs);
            continue;
        }
        match endpoints.on.get(&container_instance.arn) {
            Some(Ok(list)) => {
                for endpoint in list {
                    plan_matching(
                        &mut plan,
                        health,
                        &endpoint.target_group,
                        &endpoint.words(),
                        |target| endpoint.is_target(target, instance),
                    );
                }
            }
            Some(Err(error)) => plan.problems.push(error.to_string()),
            None => {}
        }
        let unread = endpoints.unread_services.get(&container_instance.arn);
        let unread = unread.into_iter().flatten();
        plan.problems
            .extend(unread.map(|(service, error)| format!("service {service}: {error}")));
        let other_ways = endpoints.other_ways.get(&container_instance.arn);
        let other_ways = other_ways.into_iter().flatten();
        plan.warnings
            .extend(other_ways.map(|(service, way)| Warning::OtherWay {
                of: format!("service {service}"),
                way: *way,
            }));
    }
    plan.problems.dedup();
    plan
}

/// Whether no API can tell where the instance is registered: it is in no group and no cluster.
pub fn belongs_to_nobody(notice: &Notice, groups: &Groups, found: &ContainerInstances, scope: Scope) -> bool {
    let group = groups.of_instance(&notice.instance);
    // EC2 reports every instance of the account that stops. A search of every target group for each would be too much.
    !matches!(notice.signal, Signal::StateChange { .. })
        // The sender of these knew the group.
        && super::named_group(notice).is_none()
        && group == GroupOf::None
        && in_scope(notice, &group, scope)
        && found.of_instance(&notice.instance).is_empty()
        && found.why_not_found(&notice.instance).is_none()
}

/// Targets of an instance in no group and no cluster, from a search in the target groups of the account and region.
pub fn for_targets_of_nobody(notice: &Notice, searched: &Searched) -> Plan {
    let instance = &notice.instance;
    let mut plan = Plan::default();
    plan.problems.extend(searched.problem.clone());
    let target_groups: BTreeSet<&String> = searched.found.keys().collect();
    let mut found = false;
    for target_group in target_groups {
        let health = &searched.found;
        found |= plan_matching(&mut plan, health, target_group, instance.as_str(), |target| {
            target.id == instance.as_str()
        });
    }
    let (looked_at, rest) = (searched.looked_at, searched.rest);
    if rest > 0 {
        plan.skip(instance, Skip::SearchEnded { looked_at, rest });
    } else if !found && !super::is_look(notice) && plan.problems.is_empty() {
        plan.skip(instance, Skip::RegisteredNowhere);
    }
    plan
}

/// Plans the deregistration of every matching target. Returns whether there was one.
fn plan_matching(
    plan: &mut Plan,
    health: &TargetHealth,
    target_group: &str,
    of: &str,
    matches: impl Fn(&Target) -> bool,
) -> bool {
    let registered = match health.get(target_group) {
        Some(Ok(registered)) => registered,
        Some(Err(error)) if health::is_gone(error) => return false,
        Some(Err(error)) => {
            plan.problems.push(format!("{target_group}: {error}"));
            return true;
        }
        None => return false,
    };
    let mut found = false;
    for Registered { target, state, .. } in registered.iter().filter(|registered| matches(&registered.target))
    {
        found = true;
        // Several tasks may match only by their instance.
        let is_planned = |one: &Deregistration| one.target_group == target_group && one.target == *target;
        if *state == State::Draining {
            plan.skip(target_group, Skip::AlreadyDraining);
        } else if !deregistrations(plan).any(is_planned) {
            plan.actions.push(Action::Deregister(Deregistration {
                target_group: target_group.to_owned(),
                target: target.clone(),
                of: of.to_owned(),
            }));
        }
    }
    found
}
