//! The work that is kept: the same interruptions, with different contenders acting on them, and what each of them
//! lost.
//!
//! [`scenario`] is what happens, [`contender`] who acts, [`run`] plays one in a world of the embedded AWS at its real pace,
//! where a meter counts. [`table`] and [`picture`] show what came of it.

pub mod contender;
pub mod outcome;
pub mod picture;
pub mod run;
pub mod scenario;
pub mod table;
