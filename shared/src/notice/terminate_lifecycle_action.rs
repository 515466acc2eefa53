//! `EC2 Instance-terminate Lifecycle Action`: Auto Scaling is about to terminate an instance and waits for the hook.
//! <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html>

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{InstanceId, NoticeError, Parsed, Signal, WARM_POOL, detail};

pub const DETAIL_TYPE: &str = "EC2 Instance-terminate Lifecycle Action";

/// What identifies a lifecycle action in a heartbeat or when completing it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LifecycleAction {
    /// Name of the Auto Scaling group.
    pub group: String,
    /// Name of the lifecycle hook.
    pub hook: String,
    /// Token of this action.
    pub token: String,
    /// Whether the instance goes to the group's warm pool, and comes back from there, instead of being terminated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_warm_pool: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
struct Detail {
    #[serde(rename = "EC2InstanceId")]
    instance_id: InstanceId,
    auto_scaling_group_name: String,
    lifecycle_hook_name: String,
    lifecycle_action_token: String,
    destination: Option<String>,
}

pub fn parse(value: &RawValue) -> Result<Parsed, NoticeError> {
    let Detail {
        instance_id,
        auto_scaling_group_name,
        lifecycle_hook_name,
        lifecycle_action_token,
        destination,
    } = detail(value)?;
    let action = LifecycleAction {
        group: auto_scaling_group_name,
        hook: lifecycle_hook_name,
        token: lifecycle_action_token,
        to_warm_pool: destination.as_deref() == Some(WARM_POOL),
    };
    Ok(Parsed::one(instance_id, Signal::TerminateLifecycleAction(action)))
}
