//! A snapshot of everything that a test looks at, in the same form as that of the embedded AWS.

use std::collections::BTreeMap;

use serde_json::Value;

use super::account::Account;
use super::ecs::{self, text};
use testbed::state::{
    Cluster, ContainerInstance, Group, Instance, Member, QueueState, Service, State, Target, TargetGroup,
    Task,
};

pub(crate) fn snapshot(account: &Account) -> State {
    let now = account.now();
    State {
        instances: account
            .instances
            .values()
            .map(|one| Instance {
                id: one.id.clone(),
                zone: one.zone.clone(),
                group: account.groups.name_of(&one.id).map(str::to_owned),
                state: one.state.clone(),
                private_ip: one.private_ip.clone(),
            })
            .collect(),
        groups: account
            .groups
            .by_name
            .values()
            .map(|one| Group {
                name: one.name.clone(),
                desired: one.desired,
                min: one.min,
                max: one.max,
                capacity_rebalance: one.capacity_rebalance,
                tags: one.tags.clone(),
                instances: one
                    .members
                    .iter()
                    .map(|member| Member {
                        id: member.id.clone(),
                        zone: member.zone.clone(),
                        lifecycle: member.lifecycle.clone(),
                        health: "Healthy".to_owned(),
                    })
                    .collect(),
                target_groups: one.target_groups.clone(),
            })
            .collect(),
        target_groups: account
            .target_groups
            .values()
            .map(|one| TargetGroup {
                arn: one.of.arn.clone(),
                name: one.of.name.clone(),
                target_type: one.of.target_type.clone(),
                targets: one
                    .targets
                    .iter()
                    .map(|((id, port), draining)| Target {
                        id: id.clone(),
                        port: Some(*port),
                        zone: account.instances.get(id).map(|instance| instance.zone.clone()),
                        state: if *draining { "draining" } else { "healthy" }.to_owned(),
                    })
                    .collect(),
            })
            .collect(),
        clusters: account.clusters.values().map(cluster).collect(),
        queues: account
            .queues
            .values()
            .map(|one| {
                let counts = one.counts(now);
                let is_for_dead_letters = one.of.name.ends_with("-dead-letters");
                QueueState {
                    name: one.of.name.clone(),
                    visible: counts.visible,
                    in_flight: counts.in_flight,
                    delayed: counts.delayed,
                    watching: 0,
                    bodies: if is_for_dead_letters {
                        one.bodies().into_iter().map(str::to_owned).collect()
                    } else {
                        vec![]
                    },
                }
            })
            .collect(),
        lifecycle_actions: vec![],
        scripts: vec![],
    }
}

fn cluster(cluster: &ecs::Cluster) -> Cluster {
    let instance_of = |arn: &str| {
        let found = cluster.container_instances.get(arn)?;
        Some(text(found, "ec2InstanceId").to_owned())
    };
    Cluster {
        arn: cluster.arn.clone(),
        name: cluster.name.clone(),
        container_instances: cluster
            .container_instances
            .values()
            .map(|one| ContainerInstance {
                arn: text(one, "containerInstanceArn").to_owned(),
                instance: text(one, "ec2InstanceId").to_owned(),
                status: text(one, "status").to_owned(),
                running_tasks: one["runningTasksCount"].as_i64().unwrap_or(0),
            })
            .collect(),
        tasks: cluster
            .tasks
            .values()
            .map(|one| task(one, instance_of(text(one, "containerInstanceArn"))))
            .collect(),
        services: cluster
            .services
            .values()
            .map(|one| Service {
                name: text(one, "serviceName").to_owned(),
                desired: one["desiredCount"].as_i64().unwrap_or(0),
                running: one["runningCount"].as_i64().unwrap_or(0),
            })
            .collect(),
    }
}

fn task(task: &Value, instance: Option<String>) -> Task {
    let owned = |name: &str| task[name].as_str().map(str::to_owned);
    let definition = text(task, "taskDefinitionArn");
    let family = definition.rsplit('/').next().unwrap_or_default();
    let is_of_service = text(task, "group").starts_with("service:");
    let tags = task["tags"].as_array().into_iter().flatten();
    Task {
        arn: text(task, "taskArn").to_owned(),
        family: family.split(':').next().unwrap_or(family).to_owned(),
        group: owned("group"),
        kind: if is_of_service { "service" } else { "standalone" }.to_owned(),
        instance,
        container_instance: owned("containerInstanceArn"),
        last_status: text(task, "lastStatus").to_owned(),
        desired_status: text(task, "desiredStatus").to_owned(),
        stopped_reason: owned("stoppedReason").filter(|reason| !reason.is_empty()),
        accelerators: vec![],
        started_by: owned("startedBy"),
        tags: tags
            .map(|tag| (text(tag, "key").to_owned(), text(tag, "value").to_owned()))
            .collect::<BTreeMap<_, _>>(),
    }
}
