//! An interruption warning, on the embedded AWS.

mod cases;
mod runs_and_launches;

use end_to_end::still;
