//! announce-hand-offs: tells people and programs how the hand-off of an interrupted instance went.
//!
//! The three functions that hand off know nothing of each other and of this one. Its queue holds an interruption
//! warning back until the two minutes are over; then [`facts`] reads what the three have reported from the table, [`plan`]
//! makes one event and one message of it, [`effects`] puts the event on the bus and lets messages gather for some
//! seconds, so that people get one for many. Where only one of the two could be done, the warning comes back, and this
//! function's own report says what is left to tell.

mod effects;
mod facts;
mod hand_off;
mod plan;

use hand_off::AnnounceHandOffs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    spot_handoff::lambda::run::<AnnounceHandOffs>().await
}
