//! Whether a standalone task is run again after it was stopped.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{Attachment, Task, TaskDefinition};

use crate::ecs::rerun_roles::{self, RerunRoles};
use crate::ecs::tasks;

/// A standalone task with this tag is run again elsewhere after it was stopped.
pub const RERUN_TAG: &str = "spot-handoff:rerun";
/// Security groups for the re-run of an `awsvpc` task, separated by blanks. ECS does not tell those of a task.
pub const SECURITY_GROUPS_TAG: &str = "spot-handoff:security-groups";

/// Subnets for the re-run of an `awsvpc` task, separated by blanks. ECS tells only the subnet that the task is in, and
/// there may be no room in the zone of that subnet.
pub const SUBNETS_TAG: &str = "spot-handoff:subnets";

/// How the `startedBy` of a task begins if its starter waits for it, notices that it stopped, and starts it again as
/// configured. A second copy would do the work twice. Nobody waits for tasks that EventBridge rules and schedules
/// start.
///
/// The two are: a state of AWS Step Functions (`.sync`), and an operator of Apache Airflow. Airflow writes the owner of
/// the DAG, which is `airflow` by default.
const WAITED_FOR: [&str; 2] = ["AWS Step Functions", "airflow"];

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Attachment.html>
const INTERFACE: &str = "ElasticNetworkInterface";
const VOLUME: &str = "AmazonElasticBlockStorage";

/// Whether a standalone task is to be run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rerun {
    /// Nobody asked for it.
    No,
    /// It carries [`RERUN_TAG`].
    Yes,
    /// It carries [`RERUN_TAG`], but whoever started it waits for it, and takes care of it.
    WaitedFor,
    /// It carries [`RERUN_TAG`], but `RerunRoles` is empty, so no task is run again.
    SwitchedOff {
        /// The roles of the task, which `RerunRoles` would have to name.
        roles: BTreeSet<String>,
    },
    /// It carries [`RERUN_TAG`], but has roles that `RerunRoles` does not name.
    RolesNotNamed {
        /// The roles that are not named.
        roles: BTreeSet<String>,
    },
    /// It carries [`RERUN_TAG`], but ECS created a volume for it, and does not tell how.
    HasVolume,
    /// It carries [`RERUN_TAG`], but its network interface needs security groups that nobody named.
    LacksSecurityGroups,
}

/// Whether to run a task again after it was stopped. `allowed` are the roles that it may have.
pub fn rerun(task: &Task, definition: Option<&TaskDefinition>, allowed: &RerunRoles) -> Rerun {
    if tasks::service_of(task).is_some() || tag(task, RERUN_TAG) != Some("true") {
        return Rerun::No;
    }
    let waits = |by: &str| WAITED_FOR.iter().any(|prefix| by.starts_with(prefix));
    if task.started_by().is_some_and(waits) {
        return Rerun::WaitedFor;
    }
    let roles = allowed.lacking(rerun_roles::of_task(task, definition));
    if *allowed == RerunRoles::NoRerun {
        return Rerun::SwitchedOff { roles };
    }
    if !roles.is_empty() {
        return Rerun::RolesNotNamed { roles };
    }
    if attachment(task, VOLUME).is_some() {
        return Rerun::HasVolume;
    }
    if own_interface(task).is_some() && tag(task, SECURITY_GROUPS_TAG).is_none() {
        return Rerun::LacksSecurityGroups;
    }
    Rerun::Yes
}

/// The value of a tag of a task.
pub fn tag<'a>(task: &'a Task, key: &str) -> Option<&'a str> {
    let tag = task.tags().iter().find(|tag| tag.key() == Some(key))?;
    tag.value()
}

/// The network interface of an `awsvpc` task.
pub fn own_interface(task: &Task) -> Option<&Attachment> {
    attachment(task, INTERFACE)
}

fn attachment<'a>(task: &'a Task, kind: &str) -> Option<&'a Attachment> {
    task.attachments().iter().find(|one| one.r#type() == Some(kind))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::Tag;

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
        for somebody_waits in ["AWS Step Functions", "airflow"] {
            assert_eq!(started_by(somebody_waits), Rerun::WaitedFor, "{somebody_waits}");
        }
        let volume = Attachment::builder().r#type("AmazonElasticBlockStorage").build();
        assert_eq!(rerun(&tagged().attachments(volume).build()), Rerun::HasVolume);
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
