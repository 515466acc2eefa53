//! What AWS knows about targets.

pub mod endpoints;
pub mod found;
pub mod lone;
