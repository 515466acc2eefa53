//! Whether a standalone task is run again after it had to be stopped.

use aws_sdk_ecs::types::Task;

use crate::ecs::tasks;

/// A standalone task with this tag is run again elsewhere after it had to be stopped.
pub const RERUN_TAG: &str = "spot-handoff:rerun";
/// Security groups for the re-run of an `awsvpc` task, separated by blanks: ECS does not tell those of a task.
pub const SECURITY_GROUPS_TAG: &str = "spot-handoff:security-groups";

/// The `startedBy` of tasks that AWS Step Functions runs. A state that waits for its task (`.sync`) sees it stop, fails, and
/// is retried or caught as its owner says: a second task beside that would do the work twice. What EventBridge rules and
/// schedules start nobody waits for.
const WAITED_FOR: [&str; 1] = ["AWS Step Functions"];

/// Whether a standalone task is to be run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rerun {
    /// Nobody asked for it.
    No,
    /// It carries [`RERUN_TAG`].
    Yes,
    /// It carries [`RERUN_TAG`], but whoever started it waits for it, and sees to it.
    WaitedFor,
    /// It carries [`RERUN_TAG`], but its network interface needs security groups that nobody named.
    LacksSecurityGroups,
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
    if task.started_by().is_some_and(|by| WAITED_FOR.contains(&by)) {
        return Rerun::WaitedFor;
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
    use aws_sdk_ecs::types::{Attachment, Tag};

    use super::*;

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
        let started_by = |by: &str| rerun(&tagged().started_by(by).build());
        assert_eq!(started_by("AWS Step Functions"), Rerun::WaitedFor);
        for nobody_waits in ["chronos-schedule/nightly", "events-rule/nightly", "ecs-cli"] {
            assert_eq!(started_by(nobody_waits), Rerun::Yes, "{nobody_waits}");
        }
        let named = tagged()
            .attachments(interface)
            .tags(tag(SECURITY_GROUPS_TAG, "sg-1"));
        assert_eq!(rerun(&named.build()), Rerun::Yes);
    }
}
