//! `EC2 Instance Launch Unsuccessful`: Auto Scaling could not launch an instance of a group. It names a group, and an
//! instance only where one had been launched before it failed.
//! <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html>

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::cut;
use super::{NoticeError, detail};

pub const DETAIL_TYPE: &str = "EC2 Instance Launch Unsuccessful";

/// A launch that failed. It asks for nothing but a look at a group that is watched anyway.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LaunchFailed {
    /// Id of the EventBridge event.
    pub event_id: String,
    /// When Auto Scaling sent it.
    pub time: Timestamp,
    /// The group.
    pub group: String,
    /// What AWS says about it; empty where it says nothing.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
struct Detail {
    auto_scaling_group_name: String,
    #[serde(default)]
    status_message: Option<String>,
}

/// The group, and what AWS says.
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
