//! What AWS knows about targets.

pub mod endpoints;
pub mod lone;
