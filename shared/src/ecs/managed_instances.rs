//! ECS Managed Instances: EC2 instances that ECS launches, drains, patches and terminates itself. spot-handoff leaves
//! them and their daemons to ECS.
//!
//! A container instance tells only the name of its capacity provider. The provider itself tells whether it is for
//! Managed Instances or for an Auto Scaling group. A Managed Instance is in no Auto Scaling group of its owner. So a
//! member of a group needs no call, but an instance that was just detached does. For a task, its launch type tells.
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CapacityProvider.html>

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{CapacityProvider, CapacityProviderType, LaunchType, Task};

use crate::ecs::container_instances::ContainerInstances;
use crate::notice::InstanceId;
use crate::runtime::aws::CallError;
use crate::runtime::invocation::{Invocation, together};

/// A call takes a hundred names, but returns ten.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeCapacityProviders.html>
const DESCRIBED_PER_CALL: usize = 10;

/// A cluster and the name of a capacity provider. A provider of Managed Instances belongs to one cluster.
type Name = (String, String);

/// Capacity providers, remembered between invocations: the kind of a provider never changes.
#[derive(Debug, Default)]
pub struct Providers(Mutex<HashMap<Name, bool>>);

impl Providers {
    /// Marks the container instances that ECS manages. `is_member` says whether an instance is in an Auto Scaling
    /// group.
    ///
    /// If a provider cannot be read, its instances count as their owner's. Not draining such an instance costs more
    /// than draining one that ECS drains as well.
    pub async fn mark(
        &self,
        ecs: &Client,
        invocation: &Invocation,
        found: &mut ContainerInstances,
        is_member: impl Fn(&InstanceId) -> bool,
    ) {
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for one in found.all().filter(|one| !is_member(&one.instance)) {
            let Some(provider) = &one.capacity_provider else {
                continue;
            };
            let name = (one.cluster.clone(), provider.clone());
            if self.get(&name).is_none() {
                wanted.entry(name.0).or_default().insert(name.1);
            }
        }
        let mut chunks: Vec<(&String, Vec<String>)> = vec![];
        for (cluster, providers) in &wanted {
            let providers: Vec<String> = providers.iter().cloned().collect();
            let of_cluster = providers.chunks(DESCRIBED_PER_CALL);
            chunks.extend(of_cluster.map(|chunk| (cluster, chunk.to_vec())));
        }
        let calls = chunks.iter();
        let calls = calls.map(|(cluster, providers)| describe(ecs, invocation, cluster, providers));
        for ((cluster, _), answer) in chunks.iter().zip(together(calls).await) {
            match (answer, self.0.lock()) {
                (Ok(answer), Ok(mut known)) => known.extend(answer.into_iter().filter_map(|provider| {
                    let is_managed = is_of_managed_instances(&provider);
                    Some(((cluster.to_string(), provider.name?), is_managed))
                })),
                (Err(error), _) => tracing::warn!("cannot read capacity providers of {cluster}: {error}"),
                (Ok(_), Err(_)) => {}
            }
        }
        for one in found.all_mut() {
            let provider = one.capacity_provider.clone();
            let name = provider.map(|provider| (one.cluster.clone(), provider));
            let is_managed = name.and_then(|name| self.get(&name)).unwrap_or(false);
            one.is_managed = is_managed && !is_member(&one.instance);
        }
    }

    fn get(&self, name: &Name) -> Option<bool> {
        self.0.lock().ok()?.get(name).copied()
    }
}

async fn describe(
    ecs: &Client,
    invocation: &Invocation,
    cluster: &str,
    providers: &[String],
) -> Result<Vec<CapacityProvider>, CallError> {
    let asking = ecs
        .describe_capacity_providers()
        .cluster(cluster)
        .set_capacity_providers(Some(providers.to_vec()))
        .send();
    let answer = invocation
        .briefly()
        .call("DescribeCapacityProviders", asking)
        .await?;
    Ok(answer.capacity_providers.unwrap_or_default())
}

fn is_of_managed_instances(provider: &CapacityProvider) -> bool {
    provider.managed_instances_provider.is_some()
        || provider.r#type == Some(CapacityProviderType::ManagedInstances)
}

/// Whether a task runs on a Managed Instance.
pub fn runs(task: &Task) -> bool {
    task.launch_type == Some(LaunchType::ManagedInstances)
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{AutoScalingGroupProvider, ManagedInstancesProvider};

    use super::*;

    #[test]
    fn managed_instances_are_told_by_their_provider_and_their_tasks_by_the_launch_type() {
        let provider = CapacityProvider::builder;
        let of_a_group = AutoScalingGroupProvider::builder().auto_scaling_group_arn("arn");
        let of_a_group = of_a_group.build().expect("complete");
        let table = [
            (provider(), false),
            (provider().auto_scaling_group_provider(of_a_group), false),
            (
                provider().managed_instances_provider(ManagedInstancesProvider::builder().build()),
                true,
            ),
            (provider().r#type(CapacityProviderType::ManagedInstances), true),
            (provider().r#type(CapacityProviderType::Ec2Autoscaling), false),
        ];
        for (provider, expected) in table {
            let provider = provider.build();
            assert_eq!(is_of_managed_instances(&provider), expected, "{provider:?}");
        }
        for (launch_type, expected) in [
            (LaunchType::Ec2, false),
            (LaunchType::External, false),
            (LaunchType::ManagedInstances, true),
        ] {
            assert_eq!(runs(&Task::builder().launch_type(launch_type).build()), expected);
        }
        assert!(!runs(&Task::builder().build()));
    }
}
