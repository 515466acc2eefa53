//! Whether the rest of a cluster has room for the tasks of one instance.

use std::collections::BTreeMap;

use spot_handoff::ecs::accelerators::Accelerator;

use super::{Finding, Resource, Rule, Severity};
use crate::commands::doctor::facts::{Cluster, ContainerInstance, Definition, Facts, Needs, Task};

/// An agent that can attach Elastic Inference accelerators has this attribute.
const ELASTIC_INFERENCE: &str = "ecs.capability.task-eia";

/// The rules of this family.
pub const RULES: &[Rule] = &[Rule {
    id: "no-room-elsewhere",
    title: "Service tasks that fit on no other instance",
    severity: Severity::Critical,
    why: "they cannot start elsewhere before the replacement instance is there, which takes most of the notice or more; \
          with accelerators only an instance of the right kind will do",
    fix: "keep one instance's worth of room: raise the desired capacity, or lower the capacity provider's targetCapacity",
    page: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/cluster-auto-scaling.html",
    check: no_room_elsewhere,
}];

fn no_room_elsewhere(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    for cluster in &facts.clusters {
        // The worst instance of each service: how many of its tasks fit on no other instance, out of how many.
        let mut worst: BTreeMap<&str, (usize, usize, &ContainerInstance)> = BTreeMap::new();
        for leaving in cluster.instances.iter().filter(|one| facts.is_at_risk(one)) {
            for (service, (stranded, all)) in stranded(facts, cluster, leaving) {
                let known = worst.get(service).map_or(0, |(known, _, _)| *known);
                if stranded > known {
                    worst.insert(service, (stranded, all, leaving));
                }
            }
        }
        for service in &cluster.services {
            let Some((stranded, all, leaving)) = worst.get(service.name.as_str()) else {
                continue;
            };
            let mut own = cluster
                .tasks
                .iter()
                .filter(|task| task.service.as_deref() == Some(&service.name));
            let accelerators = own
                .next()
                .map(|task| task.accelerators.as_slice())
                .unwrap_or_default();
            let held: Vec<String> = accelerators.iter().map(ToString::to_string).collect();
            let with = if held.is_empty() {
                String::new()
            } else {
                format!(" (each with {})", held.join(", "))
            };
            let what = format!(
                "{stranded} of {all} tasks{with} on {} fit on no other instance now",
                leaving.instance
            );
            let severity = if held.is_empty() {
                Severity::Warning
            } else {
                Severity::Critical
            };
            let fix = more_room(facts, leaving).unwrap_or_else(|| rule.fix.to_owned());
            findings.push(
                rule.found(Resource::service(cluster, service), what, fix)
                    .at(severity),
            );
        }
    }
    findings
}

/// For each service: how many of its tasks on an instance fit on no other instance, out of how many.
///
/// It uses first fit, the largest first, over what is free now. It ignores placement constraints and host ports. So a
/// task that it reports has no room; a task that it does not report may still have no room.
fn stranded<'a>(
    facts: &'a Facts,
    cluster: &'a Cluster,
    leaving: &ContainerInstance,
) -> BTreeMap<&'a str, (usize, usize)> {
    let mut others: Vec<(&ContainerInstance, Needs)> = cluster
        .instances
        .iter()
        .filter(|other| other.arn != leaving.arn && other.is_active && other.agent_connected)
        .map(|other| (other, other.free))
        .collect();
    let mut moving: Vec<(&Task, &str, &Definition)> = cluster
        .tasks
        .iter()
        .filter(|task| task.container_instance == leaving.arn)
        .filter_map(|task| {
            let service = task.service.as_deref()?;
            let known = cluster.services.iter().find(|one| one.name == service)?;
            // Without its definition, a task's size is unknown.
            let definition = facts.definitions.get(&task.definition)?;
            (!known.is_daemon).then_some((task, service, definition))
        })
        .collect();
    moving.sort_by_key(|(_, _, definition)| {
        std::cmp::Reverse((definition.needs.gpus, definition.needs.memory))
    });
    let mut counted: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (task, service, definition) in moving {
        let place = others.iter_mut().find(|(other, free)| {
            has_room(free, &definition.needs) && offers(other, leaving, &task.accelerators)
        });
        let entry = counted.entry(service).or_default();
        entry.1 += 1;
        match place {
            Some((_, free)) => {
                free.cpu -= definition.needs.cpu;
                free.memory -= definition.needs.memory;
                free.gpus -= definition.needs.gpus;
            }
            None => entry.0 += 1,
        }
    }
    counted
}

fn has_room(free: &Needs, needs: &Needs) -> bool {
    needs.cpu <= free.cpu && needs.memory <= free.memory && needs.gpus <= free.gpus
}

/// Whether another instance has the kind of accelerator that a task uses on the instance it leaves. GPUs count as
/// resources.
fn offers(other: &ContainerInstance, leaving: &ContainerInstance, accelerators: &[Accelerator]) -> bool {
    accelerators.iter().all(|accelerator| match accelerator {
        Accelerator::Gpu(_) => true,
        // Agents have different attributes. If the old instance did not need this one, the new one does not either.
        Accelerator::ElasticInference(_) => {
            !leaving.attributes.contains(ELASTIC_INFERENCE) || other.attributes.contains(ELASTIC_INFERENCE)
        }
        Accelerator::Neuron(_) => {
            let family = |one: &ContainerInstance| one.instance_type.chars().take(3).collect::<String>();
            let neuron = ["inf", "trn"];
            !neuron.contains(&family(leaving).as_str()) || neuron.contains(&family(other).as_str())
        }
    })
}

fn more_room(facts: &Facts, leaving: &ContainerInstance) -> Option<String> {
    let group = facts.group_of(&leaving.instance)?;
    let desired = group.core.desired + 1;
    let max = if desired >= group.core.max {
        format!(" --max-size {}", desired + 1)
    } else {
        String::new()
    };
    Some(format!(
        "aws autoscaling update-auto-scaling-group --auto-scaling-group-name {} --desired-capacity {desired}{max}",
        group.name()
    ))
}
