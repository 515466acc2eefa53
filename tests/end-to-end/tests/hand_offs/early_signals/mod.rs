//! The signals beside and before the interruption warning, and every order in which they can come together.

mod interleavings;
mod late_stops;
mod lifecycle_actions;
mod other_signals;
mod policies;
mod rebalance;
mod reservations;
mod restarts;
mod returns;
mod signal_table;
