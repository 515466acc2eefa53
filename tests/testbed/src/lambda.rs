//! Lambda: for each function a pool of execution environments.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::sync::{Notify, RwLock, RwLockWriteGuard, Semaphore};
use uuid::Uuid;

use crate::environment::{Environment, FunctionSpec};
use crate::journal::{Event, Journal};
use crate::locked;
use crate::outcome::Outcome;

/// The functions of a stack, ready to be invoked.
pub struct Lambda {
    pools: BTreeMap<String, Pool>,
    journal: Arc<Journal>,
    running: AtomicUsize,
    /// Batches that were taken from a queue and are not settled.
    in_hand: AtomicUsize,
    /// Messages that were ever taken from queues by pollers.
    received: AtomicUsize,
    /// Whoever changes something that no invocation may see change holds this.
    gate: RwLock<()>,
    /// Variables that processes start with, besides the environment of their function.
    variables: Mutex<BTreeMap<String, String>>,
}

/// An invocation takes an environment that is idle, or starts one that is cold.
struct Pool {
    function: FunctionSpec,
    idle: Mutex<Vec<Environment>>,
    slots: Semaphore,
    killing: Notify,
}

impl Lambda {
    /// A Lambda with these functions. Processes are started when they are needed.
    pub fn new(functions: Vec<FunctionSpec>, journal: Arc<Journal>) -> Self {
        let pools = functions.into_iter().map(|function| {
            let pool = Pool {
                slots: Semaphore::new(function.concurrency),
                idle: Mutex::default(),
                killing: Notify::new(),
                function,
            };
            (pool.function.name.clone(), pool)
        });
        Self {
            pools: pools.collect(),
            journal,
            running: AtomicUsize::new(0),
            in_hand: AtomicUsize::new(0),
            received: AtomicUsize::new(0),
            gate: RwLock::new(()),
            variables: Mutex::default(),
        }
    }

    /// While the answer is held, no invocation runs. `None` if one runs now, or is about to.
    pub(crate) fn pause(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        let paused = self.gate.try_write().ok()?;
        (self.in_hand.load(Ordering::SeqCst) == 0).then_some(paused)
    }

    /// Counts messages that a poller has in hand. There has to be an [`InHand`] before.
    pub(crate) fn count_received(&self, messages: usize) {
        self.received.fetch_add(messages, Ordering::SeqCst);
    }

    /// Messages that were ever taken from queues by pollers.
    pub(crate) fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }

    /// Starts processes with this variable from now on, and ends those that wait for work.
    pub(crate) fn renew(&self, variable: &str, value: &str) {
        locked(&self.variables).insert(variable.to_owned(), value.to_owned());
        for pool in self.pools.values() {
            locked(&pool.idle).clear();
        }
    }

    /// Invokes a function and waits for the end, like Lambda's `RequestResponse`.
    pub async fn invoke(&self, function: &str, payload: String) -> Result<Outcome> {
        let pool = self
            .pools
            .get(function)
            .with_context(|| format!("there is no function {function}"))?;
        let _running = Running::one_more(&self.running);
        let _slot = pool.slots.acquire().await?;
        let _open = self.gate.read().await;
        let variables = locked(&self.variables).clone();
        Ok(pool.invoke(payload, &self.journal, variables).await)
    }

    /// What a function is run with.
    pub(crate) fn specification(&self, function: &str) -> Option<&FunctionSpec> {
        self.pools.get(function).map(|pool| &pool.function)
    }

    /// Kills the processes of a function that are at work.
    pub fn kill(&self, function: &str) {
        if let Some(pool) = self.pools.get(function) {
            pool.killing.notify_waiters();
        }
    }

    /// Process ids of a function's environments that wait for work.
    pub fn processes(&self, function: &str) -> Vec<u32> {
        let pool = self.pools.get(function);
        pool.map_or_else(Vec::new, |pool| {
            locked(&pool.idle)
                .iter()
                .filter_map(Environment::process_id)
                .collect()
        })
    }

    /// How many invocations are running or waiting for a free slot.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// How many processes of a function wait for work.
    pub fn idle(&self, function: &str) -> usize {
        let pool = self.pools.get(function);
        pool.map_or(0, |pool| locked(&pool.idle).len())
    }
}

impl Pool {
    async fn invoke(
        &self,
        payload: String,
        journal: &Arc<Journal>,
        variables: BTreeMap<String, String>,
    ) -> Outcome {
        let name = &self.function.name;
        let request_id = Uuid::new_v4().to_string();
        // It takes the most recently used one, as Lambda does, so that surplus ones stay idle.
        let warm = locked(&self.idle).pop();
        let invoked = Event::Invoked {
            request_id: request_id.clone(),
            cold: warm.is_none(),
        };
        journal.add(name, invoked);

        let started = Instant::now();
        let environment = match warm {
            Some(environment) => Ok(environment),
            None => Environment::start(&self.function.with(variables), journal).await,
        };
        let outcome = match environment {
            Ok(mut environment) => {
                let outcome = environment
                    .invoke_unless_killed(&request_id, payload, &self.killing)
                    .await;
                if environment.is_reusable(&outcome) {
                    locked(&self.idle).push(environment);
                }
                outcome
            }
            Err(outcome) => outcome,
        };
        let ended = Event::Ended {
            request_id,
            took: started.elapsed(),
            outcome: outcome.clone(),
        };
        journal.add(name, ended);
        outcome
    }
}

/// A batch that was taken from a queue, until it is settled or dropped.
pub(crate) struct InHand(Arc<Lambda>);

impl InHand {
    pub(crate) fn one_more(lambda: &Arc<Lambda>) -> Self {
        lambda.in_hand.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(lambda))
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts an invocation for as long as it lives, even if its future is dropped midway.
struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    fn one_more(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
