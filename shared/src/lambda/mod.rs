//! The loop around a function: read the batch, hand the instances off, report, answer.

pub mod envelope;
pub mod inbox;
pub mod outbox;

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
use crate::notice::{Home, Message, Notice, Signal, Step};
use crate::report::metrics;
use crate::report::plan::{Action, Plan, Results};
use crate::report::{ActionResult, Outcome, Report};
use crate::runtime::aws::{self, CallCounter};
use crate::runtime::clock::Clock;
use crate::runtime::config::{ConfigError, Env};
use crate::runtime::invocation::{Invocation, Times};

/// Notices that AWS's request rates do not make wait.
const FEW_MESSAGES: usize = 100;
const TIME_FOR_FEW: Duration = Duration::from_secs(15);
/// A storm of thousands is hundreds of calls to SQS.
const TIME_TO_SETTLE_MANY: Duration = Duration::from_secs(2);

/// One of the functions.
pub trait Function: Sized + 'static {
    /// Its name, as reports and metrics carry it.
    const NAME: &'static str;

    /// Reads the configuration and makes the clients.
    ///
    /// # Errors
    /// Where an environment variable is wrong; the error names it.
    fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError>;

    /// Whether the notice is left alone for its age. It is not where nothing is done to the instance.
    fn is_stale(notice: &Notice, now: Timestamp) -> bool {
        notice.is_stale(now)
    }

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
    let sdk = aws::sdk_config(&env, clock)?;
    let function = Arc::new(F::new(&env, &sdk, counter.clone())?);
    let queue = OwnQueue::of(F::NAME, &env, &sdk, counter.clone()).map(Arc::new);

    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let (function, queue, counter) = (Arc::clone(&function), queue.clone(), counter.clone());
        async move {
            let time_left = event
                .context
                .deadline()
                .duration_since(SystemTime::now())
                .unwrap_or(Duration::ZERO);
            let ends_at = Instant::now() + time_left;
            let started_at = clock.now();
            let home = Home::of_arn(&event.context.invoked_function_arn);
            let mut batch = Batch::read(event.payload.get(), &home, started_at);
            let queue = queue.as_deref().filter(|_| batch.from_queue);
            if let Some(queue) = queue {
                let more = queue.more(batch.messages.len()).await;
                batch.add(more, &home, started_at);
            }
            let times = times_for(
                batch.messages.len(),
                ends_at.saturating_duration_since(Instant::now()),
            );
            let mut invocation = Invocation::within(F::NAME, clock, dry_run, times);
            invocation.started_at = started_at;
            handle(&*function, queue, batch, &invocation, &counter).await
        }
    }))
    .await
}

/// How much of the time that Lambda gives is used.
///
/// Few notices that are not handled after 15 seconds have met a fault, and are better tried again while there is time. A
/// storm waits for the request rates of AWS, and then takes a while to be taken off the queue.
fn times_for(messages: usize, time_left: Duration) -> Times {
    if messages <= FEW_MESSAGES {
        Times::of(time_left.min(TIME_FOR_FEW))
    } else {
        Times::of(time_left).keeping(TIME_TO_SETTLE_MANY)
    }
}

/// Handles one batch and makes Lambda's answer.
async fn handle<F: Function>(
    function: &F,
    queue: Option<&OwnQueue>,
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
    let reports = hand_off(function, &notices, invocation).await;
    for ((index, notice), report) in indexes.into_iter().zip(&notices).zip(&reports) {
        failed[index] |= report.outcome == Outcome::Failed;
        if !has_seen_nothing_new(notice, report) {
            write(report);
            metrics::instance(report, invocation.clock.now());
        }
    }
    if let Some(queue) = queue {
        let worked = invocation.clock.now().duration_since(invocation.started_at);
        queue
            .settle(&batch, &failed, worked, invocation.settles_until())
            .await;
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

/// Whether it is about a look that did nothing but plan the next one: there are twelve in the two minutes of a notice.
fn has_seen_nothing_new(notice: &Notice, report: &Report) -> bool {
    let is_look =
        matches!(&notice.signal, Signal::FollowUp(follow_up) if matches!(follow_up.step, Step::Look { .. }));
    let is_quiet = report.problems.is_empty() && report.warnings.is_empty();
    let mut results = report.actions.iter().map(|line| line.result);
    is_look && is_quiet && results.all(|result| result == ActionResult::Later)
}

/// What becomes of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It is handed off, or planned where the function is set to plan only.
    AsSet,
    /// It is a drill, which is planned only.
    PlannedOnly,
    /// It is too old: it is reported and left alone.
    Stale,
}

impl Mode {
    fn of<F: Function>(notice: &Notice, now: Timestamp) -> Self {
        match (F::is_stale(notice, now), notice.is_planned_only()) {
            (true, _) => Self::Stale,
            (false, true) => Self::PlannedOnly,
            (false, false) => Self::AsSet,
        }
    }
}

/// Hands the notices of a batch off, each in its mode; one report for each, in their order.
async fn hand_off<F: Function>(function: &F, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
    let modes: Vec<Mode> = notices
        .iter()
        .map(|notice| Mode::of::<F>(notice, invocation.started_at))
        .collect();
    let planning = invocation.planning_only();
    let (as_set, planned) = tokio::join!(
        hand_off_those(function, notices, &modes, Mode::AsSet, invocation),
        hand_off_those(function, notices, &modes, Mode::PlannedOnly, &planning),
    );
    let (mut as_set, mut planned) = (as_set.into_iter(), planned.into_iter());
    let report = |(notice, mode): (&Notice, &Mode)| match mode {
        Mode::AsSet => as_set.next(),
        Mode::PlannedOnly => planned.next(),
        Mode::Stale => Some(stale(notice, invocation)),
    };
    notices.iter().zip(&modes).filter_map(report).collect()
}

async fn hand_off_those<F: Function>(
    function: &F,
    notices: &[Notice],
    modes: &[Mode],
    mode: Mode,
    invocation: &Invocation,
) -> Vec<Report> {
    let those = notices.iter().zip(modes).filter(|(_, its)| **its == mode);
    let those: Vec<Notice> = those.map(|(notice, _)| notice.clone()).collect();
    if those.is_empty() {
        return vec![];
    }
    function.hand_off(&those, invocation).await
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
        .with_target("announce_hand_offs", level)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plan::Done;

    /// Says of each notice whether it was to be planned only.
    struct Recorder;

    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Act;

    impl Action for Act {
        fn describe(&self) -> (&'static str, String, String) {
            ("act", String::new(), String::new())
        }
    }

    impl Function for Recorder {
        const NAME: &'static str = "recorder";

        fn new(_: &Env, _: &SdkConfig, _: CallCounter) -> Result<Self, ConfigError> {
            Ok(Self)
        }

        async fn hand_off(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
            let plan = Plan::<Act, String, String> {
                actions: vec![Act],
                ..Plan::default()
            };
            let mut results = Results::new();
            if !invocation.dry_run {
                results.insert(Act, Done::now(invocation.clock));
            }
            let report = |notice| invocation.report(notice, &plan, &results);
            notices.iter().map(report).collect()
        }
    }

    fn record(id: &str, source: &str, age_minutes: i64, for_real: bool) -> Value {
        let sent = Timestamp::now() - jiff::SignedDuration::from_mins(age_minutes);
        let event = json!({"id": id, "source": source, "time": sent,
            "detail-type": "EC2 Instance Rebalance Recommendation",
            "detail": {"instance-id": "i-1234567890abcdef0", "for-real": for_real}});
        json!({"messageId": id, "body": event.to_string()})
    }

    #[test]
    fn few_notices_are_given_up_early_and_many_have_time_left_to_be_settled() {
        let table = [
            (1, 60_000, (14_250, 14_850)),
            (100, 3_000, (2_250, 2_850)),
            // What is kept for settling is used for it, up to the end.
            (101, 60_000, (57_250, 59_850)),
            (101, 1_000, (0, 850)),
        ];
        for (messages, left, expected) in table {
            let times = times_for(messages, Duration::from_millis(left));
            let found = (times.calling.as_millis(), times.settling.as_millis());
            assert_eq!(found, expected, "{messages} messages, {left} ms left");
        }
    }

    #[tokio::test]
    async fn each_notice_of_a_batch_is_handed_off_in_its_own_mode() {
        let drill = crate::notice::DRILL_SOURCE;
        let payload = json!({"Records": [
            record("real", "aws.ec2", 0, false),
            record("drill", drill, 0, false),
            record("old", "aws.ec2", 60, false),
            record("drill for real", drill, 0, true),
            record("real again", "aws.ec2", 0, false),
        ]});
        let notices = || {
            let batch = Batch::read(&payload.to_string(), &Home::default(), Timestamp::now());
            batch
                .notices()
                .into_iter()
                .map(|(_, notice)| notice)
                .collect::<Vec<_>>()
        };
        for (dry_run, expected) in [
            (
                false,
                [
                    ("real", Outcome::Done, false),
                    ("drill", Outcome::Planned, true),
                    ("old", Outcome::NothingToDo, false),
                    ("drill for real", Outcome::Done, true),
                    ("real again", Outcome::Done, false),
                ],
            ),
            // A function that is set to plan only does nothing else, whatever a drill says.
            (
                true,
                [
                    ("real", Outcome::Planned, false),
                    ("drill", Outcome::Planned, true),
                    ("old", Outcome::NothingToDo, false),
                    ("drill for real", Outcome::Planned, true),
                    ("real again", Outcome::Planned, false),
                ],
            ),
        ] {
            let invocation = Invocation::new("recorder", Clock::real(), dry_run, Duration::from_secs(15));
            let reports = hand_off(&Recorder, &notices(), &invocation).await;
            let said: Vec<_> = reports
                .iter()
                .map(|report| (report.event_id.as_str(), report.outcome, report.drill))
                .collect();
            assert_eq!(said, expected, "DRY_RUN is {dry_run}");
        }
    }
}
