//! The settings of this function.

use spot_handoff::autoscaling::policies::{DefaultStopTimeout, KeepHealthy};
use spot_handoff::runtime::config::{Choice, ConfigError, Env, Scope};

/// The environment variables.
#[derive(Debug, Clone)]
pub struct Config {
    /// On which groups the function acts.
    pub scope: Scope,
    /// The clusters to look in; `None` means all.
    pub clusters: Option<Vec<String>>,
    /// The percentage of a target group that has to stay, unless the instance's group sets its own.
    pub keep_healthy: KeepHealthy,
    /// The grace of a container without `stopTimeout`, unless the group sets its own.
    pub default_stop_timeout: DefaultStopTimeout,
    /// What to do with instances that are in no group and no cluster.
    pub lone_instances: LoneInstances,
    /// URL of this function's own queue.
    pub own_queue_url: String,
}

/// What to do with instances that are in no group and no cluster. No API tells in which target groups they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoneInstances {
    /// Search the target groups of the account for them.
    Search,
    /// Leave them alone.
    Leave,
}

impl Choice for LoneInstances {
    const CHOICES: &'static [(&'static str, Self)] = &[("search", Self::Search), ("leave", Self::Leave)];
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
            keep_healthy: KeepHealthy::of_env(env)?,
            default_stop_timeout: DefaultStopTimeout::of_env(env)?,
            lone_instances: env.choice("LONE_INSTANCES")?,
            own_queue_url: env.required("DEREGISTER_TARGETS_QUEUE_URL")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_or_missing_is_named() {
        let queue = ("DEREGISTER_TARGETS_QUEUE_URL", "url");
        let config = Config::read(&Env::of(&[queue])).expect("the defaults");
        assert_eq!(config.keep_healthy, KeepHealthy::default());
        assert_eq!(config.lone_instances, LoneInstances::Search);
        for (variables, name) in [
            (&[][..], "DEREGISTER_TARGETS_QUEUE_URL"),
            (&[queue, ("KEEP_HEALTHY", "101")], "KEEP_HEALTHY"),
            (&[queue, ("KEEP_HEALTHY", "half")], "KEEP_HEALTHY"),
            (&[queue, ("LONE_INSTANCES", "all")], "LONE_INSTANCES"),
            (&[queue, ("DEFAULT_STOP_TIMEOUT", "0")], "DEFAULT_STOP_TIMEOUT"),
        ] {
            let error = Config::read(&Env::of(variables)).expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
