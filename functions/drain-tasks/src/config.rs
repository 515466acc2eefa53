//! The settings of this function.

use spot_handoff::autoscaling::policies::{DefaultStopTimeout, LifecycleHooks, StandaloneTasks};
use spot_handoff::ecs::rerun_roles::RerunRoles;
use spot_handoff::runtime::config::{ConfigError, Env, Scope};

/// The environment variables.
#[derive(Debug, Clone)]
pub struct Config {
    /// On which groups the function acts.
    pub scope: Scope,
    /// The clusters to look in; `None` means all.
    pub clusters: Option<Vec<String>>,
    /// What to do with standalone tasks.
    pub standalone_tasks: StandaloneTasks,
    /// The grace of a container without `stopTimeout`, unless the group sets its own.
    pub default_stop_timeout: DefaultStopTimeout,
    /// The roles that a task may have to be run again.
    pub rerun_roles: RerunRoles,
    /// The lifecycle hooks that wait for this function.
    pub lifecycle_hooks: LifecycleHooks,
    /// URL of this function's own queue.
    pub own_queue_url: String,
    /// URL of deregister-targets' queue.
    pub deregister_targets_queue_url: String,
    /// URL of replace-capacity's queue.
    pub replace_capacity_queue_url: String,
    /// URL of run-commands' queue.
    pub run_commands_queue_url: String,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// If a variable is wrong; the error names it.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            scope: env.scope()?,
            clusters: env.clusters()?,
            standalone_tasks: env.choice("STANDALONE_TASKS")?,
            default_stop_timeout: DefaultStopTimeout::of_env(env)?,
            rerun_roles: RerunRoles::of_env(env)?,
            lifecycle_hooks: LifecycleHooks::of_env(env),
            own_queue_url: env.required("DRAIN_TASKS_QUEUE_URL")?,
            deregister_targets_queue_url: env.required("DEREGISTER_TARGETS_QUEUE_URL")?,
            replace_capacity_queue_url: env.required("REPLACE_CAPACITY_QUEUE_URL")?,
            run_commands_queue_url: env.required("RUN_COMMANDS_QUEUE_URL")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_queue_url_is_named() {
        let error = Config::read(&Env::of(&[])).expect_err("refused").to_string();
        assert!(error.contains("DRAIN_TASKS_QUEUE_URL"), "{error}");
    }
}
