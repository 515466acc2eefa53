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

/// How many calls of one kind are under way at once: enough to hide the latency of a region, few enough for the burst
/// of AWS's token buckets.
const CALLS_AT_ONCE: usize = 10;

/// The time reserved for writing reports, settling messages and answering Lambda.
const TIME_TO_ANSWER: Duration = Duration::from_millis(750);
/// The last part of that time, for answering Lambda.
const TIME_TO_RETURN: Duration = Duration::from_millis(150);

/// How much longer an invocation may go on after AWS has throttled a call. It does not hang, and a new try would have
/// to make all calls again.
const LONGER_WHERE_THROTTLED: Duration = Duration::from_secs(10);

/// How long to try a call that the hand-off can do without.
const BRIEFLY: Duration = Duration::from_secs(2);

/// What every part of a function needs to know about the invocation it runs in.
#[derive(Debug, Clone, Copy)]
pub struct Invocation {
    /// The function's name.
    pub function: &'static str,
    /// The clock for deadlines.
    pub clock: Clock,
    /// When the invocation began, on that clock.
    pub started_at: Timestamp,
    /// Whether to only plan.
    pub dry_run: bool,
    stop_at: Instant,
    stop_at_last: Instant,
    to_settle: Duration,
    over_at: Instant,
}

/// How long an invocation may go on, from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Making calls.
    pub calling: Duration,
    /// Making calls while AWS throttles some of them.
    pub calling_throttled: Duration,
    /// After the calls: deleting messages, or making them come back.
    pub settling: Duration,
    /// All of it.
    pub all: Duration,
}

impl Times {
    /// The times of an invocation that Lambda ends, or that gives up, `time_left` from now.
    pub fn of(time_left: Duration) -> Self {
        let calling = time_left.saturating_sub(TIME_TO_ANSWER);
        Self {
            calling,
            calling_throttled: calling,
            settling: TIME_TO_ANSWER.saturating_sub(TIME_TO_RETURN),
            all: time_left.saturating_sub(TIME_TO_RETURN),
        }
    }

    /// The same, with less time for calls by this much, so that there is time to settle many messages.
    pub fn keeping(self, to_settle: Duration) -> Self {
        let calling = self.calling.saturating_sub(to_settle);
        Self {
            calling,
            calling_throttled: calling,
            settling: self.settling + to_settle,
            ..self
        }
    }

    /// The same, but the invocation gives up after this time unless its calls are throttled.
    pub fn given_up_after(self, time: Duration) -> Self {
        let calling = self.calling.min(Self::of(time).calling);
        Self { calling, ..self }
    }
}

impl Invocation {
    /// An invocation that Lambda ends `time_left` from now.
    pub fn new(function: &'static str, clock: Clock, dry_run: bool, time_left: Duration) -> Self {
        Self::within(function, clock, dry_run, Times::of(time_left))
    }

    /// An invocation with these times.
    pub fn within(function: &'static str, clock: Clock, dry_run: bool, times: Times) -> Self {
        let now = Instant::now();
        Self {
            function,
            clock,
            started_at: clock.now(),
            dry_run,
            stop_at: now + times.calling,
            stop_at_last: now + times.calling_throttled,
            to_settle: times.settling,
            over_at: now + times.all,
        }
    }

    /// When the invocation stops making calls.
    fn stop_at(&self) -> Instant {
        match aws::last_throttled() {
            Some(throttled) => self.stop_at_after(throttled),
            None => self.stop_at,
        }
    }

    fn stop_at_after(&self, throttled: Instant) -> Instant {
        let longer = throttled + LONGER_WHERE_THROTTLED;
        longer.min(self.stop_at_last).max(self.stop_at)
    }

    /// Until when messages can be deleted or made to come back.
    pub(crate) fn settles_until(&self) -> Instant {
        self.over_at.min(self.stop_at() + self.to_settle)
    }

    /// The same invocation, for notices that are only planned.
    pub fn planning_only(&self) -> Self {
        Self {
            dry_run: true,
            ..*self
        }
    }

    /// The same invocation, for a notice that may be only planned.
    pub fn with(&self, planned_only: bool) -> Self {
        match planned_only {
            true => self.planning_only(),
            false => *self,
        }
    }

    /// The same invocation, for a call that the hand-off can do without. It must not take the time of the calls that
    /// the hand-off needs.
    pub fn briefly(&self) -> Self {
        self.for_at_most(BRIEFLY)
    }

    /// The same invocation, for calls that may take no longer than this.
    pub fn for_at_most(&self, time: Duration) -> Self {
        let end = Instant::now() + time;
        Self {
            stop_at: self.stop_at.min(end),
            stop_at_last: self.stop_at_last.min(end),
            ..*self
        }
    }

    /// The same invocation, for writes at its end, when the time for calls may be over.
    pub fn at_its_end(&self) -> Self {
        let end = self.settles_until();
        Self {
            stop_at: end,
            stop_at_last: end,
            ..*self
        }
    }

    /// Waits on the invocation's clock, but not beyond the time for calls.
    pub async fn pause(&self, time: Duration) {
        let until = Instant::now() + self.clock.real_duration(time);
        tokio::time::sleep_until(until.min(self.stop_at())).await;
    }

    /// Makes one call to AWS, retries included, within the invocation's remaining time.
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
        aws::call(|| self.stop_at(), action, sending).await
    }
}

/// Runs calls together, a few at a time. Returns their answers in the order of the calls.
pub async fn together<F: Future>(calls: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    at_most(CALLS_AT_ONCE, calls).await
}

/// Runs calls together, `at_once` at a time. Returns their answers in the order of the calls.
pub async fn at_most<F: Future>(at_once: usize, calls: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    // Collected first: a lazy iterator would borrow what its closures capture for longer than the stream lives.
    let calls: Vec<F> = calls.into_iter().collect();
    futures::stream::iter(calls).buffered(at_once).collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_call_gives_more_time_as_far_as_lambda_gives_it() {
        let seconds = Duration::from_secs;
        let times = Times::of(seconds(60)).given_up_after(seconds(15));
        let invocation = Invocation::within("drain-tasks", Clock::real(), false, times);
        let began = invocation.over_at - times.all;
        let until = |throttled| {
            let until = invocation.stop_at_after(began + seconds(throttled));
            until.duration_since(began).as_millis()
        };
        assert_eq!(
            [until(0), until(4), until(5), until(14), until(59)],
            [14_250, 14_250, 15_000, 24_000, 59_250]
        );
        // Except for calls that can be done without, and if the invocation has all the time from the start.
        let briefly = invocation.briefly();
        assert_eq!(briefly.stop_at_after(began + seconds(14)), briefly.stop_at);
        let storm = Times::of(seconds(60)).keeping(seconds(2));
        assert_eq!(storm.calling, storm.calling_throttled);
    }
}
