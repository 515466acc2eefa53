//! The storm: Spot interruption warnings for many instances in the same second, sent through the rules and queues of
//! the template to the real function binaries, on an AWS that answers as slowly and throttles as early as the real
//! one.
//!
//! [`fleet`] is what the storm hits, [`run`] is one storm, [`figures`] is what the AWS saw of it, [`needed`] is the
//! least that it takes, and [`table`] shows all that. [`cold_start`] looks at the start of a single process instead,
//! [`mod@kept_work`] at what is left of the work.

pub mod baseline;
pub mod cold_start;
pub mod figures;
pub mod fleet;
pub mod kept_work;
pub mod machine;
pub mod needed;
mod processor;
pub mod run;
pub mod table;
