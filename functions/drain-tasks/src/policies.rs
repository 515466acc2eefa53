//! The policies for the instance of a notice: from the tags of its group, otherwise from the parameters of the stack.

use jiff::SignedDuration;
use spot_handoff::autoscaling::groups::Group;
use spot_handoff::autoscaling::policies::{
    DefaultStopTimeout, DryRun, MaxDrain, StandaloneTasks, UnknownValue, of_group,
};

use crate::config::Config;

/// The policies of one notice.
#[derive(Debug, Clone)]
pub struct Policies {
    /// What to do with standalone tasks.
    pub standalone_tasks: StandaloneTasks,
    /// The grace of a container without `stopTimeout`.
    pub default_stop_timeout: SignedDuration,
    /// How long a hook waits for tasks at most.
    pub max_drain: SignedDuration,
    /// Whether an instance is kept if its hook is abandoned.
    pub retains_abandoned: bool,
    /// Whether to only plan.
    pub planned_only: bool,
    /// The tags whose values are not valid.
    pub unknown: Vec<UnknownValue>,
}

impl Policies {
    /// The policies for an instance of this group.
    pub fn of(group: Option<&Group>, config: &Config) -> Self {
        let (standalone_tasks, unknown_tasks) = of_group(group, config.standalone_tasks);
        let (DefaultStopTimeout(default_stop_timeout), unknown_timeout) =
            of_group(group, config.default_stop_timeout);
        let (MaxDrain(max_drain), unknown_drain) = of_group(group, MaxDrain::NONE);
        let (planned_only, unknown_dry_run) = DryRun::of(group);
        let unknown = [unknown_tasks, unknown_timeout, unknown_drain, unknown_dry_run];
        Self {
            standalone_tasks,
            default_stop_timeout,
            max_drain,
            retains_abandoned: group.is_some_and(|group| group.retains_abandoned),
            planned_only,
            unknown: unknown.into_iter().flatten().collect(),
        }
    }
}
