//! announce-hand-offs: tells people and programs how the hand-off of an interrupted instance went.
//!
//! The three functions that hand off know nothing about each other or this one. The queue delays an interruption
//! warning until the two minutes are over. Then [`facts`] reads the reports of the three functions from the table, and
//! [`plan`] makes one event and one message of them. [`effects`] puts the event on the bus, and lets messages gather
//! for some seconds, so that people get one message about many hand-offs. If only one of the two succeeds, the warning
//! comes back, and this function's own report says what is still missing.

mod effects;
mod facts;
mod hand_off;
mod plan;

use hand_off::AnnounceHandOffs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    spot_handoff::lambda::run::<AnnounceHandOffs>().await
}
