//! drain-tasks: drains the ECS container instance of an instance that goes away, and handles the tasks on it.
//!
//! [`facts`] reads AWS, [`plan`] decides, [`effects`] carries out. Draining does not wait for the tasks to be read.

mod config;
mod effects;
mod facts;
mod hand_off;
mod plan;
mod policies;
mod restarts;
mod returns;

use hand_off::DrainTasks;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    spot_handoff::lambda::run::<DrainTasks>().await
}
