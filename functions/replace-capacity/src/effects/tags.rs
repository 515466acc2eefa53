//! The tags of exchanges, on their groups.

use aws_sdk_autoscaling::types::Tag;
use spot_handoff::aws::CallError;
use spot_handoff::notice::InstanceId;

use super::Aws;
use crate::replacement_tag::{Exchange, key};

fn tag(group: &str, instance: &InstanceId, value: Option<String>) -> Tag {
    let tag = Tag::builder()
        .resource_id(group)
        .resource_type("auto-scaling-group")
        .key(key(instance));
    // The instances that the group launches have nothing to do with the exchange.
    tag.set_value(value).propagate_at_launch(false).build()
}

/// Writes tags, all in one call.
///
/// # Errors
/// See [`CallError`].
pub async fn write(aws: Aws<'_>, exchanges: &[(&str, &InstanceId, Exchange)]) -> Result<(), CallError> {
    if exchanges.is_empty() {
        return Ok(());
    }
    let tags = exchanges
        .iter()
        .map(|(group, instance, exchange)| tag(group, instance, Some(exchange.to_value())));
    let asking = aws
        .autoscaling
        .create_or_update_tags()
        .set_tags(Some(tags.collect()))
        .send();
    aws.invocation
        .call("CreateOrUpdateTags", asking)
        .await
        .map(|_| ())
}

/// Removes tags, all in one call; one that is gone is no error.
///
/// # Errors
/// See [`CallError`].
pub async fn remove(aws: Aws<'_>, exchanges: &[(&str, &InstanceId)]) -> Result<(), CallError> {
    if exchanges.is_empty() {
        return Ok(());
    }
    let tags = exchanges
        .iter()
        .map(|(group, instance)| tag(group, instance, None));
    let asking = aws
        .autoscaling
        .delete_tags()
        .set_tags(Some(tags.collect()))
        .send();
    aws.invocation.call("DeleteTags", asking).await.map(|_| ())
}
