//! Mistakes of the caller. They have another exit status than failures.

use std::fmt;

/// A mistake that the caller can correct on the command line. The text says how.
#[derive(Debug)]
pub struct UsageError(String);

impl UsageError {
    /// A mistake, with what to do about it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// An error for commands that need the feature `local`.
#[cfg(not(feature = "local"))]
pub fn needs_a_checkout(command: &str) -> UsageError {
    UsageError::new(format!(
        "{command} runs an AWS on this machine, which an installed `handoff` does not have: run it as `cargo handoff` in a \
         checkout of spot-handoff, or install it there with `cargo install --path handoff --features local`"
    ))
}

/// An error for a group that does not exist.
pub fn no_group(name: &str) -> UsageError {
    UsageError::new(format!(
        "there is no Auto Scaling group {name} in this account and region: --profile and --region choose others, \
         `aws autoscaling describe-auto-scaling-groups --query 'AutoScalingGroups[].AutoScalingGroupName'` lists the groups"
    ))
}
