//! `EC2 Instance Rebalance Recommendation`: the instance is at an elevated risk of interruption.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html>

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{InstanceId, NoticeError, Parsed, Signal, detail};

pub const DETAIL_TYPE: &str = "EC2 Instance Rebalance Recommendation";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "an object")]
struct Detail {
    instance_id: InstanceId,
}

pub fn parse(value: &RawValue) -> Result<Parsed, NoticeError> {
    let Detail { instance_id } = detail(value)?;
    Ok(Parsed::one(instance_id, Signal::RebalanceRecommendation))
}
