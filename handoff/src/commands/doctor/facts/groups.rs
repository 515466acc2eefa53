//! Auto Scaling groups: what they launch, where and how, and who waits when an instance ends.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{AutoScalingGroup, LaunchConfiguration, LifecycleHook};
use spot_handoff::runtime::invocation::together;

use super::reading::Reader;

/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html>
const PER_PAGE: i32 = 100;
const TERMINATING: &str = "autoscaling:EC2_INSTANCE_TERMINATING";

/// An Auto Scaling group.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// The facts that the functions use, too.
    pub core: spot_handoff::autoscaling::groups::Group,
    /// How its instances are bought.
    pub purchase: Purchase,
    /// The instance types it may launch.
    pub types: Types,
    /// Spot allocation strategy of its mixed instances policy; `None` if it has no such policy.
    pub strategy: Option<String>,
    /// Its launch configuration; `None` if it launches from a template.
    pub launch_configuration: Option<String>,
    /// Whether the user data of its launch configuration switches on the ECS agent's own Spot draining.
    pub agent_drains: bool,
    /// Whether new instances are protected from scale-in.
    pub protects_new: bool,
    /// Ids of the instances protected from scale-in.
    pub protected: Vec<String>,
    /// Classic Load Balancers attached to it.
    pub classic_load_balancers: Vec<String>,
    /// Its termination lifecycle hooks; `None` if they could not be read.
    pub hooks: Option<Vec<Hook>>,
}

impl Group {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.core.name
    }
}

/// How a group's instances are bought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purchase {
    /// Only Spot Instances.
    Spot,
    /// Spot and On-Demand Instances.
    Mixed,
    /// Only On-Demand Instances.
    OnDemand,
    /// The launch template decides. It belongs to EC2, and is not read.
    #[default]
    Unknown,
}

/// The instance types a group may launch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Types {
    /// These types.
    Named(BTreeSet<String>),
    /// Any type that meets its requirements, or what its launch template says.
    #[default]
    ByAttributes,
}

/// A termination lifecycle hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// Heartbeat timeout in seconds.
    pub heartbeat: i64,
}

/// Reads all groups, or one.
pub async fn read(config: &SdkConfig, reader: &Reader, only: Option<&str>) -> Vec<Group> {
    let client = Client::new(config);
    let pages = client
        .describe_auto_scaling_groups()
        .set_auto_scaling_group_names(only.map(|name| vec![name.to_owned()]))
        .into_paginator()
        .page_size(PER_PAGE)
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>();
    let found = reader
        .call(only.unwrap_or_default(), "DescribeAutoScalingGroups", pages)
        .await
        .unwrap_or_default();
    let has_configuration = found
        .iter()
        .any(|group| group.launch_configuration_name.is_some());
    let names: Vec<String> = found
        .iter()
        .filter_map(|group| group.auto_scaling_group_name.clone())
        .collect();
    let (configurations, hooks) = tokio::join!(
        async {
            if has_configuration {
                launch_configurations(&client, reader).await
            } else {
                BTreeMap::new()
            }
        },
        together(names.iter().map(|name| termination_hooks(&client, reader, name))),
    );
    let groups = found.into_iter().zip(hooks);
    groups
        .map(|(group, hooks)| of(group, hooks, &configurations))
        .collect()
}

async fn launch_configurations(client: &Client, reader: &Reader) -> BTreeMap<String, LaunchConfiguration> {
    let pages = client
        .describe_launch_configurations()
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>();
    let found = reader.call("", "DescribeLaunchConfigurations", pages).await;
    found
        .unwrap_or_default()
        .into_iter()
        .filter_map(|one| Some((one.launch_configuration_name.clone()?, one)))
        .collect()
}

async fn termination_hooks(client: &Client, reader: &Reader, group: &str) -> Option<Vec<Hook>> {
    let asking = client
        .describe_lifecycle_hooks()
        .auto_scaling_group_name(group)
        .send();
    let answer = reader.call(group, "DescribeLifecycleHooks", asking).await?;
    let terminating = |hook: &LifecycleHook| hook.lifecycle_transition.as_deref() == Some(TERMINATING);
    let hooks = answer.lifecycle_hooks.unwrap_or_default().into_iter();
    let hooks = hooks.filter(terminating).map(|hook| Hook {
        name: hook.lifecycle_hook_name.unwrap_or_default(),
        // The default is an hour: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LifecycleHook.html
        heartbeat: hook.heartbeat_timeout.unwrap_or(3600).into(),
    });
    Some(hooks.collect())
}

fn of(
    group: AutoScalingGroup,
    hooks: Option<Vec<Hook>>,
    configurations: &BTreeMap<String, LaunchConfiguration>,
) -> Group {
    let launch_configuration = group.launch_configuration_name.clone();
    let configuration = launch_configuration
        .as_ref()
        .and_then(|name| configurations.get(name));
    let members = group.instances();
    let running: BTreeSet<String> = members.iter().filter_map(|i| i.instance_type.clone()).collect();
    let protected = members
        .iter()
        .filter(|i| i.protected_from_scale_in == Some(true))
        .filter_map(|i| i.instance_id.clone())
        .collect();
    Group {
        purchase: purchase(&group, configuration),
        types: types(&group, configuration, running),
        strategy: strategy(&group),
        agent_drains: configuration.is_some_and(|one| agent_drains(one.user_data().unwrap_or_default())),
        launch_configuration,
        protects_new: group.new_instances_protected_from_scale_in.unwrap_or(false),
        protected,
        classic_load_balancers: group.load_balancer_names().to_vec(),
        hooks,
        core: group.into(),
    }
}

/// All On-Demand by default, unless the percentage above the base is set below 100:
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html>
fn purchase(group: &AutoScalingGroup, configuration: Option<&LaunchConfiguration>) -> Purchase {
    if let Some(policy) = group.mixed_instances_policy() {
        let distribution = policy.instances_distribution();
        let base = distribution.and_then(|d| d.on_demand_base_capacity).unwrap_or(0);
        let percentage = distribution
            .and_then(|d| d.on_demand_percentage_above_base_capacity)
            .unwrap_or(100);
        return match (base, percentage) {
            (_, 100) => Purchase::OnDemand,
            (0, 0) => Purchase::Spot,
            _ => Purchase::Mixed,
        };
    }
    match configuration {
        Some(one) if one.spot_price().is_some() => Purchase::Spot,
        Some(_) => Purchase::OnDemand,
        None => Purchase::Unknown,
    }
}

fn types(
    group: &AutoScalingGroup,
    configuration: Option<&LaunchConfiguration>,
    running: BTreeSet<String>,
) -> Types {
    if let Some(one) = configuration {
        return Types::Named(one.instance_type().map(str::to_owned).into_iter().collect());
    }
    let overrides = group
        .mixed_instances_policy()
        .and_then(|policy| policy.launch_template())
        .map(|template| template.overrides())
        .unwrap_or_default();
    if overrides.iter().any(|one| one.instance_requirements().is_some()) {
        return Types::ByAttributes;
    }
    let named: BTreeSet<String> = overrides
        .iter()
        .filter_map(|one| one.instance_type().map(str::to_owned))
        .collect();
    // Without overrides, the launch template decides: one type, or attributes that several types meet.
    match (named.is_empty(), running.len()) {
        (false, _) => Types::Named(named),
        (true, 1) => Types::Named(running),
        (true, _) => Types::ByAttributes,
    }
}

/// The default is `lowest-price`:
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html>
fn strategy(group: &AutoScalingGroup) -> Option<String> {
    let policy = group.mixed_instances_policy()?;
    let strategy = policy
        .instances_distribution()
        .and_then(|distribution| distribution.spot_allocation_strategy());
    Some(strategy.unwrap_or("lowest-price").to_owned())
}

/// Whether user data, in base64, makes the ECS agent drain its instance on an interruption warning.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-spot.html>
fn agent_drains(user_data: &str) -> bool {
    aws_smithy_types::base64::decode(user_data)
        .map(|script| String::from_utf8_lossy(&script).contains("ECS_ENABLE_SPOT_INSTANCE_DRAINING=true"))
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{InstancesDistribution, MixedInstancesPolicy};

    use super::*;

    #[test]
    fn how_a_group_buys_follows_from_its_policy_or_launch_configuration() {
        let policy = |base, percentage| {
            let distribution = InstancesDistribution::builder()
                .set_on_demand_base_capacity(base)
                .set_on_demand_percentage_above_base_capacity(percentage)
                .build();
            AutoScalingGroup::builder()
                .mixed_instances_policy(
                    MixedInstancesPolicy::builder()
                        .instances_distribution(distribution)
                        .build(),
                )
                .build()
        };
        let table = [
            (None, None, Purchase::OnDemand),
            (Some(0), Some(0), Purchase::Spot),
            (None, Some(0), Purchase::Spot),
            (Some(2), Some(0), Purchase::Mixed),
            (Some(0), Some(50), Purchase::Mixed),
            (Some(1), Some(100), Purchase::OnDemand),
        ];
        for (base, percentage, expected) in table {
            assert_eq!(
                purchase(&policy(base, percentage), None),
                expected,
                "{base:?} {percentage:?}"
            );
        }
        let plain = AutoScalingGroup::builder().build();
        let configuration = LaunchConfiguration::builder();
        assert_eq!(purchase(&plain, None), Purchase::Unknown);
        assert_eq!(
            purchase(&plain, Some(&configuration.clone().build())),
            Purchase::OnDemand
        );
        let spot = configuration.spot_price("0.10").build();
        assert_eq!(purchase(&plain, Some(&spot)), Purchase::Spot);
    }

    #[test]
    fn the_agents_own_draining_is_found_in_user_data() {
        let encoded = |script: &str| aws_smithy_types::base64::encode(script);
        assert!(agent_drains(&encoded(
            "echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config"
        )));
        assert!(!agent_drains(&encoded(
            "echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=false"
        )));
        assert!(!agent_drains("not base64!"));
    }
}
