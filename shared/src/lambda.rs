//! The loop around a function: read the batch, hand the instances off, report, answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use thiserror::Error as ThisError;

use crate::aws::{self, CallCounter};
use crate::batch::Batch;
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::invocation::Invocation;
use crate::metrics;
use crate::notice::{Home, Message, Notice};
use crate::plan::{Action, Plan, Results};
use crate::report::{Outcome, Report};

/// One of the three functions.
pub trait Function: Sized + 'static {
    /// Its name, as reports and metrics carry it.
    const NAME: &'static str;

    /// Reads the configuration and makes the clients.
    ///
    /// # Errors
    /// Where an environment variable is wrong; the error names it.
    fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError>;

    /// Facts, plan, effects: returns one report for each notice, in their order.
    fn hand_off(&self, notices: &[Notice], invocation: &Invocation) -> impl Future<Output = Vec<Report>>;
}

/// A bare event that failed: what Lambda shows to whoever sent it.
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
/// Where the environment is wrong or the Lambda Runtime API is gone.
pub async fn run<F: Function>() -> Result<(), Error> {
    let env = Env::of_process();
    init_tracing(env.log_level()?);
    let clock = Clock::from_env(&env)?;
    let dry_run = env.dry_run()?;
    let counter = CallCounter::default();
    let sdk = aws::sdk_config().await;
    let function = Arc::new(F::new(&env, &sdk, counter.clone())?);

    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let (function, counter) = (Arc::clone(&function), counter.clone());
        async move {
            let time_left = event
                .context
                .deadline()
                .duration_since(SystemTime::now())
                .unwrap_or(Duration::ZERO);
            let invocation = Invocation::new(F::NAME, clock, dry_run, time_left);
            let home = Home::of_arn(&event.context.invoked_function_arn);
            let batch = Batch::read(event.payload.get(), &home, invocation.started_at);
            handle(&*function, batch, &invocation, &counter).await
        }
    }))
    .await
}

/// Handles one batch and makes Lambda's answer.
async fn handle<F: Function>(
    function: &F,
    batch: Batch,
    invocation: &Invocation,
    counter: &CallCounter,
) -> Result<Value, BareEventError> {
    let calls_before = counter.totals();
    let mut failed: Vec<bool> = batch
        .messages
        .iter()
        .map(|message| message.content.is_err())
        .collect();
    for message in &batch.messages {
        match &message.content {
            Ok(Message::Notices(_)) => {}
            Ok(Message::NotOurs { what }) => {
                tracing::info!(message_id = message.id, "not for us, ignored: {what}")
            }
            Err(error) => tracing::error!(message_id = message.id, "cannot read the message: {error}"),
        }
    }

    let (indexes, notices): (Vec<_>, Vec<_>) = batch.notices().into_iter().unzip();
    let reports = hand_off_the_fresh(function, &notices, invocation).await;
    for (index, report) in indexes.into_iter().zip(&reports) {
        failed[index] |= report.outcome == Outcome::Failed;
        write(report);
        metrics::instance(report, invocation.clock.now());
    }
    metrics::invocation(F::NAME, calls_before, counter.totals(), &failed);

    if batch.from_queue {
        return Ok(json!(batch.response(&failed)));
    }
    match &batch.messages[0].content {
        Err(error) => Err(BareEventError::Unreadable(error.to_string())),
        Ok(_) if failed[0] => Err(BareEventError::Failed(reports)),
        Ok(Message::NotOurs { what }) => Ok(json!({ "ignored": what })),
        Ok(Message::Notices(_)) => Ok(json!({ "reports": reports })),
    }
}

/// Stale notices are reported and left alone; the function sees the others.
async fn hand_off_the_fresh<F: Function>(
    function: &F,
    notices: &[Notice],
    invocation: &Invocation,
) -> Vec<Report> {
    let is_stale = |notice: &Notice| notice.is_stale(invocation.started_at);
    let fresh: Vec<Notice> = notices
        .iter()
        .filter(|notice| !is_stale(notice))
        .cloned()
        .collect();
    let mut handed_off = if fresh.is_empty() {
        vec![]
    } else {
        function.hand_off(&fresh, invocation).await
    }
    .into_iter();
    let report = |notice| {
        if is_stale(notice) {
            Some(stale(notice, invocation))
        } else {
            handed_off.next()
        }
    };
    notices.iter().filter_map(report).collect()
}

fn stale(notice: &Notice, invocation: &Invocation) -> Report {
    let minutes = invocation.started_at.duration_since(notice.time).as_mins();
    let reason = format!(
        "the notice is {minutes} minutes old and the id may belong to a restarted instance by now; \
         replay it with a fresh `time` to act on it all the same"
    );
    let plan = Plan::<NoAction, String, String>::nothing(&notice.instance, reason);
    invocation.report(notice, &plan, &Results::new())
}

/// The actions of a plan that has none.
#[derive(Clone, PartialEq, Eq, Hash)]
enum NoAction {}

impl Action for NoAction {
    fn describe(&self) -> (&'static str, String, String) {
        match *self {}
    }
}

/// Writes the report line. It goes to stdout by itself, since its members are its own and not those of a log record.
#[allow(clippy::print_stdout)]
fn write(report: &Report) {
    match serde_json::to_string(report) {
        Ok(line) => println!("{line}"),
        Err(error) => tracing::error!("cannot write a report: {error}"),
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

fn init_tracing(level: tracing::Level) {
    // Only our own lines: the SDK's and hyper's help nobody at night.
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(tracing::Level::WARN)
        .with_target("spot_handoff", level)
        .with_target("deregister_targets", level)
        .with_target("drain_tasks", level)
        .with_target("replace_capacity", level);
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false);
    // A second initialisation can only happen in tests, and changes nothing there.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
}
