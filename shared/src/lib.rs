//! What the functions share.
//!
//! The story of an invocation, and where its parts are: [`batch`] takes the payload apart, [`notice`] reads each
//! message, [`groups`] and [`container_instances`] and [`tasks`] read facts of AWS, [`plan`] holds what a function
//! decided, [`report`] is what it says, and [`lambda`] is the loop around it all.

pub mod accelerators;
pub mod aws;
pub mod aws_batch;
pub mod batch;
pub mod clock;
pub mod clusters;
pub mod config;
pub mod container_instances;
pub mod exchanges;
pub mod follow_ups;
pub mod groups;
pub mod invocation;
pub mod lambda;
pub mod log_patterns;
pub mod metrics;
pub mod names;
pub mod notice;
pub mod own_queue;
pub mod plan;
pub mod policies;
pub mod report;
pub mod restarts;
pub mod standalone_tasks;
pub mod tasks;

/// The plan of a standalone task that ended by itself before its late stop: a job saved.
pub const SAVED_TASK: &str = "ended by itself in time";

/// Of an instance that leaves its group after its replacement: that one has been counted when it was launched.
pub const REPLACED_BEFORE: &str = "its replacement has been launched, desired capacity goes down by one";
