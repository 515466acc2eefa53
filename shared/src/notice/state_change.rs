//! `EC2 Instance State-change Notification`: the instance is already leaving, with or without a warning. Or it runs,
//! perhaps again.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html>

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{InstanceId, NoticeError, Parsed, Signal, detail};

pub const DETAIL_TYPE: &str = "EC2 Instance State-change Notification";

/// The states in which an instance is leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstanceState {
    /// It is being stopped.
    Stopping,
    /// It is being terminated.
    ShuttingDown,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "an object")]
struct Detail {
    instance_id: InstanceId,
    state: String,
}

/// `None` for a state in which the instance neither leaves nor runs.
pub fn parse(value: &RawValue) -> Result<Option<Parsed>, NoticeError> {
    let Detail { instance_id, state } = detail(value)?;
    let state = match state.as_str() {
        "stopping" => InstanceState::Stopping,
        "shutting-down" => InstanceState::ShuttingDown,
        "running" => return Ok(Some(Parsed::one(instance_id, Signal::Returned))),
        _ => return Ok(None),
    };
    Ok(Some(Parsed::one(instance_id, Signal::StateChange { state })))
}
