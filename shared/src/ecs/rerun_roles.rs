//! `RerunRoles`: the roles that a task may have to be run again.
//!
//! Whoever runs a task passes it its roles. If drain-tasks could pass a role to any task, everybody whose tasks are run
//! again could use that role. So a person names the roles. Without a named role, no task is run again.

use std::collections::BTreeSet;
use std::fmt;

use aws_sdk_ecs::types::{Task, TaskDefinition};

use crate::runtime::config::{ConfigError, Env};

const VARIABLE: &str = "RERUN_ROLES";
/// In place of a list: run only tasks without any role again.
const WITHOUT_ROLE: &str = "without-role";

/// The roles that RunTask may pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RerunRoles {
    /// No task is run again, and drain-tasks has no permission for it.
    #[default]
    NoRerun,
    /// Tasks with these roles, by their ARNs, and tasks without any.
    Only(BTreeSet<String>),
}

impl RerunRoles {
    /// `RERUN_ROLES`: ARNs, separated by commas; `without-role`; or nothing.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn of_env(env: &Env) -> Result<Self, ConfigError> {
        match env.get(VARIABLE).as_deref() {
            None => Ok(Self::NoRerun),
            Some(WITHOUT_ROLE) => Ok(Self::Only(BTreeSet::new())),
            Some(list) => list
                .split(',')
                .map(str::trim)
                .map(|arn| match arn.contains(":role/") {
                    true => Ok(arn.to_owned()),
                    false => Err(ConfigError::new(VARIABLE, "ARNs of roles", arn)),
                })
                .collect::<Result<_, _>>()
                .map(Self::Only),
        }
    }

    /// The roles of a task that the parameter does not name.
    pub fn lacking(&self, of_task: BTreeSet<String>) -> BTreeSet<String> {
        let named = |role: &String| match self {
            Self::NoRerun => false,
            Self::Only(named) => named.iter().any(|arn| is_same(arn, role)),
        };
        of_task.into_iter().filter(|role| !named(role)).collect()
    }

    /// The same, plus these roles.
    pub fn with(&self, roles: &BTreeSet<String>) -> Self {
        let named = match self {
            Self::NoRerun => BTreeSet::new(),
            Self::Only(named) => named.clone(),
        };
        Self::Only(named.union(roles).cloned().collect())
    }
}

/// In the form of the parameter.
impl fmt::Display for RerunRoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRerun => Ok(()),
            Self::Only(named) if named.is_empty() => f.write_str(WITHOUT_ROLE),
            Self::Only(named) => f.write_str(&named.iter().map(String::as_str).collect::<Vec<_>>().join(",")),
        }
    }
}

/// A task definition may give the bare name of a role.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html>
fn is_same(arn: &str, role: &str) -> bool {
    arn == role || (!role.starts_with("arn:") && arn.rsplit('/').next() == Some(role))
}

/// The roles of a task: from its overrides, otherwise from its definition. If the definition could not be read, they
/// are not known, and RunTask says whether it may pass them.
pub fn of_task(task: &Task, definition: Option<&TaskDefinition>) -> BTreeSet<String> {
    let overrides = task.overrides();
    let for_task = overrides
        .and_then(|one| one.task_role_arn())
        .or(definition.and_then(TaskDefinition::task_role_arn));
    let for_agent = overrides
        .and_then(|one| one.execution_role_arn())
        .or(definition.and_then(TaskDefinition::execution_role_arn));
    let named = [for_task, for_agent].into_iter().flatten();
    named.filter(|role| !role.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::TaskOverride;

    use super::*;

    const TASK: &str = "arn:aws:iam::123456789012:role/jobs/task";
    const AGENT: &str = "arn:aws:iam::123456789012:role/agent";

    fn of(list: &str) -> Result<RerunRoles, ConfigError> {
        RerunRoles::of_env(&Env::of(&[(VARIABLE, list)]))
    }

    fn roles(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_task_may_have_the_roles_that_are_named_and_none() {
        let both = of(&format!("{AGENT}, {TASK}")).expect("a list");
        let without = of("without-role").expect("a word");
        let table = [
            (&both, roles(&[]), roles(&[])),
            (&both, roles(&[TASK, AGENT]), roles(&[])),
            (&both, roles(&["task"]), roles(&[])),
            (&both, roles(&["other", TASK]), roles(&["other"])),
            (
                &both,
                roles(&["arn:aws:iam::123456789012:role/task"]),
                roles(&["arn:aws:iam::123456789012:role/task"]),
            ),
            (&without, roles(&[]), roles(&[])),
            (&without, roles(&[TASK]), roles(&[TASK])),
            (&RerunRoles::NoRerun, roles(&[TASK]), roles(&[TASK])),
        ];
        for (named, of_task, lacking) in table {
            assert_eq!(named.lacking(of_task.clone()), lacking, "{named}: {of_task:?}");
        }
    }

    #[test]
    fn a_list_reads_as_it_is_written() {
        assert_eq!(of(""), Ok(RerunRoles::NoRerun));
        for list in ["without-role", TASK, &format!("{AGENT},{TASK}")] {
            assert_eq!(of(list).expect("a list").to_string(), list);
        }
        let wrong = of(&format!("{TASK},task")).expect_err("refused").to_string();
        assert!(wrong.contains(VARIABLE) && wrong.contains("`task`"), "{wrong}");
        assert_eq!(RerunRoles::NoRerun.with(&roles(&[TASK])).to_string(), TASK);
        assert_eq!(RerunRoles::NoRerun.with(&roles(&[])).to_string(), "without-role");
    }

    #[test]
    fn an_override_takes_the_place_of_the_definition() {
        let definition = TaskDefinition::builder()
            .task_role_arn(TASK)
            .execution_role_arn(AGENT)
            .build();
        let with = |overrides: TaskOverride| Task::builder().overrides(overrides).build();
        let other = with(TaskOverride::builder().task_role_arn("other").build());
        assert_eq!(of_task(&other, Some(&definition)), roles(&["other", AGENT]));
        assert_eq!(of_task(&other, None), roles(&["other"]));
        assert_eq!(
            of_task(&Task::builder().build(), Some(&definition)),
            roles(&[TASK, AGENT])
        );
        assert_eq!(of_task(&Task::builder().build(), None), roles(&[]));
    }
}
