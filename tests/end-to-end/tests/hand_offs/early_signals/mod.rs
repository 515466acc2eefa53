//! The signals besides the interruption warning, and every order in which the signals can come.

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
