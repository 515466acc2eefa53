//! `EC2 Spot Instance Interruption Warning`: EC2 takes the instance back in two minutes.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{InstanceId, NoticeError, Parsed, Signal, detail};

pub const DETAIL_TYPE: &str = "EC2 Spot Instance Interruption Warning";

/// What EC2 will do to an interrupted instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceAction {
    /// Terminate it: it never comes back.
    Terminate,
    /// Stop it: it may be started again by EC2, under the same id.
    Stop,
    /// Hibernate it: begins at once, without the two minutes.
    Hibernate,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "an object")]
struct Detail {
    instance_id: InstanceId,
    instance_action: InstanceAction,
}

pub fn parse(value: &RawValue) -> Result<Parsed, NoticeError> {
    let Detail {
        instance_id,
        instance_action,
    } = detail(value)?;
    let signal = Signal::InterruptionWarning {
        action: instance_action,
    };
    Ok(Parsed::one(instance_id, signal))
}
