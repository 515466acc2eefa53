//! What the plans need to know about an Auto Scaling group and its instances.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_sdk_autoscaling::types::{AutoScalingGroup, RetentionAction, TrafficSourceIdentifier};

use crate::notice::InstanceId;
use crate::report::Pool;

/// What the plans need to know about an Auto Scaling group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Desired capacity.
    pub desired: i32,
    /// Minimum size.
    pub min: i32,
    /// Maximum size.
    pub max: i32,
    /// ARNs of the target groups attached to it.
    pub target_groups: BTreeSet<String>,
    /// Whether target groups of VPC Lattice send requests to it as well.
    pub is_reached_by_lattice: bool,
    /// Whether Capacity Rebalancing is on.
    pub capacity_rebalance: bool,
    /// Names of suspended processes, for example `Launch`.
    pub suspended: BTreeSet<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its Availability Zones.
    pub zones: Vec<String>,
    /// Its instances.
    pub instances: Vec<Member>,
    /// The instances that Auto Scaling has found unhealthy and will replace.
    pub unhealthy: BTreeSet<InstanceId>,
    /// The weight of each instance, if it is not one.
    pub weights: BTreeMap<InstanceId, u32>,
    /// How much of the group is On-Demand. `None` without a mixed instances policy: such a group cannot mix.
    pub distribution: Option<Distribution>,
    /// What else its mixed instances policy says about purchase options.
    pub purchase_options: PurchaseOptions,
    /// Whether it mixes On-Demand and Spot Instances.
    pub mixes_purchase_options: bool,
    /// Whether its instance types have weights, or its capacity counts processors or memory. Then a capacity is not a
    /// number of instances.
    /// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-mixed-instances-groups-instance-weighting.html>
    pub is_weighted: bool,
    /// The service principal that manages it, if any. Nobody else may change such a group.
    /// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Operator.html>
    pub operator: Option<String>,
    /// Whether an instance is kept, and not terminated, when its termination hook is abandoned.
    /// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RetentionTriggers.html>
    pub retains_abandoned: bool,
    /// The pools of its instances.
    pub pools: BTreeMap<InstanceId, Pool>,
}

/// How much of a group is On-Demand.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distribution {
    /// This much of the capacity is On-Demand first.
    pub base: u32,
    /// This percentage of the rest is On-Demand.
    pub percent_above: u32,
}

/// How a group chooses among its instance types, and what it pays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurchaseOptions {
    /// The allocation strategy of On-Demand.
    pub on_demand_strategy: Option<String>,
    /// The allocation strategy of Spot.
    pub spot_strategy: Option<String>,
    /// From how many pools the strategy `lowest-price` chooses.
    pub spot_pools: Option<i32>,
    /// The highest price.
    pub spot_price: Option<String>,
}

impl Distribution {
    /// How much of a desired capacity is On-Demand. Fractions round up, in favor of On-Demand.
    pub fn on_demand(self, desired: u32) -> u32 {
        let base = self.base.min(desired);
        let above = (desired - base).saturating_mul(self.percent_above).div_ceil(100);
        base + above
    }
}

/// An instance of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: InstanceId,
    /// Its Availability Zone.
    pub zone: String,
    /// Where it is in its lifecycle.
    pub lifecycle: Lifecycle,
}

/// Where an instance is in its lifecycle.
/// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// Launching, or waiting for a launch hook.
    Pending,
    /// In service.
    InService,
    /// Entering or in standby.
    Standby,
    /// On its way to be terminated, or already terminated.
    Terminating,
    /// On its way out of the group.
    Detaching,
    /// Anything else, for example in a warm pool.
    Other,
}

impl Lifecycle {
    /// Reads a lifecycle state. A state such as `Terminating:Wait`, in which a hook waits, counts as `Terminating`.
    pub(super) fn of(state: &str) -> Self {
        match state.split(':').next().unwrap_or_default() {
            "InService" => Self::InService,
            "Pending" => Self::Pending,
            "EnteringStandby" | "Standby" => Self::Standby,
            "Terminating" | "Terminated" => Self::Terminating,
            "Detaching" | "Detached" => Self::Detaching,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "Pending",
            Self::InService => "InService",
            Self::Standby => "Standby",
            Self::Terminating => "Terminating",
            Self::Detaching => "Detaching",
            Self::Other => "not in service",
        })
    }
}

impl From<AutoScalingGroup> for Group {
    fn from(group: AutoScalingGroup) -> Self {
        let distribution = group
            .mixed_instances_policy
            .as_ref()
            .and_then(|policy| policy.instances_distribution.clone());
        // The default of the base is 0, and of the percentage above it 100:
        // <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html>
        let mixes_purchase_options = distribution.is_some_and(|distribution| {
            let base = distribution.on_demand_base_capacity.unwrap_or(0);
            let percentage = distribution
                .on_demand_percentage_above_base_capacity
                .unwrap_or(100);
            percentage < 100 && (base > 0 || percentage > 0)
        });
        let distribution = group.mixed_instances_policy.as_ref().map(|policy| {
            let given = policy.instances_distribution.as_ref();
            let base = given.and_then(|given| given.on_demand_base_capacity).unwrap_or(0);
            let percent = given.and_then(|given| given.on_demand_percentage_above_base_capacity);
            Distribution {
                base: u32::try_from(base).unwrap_or(0),
                percent_above: u32::try_from(percent.unwrap_or(100)).unwrap_or(100),
            }
        });
        let given = group.mixed_instances_policy.as_ref();
        let given = given.and_then(|policy| policy.instances_distribution.clone());
        let purchase_options = given.map_or_else(PurchaseOptions::default, |given| PurchaseOptions {
            on_demand_strategy: given.on_demand_allocation_strategy,
            spot_strategy: given.spot_allocation_strategy,
            spot_pools: given.spot_instance_pools,
            spot_price: given.spot_max_price.filter(|price| !price.is_empty()),
        });
        let overrides = group
            .mixed_instances_policy
            .as_ref()
            .and_then(|policy| policy.launch_template.as_ref())
            .map_or(&[][..], |template| template.overrides());
        let has_weights = overrides
            .iter()
            .any(|one| one.weighted_capacity().is_some_and(|weight| weight != "1"));
        let unit = group.desired_capacity_type.as_deref().unwrap_or("units");
        let is_weighted = has_weights || unit != "units";
        let attached = group.target_group_arns.clone().unwrap_or_default();
        let traffic_sources = group.traffic_sources.clone().unwrap_or_default();
        let is_of_lattice = |source: &TrafficSourceIdentifier| {
            source
                .identifier()
                .is_some_and(|one| one.contains(":vpc-lattice:"))
        };
        let is_reached_by_lattice = traffic_sources.iter().any(is_of_lattice);
        let target_groups = attached
            .into_iter()
            .chain(traffic_sources.into_iter().filter_map(|source| source.identifier))
            .filter(|identifier| is_target_group(identifier))
            .collect();
        let triggers = group
            .instance_lifecycle_policy
            .as_ref()
            .and_then(|policy| policy.retention_triggers());
        let on_abandon = triggers.and_then(|triggers| triggers.terminate_hook_abandon());
        let retains_abandoned = on_abandon == Some(&RetentionAction::Retain);
        let pool = |instance: &aws_sdk_autoscaling::types::Instance| {
            let pool = Pool::of(
                instance.instance_type(),
                instance.availability_zone(),
                instance.availability_zone_id(),
            );
            Some((instance.instance_id()?.parse().ok()?, pool?))
        };
        let pools = group.instances().iter().filter_map(pool).collect();
        let id = |instance: &aws_sdk_autoscaling::types::Instance| instance.instance_id()?.parse().ok();
        let unhealthy = group
            .instances()
            .iter()
            .filter(|instance| instance.health_status().is_some_and(is_unhealthy))
            .filter_map(id)
            .collect();
        let weight = |instance: &aws_sdk_autoscaling::types::Instance| {
            let weight = instance.weighted_capacity()?.parse().ok()?;
            (weight != 1).then_some((id(instance)?, weight))
        };
        let weights = group.instances().iter().filter_map(weight).collect();
        let member = |instance: aws_sdk_autoscaling::types::Instance| {
            Some(Member {
                id: instance.instance_id?.parse().ok()?,
                zone: instance.availability_zone.unwrap_or_default(),
                lifecycle: Lifecycle::of(
                    instance
                        .lifecycle_state
                        .as_ref()
                        .map_or("", |state| state.as_str()),
                ),
            })
        };
        let tag =
            |tag: aws_sdk_autoscaling::types::TagDescription| Some((tag.key?, tag.value.unwrap_or_default()));
        Self {
            name: group.auto_scaling_group_name.unwrap_or_default(),
            desired: group.desired_capacity.unwrap_or_default(),
            min: group.min_size.unwrap_or_default(),
            max: group.max_size.unwrap_or_default(),
            target_groups,
            is_reached_by_lattice,
            capacity_rebalance: group.capacity_rebalance.unwrap_or(false),
            suspended: group
                .suspended_processes
                .unwrap_or_default()
                .into_iter()
                .filter_map(|p| p.process_name)
                .collect(),
            tags: group
                .tags
                .unwrap_or_default()
                .into_iter()
                .filter_map(tag)
                .collect(),
            zones: group.availability_zones.unwrap_or_default(),
            instances: group
                .instances
                .unwrap_or_default()
                .into_iter()
                .filter_map(member)
                .collect(),
            unhealthy,
            weights,
            distribution,
            purchase_options,
            mixes_purchase_options,
            is_weighted,
            operator: group.operator.and_then(|operator| operator.principal),
            retains_abandoned,
            pools,
        }
    }
}

/// Auto Scaling replaces an instance that is not `Healthy`.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Instance.html>
fn is_unhealthy(status: &str) -> bool {
    status.eq_ignore_ascii_case("unhealthy")
}

/// Whether a traffic source is a target group of Elastic Load Balancing. A Classic Load Balancer is given by its name,
/// and a target group of VPC Lattice by an ARN of another service.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TrafficSourceIdentifier.html>
fn is_target_group(identifier: &str) -> bool {
    identifier.contains(":elasticloadbalancing:") && identifier.contains(":targetgroup/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifecycle_states_with_a_hook_count_as_the_state_they_belong_to() {
        assert_eq!(Lifecycle::of("Terminating:Wait"), Lifecycle::Terminating);
        assert_eq!(Lifecycle::of("Pending:Proceed"), Lifecycle::Pending);
        assert_eq!(Lifecycle::of("Warmed:Stopped"), Lifecycle::Other);
    }

    #[test]
    fn only_target_groups_of_elastic_load_balancing_are_looked_into() {
        let attached = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a/1";
        let source = "arn:aws-cn:elasticloadbalancing:cn-north-1:123456789012:targetgroup/b/2";
        let others = [
            "arn:aws:vpc-lattice:us-east-1:123456789012:targetgroup/tg-0123456789abcdef0",
            "classic",
        ];
        let sources = [source].into_iter().chain(others).map(|identifier| {
            let source = aws_sdk_autoscaling::types::TrafficSourceIdentifier::builder();
            source.identifier(identifier).build()
        });
        let group = AutoScalingGroup::builder()
            .target_group_arns(attached)
            .set_traffic_sources(Some(sources.collect()))
            .build();
        let group = Group::from(group);
        assert!(group.target_groups.iter().eq([source, attached]));
        assert!(group.is_reached_by_lattice);
    }

    #[test]
    fn only_a_true_mixture_counts_as_mixing_purchase_options() {
        let mixes = |base: Option<i32>, percentage: Option<i32>| {
            let distribution = aws_sdk_autoscaling::types::InstancesDistribution::builder()
                .set_on_demand_base_capacity(base)
                .set_on_demand_percentage_above_base_capacity(percentage)
                .build();
            let policy = aws_sdk_autoscaling::types::MixedInstancesPolicy::builder()
                .instances_distribution(distribution)
                .build();
            Group::from(AutoScalingGroup::builder().mixed_instances_policy(policy).build())
                .mixes_purchase_options
        };
        assert!(!mixes(None, None), "all On-Demand by default");
        assert!(!mixes(Some(0), Some(0)), "all Spot");
        assert!(mixes(Some(1), Some(0)));
        assert!(mixes(Some(0), Some(50)));
    }
}
