//! The settings of this function.

use spot_handoff::autoscaling::policies::LifecycleHooks;
use spot_handoff::runtime::config::{ConfigError, Env, Scope};

/// The environment variables.
#[derive(Debug, Clone)]
pub struct Config {
    /// On which groups the function acts.
    pub scope: Scope,
    /// At which hooks a stop script runs: those that wait for drain-tasks.
    pub lifecycle_hooks: LifecycleHooks,
    /// URL of this function's own queue.
    pub own_queue_url: String,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// If a variable is wrong; the error names it.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            scope: env.scope()?,
            lifecycle_hooks: LifecycleHooks::of(
                &env.get("LIFECYCLE_HOOKS").unwrap_or("spot-handoff-*".to_owned()),
            ),
            own_queue_url: env.required("RUN_COMMANDS_QUEUE_URL")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_queue_url_is_named() {
        let error = Config::read(&Env::of(&[])).expect_err("refused").to_string();
        assert!(error.contains("RUN_COMMANDS_QUEUE_URL"), "{error}");
    }
}
