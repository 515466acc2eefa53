//! AWS on this machine, for the end-to-end tests and for `cargo handoff replay`.
//!
//! A [`Testbed`] is a [`World`] of the embedded AWS (`tests/embedded-aws`) with the sample
//! fleet and the real template deployed, the three real function binaries run as Lambda would
//! run them, and an event source mapping between each queue and its function:
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::time::Duration;
//! use testbed::{Options, Testbed};
//!
//! let bed = Testbed::start(Options::default().parameter("DryRun", "true")).await?;
//! let event = serde_json::from_str(include_str!("../../../events/spot-interruption-warning.json"))?;
//! bed.put_event(&event).await?;
//! bed.until_idle(Duration::from_secs(30)).await?;
//! assert_eq!(bed.reports().len(), 3);
//! # Ok(()) }
//! ```

mod backlog;
mod batch;
mod bed;
mod clock;
mod deployment;
pub mod documentation;
mod environment;
mod event_source;
mod functions;
mod invoke;
mod journal;
mod lambda;
mod logs;
mod options;
mod outcome;
mod progress;
mod python;
mod runtime_api;
pub mod script;
pub mod stack;
pub mod state;
mod supervisor;
mod workspace;
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use backlog::Backlog;
pub use bed::Testbed;
pub use clock::Clock;
pub use environment::{Environment, FunctionSpec};
pub use functions::{ANNOUNCER, FUNCTIONS, RUNNER, build as build_functions, build_for_deployment};
pub use journal::{Entry, Event, Journal};
pub use lambda::Lambda;
pub use options::{MappingOptions, Options, Pace};
pub use outcome::Outcome;
pub use python::{environment as python_environment, interpreter};
pub use stack::{Function, Mapping, Queue, Stack};
pub use state::State;
pub use workspace::Workspace;
pub use world::{Call, Measured, ModelledError, Notification, Permissions, World, WorldOptions};

/// Locks a mutex whose data stays sound even if a holder panicked.
pub fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
