//! Which ECS container instances belong to a batch of EC2 instances.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::ContainerInstance as SdkContainerInstance;
use jiff::Timestamp;

use crate::ecs::clusters::{self, Size, Sizes};
use crate::notice::{InstanceId, Registered};
use crate::report::names;
use crate::runtime::aws::CallError;
use crate::runtime::invocation::{Invocation, together};

/// Ids in one filter expression. The API states no limit for the filter; a list call returns up to 100.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListContainerInstances.html>
const IDS_PER_FILTER: usize = 100;
/// Ids in a filter after ECS has refused a longer one. AWS does not document how long a filter may be.
const IDS_PER_SHORT_FILTER: usize = 10;
/// With more clusters than this, first find out which are empty. AWS admits a burst of 100 such reads, and 20 a second.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>
const CLUSTERS_TO_ASK_AT_ONCE: usize = 25;
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeContainerInstances.html>
const DESCRIBED_PER_CALL: usize = 100;

/// An EC2 instance in an ECS cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerInstance {
    /// Its ARN.
    pub arn: String,
    /// ARN or name of its cluster, as it was asked for.
    pub cluster: String,
    /// The EC2 instance.
    pub instance: InstanceId,
    /// Whether ECS places tasks on it.
    pub status: Status,
    /// Whether the agent is connected to ECS. If not, what ECS says about tasks is out of date.
    pub agent_connected: bool,
    /// Tasks that ECS wants running or pending on it.
    pub tasks: usize,
    /// When it was registered.
    pub registered_at: Option<Timestamp>,
    /// The name of its capacity provider.
    pub capacity_provider: Option<String>,
    /// Whether ECS launched and manages it (a Managed Instance), as far as [`crate::ecs::managed_instances`] has found
    /// out.
    pub is_managed: bool,
}

impl ContainerInstance {
    /// Its id, the last part of its ARN.
    pub fn id(&self) -> &str {
        names::last(&self.arn)
    }

    /// Where it is registered, for the next look at its instance.
    pub fn registered(&self, draining_with: Option<usize>) -> Registered {
        Registered {
            cluster: self.cluster.clone(),
            container_instance: self.id().to_owned(),
            draining_with,
        }
    }
}

/// Whether ECS places tasks on a container instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// ECS places tasks on it.
    Active,
    /// ECS places no tasks on it, and moves service tasks away.
    Draining,
    /// Registering, deregistering or gone.
    Other,
}

/// The container instances of a batch of EC2 instances.
#[derive(Debug, Clone, Default)]
pub struct ContainerInstances {
    found: HashMap<InstanceId, Vec<ContainerInstance>>,
    unread: Vec<CallError>,
    sizes: Sizes,
    clusters: usize,
}

impl ContainerInstances {
    /// Given facts, for table tests.
    pub fn of(found: impl IntoIterator<Item = ContainerInstance>) -> Self {
        let mut facts = Self::default();
        found.into_iter().for_each(|found| facts.add(found));
        facts
    }

    fn add(&mut self, found: ContainerInstance) {
        self.found.entry(found.instance.clone()).or_default().push(found);
    }

    /// Adds the result of a search. It replaces what was known about the instances that the search found.
    fn join(&mut self, searched: Self) {
        self.found.extend(searched.found);
        self.unread.extend(searched.unread);
        self.sizes.extend(searched.sizes);
        self.clusters = self.clusters.max(searched.clusters);
    }

    /// The container instances of an EC2 instance: none or one, unless it was registered twice.
    pub fn of_instance(&self, id: &InstanceId) -> &[ContainerInstance] {
        self.found.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// The error that may be the reason why an instance was not found.
    pub fn why_not_found(&self, id: &InstanceId) -> Option<&CallError> {
        if self.found.contains_key(id) {
            None
        } else {
            self.unread.first()
        }
    }

    /// Whether there is no cluster in which the instance could be or could register.
    pub fn has_no_cluster(&self) -> bool {
        self.clusters == 0 && self.found.is_empty() && self.unread.is_empty()
    }

    /// The sizes of the clusters, as far as they have been read.
    pub fn cluster_sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// All that were found, to be changed.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut ContainerInstance> {
        self.found.values_mut().flatten()
    }

    /// All that were found.
    pub fn all(&self) -> impl Iterator<Item = &ContainerInstance> {
        self.found.values().flatten()
    }
}

/// Finds the container instances of these EC2 instances in the given clusters, or in all clusters of the account and
/// region.
///
/// It asks each cluster with a filter over all ids, so the number of calls grows with the clusters and not with the
/// instances. In a storm with many ids, it lists a whole cluster instead if that takes fewer calls. It describes the
/// results, and keeps only those with one of the ids.
pub async fn find(
    client: &Client,
    invocation: &Invocation,
    clusters: Option<&[String]>,
    ids: &[InstanceId],
) -> ContainerInstances {
    let mut facts = ContainerInstances::default();
    let ids: BTreeSet<&InstanceId> = ids.iter().collect();
    if ids.is_empty() {
        return facts;
    }
    let clusters = match clusters {
        Some(clusters) => clusters.to_vec(),
        None => match list_clusters(client, invocation).await {
            Ok(clusters) => clusters,
            Err(error) => {
                facts.unread.push(error);
                return facts;
            }
        },
    };
    facts.clusters = clusters.len();
    let names: Vec<&str> = clusters.iter().map(String::as_str).collect();
    // One more round trip, which pays only with many ids or many clusters.
    if ids.len() > IDS_PER_FILTER || names.len() > CLUSTERS_TO_ASK_AT_ONCE {
        facts.sizes = clusters::sizes(client, invocation, &names).await;
    }
    let ids_in_order: Vec<&InstanceId> = ids.iter().copied().collect();
    let mut asked: Vec<(&str, Option<&[&InstanceId]>)> = vec![];
    for cluster in names {
        match how_to_ask(ids.len(), facts.sizes.get(cluster)) {
            Asking::NotAtAll => {}
            Asking::ForAll => asked.push((cluster, None)),
            Asking::ForIds => {
                let chunks = ids_in_order.chunks(IDS_PER_FILTER);
                asked.extend(chunks.map(|chunk| (cluster, Some(chunk))));
            }
        }
    }
    let listed = together(
        asked
            .iter()
            .map(|(cluster, ids)| list_those(client, invocation, cluster, *ids)),
    )
    .await;
    let mut arns: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((cluster, _), listing) in asked.iter().zip(listed) {
        match listing {
            Ok(found) => arns.entry(cluster).or_default().extend(found),
            // A configured cluster that does not exist holds no instance; the others still count.
            Err(error) if error.code() == Some("ClusterNotFoundException") => {
                tracing::warn!("CLUSTERS names a cluster that does not exist: {error}");
            }
            Err(error) => facts.unread.push(error),
        }
    }
    let chunks = arns.iter().flat_map(|(cluster, arns)| {
        arns.chunks(DESCRIBED_PER_CALL)
            .map(move |chunk| (*cluster, chunk))
    });
    let described =
        together(chunks.map(|(cluster, chunk)| describe(client, invocation, cluster, chunk))).await;
    for answer in described {
        match answer {
            Ok(found) => {
                let wanted = found.into_iter().filter(|found| ids.contains(&found.instance));
                wanted.for_each(|found| facts.add(found));
            }
            Err(error) => facts.unread.push(error),
        }
    }
    facts
}

/// Finds container instances where they were registered before, a hundred a call. Searches for those that are not there
/// any more, or whose agent is not connected: the instance may have registered anew.
pub async fn find_again(
    client: &Client,
    invocation: &Invocation,
    clusters: Option<&[String]>,
    wanted: &BTreeMap<&InstanceId, &[Registered]>,
) -> ContainerInstances {
    let mut facts = ContainerInstances::default();
    let is_ours = |cluster: &String| clusters.is_none_or(|clusters| clusters.contains(cluster));
    let mut by_cluster: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for one in wanted
        .values()
        .copied()
        .flatten()
        .filter(|one| is_ours(&one.cluster))
    {
        let of_cluster = by_cluster.entry(&one.cluster).or_default();
        of_cluster.push(one.container_instance.clone());
    }
    facts.clusters = by_cluster.len();
    let chunks = by_cluster.iter().flat_map(|(cluster, ids)| {
        let of_cluster = ids.chunks(DESCRIBED_PER_CALL);
        of_cluster.map(move |chunk| (*cluster, chunk))
    });
    let described =
        together(chunks.map(|(cluster, chunk)| describe(client, invocation, cluster, chunk))).await;
    // Whatever could not be read is searched for.
    for found in described.into_iter().flatten().flatten() {
        if wanted.contains_key(&found.instance) {
            facts.add(found);
        }
    }
    let is_there = |id: &InstanceId| {
        let on = facts.of_instance(id);
        !on.is_empty() && on.iter().all(|one| one.agent_connected)
    };
    let others: Vec<InstanceId> = wanted
        .keys()
        .filter(|id| !is_there(id))
        .copied()
        .cloned()
        .collect();
    if !others.is_empty() {
        facts.join(find(client, invocation, clusters, &others).await);
    }
    facts
}

async fn list_clusters(client: &Client, invocation: &Invocation) -> Result<Vec<String>, CallError> {
    let pages = client
        .list_clusters()
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>();
    invocation.call("ListClusters", pages).await
}

/// How to find out which of the instances are in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// List with filters over the ids.
    ForIds,
    /// List everything in it.
    ForAll,
    /// Do not ask: it is empty.
    NotAtAll,
}

/// Compares the numbers of calls: one listing for each filter, or listing and describing the whole cluster. Filter
/// results have to be described as well, but most of many clusters hold none of the instances.
fn how_to_ask(ids: usize, size: Option<&Size>) -> Asking {
    let Some(size) = size else {
        return Asking::ForIds;
    };
    let pages = size.container_instances.div_ceil(DESCRIBED_PER_CALL);
    match pages {
        0 => Asking::NotAtAll,
        pages if 2 * pages <= ids.div_ceil(IDS_PER_FILTER) => Asking::ForAll,
        _ => Asking::ForIds,
    }
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/cluster-query-language.html>
fn filter(ids: &[&InstanceId]) -> String {
    let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    format!("ec2InstanceId in [{}]", ids.join(", "))
}

/// Lists the container instances of a cluster: these instances, or all. If ECS refuses a filter because of its length,
/// it uses short ones.
async fn list_those(
    client: &Client,
    invocation: &Invocation,
    cluster: &str,
    ids: Option<&[&InstanceId]>,
) -> Result<Vec<String>, CallError> {
    let answer = list(client, invocation, cluster, ids.map(filter)).await;
    match (answer, ids) {
        (Err(error), Some(ids)) if may_be_too_long(&error) && ids.len() > IDS_PER_SHORT_FILTER => {
            let short = ids.chunks(IDS_PER_SHORT_FILTER).map(filter);
            let answers = together(short.map(|filter| list(client, invocation, cluster, Some(filter)))).await;
            let found: Result<Vec<Vec<String>>, CallError> = answers.into_iter().collect();
            found.map(|found| found.concat())
        }
        (answer, _) => answer,
    }
}

fn may_be_too_long(error: &CallError) -> bool {
    !error.is_passing() && !error.is_denied() && error.code() != Some("ClusterNotFoundException")
}

async fn list(
    client: &Client,
    invocation: &Invocation,
    cluster: &str,
    filter: Option<String>,
) -> Result<Vec<String>, CallError> {
    let pages = client
        .list_container_instances()
        .cluster(cluster)
        .set_filter(filter)
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>();
    invocation.call("ListContainerInstances", pages).await
}

/// Describes up to a hundred container instances by their ids or ARNs. Leaves out deregistered ones.
///
/// # Errors
/// See [`CallError`].
pub async fn describe(
    client: &Client,
    invocation: &Invocation,
    cluster: &str,
    arns: &[String],
) -> Result<Vec<ContainerInstance>, CallError> {
    let describing = client
        .describe_container_instances()
        .cluster(cluster)
        .set_container_instances(Some(arns.to_vec()))
        .send();
    let answer = invocation.call("DescribeContainerInstances", describing).await?;
    let described = answer.container_instances.unwrap_or_default().into_iter();
    Ok(described
        .filter_map(|container_instance| known(container_instance, cluster))
        .collect())
}

fn known(container_instance: SdkContainerInstance, cluster: &str) -> Option<ContainerInstance> {
    // ECS describes it for a while after it is deregistered, but does not list it any more.
    if container_instance.status.as_deref() == Some("INACTIVE") {
        return None;
    }
    Some(ContainerInstance {
        arn: container_instance.container_instance_arn?,
        cluster: cluster.to_owned(),
        instance: container_instance.ec2_instance_id?.parse().ok()?,
        status: match container_instance.status.as_deref() {
            Some("ACTIVE") => Status::Active,
            Some("DRAINING") => Status::Draining,
            _ => Status::Other,
        },
        agent_connected: container_instance.agent_connected,
        tasks: usize::try_from(
            container_instance.running_tasks_count + container_instance.pending_tasks_count,
        )
        .unwrap_or_default(),
        registered_at: container_instance
            .registered_at
            .and_then(|at| Timestamp::from_second(at.secs()).ok()),
        capacity_provider: container_instance.capacity_provider_name,
        is_managed: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_listed_whole_where_that_takes_no_more_calls_than_filters() {
        let of = |ids, container_instances| {
            let size = Size {
                container_instances,
                tasks: 0,
            };
            how_to_ask(ids, Some(&size))
        };
        assert_eq!(
            how_to_ask(1000, None),
            Asking::ForIds,
            "its size could not be read"
        );
        assert_eq!(of(1000, 0), Asking::NotAtAll);
        assert_eq!(of(1000, 200), Asking::ForAll, "four calls, not eleven and more");
        assert_eq!(of(200, 200), Asking::ForIds, "two calls and a few more, not four");
        assert_eq!(
            of(1, 20),
            Asking::ForIds,
            "one call, and a second only where it is"
        );
        assert_eq!(of(200, 5000), Asking::ForIds, "few of many");
    }
}
