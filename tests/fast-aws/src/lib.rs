//! A small fast AWS in memory, for storms: moto has one lock and needs 70 ms for a DescribeTasks of a hundred tasks.
//!
//! It serves the actions that an interruption warning leads to, and those of the event source mappings. It has the
//! limits of each call, and on request latency and request rates. Like the still world of the embedded AWS, it does
//! nothing by itself: a call changes things at once.
//!
//! The benchmarks run on it. `tests/end-to-end` runs the tests of interruptions on both, so it has to do what the
//! embedded AWS does. That is why it is a separate crate: the test bed and the command line do not need it.

mod account;
mod autoscaling;
mod control;
mod dynamodb;
mod ec2;
mod ecs;
mod ecs_tasks;
mod elbv2;
mod error;
mod events;
mod expressions;
mod faults;
mod fleet;
mod form;
mod limits;
mod page;
mod record;
mod server;
mod sqs;
mod state;
mod xml;

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use axum::Router;
use serde_json::Value;
use testbed::{Clock, Options, Stack, Testbed, World, locked};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub use fleet::{ACCOUNT, Cluster, Fleet, Group, Instance, Member, REGION, TargetGroup};
pub use limits::{Limits, Size};
pub use record::{CallRecord, Record, Write};

use account::Account;
use limits::Throttle;
use server::Shared;

/// What a fast AWS starts with.
#[derive(Debug, Clone, Default)]
pub struct FastOptions {
    /// The fleet; the embedded AWS's sample fleet if there is none.
    pub fleet: Option<Fleet>,
    /// Latency and request rates.
    pub limits: Limits,
}

/// Starts a bed on a fast AWS. It reads the stack from the embedded AWS, and the fleet too if none is given.
///
/// # Errors
/// Where the test bed cannot be started.
pub async fn start(fast: FastOptions, options: Options) -> Result<Testbed> {
    let in_place = async |embedded: World| {
        let stack = embedded.stack().await?;
        let fleet = match fast.fleet {
            Some(fleet) => fleet,
            None => embedded.fleet().await?,
        };
        let aws = FastAws::start(fleet, stack, &fast.limits, embedded.clock()).await?;
        let url = aws.url().to_owned();
        World::elsewhere(url, embedded.clock(), aws)
    };
    Testbed::start_in(options, in_place).await
}

/// The fast AWS that a bed runs on.
///
/// # Errors
/// Where it runs on another.
pub fn of(bed: &Testbed) -> Result<&FastAws> {
    bed.world.server().context("the world is not a fast one")
}

/// A running fast AWS; dropping it ends it.
pub struct FastAws {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl FastAws {
    /// Starts one with a fleet and the stack as the embedded AWS deployed it.
    pub async fn start(fleet: Fleet, mut stack: Stack, limits: &Limits, clock: Clock) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("cannot listen on a loopback port")?;
        let url = format!("http://{}", listener.local_addr()?);
        stack.move_to(&url);
        let shared = Arc::new(Shared {
            account: Mutex::new(Account::new(fleet, stack, Throttle::new(limits), clock)),
            clock,
            sent: Notify::new(),
        });
        let app = Router::new()
            .fallback(server::serve)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // It serves until the task is aborted. There is nobody who could be told of an error.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url, shared, server })
    }

    /// The endpoint of every service.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Puts an event on the bus as AWS itself would; answers which rules matched.
    pub fn put_event(&self, event: &Value) -> Vec<String> {
        let matched = events::put(&mut locked(&self.shared.account), event);
        self.shared.sent.notify_waiters();
        matched
    }

    /// What has been asked and changed so far.
    pub fn record(&self) -> Record {
        locked(&self.shared.account).record.clone()
    }

    /// Reads the record without copying it.
    pub fn look<T>(&self, at: impl FnOnce(&Record) -> T) -> T {
        at(&locked(&self.shared.account).record)
    }

    /// How many messages lie in dead-letter queues.
    pub fn dead_letters(&self) -> usize {
        let account = locked(&self.shared.account);
        let queues = account
            .queues
            .values()
            .filter(|queue| queue.of.name.ends_with("-dead-letters"));
        queues.map(|queue| queue.bodies().len()).sum()
    }
}

impl Drop for FastAws {
    fn drop(&mut self) {
        self.server.abort();
    }
}
