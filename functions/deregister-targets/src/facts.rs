//! What AWS knows about targets: batched, parallel reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_sdk_ecs::types::{LoadBalancer, Service, Task};
use aws_sdk_elasticloadbalancingv2::Client as ElbClient;
use aws_sdk_elasticloadbalancingv2::types::{TargetHealthDescription, TargetHealthStateEnum, TargetTypeEnum};
use spot_handoff::ecs::clusters::Sizes;
use spot_handoff::ecs::container_instances::ContainerInstance;
use spot_handoff::ecs::tasks::{self, Looking, TasksOn};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};

use crate::plan::{Action, Endpoint, Health, Registered, Target, TaskEndpoints};

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html>
const SERVICES_PER_CALL: usize = 10;

/// What is registered in each of these target groups: one call for each.
pub async fn target_health(elb: &ElbClient, invocation: &Invocation, arns: BTreeSet<String>) -> Health {
    let calls = arns.iter().map(|arn| {
        let asking = elb.describe_target_health().target_group_arn(arn).send();
        invocation.call("DescribeTargetHealth", asking)
    });
    let answers = together(calls).await;
    let registered = |answer: Result<_, CallError>| {
        answer.map(|health: aws_sdk_elasticloadbalancingv2::operation::describe_target_health::DescribeTargetHealthOutput| {
            health.target_health_descriptions.unwrap_or_default().into_iter().filter_map(known_target).collect()
        })
    };
    arns.into_iter()
        .zip(answers.into_iter().map(registered))
        .collect()
}

fn known_target(description: TargetHealthDescription) -> Option<Registered> {
    let state = description.target_health.and_then(|health| health.state);
    let target = description.target?;
    Some(Registered {
        target: Target {
            id: target.id?,
            port: target.port,
        },
        draining: state == Some(TargetHealthStateEnum::Draining),
    })
}

/// Every target group that holds instances, in the account and region.
///
/// Grows with the account, and is asked only for an instance in no group and no cluster.
///
/// # Errors
/// See [`CallError`].
pub async fn all_target_groups(
    elb: &ElbClient,
    invocation: &Invocation,
) -> Result<BTreeSet<String>, CallError> {
    let pages = elb
        .describe_target_groups()
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>();
    let target_groups = invocation.call("DescribeTargetGroups", pages).await?;
    Ok(target_groups
        .into_iter()
        .filter(|target_group| target_group.target_type == Some(TargetTypeEnum::Instance))
        .filter_map(|target_group| target_group.target_group_arn)
        .collect())
}

/// Where the service tasks on these container instances are registered, or would be.
pub async fn task_endpoints(
    ecs: &aws_sdk_ecs::Client,
    invocation: &Invocation,
    container_instances: &[&ContainerInstance],
    cluster_sizes: &Sizes,
) -> TaskEndpoints {
    let tasks = tasks::on(
        ecs,
        invocation,
        container_instances,
        cluster_sizes,
        Looking::ForRunning,
    )
    .await;
    let cluster_of: HashMap<&str, &str> = container_instances
        .iter()
        .map(|c| (c.arn.as_str(), c.cluster.as_str()))
        .collect();
    let services = services_of(ecs, invocation, &tasks, &cluster_of).await;

    let mut endpoints = TaskEndpoints::default();
    for (arn, tasks) in &tasks {
        let cluster = cluster_of.get(arn.as_str()).copied().unwrap_or_default();
        let on = tasks.as_ref().map_err(Clone::clone).map(|tasks| {
            let mut found = vec![];
            for task in tasks {
                let Some(name) = tasks::service_of(task) else {
                    continue;
                };
                match services.get(&(cluster.to_owned(), name.to_owned())) {
                    Some(Ok(balancers)) => {
                        let own = balancers.iter();
                        found.extend(own.filter_map(|balancer| endpoint(task, name, balancer)));
                    }
                    Some(Err(error)) => {
                        let unread = endpoints.unread_services.entry(arn.clone()).or_default();
                        unread.insert(name.to_owned(), error.clone());
                    }
                    None => {}
                }
            }
            found
        });
        endpoints.on.insert(arn.clone(), on);
    }
    endpoints
}

/// Load balancers of services by cluster and name, or why they could not be read.
type Services = HashMap<(String, String), Result<Vec<LoadBalancer>, CallError>>;

async fn services_of(
    ecs: &aws_sdk_ecs::Client,
    invocation: &Invocation,
    tasks: &TasksOn,
    cluster_of: &HashMap<&str, &str>,
) -> Services {
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (arn, tasks) in tasks {
        let cluster = cluster_of.get(arn.as_str()).copied().unwrap_or_default();
        let of_services = tasks.iter().flatten().filter_map(tasks::service_of);
        names.entry(cluster).or_default().extend(of_services);
    }
    let mut chunks: Vec<(&str, Vec<&str>)> = vec![];
    for (cluster, names) in names {
        let names: Vec<&str> = names.into_iter().collect();
        chunks.extend(
            names
                .chunks(SERVICES_PER_CALL)
                .map(|chunk| (cluster, chunk.to_vec())),
        );
    }
    let calls = chunks.iter().map(|(cluster, names)| {
        let names = names.iter().map(ToString::to_string).collect();
        let asking = ecs
            .describe_services()
            .cluster(*cluster)
            .set_services(Some(names))
            .send();
        invocation.call("DescribeServices", asking)
    });
    let answers = together(calls).await;
    let mut services = Services::new();
    for ((cluster, names), answer) in chunks.iter().zip(answers) {
        match answer {
            Ok(described) => {
                for service in described.services.unwrap_or_default() {
                    let name = service.service_name.clone().unwrap_or_default();
                    services.insert((cluster.to_string(), name), Ok(load_balancers(service)));
                }
            }
            Err(error) => {
                let of = |name: &&str| ((cluster.to_string(), name.to_string()), Err(error.clone()));
                services.extend(names.iter().map(of));
            }
        }
    }
    services
}

/// A service's load balancers: its own, those of its task sets, where an external or CodeDeploy deployment keeps them,
/// and the alternate target groups between which ECS's own blue/green deployments swap.
fn load_balancers(service: Service) -> Vec<LoadBalancer> {
    let task_sets = service.task_sets.unwrap_or_default().into_iter();
    let of_task_sets = task_sets.filter_map(|set| set.load_balancers).flatten();
    let mut balancers: Vec<LoadBalancer> = service
        .load_balancers
        .unwrap_or_default()
        .into_iter()
        .chain(of_task_sets)
        .collect();
    let alternate = |balancer: &LoadBalancer| {
        let target_group_arn = balancer
            .advanced_configuration()?
            .alternate_target_group_arn
            .clone()?;
        let mut alternate = balancer.clone();
        alternate.target_group_arn = Some(target_group_arn);
        Some(alternate)
    };
    let alternates: Vec<LoadBalancer> = balancers.iter().filter_map(alternate).collect();
    balancers.extend(alternates);
    balancers
}

/// Where a task is registered for one load balancer of its service: by the address of its network interface (`awsvpc`),
/// by a port of the host that the network bindings tell (`bridge`), or, where ECS tells neither (`host`), by the instance.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_NetworkBinding.html>
fn endpoint(task: &Task, service: &str, balancer: &LoadBalancer) -> Option<Endpoint> {
    let network_interface = task
        .attachments()
        .iter()
        .filter(|a| a.r#type() == Some("ElasticNetworkInterface"));
    let address = network_interface
        .flat_map(|attachment| attachment.details())
        .find(|detail| detail.name() == Some("privateIPv4Address"))
        .and_then(|detail| detail.value.clone());
    let host_ports = task
        .containers()
        .iter()
        .filter(|container| container.name == balancer.container_name)
        .flat_map(|container| container.network_bindings())
        .filter(|binding| binding.container_port == balancer.container_port)
        .filter_map(|binding| binding.host_port)
        .collect();
    Some(Endpoint {
        service: service.to_owned(),
        task: task.task_arn.clone()?,
        target_group: balancer.target_group_arn.clone()?,
        address,
        host_ports,
    })
}

/// Deregistration delays, remembered between invocations: they are read for a warning only, and change rarely.
#[derive(Debug, Default)]
pub struct DelayCache(Mutex<HashMap<String, (u32, Instant)>>);

impl DelayCache {
    const KEPT_FOR: Duration = Duration::from_secs(600);

    /// The deregistration delay in seconds of every target group of these actions, as far as it can be read.
    pub async fn read(
        &self,
        elb: &ElbClient,
        invocation: &Invocation,
        actions: &[Action],
    ) -> HashMap<String, u32> {
        let wanted: BTreeSet<&String> = actions.iter().map(|action| &action.target_group).collect();
        let missing: Vec<&String> = wanted
            .iter()
            .copied()
            .filter(|arn| self.get(arn).is_none())
            .collect();
        let read = together(missing.iter().map(|arn| delay(elb, invocation, arn))).await;
        if let Ok(mut known) = self.0.lock() {
            let fresh = missing
                .into_iter()
                .zip(read)
                .filter_map(|(arn, delay)| Some((arn.clone(), (delay?, Instant::now()))));
            known.extend(fresh);
        }
        wanted
            .into_iter()
            .filter_map(|arn| Some((arn.clone(), self.get(arn)?)))
            .collect()
    }

    fn get(&self, arn: &str) -> Option<u32> {
        let known = self.0.lock().ok()?;
        known
            .get(arn)
            .filter(|(_, at)| at.elapsed() < Self::KEPT_FOR)
            .map(|(seconds, _)| *seconds)
    }
}

async fn delay(elb: &ElbClient, invocation: &Invocation, arn: &str) -> Option<u32> {
    let asking = elb
        .describe_target_group_attributes()
        .target_group_arn(arn)
        .send();
    let answer = invocation
        .briefly()
        .call("DescribeTargetGroupAttributes", asking)
        .await;
    let attributes = match answer {
        Ok(answer) => answer.attributes.unwrap_or_default(),
        Err(error) => {
            tracing::warn!("cannot tell the deregistration delay of {arn}: {error}");
            return None;
        }
    };
    let delay = attributes
        .into_iter()
        .find(|a| a.key() == Some("deregistration_delay.timeout_seconds"))?;
    delay.value?.parse().ok()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{Attachment, Container, KeyValuePair, NetworkBinding};

    use super::*;

    #[test]
    fn a_task_is_told_by_its_address_or_its_port_and_in_host_mode_by_neither() {
        let balancer = LoadBalancer::builder()
            .target_group_arn("targets")
            .container_name("web")
            .container_port(80)
            .build();
        let container = |bindings: Vec<NetworkBinding>| {
            Container::builder()
                .name("web")
                .set_network_bindings(Some(bindings))
                .build()
        };
        let task = |bindings| Task::builder().task_arn("task").containers(container(bindings));
        let bound = |port, host_port| {
            NetworkBinding::builder()
                .container_port(port)
                .host_port(host_port)
                .build()
        };
        let interface = Attachment::builder()
            .r#type("ElasticNetworkInterface")
            .details(
                KeyValuePair::builder()
                    .name("privateIPv4Address")
                    .value("10.0.0.7")
                    .build(),
            )
            .build();
        let table = [
            (
                "awsvpc",
                task(vec![]).attachments(interface),
                Some("10.0.0.7"),
                &[] as &[i32],
            ),
            (
                "bridge",
                task(vec![bound(80, 32768), bound(81, 32769)]),
                None,
                &[32768],
            ),
            ("host", task(vec![]), None, &[]),
        ];
        for (mode, task, address, ports) in table {
            let found = endpoint(&task.build(), "web", &balancer).expect("an endpoint");
            assert_eq!(found.address.as_deref(), address, "{mode}");
            assert!(
                found.host_ports.iter().eq(ports),
                "{mode}: {:?}",
                found.host_ports
            );
        }
    }
}
