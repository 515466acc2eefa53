//! The same cases on the fast AWS, which the storms of `cargo bench` use. It has to answer and to change like the
//! embedded AWS. The cases of `hand_offs/interruption/runs_and_launches.rs` only run on the embedded AWS.

#[path = "hand_offs/interruption/cases.rs"]
mod cases;

use end_to_end::still_and_fast as still;
