//! ECS clusters: container instances, services, tasks and their definitions.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{
    CapacityProvider, ContainerDefinition, ContainerInstance as SdkContainerInstance, ManagedDraining,
    ManagedTerminationProtection, Resource, SchedulingStrategy, Service as SdkService, Task as SdkTask,
    TaskDefinition, TaskField,
};
use spot_handoff::ecs::accelerators::{self, Accelerator};
use spot_handoff::ecs::rerun_roles::RerunRoles;
use spot_handoff::ecs::standalone_tasks::{Rerun, rerun};
use spot_handoff::ecs::tasks::service_of;
use spot_handoff::runtime::invocation::together;

use super::reading::Reader;

/// DescribeContainerInstances and DescribeTasks take a hundred, DescribeServices ten:
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html>
const DESCRIBED_PER_CALL: usize = 100;
const SERVICES_PER_CALL: usize = 10;
/// The grace in seconds of a container without `stopTimeout`, unless its agent has another setting:
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>
const DEFAULT_STOP_TIMEOUT: i32 = 30;

/// A cluster with container instances.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Its container instances.
    pub instances: Vec<ContainerInstance>,
    /// Its services.
    pub services: Vec<Service>,
    /// Its running tasks.
    pub tasks: Vec<Task>,
    /// Its capacity providers that are Auto Scaling groups.
    pub providers: Vec<Provider>,
}

/// A container instance.
#[derive(Debug, Clone, Default)]
pub struct ContainerInstance {
    /// Its ARN.
    pub arn: String,
    /// The EC2 instance under it.
    pub instance: String,
    /// Whether ECS places new tasks on it.
    pub is_active: bool,
    /// Whether its agent is connected.
    pub agent_connected: bool,
    /// Its EC2 instance type.
    pub instance_type: String,
    /// Names of its attributes.
    pub attributes: BTreeSet<String>,
    /// What is free on it.
    pub free: Needs,
}

/// What a task needs, or what an instance offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// CPU units.
    pub cpu: i64,
    /// Memory in MiB.
    pub memory: i64,
    /// GPUs.
    pub gpus: i64,
}

/// A service that ECS schedules on container instances.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// How many tasks it should have.
    pub desired: i32,
    /// `minimumHealthyPercent`.
    pub minimum_percent: i32,
    /// `maximumPercent`.
    pub maximum_percent: i32,
    /// Whether it runs one task on each instance. Such a task is not moved elsewhere.
    pub is_daemon: bool,
    /// ARNs of its target groups.
    pub target_groups: Vec<String>,
    /// ARN of its task definition.
    pub definition: String,
}

/// A running task.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its ARN.
    pub arn: String,
    /// The service it belongs to.
    pub service: Option<String>,
    /// ARN of the container instance it is on.
    pub container_instance: String,
    /// ARN of its task definition.
    pub definition: String,
    /// The accelerators it holds.
    pub accelerators: Vec<Accelerator>,
    /// Whether it is run again after it was stopped.
    pub rerun: Rerun,
}

/// A revision of a task definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definition {
    /// `family:revision`.
    pub name: String,
    /// Longest grace of its containers, in seconds.
    pub stop_timeout: i64,
    /// Names of the containers with that grace.
    pub slowest: Vec<String>,
    /// What one of its tasks needs.
    pub needs: Needs,
}

/// A capacity provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// Name of its Auto Scaling group.
    pub group: String,
    /// Whether ECS drains instances that Auto Scaling terminates.
    pub drains: bool,
    /// Whether instances with tasks are protected from scale-in.
    pub protects: bool,
}

/// Reads clusters, and the task definitions that they use.
pub async fn read(
    config: &SdkConfig,
    reader: &Reader,
    named: Option<&[String]>,
    rerun_roles: &RerunRoles,
) -> (Vec<Cluster>, BTreeMap<String, Definition>) {
    let client = Client::new(config);
    let clusters = match named {
        Some(named) => named.to_vec(),
        None => {
            let pages = client.list_clusters().into_paginator().items().send();
            let listed = reader.call("", "ListClusters", pages.collect::<Result<Vec<_>, _>>());
            listed.await.unwrap_or_default()
        }
    };
    // One after the other: each cluster already makes its calls at the same time.
    let mut read = vec![];
    for cluster in &clusters {
        read.extend(read_cluster(&client, reader, cluster).await);
    }
    let wanted: BTreeSet<String> = read
        .iter()
        .flat_map(|(cluster, tasks)| {
            let of_tasks = tasks.iter().filter_map(|task| task.task_definition_arn.clone());
            of_tasks.chain(cluster.services.iter().map(|service| service.definition.clone()))
        })
        .collect();
    let described = definitions(&client, reader, &wanted).await;
    let clusters = read.into_iter().map(|(cluster, tasks)| Cluster {
        tasks: tasks
            .iter()
            .filter_map(|task| task_of(task, &described, rerun_roles))
            .collect(),
        ..cluster
    });
    let definitions = described
        .iter()
        .map(|(arn, one)| (arn.clone(), definition_of(one)));
    (clusters.collect(), definitions.collect())
}

async fn read_cluster(client: &Client, reader: &Reader, cluster: &str) -> Option<(Cluster, Vec<SdkTask>)> {
    let instances = container_instances(client, reader, cluster).await;
    if instances.is_empty() {
        return None;
    }
    let (services, tasks, providers) = tokio::join!(
        services(client, reader, cluster),
        tasks(client, reader, cluster),
        providers(client, reader, cluster),
    );
    let cluster = Cluster {
        name: last(cluster).to_owned(),
        instances,
        services,
        tasks: vec![],
        providers,
    };
    Some((cluster, tasks))
}

async fn container_instances(client: &Client, reader: &Reader, cluster: &str) -> Vec<ContainerInstance> {
    let listing = client
        .list_container_instances()
        .cluster(cluster)
        .into_paginator();
    let listing = listing.items().send().collect::<Result<Vec<_>, _>>();
    let arns = reader
        .call(cluster, "ListContainerInstances", listing)
        .await
        .unwrap_or_default();
    let calls = arns.chunks(DESCRIBED_PER_CALL).map(|chunk| {
        let asking = client.describe_container_instances().cluster(cluster);
        let asking = asking.set_container_instances(Some(chunk.to_vec())).send();
        reader.call(cluster, "DescribeContainerInstances", asking)
    });
    let answers = together(calls).await.into_iter().flatten();
    answers
        .flat_map(|answer| answer.container_instances.unwrap_or_default())
        .filter_map(container_instance_of)
        .collect()
}

async fn services(client: &Client, reader: &Reader, cluster: &str) -> Vec<Service> {
    let listing = client.list_services().cluster(cluster).into_paginator();
    let listing = listing.items().send().collect::<Result<Vec<_>, _>>();
    let arns = reader
        .call(cluster, "ListServices", listing)
        .await
        .unwrap_or_default();
    let calls = arns.chunks(SERVICES_PER_CALL).map(|chunk| {
        let asking = client.describe_services().cluster(cluster);
        let asking = asking.set_services(Some(chunk.to_vec())).send();
        reader.call(cluster, "DescribeServices", asking)
    });
    let answers = together(calls).await.into_iter().flatten();
    answers
        .flat_map(|answer| answer.services.unwrap_or_default())
        .map(service_from)
        .collect()
}

async fn tasks(client: &Client, reader: &Reader, cluster: &str) -> Vec<SdkTask> {
    let listing = client.list_tasks().cluster(cluster).into_paginator();
    let listing = listing.items().send().collect::<Result<Vec<_>, _>>();
    let arns = reader
        .call(cluster, "ListTasks", listing)
        .await
        .unwrap_or_default();
    let calls = arns.chunks(DESCRIBED_PER_CALL).map(|chunk| {
        let asking = client.describe_tasks().cluster(cluster).include(TaskField::Tags);
        let asking = asking.set_tasks(Some(chunk.to_vec())).send();
        reader.call(cluster, "DescribeTasks", asking)
    });
    let answers = together(calls).await.into_iter().flatten();
    answers
        .flat_map(|answer| answer.tasks.unwrap_or_default())
        .collect()
}

async fn providers(client: &Client, reader: &Reader, cluster: &str) -> Vec<Provider> {
    let asking = client.describe_clusters().clusters(cluster).send();
    let answer = reader.call(cluster, "DescribeClusters", asking).await;
    let clusters = answer.and_then(|answer| answer.clusters).unwrap_or_default();
    let names: Vec<String> = clusters
        .into_iter()
        .flat_map(|cluster| cluster.capacity_providers.unwrap_or_default())
        .filter(|name| !name.starts_with("FARGATE"))
        .collect();
    if names.is_empty() {
        return vec![];
    }
    let asking = client.describe_capacity_providers();
    let asking = asking.set_capacity_providers(Some(names)).send();
    let answer = reader.call(cluster, "DescribeCapacityProviders", asking).await;
    let providers = answer
        .and_then(|answer| answer.capacity_providers)
        .unwrap_or_default();
    providers.into_iter().filter_map(provider_of).collect()
}

async fn definitions(
    client: &Client,
    reader: &Reader,
    wanted: &BTreeSet<String>,
) -> BTreeMap<String, TaskDefinition> {
    let calls = wanted.iter().map(|arn| {
        let asking = client.describe_task_definition().task_definition(arn).send();
        reader.call(arn, "DescribeTaskDefinition", asking)
    });
    let answers = wanted.iter().zip(together(calls).await);
    answers
        .filter_map(|(arn, answer)| Some((arn.clone(), answer?.task_definition?)))
        .collect()
}

fn container_instance_of(found: SdkContainerInstance) -> Option<ContainerInstance> {
    let attributes = found.attributes();
    let instance_type = attributes
        .iter()
        .find(|attribute| attribute.name() == "ecs.instance-type")
        .and_then(|attribute| attribute.value())
        .unwrap_or_default()
        .to_owned();
    let attributes = attributes.iter().map(|attribute| attribute.name().to_owned());
    Some(ContainerInstance {
        attributes: attributes.collect(),
        instance_type,
        free: free(found.remaining_resources()),
        is_active: found.status() == Some("ACTIVE"),
        agent_connected: found.agent_connected,
        arn: found.container_instance_arn?,
        instance: found.ec2_instance_id?,
    })
}

/// GPUs are listed by their ids, the rest as numbers.
fn free(resources: &[Resource]) -> Needs {
    let of = |name: &str| resources.iter().find(|resource| resource.name() == Some(name));
    let number = |name: &str| of(name).map_or(0, |resource| resource.integer_value().into());
    Needs {
        cpu: number("CPU"),
        memory: number("MEMORY"),
        gpus: of("GPU").map_or(0, |gpus| {
            i64::try_from(gpus.string_set_value().len()).unwrap_or(i64::MAX)
        }),
    }
}

/// The defaults are 100 and 200:
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html>
fn service_from(found: SdkService) -> Service {
    let deployment = found.deployment_configuration();
    Service {
        minimum_percent: deployment.and_then(|d| d.minimum_healthy_percent).unwrap_or(100),
        maximum_percent: deployment.and_then(|d| d.maximum_percent).unwrap_or(200),
        is_daemon: found.scheduling_strategy() == Some(&SchedulingStrategy::Daemon),
        target_groups: found
            .load_balancers()
            .iter()
            .filter_map(|one| one.target_group_arn().map(str::to_owned))
            .collect(),
        desired: found.desired_count,
        name: found.service_name.unwrap_or_default(),
        definition: found.task_definition.unwrap_or_default(),
    }
}

fn task_of(
    task: &SdkTask,
    definitions: &BTreeMap<String, TaskDefinition>,
    rerun_roles: &RerunRoles,
) -> Option<Task> {
    let definition = task.task_definition_arn()?;
    Some(Task {
        arn: task.task_arn()?.to_owned(),
        service: service_of(task).map(str::to_owned),
        container_instance: task.container_instance_arn()?.to_owned(),
        accelerators: accelerators::of_task(task, definitions.get(definition)),
        rerun: rerun(task, definitions.get(definition), rerun_roles),
        definition: definition.to_owned(),
    })
}

fn definition_of(definition: &TaskDefinition) -> Definition {
    let containers = definition.container_definitions();
    let grace =
        |container: &ContainerDefinition| i64::from(container.stop_timeout().unwrap_or(DEFAULT_STOP_TIMEOUT));
    let stop_timeout = containers.iter().map(grace).max().unwrap_or_default();
    let slowest = containers
        .iter()
        .filter(|container| grace(container) == stop_timeout)
        .filter_map(|container| container.name().map(str::to_owned));
    let sum = |of: fn(&ContainerDefinition) -> i32| -> i64 {
        containers.iter().map(|container| i64::from(of(container))).sum()
    };
    // The size of the task wins over the sum of its containers, and a soft limit over a hard one.
    let of_task = |size: Option<&str>| size.and_then(|size| size.parse::<i64>().ok());
    let gpus = accelerators::of_task(&SdkTask::builder().build(), Some(definition))
        .into_iter()
        .map(|accelerator| match accelerator {
            Accelerator::Gpu(count) => i64::from(count),
            Accelerator::ElasticInference(_) | Accelerator::Neuron(_) => 0,
        })
        .sum();
    let memory = |c: &ContainerDefinition| c.memory_reservation().or(c.memory()).unwrap_or(0);
    Definition {
        name: last(definition.task_definition_arn().unwrap_or_default()).to_owned(),
        stop_timeout,
        slowest: slowest.collect(),
        needs: Needs {
            cpu: of_task(definition.cpu()).unwrap_or_else(|| sum(|container| container.cpu())),
            memory: of_task(definition.memory()).unwrap_or_else(|| sum(memory)),
            gpus,
        },
    }
}

fn provider_of(provider: CapacityProvider) -> Option<Provider> {
    let of_group = provider.auto_scaling_group_provider?;
    Some(Provider {
        name: provider.name?,
        // arn:…:autoScalingGroup:UUID:autoScalingGroupName/NAME, or the name alone
        group: last(&of_group.auto_scaling_group_arn).to_owned(),
        drains: of_group.managed_draining == Some(ManagedDraining::Enabled),
        protects: of_group.managed_termination_protection == Some(ManagedTerminationProtection::Enabled),
    })
}

fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
