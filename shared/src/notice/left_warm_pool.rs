//! `EC2 Instance Launch Successful` for an instance from a warm pool. If it was running in the pool, it is not started
//! again, so no state change would tell.
//! <https://docs.aws.amazon.com/autoscaling/ec2/userguide/warm-pools-eventbridge-events.html>

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{InstanceId, NoticeError, Parsed, Signal, WARM_POOL, detail};

pub const DETAIL_TYPE: &str = "EC2 Instance Launch Successful";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
struct Whence {
    origin: Option<String>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Detail {
    #[serde(rename = "EC2InstanceId")]
    instance_id: InstanceId,
}

/// `None` for an instance that comes from anywhere else.
pub fn parse(value: &RawValue) -> Result<Option<Parsed>, NoticeError> {
    let Whence { origin } = detail(value)?;
    if origin.as_deref() != Some(WARM_POOL) {
        return Ok(None);
    }
    let Detail { instance_id } = detail(value)?;
    Ok(Some(Parsed::one(instance_id, Signal::Returned)))
}
