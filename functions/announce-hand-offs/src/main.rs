//! announce-hand-offs: tells people and programs how the hand-off of an interrupted instance went.
//!
//! The three functions that hand off know nothing of each other and of this one. Its queue holds an interruption
//! warning back until the two minutes are over; then [`facts`] reads what the three have reported, [`plan`] makes one
//! message and one event of it, [`effects`] sends both. Where only one of the two could be sent, the message comes back,
//! and this function's own report says what is left to send.

mod effects;
mod facts;
mod hand_off;
mod plan;

use hand_off::AnnounceHandOffs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    spot_handoff::lambda::run::<AnnounceHandOffs>().await
}
