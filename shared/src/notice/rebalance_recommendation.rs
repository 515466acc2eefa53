//! `EC2 Instance Rebalance Recommendation`: the instance is at an elevated risk of interruption.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html>

use serde::Deserialize;
use serde_json::Value;

use super::{InstanceId, NoticeError, Signal, detail};

pub const DETAIL_TYPE: &str = "EC2 Instance Rebalance Recommendation";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Detail {
    instance_id: InstanceId,
}

pub fn parse(value: &Value) -> Result<(Vec<InstanceId>, Signal), NoticeError> {
    let Detail { instance_id } = detail(value)?;
    Ok((vec![instance_id], Signal::RebalanceRecommendation))
}
