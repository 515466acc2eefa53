//! The same cases on the fast AWS that the storms of `cargo bench` run on: it has to answer and to change as the embedded
//! AWS does. Left to the embedded AWS are the cases of `interruption/runs_and_launches.rs`.

#[path = "interruption/cases.rs"]
mod cases;

use end_to_end::still_and_fast as still;
