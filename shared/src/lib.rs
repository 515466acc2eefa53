//! What the three functions share.
pub mod report;
