//! The settings of this function.

use spot_handoff::config::{Choice, ConfigError, Env, Scope};

/// What the environment says.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which groups are acted on.
    pub scope: Scope,
    /// The clusters to look in; `None` means all.
    pub clusters: Option<Vec<String>>,
    /// What becomes of standalone tasks.
    pub standalone_tasks: StandaloneTasks,
    /// Whose lifecycle actions are completed.
    pub lifecycle_hooks: LifecycleHooks,
    /// URL of this function's own queue.
    pub own_queue_url: String,
    /// URL of replace-capacity's queue.
    pub replace_capacity_queue_url: String,
}

/// What becomes of standalone tasks, which draining leaves alone and the end of the instance kills unwarned.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-draining.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandaloneTasks {
    /// Stop them at the latest moment at which their containers can still end in order.
    StopLate,
    /// Stop them at once.
    StopNow,
    /// Leave them alone.
    Leave,
}

impl Choice for StandaloneTasks {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("stop-late", Self::StopLate),
        ("stop-now", Self::StopNow),
        ("leave", Self::Leave),
    ];
}

/// Names of the lifecycle hooks that wait for this function.
///
/// Every hook of a group makes an event of its own; completing one that waits for somebody else would take their time
/// from them, so only hooks that are named here are completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleHooks(Vec<String>);

impl LifecycleHooks {
    /// Reads a list of names, separated by commas; `*` at the end of a name stands for any ending.
    pub fn of(list: &str) -> Self {
        Self(
            list.split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
        )
    }

    /// Whether a hook is one of them.
    pub fn include(&self, hook: &str) -> bool {
        self.0.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => hook.starts_with(beginning),
            None => hook == name,
        })
    }
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// Where a variable is wrong; the error names it.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            scope: env.scope()?,
            clusters: env.clusters()?,
            standalone_tasks: env.choice("STANDALONE_TASKS")?,
            lifecycle_hooks: LifecycleHooks::of(
                &env.get("LIFECYCLE_HOOKS").unwrap_or("spot-handoff-*".to_owned()),
            ),
            own_queue_url: env.required("DRAIN_TASKS_QUEUE_URL")?,
            replace_capacity_queue_url: env.required("REPLACE_CAPACITY_QUEUE_URL")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_hooks_are_ours_to_complete() {
        let hooks = LifecycleHooks::of("spot-handoff-*, drain");
        for (hook, ours) in [
            ("spot-handoff-drain", true),
            ("drain", true),
            ("drain-logs", false),
            ("backup", false),
        ] {
            assert_eq!(hooks.include(hook), ours, "{hook}");
        }
        assert!(LifecycleHooks::of("*").include("anything"));
    }

    #[test]
    fn a_missing_queue_url_is_named() {
        let error = Config::read(&Env::of(&[])).expect_err("refused").to_string();
        assert!(error.contains("DRAIN_TASKS_QUEUE_URL"), "{error}");
    }
}
