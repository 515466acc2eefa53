//! What goes to the log: report lines, and lines of `tracing` with the request and the notices they belong to.

use std::future::Future;

use serde::Serialize;
use tracing::{Level, Span, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::notice::Notice;
use crate::report::Report;

/// A line names at most this many notices. The reports name all of them.
const NAMED: usize = 10;

tokio::task_local! {
    static REQUEST: String;
}

/// A report as a line of the log.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    report: &'a Report,
    request_id: &'a str,
}

/// Works on a request of Lambda. Reports written meanwhile carry its id.
pub(super) async fn on_request<W: Future>(request_id: String, work: W) -> W::Output {
    REQUEST.scope(request_id, work).await
}

/// Writes the report line directly to stdout, since it has its own fields and not those of a log record.
#[allow(clippy::print_stdout)]
pub(super) fn write(report: &Report) {
    let line = REQUEST.try_with(|request_id| serde_json::to_string(&Line { report, request_id }));
    match line.unwrap_or_else(|_| serde_json::to_string(report)) {
        Ok(line) => println!("{line}"),
        Err(error) => tracing::error!("cannot write a report: {error}"),
    }
}

/// The span for the work on notices. It has the level of errors, so it exists at every log level.
pub(super) fn about(notices: &[Notice]) -> Span {
    match notices {
        [one] => tracing::error_span!(
            "notice",
            event_id = one.event_id,
            signal = one.signal.name(),
            instance = one.instance.as_str()
        ),
        many if many.len() > NAMED => tracing::error_span!("notices", count = many.len()),
        many => {
            let names = |of: fn(&Notice) -> &str| many.iter().map(of).collect::<Vec<_>>().join(" ");
            tracing::error_span!(
                "notices",
                event_ids = names(|notice| &notice.event_id),
                instances = names(|notice| notice.instance.as_str())
            )
        }
    }
}

/// Sets up the lines of `tracing`.
pub(super) fn init(level: Level) {
    // A second initialisation can only happen in tests, and changes nothing there.
    let _ = lines(level, std::io::stdout).try_init();
}

/// JSON lines. Each carries the spans it was written in: the request, from the layer of `lambda_runtime`, and the
/// notices.
fn lines<W>(level: Level, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // Only our own lines: those of the SDK and hyper help nobody at night.
    let filter = Targets::new()
        .with_default(Level::WARN)
        .with_target("lambda_runtime::layers::trace", Level::INFO)
        .with_target("spot_handoff", level)
        .with_target("announce_hand_offs", level)
        .with_target("deregister_targets", level)
        .with_target("drain_tasks", level)
        .with_target("replace_capacity", level)
        .with_target("run_commands", level);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_writer(writer);
    tracing_subscriber::registry().with(filter).with(lines)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use lambda_runtime::Context;
    use lambda_runtime::layers::trace::request_span;
    use serde_json::{Value, json};

    use super::*;
    use crate::notice::Signal;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("a lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn notice(number: usize) -> Notice {
        Notice {
            event_id: format!("event-{number}"),
            instance: format!("i-{number:017}").parse().expect("an id"),
            time: "2026-11-24T04:00:00Z".parse().expect("a time"),
            signal: Signal::RebalanceRecommendation,
            ends: None,
            drill: None,
        }
    }

    fn line(notices: &[Notice]) -> Value {
        let kept = Kept::default();
        let writer = kept.clone();
        tracing::subscriber::with_default(lines(Level::WARN, move || writer.clone()), || {
            let mut context = Context::default();
            context.request_id = "request-1".to_owned();
            request_span(&context).in_scope(|| {
                about(notices).in_scope(|| tracing::warn!("something was odd"));
            });
        });
        let written = kept.0.lock().expect("a lock").clone();
        serde_json::from_slice(&written).expect("one line of JSON")
    }

    #[test]
    fn a_line_names_the_request_and_the_notices() {
        let one = line(&[notice(1)]);
        assert_eq!(one["message"], "something was odd");
        assert_eq!(one["spans"][0]["requestId"], "request-1");
        let expected = json!({"name": "notice", "event_id": "event-1", "instance": "i-00000000000000001",
            "signal": "rebalance-recommendation"});
        assert_eq!(one["spans"][1], expected);

        let two = line(&[notice(1), notice(2)]);
        assert_eq!(two["spans"][1]["event_ids"], "event-1 event-2");
        assert_eq!(
            two["spans"][1]["instances"],
            "i-00000000000000001 i-00000000000000002"
        );
        let storm: Vec<Notice> = (0..1000).map(notice).collect();
        assert_eq!(
            line(&storm)["spans"][1],
            json!({"name": "notices", "count": 1000})
        );
    }
}
