//! The settings of this function.

use spot_handoff::autoscaling::groups::Group;
use spot_handoff::autoscaling::policies::{
    self, FallbackBounds, KeepHealthy, LifecycleHooks, RebalanceAction, ReplacementStrategy, SpotFallback,
    UnknownValue,
};
use spot_handoff::runtime::config::{ConfigError, Env, Scope};

/// The environment variables.
#[derive(Debug, Clone)]
pub struct Config {
    /// On which groups the function acts.
    pub scope: Scope,
    /// How an interrupted instance leaves its group, unless the group sets its own strategy.
    pub strategy: ReplacementStrategy,
    /// The lifecycle hooks that wait for drain-tasks.
    pub lifecycle_hooks: LifecycleHooks,
    /// What a rebalance recommendation leads to, unless the group sets its own.
    pub rebalance: RebalanceAction,
    /// The percentage of a target group that has to stay, unless the instance's group sets its own.
    pub keep_healthy: KeepHealthy,
    /// Whether On-Demand fills groups for which Spot has no capacity.
    pub fallback: SpotFallback,
    /// How much of a group On-Demand fills, and when.
    pub fallback_bounds: FallbackBounds,
    /// URLs of the queues.
    pub queues: Queues,
}

/// URLs of the queues.
#[derive(Debug, Clone)]
pub struct Queues {
    /// The queue of deregister-targets.
    pub deregister_targets: String,
    /// The queue of drain-tasks.
    pub drain_tasks: String,
    /// The queue of run-commands.
    pub run_commands: String,
    /// This function's own.
    pub own: String,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// If a variable is wrong; the error names it.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            scope: env.scope()?,
            strategy: env.choice("REPLACEMENT_STRATEGY")?,
            lifecycle_hooks: LifecycleHooks::of_env(env),
            rebalance: env.choice("REBALANCE_ACTION")?,
            keep_healthy: KeepHealthy::of_env(env)?,
            fallback: env.choice("SPOT_FALLBACK")?,
            fallback_bounds: FallbackBounds::of_env(env)?,
            queues: Queues {
                deregister_targets: env.required("DEREGISTER_TARGETS_QUEUE_URL")?,
                drain_tasks: env.required("DRAIN_TASKS_QUEUE_URL")?,
                run_commands: env.required("RUN_COMMANDS_QUEUE_URL")?,
                own: env.required("REPLACE_CAPACITY_QUEUE_URL")?,
            },
        })
    }

    /// How interrupted instances leave a group. The group's tag comes first.
    pub fn strategy_of(&self, group: &Group) -> (ReplacementStrategy, Option<UnknownValue>) {
        policies::of_group(Some(group), self.strategy)
    }
}
