//! What the functions share.
//!
//! The story of an invocation, room by room: [`lambda`] takes the payload apart and answers it, [`notice`] reads each
//! message, [`autoscaling`], [`ecs`] and [`elb`] read facts of AWS, [`state`] is the table of what has to survive between
//! two looks, [`keeper`] knows by both which targets have to stay, [`exchange`] says how an instance is replaced,
//! [`report`] is what a function decided and what became of it. [`runtime`] is what all of them stand on.

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
