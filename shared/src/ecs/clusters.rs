//! How much each ECS cluster holds. This decides whether to ask a cluster about some instances, or to list all of it.

use std::collections::HashMap;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::operation::describe_clusters::DescribeClustersOutput;

use crate::runtime::aws::CallError;
use crate::runtime::invocation::{Invocation, together};

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeClusters.html>
const DESCRIBED_PER_CALL: usize = 100;

/// What a cluster holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Container instances registered in it, draining ones included.
    pub container_instances: usize,
    /// Tasks that run or are about to run, on any kind of capacity.
    pub tasks: usize,
}

/// Sizes of clusters, by the ARN or name they were asked for.
pub type Sizes = HashMap<String, Size>;

/// The sizes of clusters, by the ARN or name they were asked for. A size that cannot be read is left out, since sizes
/// only save calls.
pub async fn sizes(client: &Client, invocation: &Invocation, clusters: &[&str]) -> Sizes {
    let described = together(clusters.chunks(DESCRIBED_PER_CALL).map(|clusters| async move {
        let names = clusters.iter().map(ToString::to_string).collect();
        let asking = client.describe_clusters().set_clusters(Some(names)).send();
        invocation.briefly().call("DescribeClusters", asking).await
    }))
    .await;
    let told = |answer: Result<_, CallError>| match answer {
        Ok(answer) => Some(answer),
        Err(error) => {
            tracing::warn!("cannot tell how much is in the clusters, which only costs calls: {error}");
            None
        }
    };
    let answers = described
        .into_iter()
        .filter_map(told)
        .flat_map(|answer: DescribeClustersOutput| answer.clusters.unwrap_or_default());
    let count = |number: i32| usize::try_from(number).unwrap_or_default();
    answers
        .filter_map(|cluster| {
            let names = [cluster.cluster_arn.as_deref(), cluster.cluster_name.as_deref()];
            let asked_for = clusters.iter().find(|asked| names.contains(&Some(**asked)))?;
            let size = Size {
                container_instances: count(cluster.registered_container_instances_count),
                tasks: count(cluster.running_tasks_count) + count(cluster.pending_tasks_count),
            };
            Some((asked_for.to_string(), size))
        })
        .collect()
}
