//! Metrics in CloudWatch's embedded metric format, in the same log stream as the reports.
//!
//! Namespace: the stack's prefix. Dimension: `Function`.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::sync::{LazyLock, OnceLock};
use std::time::SystemTime;

use jiff::Timestamp;
use metrique::emf::Emf;
use metrique::unit::{Count, Second};
use metrique::unit_of_work::metrics;
use metrique::writer::sink::FlushImmediately;
use metrique::writer::{BoxEntrySink, FormatExt};

use crate::notice::Signal;
use crate::report::{ActionLine, ActionResult, Outcome, Report};

/// The CloudWatch namespace, unless `METRICS_NAMESPACE` sets another.
pub const NAMESPACE: &str = "spot-handoff";

static COUNTED_UNDER: OnceLock<String> = OnceLock::new();

/// Sets the namespace, before the first metric. Each stack has its own, so that two stacks do not count together.
pub fn count_under(namespace: Option<String>) {
    if let Some(namespace) = namespace {
        // Only tests set it a second time.
        let _ = COUNTED_UNDER.set(namespace);
    }
}

#[metrics(rename_all = "PascalCase")]
struct InstanceMetrics {
    #[metrics(timestamp)]
    timestamp: SystemTime,
    function: String,
    signal: String,
    #[metrics(unit = Count)]
    instances_handled: u64,
    #[metrics(unit = Count)]
    instances_failed: u64,
    #[metrics(unit = Count)]
    actions_done: u64,
    #[metrics(unit = Count)]
    replacements: u64,
    #[metrics(unit = Count)]
    tasks_saved: u64,
    #[metrics(unit = Count)]
    scripts_lost: u64,
    #[metrics(unit = Second)]
    seconds_to_done: f64,
    #[metrics(unit = Second)]
    seconds_left: Option<f64>,
}

#[metrics(rename_all = "PascalCase")]
struct InvocationMetrics {
    #[metrics(timestamp)]
    timestamp: SystemTime,
    function: &'static str,
    #[metrics(unit = Count)]
    aws_calls: u64,
    #[metrics(unit = Count)]
    throttled_calls: u64,
    #[metrics(unit = Count)]
    messages: u64,
    #[metrics(unit = Count)]
    messages_failed: u64,
}

/// Writes the metrics of one handled instance.
pub fn instance(report: &Report, now: Timestamp) {
    let failed = report.outcome == Outcome::Failed;
    let done = |line: &ActionLine| line.result == ActionResult::Done;
    let record = InstanceMetrics {
        timestamp: SystemTime::now(),
        function: report.function.clone(),
        signal: report.signal.clone(),
        instances_handled: u64::from(!failed),
        instances_failed: u64::from(failed),
        actions_done: report.actions.iter().filter(|line| done(line)).count() as u64,
        replacements: report
            .actions
            .iter()
            .filter(|line| done(line) && line.launches)
            .count() as u64,
        tasks_saved: report.tasks.iter().filter(|task| task.saved).count() as u64,
        scripts_lost: report.scripts.iter().filter(|script| !script.saved).count() as u64,
        seconds_to_done: now.duration_since(report.notice_time).as_secs_f64(),
        // Only for a warning does this say whether the functions were fast enough. A follow-up comes when it was
        // planned, and a retirement is days away.
        seconds_left: (report.signal == Signal::INTERRUPTION_WARNING)
            .then_some(report.seconds_left_at_end)
            .flatten(),
    };
    drop(record.append_on_drop(sink()));
}

/// Writes the metrics of one invocation, from the counts of calls before and after it.
pub fn invocation(function: &'static str, before: (u64, u64), after: (u64, u64), failed: &[bool]) {
    let record = InvocationMetrics {
        timestamp: SystemTime::now(),
        function,
        aws_calls: after.0 - before.0,
        throttled_calls: after.1 - before.1,
        messages: failed.len() as u64,
        messages_failed: failed.iter().filter(|failed| **failed).count() as u64,
    };
    drop(record.append_on_drop(sink()));
}

/// Each record is written to stdout at once: Lambda may freeze the process right after the answer.
fn sink() -> BoxEntrySink {
    static SINK: LazyLock<BoxEntrySink> = LazyLock::new(|| {
        let namespace = COUNTED_UNDER.get().map_or(NAMESPACE, String::as_str);
        let format = Emf::builder(namespace.to_owned(), vec![vec!["Function".to_owned()]]).build();
        FlushImmediately::new_boxed(format.output_to_makewriter(|| std::io::stdout().lock()))
    });
    SINK.clone()
}
