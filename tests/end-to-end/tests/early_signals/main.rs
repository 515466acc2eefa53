//! The signals beside and before the interruption warning, and every order in which they can come together.

mod events;
mod interleavings;
mod invariants;
mod late_stops;
mod lifecycle_actions;
mod other_signals;
mod rebalance;
mod scene;
