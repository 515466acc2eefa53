//! Hand-offs of every kind, from the event on the bus to what AWS looks like in the end.
//!
//! One binary for all of them: most of the time a world waits, and the tests of one binary wait together.

mod announcements;
mod bad_input;
mod early_signals;
mod followed_through;
mod interruption;
mod observability;
mod situations;
mod soak;
mod stop_scripts;
