//! What goes wrong with the calls to AWS, and what must come of it: every fault of every action that the functions use, and
//! every permission taken away.

mod batches;
mod faults;
mod finish;
mod kills;
mod matrix;
mod permissions;
mod recording;
mod scenarios;
mod several;
mod shape;
mod sources;

use testbed::{ANNOUNCER, FUNCTIONS, RUNNER};

/// The functions that hand off, and the one that tells of it.
const EVERY_FUNCTION: [&str; 5] = [FUNCTIONS[0], FUNCTIONS[1], FUNCTIONS[2], RUNNER, ANNOUNCER];
