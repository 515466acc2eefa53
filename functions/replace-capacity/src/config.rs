//! The settings of this function.

use spot_handoff::autoscaling::policies::{RebalanceAction, ReplacementStrategy};
use spot_handoff::runtime::config::{ConfigError, Env, Scope};

/// What the environment says.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which groups are acted on.
    pub scope: Scope,
    /// How an interrupted instance leaves its group.
    pub strategy: ReplacementStrategy,
    /// What a rebalance recommendation is answered with.
    pub rebalance: RebalanceAction,
    /// URLs of the three queues.
    pub queues: Queues,
}

/// URLs of the three queues.
#[derive(Debug, Clone)]
pub struct Queues {
    /// That of deregister-targets.
    pub deregister_targets: String,
    /// That of drain-tasks.
    pub drain_tasks: String,
    /// This function's own.
    pub own: String,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// Where a variable is wrong; the error names it.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            scope: env.scope()?,
            strategy: env.choice("REPLACEMENT_STRATEGY")?,
            rebalance: env.choice("REBALANCE_ACTION")?,
            queues: Queues {
                deregister_targets: env.required("DEREGISTER_TARGETS_QUEUE_URL")?,
                drain_tasks: env.required("DRAIN_TASKS_QUEUE_URL")?,
                own: env.required("REPLACE_CAPACITY_QUEUE_URL")?,
            },
        })
    }
}
