//! `EC2 Instance Launch Unsuccessful`: Auto Scaling could not launch an instance of a group. The event names the group.
//! It names an instance only if the launch failed after EC2 had created one.
//! <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html>

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::cut;
use super::{NoticeError, detail};

pub const DETAIL_TYPE: &str = "EC2 Instance Launch Unsuccessful";

/// A failed launch. It only leads to a look at a group that is watched anyway.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LaunchFailed {
    /// Id of the EventBridge event.
    pub event_id: String,
    /// When Auto Scaling sent it.
    pub time: Timestamp,
    /// The group.
    pub group: String,
    /// AWS's message; empty if there is none.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
struct Detail {
    auto_scaling_group_name: String,
    #[serde(default)]
    status_message: Option<String>,
}

/// The group, and AWS's message.
pub fn parse(value: &RawValue) -> Result<(String, String), NoticeError> {
    let Detail {
        auto_scaling_group_name: group,
        status_message,
    } = detail(value)?;
    if group.is_empty() {
        return Err(NoticeError::field("detail.AutoScalingGroupName", "empty"));
    }
    Ok((group, cut(status_message.unwrap_or_default())))
}
