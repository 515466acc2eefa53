//! What goes to the log: report lines by themselves, and lines of `tracing` with the request they belong to.

use crate::report::Report;

/// Writes the report line. It goes to stdout by itself, since its members are its own and not those of a log record.
#[allow(clippy::print_stdout)]
pub(super) fn write(report: &Report) {
    match serde_json::to_string(report) {
        Ok(line) => println!("{line}"),
        Err(error) => tracing::error!("cannot write a report: {error}"),
    }
}

/// Sets up the lines of `tracing`. Each carries the spans it was written in: the request, and what it is about.
pub(super) fn init(level: tracing::Level) {
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
        .with_span_list(true);
    // A second initialisation can only happen in tests, and changes nothing there.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
}
