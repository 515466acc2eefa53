//! The ECS tasks on a batch of container instances.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_ecs::Client;
use aws_sdk_ecs::operation::list_tasks::builders::ListTasksFluentBuilder;
use aws_sdk_ecs::types::{DesiredStatus, Task, TaskField};

use crate::ecs::clusters::{self, Sizes};
use crate::ecs::container_instances::ContainerInstance;
use crate::runtime::aws::CallError;
use crate::runtime::invocation::{Invocation, together};

/// How many tasks one call describes.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html>
pub const DESCRIBED_PER_CALL: usize = 100;
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html>
const LISTED_PER_PAGE: i64 = 100;
/// With this few instances in a cluster, asking about each takes no more calls than finding out the better way.
const ALWAYS_ASK_EACH: usize = 2;

/// The tasks on each container instance, by its ARN; or why they could not be read.
pub type TasksOn = HashMap<String, Result<Vec<Task>, CallError>>;

/// Which tasks to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looking {
    /// Tasks that ECS wants running.
    ForRunning,
    /// Also tasks that are being stopped, but are not gone yet.
    ForAllNotGone,
}

/// Reads the tasks on these container instances.
///
/// ListTasks takes one container instance a call, or none for the whole cluster. This function uses whichever takes
/// fewer calls. So a storm over a cluster costs what the cluster costs, and one instance costs what one instance costs.
/// `sizes` are the known sizes of clusters; others are read if they matter.
pub async fn on(
    client: &Client,
    invocation: &Invocation,
    container_instances: &[&ContainerInstance],
    sizes: &Sizes,
    looking: Looking,
) -> TasksOn {
    let mut by_cluster: BTreeMap<&str, Vec<&ContainerInstance>> = BTreeMap::new();
    for container_instance in container_instances {
        by_cluster
            .entry(&container_instance.cluster)
            .or_default()
            .push(container_instance);
    }
    let whole = match looking {
        Looking::ForRunning => worth_listing_whole(client, invocation, &by_cluster, sizes).await,
        // A whole cluster has a long history: stopped tasks stay listed for an hour.
        Looking::ForAllNotGone => BTreeSet::new(),
    };
    // One after the other, in the order in which tasks change status. If a task is told to stop while two listings run
    // at the same time, both may miss it.
    let statuses: &[DesiredStatus] = match looking {
        Looking::ForRunning => &[DesiredStatus::Running],
        Looking::ForAllNotGone => &[DesiredStatus::Running, DesiredStatus::Stopped],
    };
    let mut asked: Vec<(&str, Option<&str>)> = vec![];
    for (cluster, list) in &by_cluster {
        if whole.contains(cluster) {
            asked.push((cluster, None));
        } else {
            asked.extend(list.iter().map(|c| (*cluster, Some(c.arn.as_str()))));
        }
    }
    let mut tasks: TasksOn = container_instances
        .iter()
        .map(|c| (c.arn.clone(), Ok(vec![])))
        .collect();
    let mut arns: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for status in statuses {
        let listed = together(
            asked
                .iter()
                .map(|(cluster, on)| list(client, invocation, cluster, *on, status)),
        )
        .await;
        for ((cluster, on), listing) in asked.iter().zip(listed) {
            match (listing, on) {
                (Ok(found), _) => arns.entry(cluster).or_default().extend(found),
                (Err(error), Some(on)) => fail(&mut tasks, [*on], &error),
                (Err(error), None) => fail(&mut tasks, arns_of(&by_cluster, cluster), &error),
            }
        }
    }
    // A task that changed its status between the listings is in both.
    let arns: BTreeMap<&str, Vec<String>> = arns
        .into_iter()
        .map(|(cluster, arns)| (cluster, arns.into_iter().collect()))
        .collect();
    let chunks: Vec<(&str, &[String])> = arns
        .iter()
        .flat_map(|(cluster, arns)| {
            arns.chunks(DESCRIBED_PER_CALL)
                .map(move |chunk| (*cluster, chunk))
        })
        .collect();
    let described = together(
        chunks
            .iter()
            .map(|(cluster, chunk)| describe(client, invocation, cluster, chunk)),
    )
    .await;
    for ((cluster, _), answer) in chunks.iter().zip(described) {
        match answer {
            Ok(found) => {
                let looked_for = |task: &Task| looking == Looking::ForRunning || !is_gone(task);
                for task in found.into_iter().filter(looked_for) {
                    let on = task.container_instance_arn.as_ref();
                    // A listing of the whole cluster also contains tasks of other container instances.
                    if let Some(Ok(on)) = on.and_then(|arn| tasks.get_mut(arn)) {
                        on.push(task);
                    }
                }
            }
            // It is not known which instances these tasks are on, so no instance's list is known to be complete.
            Err(error) => fail(&mut tasks, arns_of(&by_cluster, cluster), &error),
        }
    }
    tasks
}

/// The container instances of a cluster.
fn arns_of<'a>(
    by_cluster: &BTreeMap<&str, Vec<&'a ContainerInstance>>,
    cluster: &str,
) -> impl Iterator<Item = &'a str> {
    let list = by_cluster.get(cluster).cloned().unwrap_or_default();
    list.into_iter().map(|c| c.arn.as_str())
}

/// Records that the tasks on these container instances could not be read.
fn fail<'a>(tasks: &mut TasksOn, container_instances: impl IntoIterator<Item = &'a str>, error: &CallError) {
    for arn in container_instances {
        tasks.insert(arn.to_owned(), Err(error.clone()));
    }
}

/// Whether a task has stopped.
fn is_gone(task: &Task) -> bool {
    matches!(task.last_status.as_deref(), Some("STOPPED" | "DELETED"))
}

/// The clusters for which one listing of the whole takes fewer calls than one listing for each container instance.
async fn worth_listing_whole<'a>(
    client: &Client,
    invocation: &Invocation,
    by_cluster: &BTreeMap<&'a str, Vec<&ContainerInstance>>,
    known: &Sizes,
) -> BTreeSet<&'a str> {
    let many: Vec<&'a str> = by_cluster
        .iter()
        .filter(|(_, list)| list.len() > ALWAYS_ASK_EACH)
        .map(|(cluster, _)| *cluster)
        .collect();
    let unknown: Vec<&str> = many
        .iter()
        .copied()
        .filter(|cluster| !known.contains_key(*cluster))
        .collect();
    let read = clusters::sizes(client, invocation, &unknown).await;
    many.into_iter()
        .filter(|cluster| {
            let size = known.get(*cluster).or_else(|| read.get(*cluster));
            let (Some(size), Some(list)) = (size, by_cluster.get(cluster)) else {
                return false;
            };
            let on_them = list.iter().map(|c| c.tasks).sum();
            !asking_each_is_cheaper(list.len(), on_them, size.tasks)
        })
        .collect()
}

/// Compares the numbers of calls: a listing for each instance and describing the tasks on them, or listing and
/// describing the whole cluster.
fn asking_each_is_cheaper(instances: usize, tasks_on_them: usize, tasks_in_cluster: usize) -> bool {
    let pages = |tasks: usize| tasks.div_ceil(DESCRIBED_PER_CALL).max(1);
    instances + pages(tasks_on_them) <= 2 * pages(tasks_in_cluster)
}

async fn list(
    client: &Client,
    invocation: &Invocation,
    cluster: &str,
    container_instance: Option<&str>,
    status: &DesiredStatus,
) -> Result<Vec<String>, CallError> {
    let asking = client
        .list_tasks()
        .cluster(cluster)
        .set_container_instance(container_instance.map(str::to_owned))
        .desired_status(status.clone());
    all_pages(invocation, asking).await
}

async fn all_pages(
    invocation: &Invocation,
    asking: ListTasksFluentBuilder,
) -> Result<Vec<String>, CallError> {
    let pages = asking
        .into_paginator()
        .page_size(i32::try_from(LISTED_PER_PAGE).unwrap_or(100))
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>();
    invocation.call("ListTasks", pages).await
}

/// Lists the tasks of a service that ECS wants running.
///
/// # Errors
/// See [`CallError`].
pub async fn of_service(
    client: &Client,
    invocation: &Invocation,
    cluster: &str,
    service: &str,
) -> Result<Vec<String>, CallError> {
    let asking = client
        .list_tasks()
        .cluster(cluster)
        .service_name(service)
        .desired_status(DesiredStatus::Running);
    all_pages(invocation, asking).await
}

/// Describes up to a hundred tasks by their ARNs. Leaves out tasks that ECS has forgotten.
///
/// # Errors
/// See [`CallError`].
pub async fn describe(
    client: &Client,
    invocation: &Invocation,
    cluster: &str,
    arns: &[String],
) -> Result<Vec<Task>, CallError> {
    let describing = client
        .describe_tasks()
        .cluster(cluster)
        .set_tasks(Some(arns.to_vec()))
        .include(TaskField::Tags)
        .send();
    let answer = invocation.call("DescribeTasks", describing).await?;
    Ok(answer.tasks.unwrap_or_default())
}

/// The service a task belongs to; `None` for a standalone task.
///
/// ECS puts the tasks of a service into the group `service:<name>`. `startedBy` does not count, since whoever runs a
/// task may write anything there.
pub fn service_of(task: &Task) -> Option<&str> {
    task.group
        .as_deref()
        .and_then(|group| group.strip_prefix("service:"))
}

#[cfg(test)]
mod tests;
