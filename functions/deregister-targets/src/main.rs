//! deregister-targets: takes an instance, and the ECS tasks on it, out of their load balancer target groups.
//!
//! A target leaves when the remaining targets can carry the load, when a successor is healthy, or at its last safe
//! moment. [`spot_handoff::elb::holding`] decides what is held and why.
//!
//! [`facts`] reads AWS, [`plan`] decides, [`effects`] carries out. Targets of the group and targets of ECS services are
//! handled at the same time: finding the first takes two calls, finding the second takes five, and neither waits for
//! the other.

mod config;
mod effects;
mod facts;
mod hand_off;
mod plan;
mod returns;

use hand_off::DeregisterTargets;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    spot_handoff::lambda::run::<DeregisterTargets>().await
}
