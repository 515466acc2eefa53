//! The tags of exchanges, on their groups.

use std::collections::BTreeMap;

use aws_sdk_autoscaling::types::Tag;
use spot_handoff::exchange::tag_of;
use spot_handoff::notice::InstanceId;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::together;

use super::Aws;
use crate::replacement_tag::{Exchange, left_key};

/// The instances whose tags could not be written or removed, each with the error.
pub type Failed = BTreeMap<InstanceId, CallError>;

/// The tags of an exchange, with its group and its instance.
type OfGroup<'a> = (&'a str, &'a InstanceId, Vec<Tag>);

fn tag(group: &str, key: String, value: Option<String>) -> Tag {
    let tag = Tag::builder()
        .resource_id(group)
        .resource_type("auto-scaling-group")
        .key(key);
    // The instances that the group launches have nothing to do with the exchange.
    tag.set_value(value).propagate_at_launch(false).build()
}

/// Writes tags, those of a group together: a group that is gone fails alone, and of one that is full of tags those
/// exchanges that do not fit. Answers with the instances whose tags could not be written.
pub async fn write(aws: Aws<'_>, exchanges: &[(&str, &InstanceId, Exchange)]) -> Failed {
    let tags = exchanges.iter().map(|(group, instance, exchange)| {
        let tag = tag(group, tag_of(instance), Some(exchange.to_value()));
        (*group, *instance, vec![tag])
    });
    put(aws, tags).await
}

/// Writes the tags of instances that are about to leave with decrement, in the same way.
pub async fn write_left(aws: Aws<'_>, leaving: &[(&str, &InstanceId)]) -> Failed {
    let tags = leaving.iter().map(|(group, instance)| {
        let tag = tag(group, left_key(instance), Some("true".to_owned()));
        (*group, *instance, vec![tag])
    });
    put(aws, tags).await
}

/// Removes both tags of exchanges, in the same way; one that is gone is no error.
pub async fn remove(aws: Aws<'_>, exchanges: &[(&str, &InstanceId)]) -> Failed {
    let tags = exchanges.iter().map(|(group, instance)| {
        let keys = [tag_of(instance), left_key(instance)];
        let tags = keys.map(|key| tag(group, key, None));
        (*group, *instance, tags.to_vec())
    });
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

async fn put<'a>(aws: Aws<'_>, tags: impl Iterator<Item = OfGroup<'a>>) -> Failed {
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

async fn each_group<'a, F>(tags: impl Iterator<Item = OfGroup<'a>>, call: impl Fn(Vec<Tag>) -> F) -> Failed
where
    F: Future<Output = Result<(), CallError>>,
{
    let mut by_group: BTreeMap<&str, Vec<(&InstanceId, Vec<Tag>)>> = BTreeMap::new();
    for (group, instance, tags) in tags {
        by_group.entry(group).or_default().push((instance, tags));
    }
    let call = &call;
    let of_group = |tags: Vec<(&'a InstanceId, Vec<Tag>)>| async move {
        let together = |part: &[(&InstanceId, Vec<Tag>)]| {
            call(part.iter().flat_map(|(_, tags)| tags).cloned().collect())
        };
        let failed = in_parts(&tags, together).await;
        let failed = failed.into_iter();
        failed
            .map(|((instance, _), error)| ((*instance).clone(), error))
            .collect::<Vec<_>>()
    };
    let failed = together(by_group.into_values().map(of_group)).await;
    failed.into_iter().flatten().collect()
}

/// Makes one call for all, or, where AWS refuses that, calls for ever smaller parts until the first that is too much by
/// itself: a group takes fifty tags, and what fits is to be there. Answers with what was left out, and why.
/// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html>
async fn in_parts<'a, T, F>(all: &'a [T], call: impl Fn(&'a [T]) -> F) -> Vec<(&'a T, CallError)>
where
    F: Future<Output = Result<(), CallError>>,
{
    let mut failed = vec![];
    let mut parts = vec![all];
    while let Some(part) = parts.pop() {
        match call(part).await {
            Ok(()) => {}
            Err(error) if is_refusal(&error) && part.len() > 1 => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
            Err(error) => {
                failed.extend(part.iter().map(|one| (one, error.clone())));
                if is_refusal(&error) {
                    let rest = parts.drain(..).rev().flatten();
                    failed.extend(rest.map(|one| (one, error.clone())));
                }
            }
        }
    }
    failed
}

/// Whether AWS will not have it, however often it is asked.
fn is_refusal(error: &CallError) -> bool {
    matches!(error.code(), Some("LimitExceeded" | "ValidationError"))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn refused(code: &str) -> CallError {
        CallError::Refused {
            action: "CreateOrUpdateTags",
            code: code.to_owned(),
            message: String::new(),
        }
    }

    /// Which of the exchanges are left out by a group that has room for some, and the sizes of the calls.
    async fn left_out(exchanges: usize, room: usize, code: &str) -> (Vec<usize>, Vec<usize>) {
        let all: Vec<usize> = (0..exchanges).collect();
        let (written, calls) = (RefCell::new(0), RefCell::new(vec![]));
        let failed = in_parts(&all, |part| {
            calls.borrow_mut().push(part.len());
            let fits = *written.borrow() + part.len() <= room;
            if fits {
                *written.borrow_mut() += part.len();
            }
            std::future::ready(if fits { Ok(()) } else { Err(refused(code)) })
        })
        .await;
        let failed = failed.into_iter().map(|(one, _)| *one).collect();
        (failed, calls.into_inner())
    }

    #[tokio::test]
    async fn of_more_tags_than_fit_those_that_fit_are_written() {
        assert_eq!(left_out(4, 50, "LimitExceeded").await, (vec![], vec![4]));
        assert_eq!(
            left_out(4, 3, "LimitExceeded").await,
            (vec![3], vec![4, 2, 2, 1, 1])
        );
        assert_eq!(
            left_out(4, 0, "LimitExceeded").await,
            (vec![0, 1, 2, 3], vec![4, 2, 1])
        );
        let (failed, calls) = left_out(1000, 47, "ValidationError").await;
        assert!(failed.into_iter().eq(47..1000));
        assert!(calls.len() < 20, "{calls:?}");
    }

    #[tokio::test]
    async fn what_may_go_well_the_next_time_is_not_tried_in_parts() {
        assert_eq!(
            left_out(4, 3, "ResourceContention").await,
            (vec![0, 1, 2, 3], vec![4])
        );
    }
}
