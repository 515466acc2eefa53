//! Setting the On-Demand base of a group.
//!
//! AWS does not document whether the parts of a distribution stay if a request leaves them out; by default, everything
//! above the base is On-Demand. So the request sends all parts as they were read, and only the base differs. It leaves
//! out the launch template, which stays. The number is absolute, so the request can be repeated.
//! <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html>

use aws_sdk_autoscaling::types::{InstancesDistribution, MixedInstancesPolicy};
use spot_handoff::autoscaling::groups::Group;
use spot_handoff::report::plan::Done;

use super::Aws;
use crate::plan::fallback::SetBase;

/// Sets the On-Demand base.
pub async fn set(aws: Aws<'_>, group: &Group, base: SetBase) -> Done {
    let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let percent = group.distribution.map(|now| number(now.percent_above));
    let options = group.purchase_options.clone();
    let distribution = InstancesDistribution::builder()
        .on_demand_base_capacity(number(base.to))
        .set_on_demand_percentage_above_base_capacity(percent)
        .set_on_demand_allocation_strategy(options.on_demand_strategy)
        .set_spot_allocation_strategy(options.spot_strategy)
        .set_spot_instance_pools(options.spot_pools)
        .set_spot_max_price(options.spot_price)
        .build();
    let policy = MixedInstancesPolicy::builder()
        .instances_distribution(distribution)
        .build();
    let asking = aws
        .clients
        .autoscaling
        .update_auto_scaling_group()
        .auto_scaling_group_name(&group.name)
        .mixed_instances_policy(policy)
        .send();
    let answer = aws.invocation.call("UpdateAutoScalingGroup", asking).await;
    Done::of(aws.invocation.clock, &answer)
}
