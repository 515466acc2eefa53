//! What the functions share.
//!
//! The story of an invocation, room by room: [`lambda`] takes the payload apart and answers it, [`notice`] reads each
//! message, [`autoscaling`], [`ecs`] and [`elb`] read facts of AWS, [`state`] is the table of what has to survive between
//! two looks, [`exchange`] says how an instance is replaced, [`report`] is what a function decided and what became of it.
//! [`runtime`] is what all of them stand on.

pub mod autoscaling;
pub mod ecs;
pub mod elb;
pub mod exchange;
pub mod lambda;
pub mod notice;
pub mod report;
pub mod runtime;
pub mod state;

/// By this action of its report a function says that it has asked run-commands for the stop script of the instance.
pub const ASK_TO_RUN_STOP_SCRIPT: &str = "ask-to-run-stop-script";

/// The plan of a standalone task that ended by itself before its late stop: a job saved.
pub const SAVED_TASK: &str = "ended by itself in time";

/// Of an instance that leaves its group after its replacement: that one has been counted when it was launched.
pub const REPLACED_BEFORE: &str = "its replacement has been launched, desired capacity goes down by one";
