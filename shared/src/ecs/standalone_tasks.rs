//! Whether a standalone task is run again after it had to be stopped.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{Task, TaskDefinition};

use crate::ecs::rerun_roles::{self, RerunRoles};
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rerun {
    /// Nobody asked for it.
    No,
    /// It carries [`RERUN_TAG`].
    Yes,
    /// It carries [`RERUN_TAG`], but whoever started it waits for it, and sees to it.
    WaitedFor,
    /// It carries [`RERUN_TAG`], but `RerunRoles` is empty, so that no task is.
    SwitchedOff {
        /// Its roles, which that would have to name.
        roles: BTreeSet<String>,
    },
    /// It carries [`RERUN_TAG`], but has roles that `RerunRoles` does not name.
    RolesNotNamed {
        /// These.
        roles: BTreeSet<String>,
    },
    /// It carries [`RERUN_TAG`], but its network interface needs security groups that nobody named.
    LacksSecurityGroups,
}

/// Whether a task is to be run again after it had to be stopped, where tasks with these roles may be.
pub fn rerun(task: &Task, definition: Option<&TaskDefinition>, allowed: &RerunRoles) -> Rerun {
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
    let roles = allowed.lacking(rerun_roles::of_task(task, definition));
    if *allowed == RerunRoles::NoRerun {
        return Rerun::SwitchedOff { roles };
    }
    if !roles.is_empty() {
        return Rerun::RolesNotNamed { roles };
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
        let without_role = RerunRoles::Only(BTreeSet::new());
        let rerun = |task: &Task| rerun(task, None, &without_role);
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

    #[test]
    fn a_task_whose_roles_may_not_be_passed_is_not_run_again() {
        let tag = Tag::builder().key(RERUN_TAG).value("true").build();
        let task = Task::builder().group("family:job").tags(tag).build();
        let role = "arn:aws:iam::123456789012:role/job";
        let roles = BTreeSet::from([role.to_owned()]);
        let definition = TaskDefinition::builder().task_role_arn(role).build();
        let with = |allowed: &RerunRoles| rerun(&task, Some(&definition), allowed);
        assert_eq!(with(&RerunRoles::Only(roles.clone())), Rerun::Yes);
        let other = RerunRoles::Only(BTreeSet::new());
        assert_eq!(with(&other), Rerun::RolesNotNamed { roles: roles.clone() });
        assert_eq!(with(&RerunRoles::NoRerun), Rerun::SwitchedOff { roles });
        let nobody_asked = Task::builder().group("family:job").build();
        assert_eq!(
            rerun(&nobody_asked, Some(&definition), &RerunRoles::NoRerun),
            Rerun::No
        );
    }
}
