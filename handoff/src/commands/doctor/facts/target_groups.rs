//! How long targets have to finish with their connections.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_sdk_elasticloadbalancingv2::Client;
use spot_handoff::runtime::invocation::together;

use super::reading::Reader;

const DELAY: &str = "deregistration_delay.timeout_seconds";

/// Reads the deregistration delays of these target groups, in seconds.
///
/// DescribeTargetGroupAttributes takes one target group a call:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetGroupAttributes.html>
pub async fn read(config: &SdkConfig, reader: &Reader, wanted: BTreeSet<String>) -> BTreeMap<String, i64> {
    let client = Client::new(config);
    let calls = wanted.iter().map(|arn| {
        let asking = client
            .describe_target_group_attributes()
            .target_group_arn(arn)
            .send();
        reader.call(arn, "DescribeTargetGroupAttributes", asking)
    });
    let answers = together(calls).await;
    let delays = wanted.iter().zip(answers).filter_map(|(arn, answer)| {
        let attributes = answer?.attributes.unwrap_or_default();
        let delay = attributes.iter().find(|one| one.key() == Some(DELAY))?;
        Some((arn.clone(), delay.value()?.parse().ok()?))
    });
    delays.collect()
}
