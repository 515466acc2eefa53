//! replace-capacity: has the Auto Scaling group launch the replacement of an instance, at once and exactly once.
//!
//! [`facts`] reads AWS, [`plan`] decides, [`effects`] carries out. What is under way for an instance stands in a tag on
//! its group, see [`replacement_tag`].

mod config;
mod effects;
mod facts;
mod hand_off;
mod plan;
mod replacement_tag;

use hand_off::ReplaceCapacity;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    spot_handoff::lambda::run::<ReplaceCapacity>().await
}
