//! What Auto Scaling tells: groups, whether they are ours to act on, and the policy in their tags.

pub mod group;
pub mod groups;
pub mod launch_failures;
pub mod policies;
pub mod restarts;
pub mod scope;
