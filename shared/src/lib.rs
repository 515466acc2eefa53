//! What the functions share.
//!
//! The modules, in the order of an invocation: [`lambda`] splits the payload into messages and answers Lambda.
//! [`notice`] reads each message. [`autoscaling`], [`ecs`] and [`elb`] read facts from AWS. [`state`] is the table for
//! what has to survive between two looks. [`keeper`] uses both to say which targets have to stay. [`exchange`] says how
//! an instance is replaced. [`report`] says what a function decided and how that ended. [`runtime`] is the basis of all
//! of them.

pub mod autoscaling;
pub mod ecs;
pub mod elb;
pub mod exchange;
pub mod keeper;
pub mod lambda;
pub mod notice;
pub mod report;
pub mod runtime;
pub mod state;
