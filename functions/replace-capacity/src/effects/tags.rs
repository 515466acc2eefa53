//! The tags of exchanges, on their groups.

use std::collections::BTreeMap;

use aws_sdk_autoscaling::types::Tag;
use spot_handoff::aws::CallError;
use spot_handoff::exchanges::tag_of;
use spot_handoff::invocation::together;
use spot_handoff::notice::InstanceId;

use super::Aws;
use crate::replacement_tag::{Exchange, left_key};

fn tag(group: &str, key: String, value: Option<String>) -> Tag {
    let tag = Tag::builder()
        .resource_id(group)
        .resource_type("auto-scaling-group")
        .key(key);
    // The instances that the group launches have nothing to do with the exchange.
    tag.set_value(value).propagate_at_launch(false).build()
}

/// Writes tags, one call for each group: a group that is full of tags, or gone, fails alone. Answers with the groups
/// whose tags could not be written.
pub async fn write(aws: Aws<'_>, exchanges: &[(&str, &InstanceId, Exchange)]) -> BTreeMap<String, CallError> {
    let tags = exchanges
        .iter()
        .map(|(group, instance, exchange)| (*group, tag(group, tag_of(instance), Some(exchange.to_value()))));
    put(aws, tags).await
}

/// Writes the tags of instances that are about to leave with decrement, one call for each group. Answers with the groups
/// whose tags could not be written.
pub async fn write_left(aws: Aws<'_>, leaving: &[(&str, &InstanceId)]) -> BTreeMap<String, CallError> {
    let tags = leaving
        .iter()
        .map(|(group, instance)| (*group, tag(group, left_key(instance), Some("true".to_owned()))));
    put(aws, tags).await
}

/// Removes both tags of exchanges, one call for each group; one that is gone is no error. Answers with the groups whose tags could not be
/// removed.
pub async fn remove(aws: Aws<'_>, exchanges: &[(&str, &InstanceId)]) -> BTreeMap<String, CallError> {
    let keys = |instance| [tag_of(instance), left_key(instance)];
    let tags = exchanges
        .iter()
        .flat_map(|(group, instance)| keys(instance).map(|key| (*group, tag(group, key, None))));
    each_group(tags, |tags| {
        let asking = aws.autoscaling.delete_tags().set_tags(Some(tags)).send();
        async { aws.invocation.call("DeleteTags", asking).await.map(|_| ()) }
    })
    .await
}

/// The tag of one exchange, written.
///
/// # Errors
/// See [`CallError`].
pub async fn write_one(
    aws: Aws<'_>,
    group: &str,
    instance: &InstanceId,
    exchange: Exchange,
) -> Result<(), CallError> {
    write(aws, &[(group, instance, exchange)])
        .await
        .into_values()
        .next()
        .map_or(Ok(()), Err)
}

/// The tags of one exchange, removed.
///
/// # Errors
/// See [`CallError`].
pub async fn remove_one(aws: Aws<'_>, group: &str, instance: &InstanceId) -> Result<(), CallError> {
    remove(aws, &[(group, instance)])
        .await
        .into_values()
        .next()
        .map_or(Ok(()), Err)
}

async fn put<'a>(aws: Aws<'_>, tags: impl Iterator<Item = (&'a str, Tag)>) -> BTreeMap<String, CallError> {
    each_group(tags, |tags| {
        let asking = aws
            .autoscaling
            .create_or_update_tags()
            .set_tags(Some(tags))
            .send();
        async {
            aws.invocation
                .call("CreateOrUpdateTags", asking)
                .await
                .map(|_| ())
        }
    })
    .await
}

async fn each_group<'a, F>(
    tags: impl Iterator<Item = (&'a str, Tag)>,
    call: impl Fn(Vec<Tag>) -> F,
) -> BTreeMap<String, CallError>
where
    F: Future<Output = Result<(), CallError>>,
{
    let mut by_group: BTreeMap<&str, Vec<Tag>> = BTreeMap::new();
    for (group, tag) in tags {
        by_group.entry(group).or_default().push(tag);
    }
    let groups: Vec<&str> = by_group.keys().copied().collect();
    let answers = together(by_group.into_values().map(call)).await;
    let failed = |(group, answer): (&str, Result<(), CallError>)| Some((group.to_owned(), answer.err()?));
    groups.into_iter().zip(answers).filter_map(failed).collect()
}
