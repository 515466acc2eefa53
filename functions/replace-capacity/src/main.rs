//! replace-capacity: makes the Auto Scaling group launch the replacement of an instance, at once and exactly once.
//!
//! [`facts`] reads AWS and the table, [`plan`] decides, [`effects`] carries out. The table has what is under way for an
//! instance, see [`spot_handoff::exchange`].

mod clients;
mod config;
mod effects;
mod facts;
mod hand_off;
mod plan;

use hand_off::ReplaceCapacity;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    spot_handoff::lambda::run::<ReplaceCapacity>().await
}
