//! What a person can choose when deploying, where more than one program has to know.

use std::str::FromStr;

use crate::runtime::config::Choice;

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

/// How an interrupted instance leaves its group so that the group launches the replacement at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplacementStrategy {
    /// Detach it: it keeps its two minutes. Termination lifecycle hooks do not run.
    Detach,
    /// Terminate it through Auto Scaling: termination lifecycle hooks run.
    Terminate,
}

impl Choice for ReplacementStrategy {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("detach", Self::Detach), ("terminate", Self::Terminate)];
}

/// How much of what serves in a target group has to stay, in percent, before a target under notice may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeepHealthy(u8);

impl KeepHealthy {
    /// The tag of a group by which it has a share of its own.
    pub const TAG: &'static str = "spot-handoff:keep-healthy";
    /// What a value looks like.
    pub const EXPECTED: &'static str = "a whole number from 0 to 100";

    /// This share of `all`, rounded up.
    pub fn of(self, all: usize) -> usize {
        all.saturating_mul(usize::from(self.0)).div_ceil(100)
    }
}

impl Default for KeepHealthy {
    fn default() -> Self {
        Self(50)
    }
}

impl FromStr for KeepHealthy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text.trim().parse().ok().filter(|percent| *percent <= 100);
        percent.map(Self).ok_or(Self::EXPECTED)
    }
}

/// What a rebalance recommendation is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebalanceAction {
    /// Launch a replacement, move the work to it, terminate the instance.
    LaunchFirst,
    /// Nothing.
    Ignore,
}

impl Choice for RebalanceAction {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("launch-first", Self::LaunchFirst), ("ignore", Self::Ignore)];
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
}
