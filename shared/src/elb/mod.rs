//! Elastic Load Balancing: the health of targets, and when a target may leave.

pub mod health;
pub mod holding;
pub mod target_groups;
