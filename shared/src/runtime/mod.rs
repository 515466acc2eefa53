//! The basis of every function: AWS clients, the clock, the configuration, the time of an invocation.

pub mod aws;
pub mod clock;
pub mod config;
pub mod invocation;
pub mod pace;
