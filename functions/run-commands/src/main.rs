//! run-commands: runs the stop script of an instance before AWS takes it, and follows it to its end.
//!
//! The group of the instance names a Command document of AWS Systems Manager by a tag. [`facts`] reads AWS, [`plan`]
//! decides, [`effects`] carries out.

mod config;
mod effects;
mod facts;
mod hand_off;
mod plan;

use hand_off::RunCommands;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    spot_handoff::lambda::run::<RunCommands>().await
}
