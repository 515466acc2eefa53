//! deregister-targets: takes an instance, and the ECS tasks on it, out of their load balancer target groups.
//!
//! A target leaves when those that stay can carry the load, when a successor is healthy, or at its last safe moment. What
//! is held and why is decided in [`spot_handoff::elb::holding`].
//!
//! [`facts`] reads AWS, [`plan`] decides, [`effects`] carries out. Targets of the group and targets of ECS services are
//! handled side by side: the first are found in two calls, the second in five, and neither waits for the other.

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
