//! Setting the On-Demand base of a group.
//!
//! Nobody says whether the parts of a distribution stay that a request leaves out: by default all above the base is
//! On-Demand. So all parts are sent as they were read, and only the base differs. The launch template is left out, and stays.
//! The number is absolute, so the request can be repeated.
//! <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html>

use aws_sdk_autoscaling::types::{InstancesDistribution, MixedInstancesPolicy};
use spot_handoff::autoscaling::groups::Group;
use spot_handoff::report::plan::Done;

use super::Aws;
use crate::plan::fallback::SetBase;

/// Sets it.
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
