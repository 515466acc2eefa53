//! Auto Scaling: groups, whether spot-handoff may act on them, and the policy in their tags.

pub mod group;
pub mod groups;
pub mod launch_failures;
pub mod policies;
pub mod restarts;
pub mod scope;
