//! One invocation of a function: how long it has, on which clock, and whether it may change anything.

use std::future::Future;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::runtime::aws::{self, CallError};
use crate::runtime::clock::Clock;

/// How many calls of one kind are under way at once. Enough to hide the latency of a region, few enough to stay within
/// the burst of AWS's token buckets.
const CALLS_AT_ONCE: usize = 10;

/// The time kept back for writing reports, settling messages and answering Lambda.
const TIME_TO_ANSWER: Duration = Duration::from_millis(750);
/// The last part of it, in which Lambda gets its answer.
const TIME_TO_RETURN: Duration = Duration::from_millis(150);

/// How long a call is tried that the hand-off can do without.
const BRIEFLY: Duration = Duration::from_secs(2);

/// What every part of a function needs to know about the invocation it runs in.
#[derive(Debug, Clone, Copy)]
pub struct Invocation {
    /// The function's name.
    pub function: &'static str,
    /// The clock that deadlines are measured on.
    pub clock: Clock,
    /// When the invocation began, on that clock.
    pub started_at: Timestamp,
    /// Whether to plan only.
    pub dry_run: bool,
    stop_at: Instant,
    settles_until: Instant,
}

/// How long an invocation may go on, from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Making calls.
    pub calling: Duration,
    /// Taking messages off the queue or bringing them back.
    pub settling: Duration,
}

impl Times {
    /// Those of an invocation that Lambda ends `time_left` from now, or that is given up then.
    pub fn of(time_left: Duration) -> Self {
        Self {
            calling: time_left.saturating_sub(TIME_TO_ANSWER),
            settling: time_left.saturating_sub(TIME_TO_RETURN),
        }
    }

    /// The same with calls that end so much sooner, to leave the time to settle many messages.
    pub fn keeping(self, to_settle: Duration) -> Self {
        Self {
            calling: self.calling.saturating_sub(to_settle),
            ..self
        }
    }
}

impl Invocation {
    /// An invocation that Lambda ends `time_left` from now.
    pub fn new(function: &'static str, clock: Clock, dry_run: bool, time_left: Duration) -> Self {
        Self::within(function, clock, dry_run, Times::of(time_left))
    }

    /// An invocation that has these times.
    pub fn within(function: &'static str, clock: Clock, dry_run: bool, times: Times) -> Self {
        let now = Instant::now();
        Self {
            function,
            clock,
            started_at: clock.now(),
            dry_run,
            stop_at: now + times.calling,
            settles_until: now + times.settling,
        }
    }

    /// Until when messages can be taken off the queue or brought back.
    pub(crate) fn settles_until(&self) -> Instant {
        self.settles_until
    }

    /// The same invocation for notices that are planned only.
    pub fn planning_only(&self) -> Self {
        Self {
            dry_run: true,
            ..*self
        }
    }

    /// The same invocation for a notice, which may be planned only.
    pub fn with(&self, planned_only: bool) -> Self {
        match planned_only {
            true => self.planning_only(),
            false => *self,
        }
    }

    /// The same invocation for a call that the hand-off can do without: it is not to take the time of those that it needs.
    pub fn briefly(&self) -> Self {
        self.for_at_most(BRIEFLY)
    }

    /// The same invocation for calls that are waited for no longer than this.
    pub fn for_at_most(&self, time: Duration) -> Self {
        Self {
            stop_at: self.stop_at.min(Instant::now() + time),
            ..*self
        }
    }

    /// The same invocation for what is written down at its end, when the time for calls may be over.
    pub fn at_its_end(&self) -> Self {
        Self {
            stop_at: self.settles_until,
            ..*self
        }
    }

    /// Waits on the invocation's clock, no longer than there is time for calls.
    pub async fn pause(&self, time: Duration) {
        let until = Instant::now() + self.clock.real_duration(time);
        tokio::time::sleep_until(until.min(self.stop_at)).await;
    }

    /// Makes one call to AWS, retries included, within the time the invocation has left.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<T, E>(
        &self,
        action: &'static str,
        sending: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, CallError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        aws::call(self.stop_at, action, sending).await
    }
}

/// Runs calls together, a few at a time, and returns their answers in the order of the calls.
pub async fn together<F: Future>(calls: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    at_most(CALLS_AT_ONCE, calls).await
}

/// Runs calls together, so many at a time, and returns their answers in the order of the calls.
pub async fn at_most<F: Future>(at_once: usize, calls: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    // Boxed in a list first: a lazy iterator would borrow what its closures capture for longer than the stream lives.
    let calls: Vec<F> = calls.into_iter().collect();
    futures::stream::iter(calls).buffered(at_once).collect().await
}
