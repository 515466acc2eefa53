//! Whether one interruption, or those of one zone, take all tasks of a service.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Resource, Rule, Severity};
use crate::commands::doctor::facts::{Cluster, Facts, Service, Task};

/// The rules of this family.
pub const RULES: &[Rule] = &[Rule {
    id: "all-in-one-place",
    title: "Service whose tasks are all in one place",
    severity: Severity::Warning,
    why: "one interruption, or the interruptions of one zone, take all of them at once: nothing serves if their \
          successors come late",
    fix: "spread the service over zones and instances",
    page: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-strategies.html",
    check: all_in_one_place,
}];

fn all_in_one_place(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let zones = zones(facts);
    let mut findings = vec![];
    for (cluster, service, at_risk) in facts.services_at_risk().filter(|(_, one, _)| !one.is_daemon) {
        let own = cluster
            .tasks
            .iter()
            .filter(|task| task.service.as_deref() == Some(&service.name));
        let own: Vec<&Task> = own.collect();
        // If a task is not on a Spot Instance, it stays in any case.
        if own.len() < 2 || at_risk.len() < own.len() {
            continue;
        }
        let Some(place) = place(cluster, &own, &zones) else {
            continue;
        };
        let what = format!("all {} tasks run {place}", own.len());
        findings.push(rule.found(
            Resource::service(cluster, service),
            what,
            spread(cluster, service),
        ));
    }
    findings
}

/// The one instance or zone that has all of them, if the cluster has another one.
fn place(cluster: &Cluster, tasks: &[&Task], zones: &BTreeMap<&str, &str>) -> Option<String> {
    let instance_of = |task: &&Task| {
        let mut instances = cluster.instances.iter();
        instances
            .find(|one| one.arn == task.container_instance)
            .map(|one| one.instance.as_str())
    };
    let on: BTreeSet<&str> = tasks.iter().map(instance_of).collect::<Option<_>>()?;
    let all: BTreeSet<&str> = cluster
        .instances
        .iter()
        .map(|one| one.instance.as_str())
        .collect();
    if on.len() == 1 && all.len() > 1 {
        return Some(format!("on {}", on.first()?));
    }
    let zones_of = |instances: &BTreeSet<&str>| -> Option<BTreeSet<&str>> {
        instances.iter().map(|one| zones.get(one).copied()).collect()
    };
    let in_zones = zones_of(&on)?;
    let known = all.iter().filter_map(|one| zones.get(one).copied());
    let all_zones: BTreeSet<&str> = known.collect();
    (in_zones.len() == 1 && all_zones.len() > 1)
        .then(|| in_zones.first().map(|zone| format!("in {zone}")))
        .flatten()
}

/// The zone of each instance that is in a group.
fn zones(facts: &Facts) -> BTreeMap<&str, &str> {
    let members = facts.groups.iter().flat_map(|group| &group.core.instances);
    members
        .map(|member| (member.id.as_str(), member.zone.as_str()))
        .collect()
}

fn spread(cluster: &Cluster, service: &Service) -> String {
    format!(
        "aws ecs update-service --cluster {} --service {} --force-new-deployment --placement-strategy \
         type=spread,field=attribute:ecs.availability-zone type=spread,field=instanceId",
        cluster.name, service.name
    )
}
