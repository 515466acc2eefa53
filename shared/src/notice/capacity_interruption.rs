//! `EC2 Capacity Reservation Instance Interruption Warning`: the owner of an interruptible Capacity Reservation takes
//! its capacity back, or a Capacity Block ends. Unlike the warning for a Spot Instance, it says when the instance goes.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-interruptible-cr.html>
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-monitor.html>

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{InstanceAction, InstanceId, NoticeError, Parsed, Signal, detail};

pub const DETAIL_TYPE: &str = "EC2 Capacity Reservation Instance Interruption Warning";

/// AWS's two pages use different names for the id of the zone, and only one of them has the lifecycle. Neither is
/// needed.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "an object")]
struct Detail {
    instance_id: InstanceId,
    instance_action: InstanceAction,
    instance_termination_time: Timestamp,
}

pub fn parse(value: &RawValue) -> Result<Parsed, NoticeError> {
    let Detail {
        instance_id,
        instance_action: action,
        instance_termination_time,
    } = detail(value)?;
    Ok(Parsed {
        instances: vec![instance_id],
        signal: Signal::InterruptionWarning { action },
        ends: Some(instance_termination_time),
    })
}
