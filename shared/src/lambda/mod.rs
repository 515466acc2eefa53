//! The loop around a function: read the batch, hand off the instances, report, answer.

pub mod envelope;
mod hand_off;
pub mod inbox;
mod logging;
pub mod outbox;

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_types::SdkConfig;
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use thiserror::Error as ThisError;
use tokio::time::Instant;

use crate::lambda::envelope::Batch;
use crate::lambda::inbox::OwnQueue;
use crate::notice::{Advice, Home, LaunchFailed, Message, Notice, Signal, Step};
use crate::report::metrics;
use crate::report::{ActionResult, Outcome, Report};
use crate::runtime::aws::{self, CallCounter, CallError};
use crate::runtime::clock::Clock;
use crate::runtime::config::{ConfigError, Drills, Env};
use crate::runtime::invocation::{Invocation, Times};
use crate::state::Table;
use crate::state::hand_offs::Reported;

/// The functions that hand off, by the names of their packages, as in reports.
pub const FUNCTIONS: [&str; 3] = ["deregister-targets", "drain-tasks", "replace-capacity"];
/// The function that runs stop scripts. It does not report instances whose group has no stop script.
pub const RUNNER: &str = "run-commands";
/// The function that looks back at what the others have done.
pub const ANNOUNCER: &str = "announce-hand-offs";

/// Up to this many notices, AWS's request rates cause no delay.
const FEW_MESSAGES: usize = 100;
const TIME_FOR_FEW: Duration = Duration::from_secs(15);
/// A storm of thousands needs hundreds of calls to SQS.
const TIME_TO_SETTLE_MANY: Duration = Duration::from_secs(2);

/// One of the functions.
pub trait Function: Sized + 'static {
    /// Its name in reports and metrics.
    const NAME: &'static str;

    /// Whether it writes no report if there is nothing to do. Most functions do write one, since most instances give
    /// them something to do.
    const IS_QUIET: bool = false;

    /// How long it gathers a storm of many hundreds. What it leaves to the next invocation waits until this one is
    /// done. If the work takes many reads, most of them are the same for all messages, so gathering longer pays.
    const GATHERS_MANY_FOR: Duration = inbox::GATHERING;

    /// Reads the configuration and makes the clients.
    ///
    /// # Errors
    /// If an environment variable is wrong; the error names it.
    fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError>;

    /// Whether the notice is too old to act on. A notice that does nothing to the instance never is.
    fn is_stale(notice: &Notice, now: Timestamp) -> bool {
        notice.is_stale(now)
    }

    /// Facts, plan, effects. Returns one report for each notice. A notice without a report has failed.
    fn hand_off(&self, notices: &[Notice], invocation: &Invocation) -> impl Future<Output = Vec<Report>>;

    /// Tells people about an event on which no function acts.
    ///
    /// # Errors
    /// If that failed; the message is tried again. By default it does nothing, and the event is only in the log.
    fn tell(&self, _: &Advice, _: &Invocation) -> impl Future<Output = Result<(), CallError>> {
        async { Ok(()) }
    }

    /// Takes note of failed launches.
    ///
    /// # Errors
    /// If that failed; the messages are tried again.
    fn launches_failed(
        &self,
        _: &[&LaunchFailed],
        _: &Invocation,
    ) -> impl Future<Output = Result<(), CallError>> {
        async { Ok(()) }
    }
}

/// The error of a bare event. Lambda shows it to the sender.
#[derive(Debug, ThisError)]
enum BareEventError {
    #[error("{0}")]
    Unreadable(String),
    #[error("{}", reasons(.0))]
    Failed(Vec<Report>),
}

impl From<BareEventError> for Diagnostic {
    fn from(error: BareEventError) -> Self {
        let error_type = match error {
            BareEventError::Unreadable(_) => "UnreadableEvent",
            BareEventError::Failed(_) => "HandOffFailed",
        };
        Self {
            error_type: error_type.to_owned(),
            error_message: error.to_string(),
        }
    }
}

/// Runs a function in Lambda until Lambda ends it.
///
/// # Errors
/// If the environment is wrong or the Lambda Runtime API is gone.
pub async fn run<F: Function>() -> Result<(), Error> {
    let env = Env::of_process();
    logging::init(env.log_level()?);
    metrics::count_under(env.get("METRICS_NAMESPACE"));
    let clock = Clock::from_env(&env)?;
    let (dry_run, drills) = (env.dry_run()?, env.drills()?);
    let counter = CallCounter::default();
    let sdk = aws::sdk_config(&env, clock)?;
    let function = Arc::new(F::new(&env, &sdk, counter.clone())?);
    let queue = OwnQueue::of(F::NAME, &env, &sdk, counter.clone()).map(Arc::new);
    let table = Table::new(&env, &sdk, counter.clone())?;

    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let (function, queue, counter) = (Arc::clone(&function), queue.clone(), counter.clone());
        let table = table.clone();
        let request_id = event.context.request_id.clone();
        let work = async move {
            let ends_at = Instant::now() + time_left(event.context.deadline(), SystemTime::now());
            let started_at = clock.now();
            let home = Home::of_arn(&event.context.invoked_function_arn);
            let mut batch = Batch::read(event.payload.get(), &home, started_at);
            let queue = queue.as_deref().filter(|_| batch.from_queue);
            if let Some(queue) = queue {
                let more = queue.more(batch.messages.len(), F::GATHERS_MANY_FOR).await;
                batch.add(more, &home, started_at);
            }
            let times = times_for(
                batch.messages.len(),
                ends_at.saturating_duration_since(Instant::now()),
            );
            let mut invocation = Invocation::within(F::NAME, clock, dry_run, times);
            invocation.started_at = started_at;
            handle(&*function, queue, &table, batch, drills, &invocation, &counter).await
        };
        // Boxed, since the size of a future includes everything that it waits for.
        let work: Pin<Box<dyn Future<Output = _>>> = Box::pin(work);
        logging::on_request(request_id, work)
    }))
    .await
}

/// How long Lambda lets the invocation go on. `cargo lambda watch` sends a deadline in the past. Such a deadline is
/// ignored: an invocation that was over would not have begun.
fn time_left(deadline: SystemTime, now: SystemTime) -> Duration {
    deadline
        .duration_since(now)
        .ok()
        .filter(|left| !left.is_zero())
        .unwrap_or(TIME_FOR_FEW)
}

/// How much of Lambda's time the invocation uses.
///
/// If a few notices are not handled after 15 seconds, something is wrong, and it is better to try again while there is
/// time. A storm is different: it waits for the request rates of AWS, and afterwards deleting its messages takes a
/// while.
fn times_for(messages: usize, time_left: Duration) -> Times {
    if messages <= FEW_MESSAGES {
        Times::of(time_left).given_up_after(TIME_FOR_FEW)
    } else {
        Times::of(time_left).keeping(TIME_TO_SETTLE_MANY)
    }
}

/// Handles one batch and makes Lambda's answer.
async fn handle<F: Function>(
    function: &F,
    queue: Option<&OwnQueue>,
    table: &Table,
    batch: Batch,
    drills: Drills,
    invocation: &Invocation,
    counter: &CallCounter,
) -> Result<Value, BareEventError> {
    let calls_before = counter.totals();
    let mut failed: Vec<bool> = batch
        .messages
        .iter()
        .map(|message| message.content.is_err())
        .collect();
    for (message, failed) in batch.messages.iter().zip(&mut failed) {
        match &message.content {
            Ok(Message::Notices(_) | Message::LaunchFailed(_)) => {}
            Ok(Message::Advice(advice) | Message::Announced { advice, .. }) => {
                tracing::info!(message_id = message.id, event_id = advice.event_id, "{advice}");
                if let Err(error) = function.tell(advice, invocation).await {
                    tracing::error!(
                        message_id = message.id,
                        event_id = advice.event_id,
                        "cannot tell: {error}"
                    );
                    *failed = true;
                }
            }
            Ok(Message::NotOurs { what }) => {
                tracing::info!(message_id = message.id, "not for us, ignored: {what}")
            }
            Err(error) => tracing::error!(message_id = message.id, "cannot read the message: {error}"),
        }
    }

    let (indexes, notices): (Vec<_>, Vec<_>) = batch.notices().into_iter().unzip();
    let (mut reports, ()) = tokio::join!(
        hand_off::hand_off(function, &notices, drills, invocation),
        take_note(function, &batch, &mut failed, invocation),
    );
    for (index, notice) in indexes.into_iter().zip(&notices) {
        match reports.get(notice) {
            Some(report) => failed[index] |= report.outcome == Outcome::Failed,
            None => {
                let (event_id, instance) = (&notice.event_id, notice.instance.as_str());
                tracing::error!(event_id, instance, "{} wrote no report on the notice", F::NAME);
                failed[index] = true;
            }
        }
    }
    // If a message came before, its first try may have failed. So its report is always written.
    let again: Vec<bool> = batch
        .notices()
        .into_iter()
        .map(|(index, _)| batch.messages[index].came_before)
        .collect();
    let told = notices.iter().zip(again).filter_map(|(notice, again)| {
        let report = reports.remove(notice)?;
        (again || !has_seen_nothing_new::<F>(notice, &report)).then_some(report)
    });
    let reports: Vec<Report> = told.collect();
    for report in &reports {
        logging::write(report);
        metrics::instance(report, invocation.clock.now());
    }
    let kept: Vec<Reported> = reports.iter().filter_map(Reported::from_report).collect();
    let settle = async {
        if let Some(queue) = queue {
            let worked = invocation.clock.now().duration_since(invocation.started_at);
            queue
                .settle(&batch, &failed, worked, invocation.settles_until())
                .await;
        }
    };
    tokio::join!(settle, keep(table, &kept, invocation));
    metrics::invocation(F::NAME, calls_before, counter.totals(), &failed);

    if batch.from_queue {
        return Ok(json!(batch.response(&failed)));
    }
    match &batch.messages[0].content {
        Err(error) => Err(BareEventError::Unreadable(error.to_string())),
        Ok(_) if failed[0] => Err(BareEventError::Failed(reports)),
        Ok(Message::NotOurs { what }) => Ok(json!({ "ignored": what })),
        Ok(Message::Advice(advice)) => Ok(json!({ "told": advice.subject() })),
        Ok(Message::LaunchFailed(launch)) => Ok(json!({ "noted": launch.group })),
        Ok(Message::Notices(_) | Message::Announced { .. }) => Ok(json!({ "reports": reports })),
    }
}

/// Makes the function take note of the failed launches.
async fn take_note<F: Function>(function: &F, batch: &Batch, failed: &mut [bool], invocation: &Invocation) {
    let launch = |(index, message): (usize, &crate::lambda::envelope::QueueMessage)| match &message.content {
        Ok(Message::LaunchFailed(launch)) => Some((index, launch.clone())),
        _ => None,
    };
    let (indexes, launches): (Vec<usize>, Vec<LaunchFailed>) =
        batch.messages.iter().enumerate().filter_map(launch).unzip();
    if launches.is_empty() {
        return;
    }
    let launches: Vec<&LaunchFailed> = launches.iter().collect();
    if let Err(error) = function.launches_failed(&launches, invocation).await {
        tracing::error!(
            "cannot take note of {} launches that failed: {error}",
            launches.len()
        );
        for index in indexes {
            failed[index] = true;
        }
    }
}

/// Whether the report is about a look that only planned the next look. There are twelve in the two minutes of a notice.
fn has_seen_nothing_new<F: Function>(notice: &Notice, report: &Report) -> bool {
    let is_look = match &notice.signal {
        Signal::FollowUp(follow_up) => matches!(
            follow_up.step,
            Step::Look { .. }
                | Step::AwaitScript { .. }
                | Step::AwaitStart { .. }
                | Step::AwaitEnd { .. }
                | Step::AwaitGone { .. }
                | Step::AwaitWhole { .. }
                | Step::AwaitRestart { .. }
                | Step::WatchGroup { .. }
        ),
        _ => false,
    };
    let is_silence = F::IS_QUIET && report.outcome == Outcome::NothingToDo;
    let is_quiet = report.problems.is_empty()
        && report.warnings.is_empty()
        && report.groups.is_empty()
        && report.work.is_nothing();
    let mut results = report.actions.iter().map(|line| line.result);
    is_quiet && (is_silence || is_look) && results.all(|result| result == ActionResult::Later)
}

/// Keeps the reports in the table, for the account of the hand-off. The hand-off itself does not depend on them.
async fn keep(table: &Table, items: &[Reported], invocation: &Invocation) {
    if items.is_empty() {
        return;
    }
    if let Err(error) = table.overwrite_all(&invocation.at_its_end(), items).await {
        tracing::error!("cannot keep {} reports in the table: {error}", items.len());
    }
}

fn reasons(reports: &[Report]) -> String {
    let errors = |report: &Report| {
        let actions = report.actions.iter().filter_map(|line| line.error.clone());
        let reasons: Vec<_> = report.problems.iter().cloned().chain(actions).collect();
        format!("{}: {}", report.message, reasons.join("; "))
    };
    let failed = reports.iter().filter(|report| report.outcome == Outcome::Failed);
    failed.map(errors).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_notices_are_given_up_early_and_many_have_time_left_to_be_settled() {
        let table = [
            (1, 60_000, [14_250, 59_250, 600]),
            (100, 3_000, [2_250, 2_250, 600]),
            (101, 60_000, [57_250, 57_250, 2_600]),
            (101, 1_000, [0, 0, 2_600]),
        ];
        for (messages, left, expected) in table {
            let times = times_for(messages, Duration::from_millis(left));
            let found = [times.calling, times.calling_throttled, times.settling];
            assert_eq!(
                found.map(|time| time.as_millis()),
                expected,
                "{messages} messages, {left} ms left"
            );
            assert_eq!(
                times.all,
                Duration::from_millis(left - 150),
                "for Lambda to get its answer"
            );
        }
    }

    #[test]
    fn a_deadline_in_the_past_says_nothing() {
        let now = SystemTime::now();
        let in_a_minute = now + Duration::from_secs(60);
        assert_eq!(time_left(in_a_minute, now), Duration::from_secs(60));
        assert_eq!(time_left(now, now), TIME_FOR_FEW);
        assert_eq!(time_left(now, in_a_minute), TIME_FOR_FEW);
    }
}
