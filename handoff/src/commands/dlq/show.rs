//! The printed output about dead letters.

use jiff::Timestamp;
use spot_handoff::lambda::ANNOUNCER;
use spot_handoff::notice::Signal;

use super::Case;
use super::judge::Judgement;
use super::letter::Letter;
use crate::NAME;
use crate::words::{count, span};
use crate::{style, terminal};

/// A table of the messages. Under each message: why it failed, and whether to try it again.
pub fn list(cases: &[Case], now: Timestamp) -> String {
    if cases.is_empty() {
        return style::good("✓ the dead-letter queues are empty");
    }
    let rows: Vec<(&Letter, &Judgement, Option<&str>)> = cases
        .iter()
        .map(|case| {
            // If a message cannot be read, that is also why it would fail again.
            let why = case.letter.read(now).is_ok().then_some(case.reason.why.as_str());
            (&case.letter, &case.judgement, why)
        })
        .collect();
    let sensible = cases.iter().filter(|case| case.judgement.is_sensible()).count();
    let end = format!(
        "{}, {sensible} worth a redrive: {NAME} dlq show ID, redrive ID or --all, delete ID",
        count(cases.len() as u64, "message")
    );
    format!(
        "{}\n\n{}",
        table(terminal::columns(), &rows, now),
        terminal::hang("", &end)
    )
}

/// A message as a line of the table.
pub fn line(letter: &Letter, judgement: &Judgement, now: Timestamp) -> String {
    table(terminal::columns(), &[(letter, judgement, None)], now)
}

const TITLES: [&str; 6] = ["id", "age", "function", "signal", "instance", "redrive"];
/// In a narrow table, the column with this index goes beneath the message.
const INSTANCE: usize = 4;
/// The indent of lines beneath a message: past its id.
const BENEATH: &str = "          ";

fn table(columns: Option<usize>, rows: &[(&Letter, &Judgement, Option<&str>)], now: Timestamp) -> String {
    let cells: Vec<[String; 6]> = rows
        .iter()
        .map(|(letter, judgement, _)| {
            let (signal, instance) = subject(letter, now);
            let age = span(now.duration_since(letter.sent));
            let redrive = if judgement.is_sensible() { "yes" } else { "no" };
            let (id, function) = (letter.short_id().to_owned(), letter.function.clone());
            [id, age, function, signal, instance, redrive.to_owned()]
        })
        .collect();
    let width = |column: usize| {
        let cells = cells.iter().map(|row| terminal::width(&row[column]));
        cells.chain([TITLES[column].len()]).max().unwrap_or(0)
    };
    let all: usize = (0..TITLES.len()).map(|column| width(column) + 2).sum();
    let is_narrow = columns.is_some_and(|columns| all - 2 > columns);
    let shown: Vec<usize> = (0..TITLES.len())
        .filter(|column| !(is_narrow && *column == INSTANCE))
        .collect();
    let row = |cells: &[String; 6]| {
        let cells: Vec<String> = shown
            .iter()
            .map(|column| format!("{:1$}", cells[*column], width(*column)))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![style::dim(&row(&TITLES.map(str::to_owned)))];
    for ((letter, judgement, why), cells) in rows.iter().zip(&cells) {
        let beneath = |text: &str| terminal::hang_in(columns, BENEATH, text);
        let id = style::strong(letter.short_id());
        lines.push(row(cells).replacen(letter.short_id(), &id, 1));
        if is_narrow && cells[INSTANCE] != "-" {
            lines.push(beneath(&format!("of {}", cells[INSTANCE])));
        }
        let judged = beneath(&judgement.to_string());
        lines.push(if judgement.is_sensible() {
            style::good(&judged)
        } else {
            style::warning(&judged)
        });
        lines.extend(why.map(|why| style::dim(&beneath(&format!("failed: {why}")))));
    }
    lines.join("\n")
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
        .map(|(name, value)| terminal::hang(&style::dim(&format!("{name:9}  ")), &value))
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

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::super::judge::judge;
    use super::*;

    #[test]
    fn a_narrow_table_tells_the_instance_beneath_and_stays_within_its_columns() {
        let sent: Timestamp = "2026-11-24T04:00:00Z".parse().unwrap();
        let body = json!({"id": "e", "source": "aws.ec2", "time": sent,
            "detail-type": "EC2 Spot Instance Interruption Warning",
            "detail": {"instance-id": "i-1234567890abcdef0", "instance-action": "terminate"}});
        let letter = Letter {
            id: "7bf73129-0000".to_owned(),
            function: "deregister-targets".to_owned(),
            source: "q".to_owned(),
            queue: "d".to_owned(),
            receipt: "r".to_owned(),
            sent,
            body: body.to_string(),
            undelivered: None,
        };
        let now = sent + SignedDuration::from_mins(10);
        let judgement = judge(&letter, now);
        let why = "DeregisterTargets refused: AccessDenied: not allowed (allow DeregisterTargets in the function's role)";
        let of = |columns| {
            let table = table(columns, &[(&letter, &judgement, Some(why))], now);
            anstream::adapter::strip_str(&table).to_string()
        };
        insta::assert_snapshot!(of(None));
        let narrow = of(Some(80));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(
            narrow.contains("\n          of i-1234567890abcdef0\n"),
            "{narrow}"
        );
    }
}
