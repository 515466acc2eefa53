//! What is printed of dead letters.

use jiff::Timestamp;
use spot_handoff::lambda::ANNOUNCER;
use spot_handoff::notice::Signal;

use super::Case;
use super::judge::{Judgement, span};
use super::letter::Letter;
use crate::NAME;
use crate::style;
use crate::words::count;

/// One line for each message.
pub fn list(cases: &[Case], now: Timestamp) -> String {
    if cases.is_empty() {
        return style::good("✓ the dead-letter queues are empty");
    }
    let mut lines = vec![style::dim(&format!(
        "{:8}  {:18}  {:>7}  {:26}  {:19}  redrive",
        "id", "function", "age", "signal", "instance"
    ))];
    for case in cases {
        // Why a message cannot be read is why it would fail again.
        let failed = match case.letter.read(now) {
            Ok(_) => format!(". Failed: {}", case.reason.why),
            Err(_) => String::new(),
        };
        lines.push(line(&case.letter, &case.judgement, now) + &style::dim(&failed));
    }
    let sensible = cases.iter().filter(|case| case.judgement.is_sensible()).count();
    lines.push(format!(
        "\n{}, {sensible} worth a redrive: {NAME} dlq show ID, redrive ID or --all, delete ID",
        count(cases.len() as u64, "message")
    ));
    lines.join("\n")
}

/// A message as a line: id, function, age, what it is about, whether to redrive it.
pub fn line(letter: &Letter, judgement: &Judgement, now: Timestamp) -> String {
    let (signal, instance) = subject(letter, now);
    let redrive = if judgement.is_sensible() {
        style::good(&format!("yes: {judgement}"))
    } else {
        style::warning(&format!("no: {judgement}"))
    };
    format!(
        "{}  {}  {:>7}  {signal:26}  {instance:19}  {redrive}",
        style::strong(letter.short_id()),
        style::function(&letter.function, &format!("{:18}", letter.function)),
        span(now.duration_since(letter.sent)),
    )
}

/// Everything about one message.
pub fn one(case: &Case, now: Timestamp) -> String {
    let letter = &case.letter;
    let (signal, instance) = subject(letter, now);
    let age = span(now.duration_since(letter.sent));
    let redrive = if case.judgement.is_sensible() { "yes" } else { "no" };
    let mut rows = vec![
        ("message", letter.id.clone()),
        ("function", letter.function.clone()),
        ("about", format!("{signal} {instance}").trim_end().to_owned()),
        ("sent", format!("{:.0}, {age} ago", letter.sent)),
        ("why", case.reason.why.clone()),
    ];
    if case.reason.tries > 0 {
        rows.push(("tries", format!("{} in the log", case.reason.tries)));
    }
    let undone = match (&case.reason.undone[..], letter.function.as_str()) {
        ([], _) if letter.read(now).is_err() => {
            vec!["nobody can tell: the message cannot be read".to_owned()]
        }
        ([], "deregister-targets") => vec!["its targets may still be registered".to_owned()],
        ([], "drain-tasks") => {
            vec![
                "its container instance may not be draining, its standalone tasks may not be stopped"
                    .to_owned(),
            ]
        }
        ([], ANNOUNCER) => vec!["nobody was told how it went".to_owned()],
        ([], _) => vec!["no replacement was asked for: the group finds out by its health checks".to_owned()],
        (undone, _) => undone.to_vec(),
    };
    rows.extend(undone.into_iter().map(|what| ("not done", what)));
    rows.push(("redrive", format!("{redrive}: {}", case.judgement)));
    let mut lines: Vec<String> = rows
        .into_iter()
        .map(|(name, value)| format!("{}  {value}", style::dim(&format!("{name:9}"))))
        .collect();
    let pretty = serde_json::from_str::<serde_json::Value>(&letter.body);
    let pretty = pretty.and_then(|body| serde_json::to_string_pretty(&body));
    lines.push(format!("\n{}", pretty.unwrap_or_else(|_| letter.body.clone())));
    lines.join("\n")
}

/// The signal and the instances.
fn subject(letter: &Letter, now: Timestamp) -> (String, String) {
    let Ok(notices) = letter.read(now) else {
        return ("-".to_owned(), "-".to_owned());
    };
    let Some(first) = notices.first() else {
        return ("-".to_owned(), "-".to_owned());
    };
    let mut signal = match &first.signal {
        Signal::FollowUp(_) => Signal::FOLLOW_UP.to_owned(),
        other => other.name().replace('-', " "),
    };
    if first.drill.is_some() {
        signal.push_str(" (drill)");
    }
    let instances: Vec<&str> = notices.iter().map(|notice| notice.instance.as_str()).collect();
    (signal, instances.join(" "))
}
