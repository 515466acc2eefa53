//! What Elastic Load Balancing tells of targets, and when a target may leave.

pub mod health;
pub mod holding;
pub mod target_groups;
