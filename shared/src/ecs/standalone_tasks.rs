//! What matters of a standalone task: the grace of its containers, and whether it is run again.

use aws_sdk_ecs::types::{Task, TaskDefinition};
use jiff::SignedDuration;

use crate::ecs::accelerators::Accelerator;
use crate::ecs::tasks;

/// A standalone task with this tag is run again elsewhere after it had to be stopped.
pub const RERUN_TAG: &str = "spot-handoff:rerun";
/// Security groups for the re-run of an `awsvpc` task, separated by blanks: ECS does not tell those of a task.
pub const SECURITY_GROUPS_TAG: &str = "spot-handoff:security-groups";
/// The grace ECS gives a container that sets no `stopTimeout`.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>
const DEFAULT_STOP_TIMEOUT: SignedDuration = SignedDuration::from_secs(30);
/// The longest `stopTimeout` that ECS takes.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>
pub const LONGEST_STOP_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);

/// Time for the delayed message to arrive, the function to start cold, and ECS to reach its agent on the instance.
const MARGIN: SignedDuration = SignedDuration::from_secs(10);
/// More of it for a task that holds an accelerator: to write its checkpoint and to release the device.
const ACCELERATOR_MARGIN: SignedDuration = SignedDuration::from_secs(20);

/// Whether a standalone task is to be run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rerun {
    /// Nobody asked for it.
    No,
    /// It carries [`RERUN_TAG`].
    Yes,
    /// It carries [`RERUN_TAG`], but its network interface needs security groups that nobody named.
    LacksSecurityGroups,
}

/// How long before the end of its grace a task is stopped at the latest.
pub fn stop_margin(accelerators: &[Accelerator]) -> SignedDuration {
    if accelerators.is_empty() {
        MARGIN
    } else {
        ACCELERATOR_MARGIN
    }
}

/// The longest grace of the containers between SIGTERM and SIGKILL. Of a definition that could not be read the longest
/// there is: a task that is stopped early ends in order, one that is stopped late is killed.
pub fn stop_timeout(definition: Option<&TaskDefinition>) -> SignedDuration {
    let Some(definition) = definition else {
        return LONGEST_STOP_TIMEOUT;
    };
    let containers = definition.container_definitions().iter();
    let timeouts = containers.filter_map(|container| container.stop_timeout);
    let longest = timeouts
        .map(|seconds| SignedDuration::from_secs(seconds.into()))
        .max();
    longest.unwrap_or_default().max(DEFAULT_STOP_TIMEOUT)
}

/// Whether a task is to be run again after it had to be stopped.
pub fn rerun(task: &Task) -> Rerun {
    let tag = |key: &str| {
        task.tags()
            .iter()
            .find(|tag| tag.key() == Some(key))
            .and_then(|tag| tag.value())
    };
    if tasks::service_of(task).is_some() || tag(RERUN_TAG) != Some("true") {
        return Rerun::No;
    }
    let has_own_interface = task
        .attachments()
        .iter()
        .any(|a| a.r#type() == Some("ElasticNetworkInterface"));
    if has_own_interface && tag(SECURITY_GROUPS_TAG).is_none() {
        return Rerun::LacksSecurityGroups;
    }
    Rerun::Yes
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{Attachment, ContainerDefinition, Tag};

    use super::*;

    #[test]
    fn the_longest_grace_of_the_containers_counts_and_thirty_seconds_at_least() {
        let container = |seconds| ContainerDefinition::builder().set_stop_timeout(seconds).build();
        let of = |timeouts: &[Option<i32>]| {
            let containers = timeouts.iter().map(|seconds| container(*seconds)).collect();
            let definition = TaskDefinition::builder()
                .set_container_definitions(Some(containers))
                .build();
            stop_timeout(Some(&definition)).as_secs()
        };
        assert_eq!(of(&[None]), 30);
        assert_eq!(of(&[Some(2)]), 30);
        assert_eq!(of(&[Some(2), Some(90), None]), 90);
        assert_eq!(stop_timeout(None).as_secs(), 120, "not read");
    }

    #[test]
    fn only_a_tagged_standalone_task_is_run_again() {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let tagged = || Task::builder().group("family:job").tags(tag(RERUN_TAG, "true"));
        let interface = Attachment::builder().r#type("ElasticNetworkInterface").build();
        assert_eq!(rerun(&Task::builder().group("family:job").build()), Rerun::No);
        assert_eq!(rerun(&tagged().build()), Rerun::Yes);
        assert_eq!(rerun(&tagged().group("service:web").build()), Rerun::No);
        assert_eq!(
            rerun(&tagged().attachments(interface.clone()).build()),
            Rerun::LacksSecurityGroups
        );
        let named = tagged()
            .attachments(interface)
            .tags(tag(SECURITY_GROUPS_TAG, "sg-1"));
        assert_eq!(rerun(&named.build()), Rerun::Yes);
    }
}
