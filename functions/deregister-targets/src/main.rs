//! deregister-targets: takes an instance, and the ECS tasks on it, out of their load balancer target groups.
//!
//! [`facts`] reads AWS, [`plan`] decides, [`effects`] carries out. Targets of the group and targets of ECS services are
//! handled side by side: the first are found in two calls, the second in five, and neither waits for the other.

mod effects;
mod facts;
mod hand_off;
mod plan;

use hand_off::DeregisterTargets;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    spot_handoff::lambda::run::<DeregisterTargets>().await
}
