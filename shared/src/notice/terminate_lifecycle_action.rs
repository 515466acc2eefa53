//! `EC2 Instance-terminate Lifecycle Action`: Auto Scaling is about to terminate an instance and waits for the hook.
//! <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html>

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{InstanceId, NoticeError, Parsed, Signal, detail};

pub const DETAIL_TYPE: &str = "EC2 Instance-terminate Lifecycle Action";

/// What names a lifecycle action when it is heartbeaten or completed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LifecycleAction {
    /// Name of the Auto Scaling group.
    pub group: String,
    /// Name of the lifecycle hook.
    pub hook: String,
    /// Token of this action.
    pub token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
struct Detail {
    #[serde(rename = "EC2InstanceId")]
    instance_id: InstanceId,
    auto_scaling_group_name: String,
    lifecycle_hook_name: String,
    lifecycle_action_token: String,
}

pub fn parse(value: &RawValue) -> Result<Parsed, NoticeError> {
    let Detail {
        instance_id,
        auto_scaling_group_name,
        lifecycle_hook_name,
        lifecycle_action_token,
    } = detail(value)?;
    let action = LifecycleAction {
        group: auto_scaling_group_name,
        hook: lifecycle_hook_name,
        token: lifecycle_action_token,
    };
    Ok(Parsed::one(instance_id, Signal::TerminateLifecycleAction(action)))
}
