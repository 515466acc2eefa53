//! The table as text and as Markdown.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::report::Pool;

use super::rows::Row;
use crate::words::span;

/// A pool in words.
pub fn name(pool: &Pool) -> String {
    let zone = pool.zone_id.as_deref().or(pool.zone.as_deref());
    match (pool.instance_type.as_deref(), zone) {
        (None, None) => "not known".to_owned(),
        (kind, zone) => format!("{} in {}", kind.unwrap_or("?"), zone.unwrap_or("?")),
    }
}

/// The headings of a row.
pub const COLUMNS: [&str; 9] = [
    "pool",
    "warnings",
    "failed",
    "recommendations",
    "came true",
    "median life",
    "whole after",
    "short",
    "on-demand",
];

/// The cells of a row.
pub fn cells(row: &Row) -> [String; 9] {
    let of_watched = |number: usize| match row.watched {
        0 => "-".to_owned(),
        watched => format!("{number} of {watched}"),
    };
    let whole = row.seconds_until_whole;
    let life = row.life_seconds.and_then(|seconds| i64::try_from(seconds).ok());
    let life = life.map(SignedDuration::from_secs);
    [
        name(&row.pool),
        row.warnings.to_string(),
        row.failed.to_string(),
        row.recommendations.to_string(),
        row.came_true.to_string(),
        life.map_or("-".to_owned(), span),
        whole.map_or("-".to_owned(), |seconds| format!("{seconds} s")),
        of_watched(row.short),
        of_watched(row.filled_on_demand),
    ]
}

/// As wide as `10 of 25`.
const NUMBER: usize = 8;

/// For a terminal.
pub fn text(rows: &[Row], advice: Option<&str>, since: Timestamp) -> String {
    if rows.is_empty() {
        return format!("no interruption and no recommendation since {since:.0}\n");
    }
    let first = |cells: &[String; 9]| cells[0].chars().count();
    let width = rows.iter().map(|row| first(&cells(row))).max().unwrap_or(0);
    let line = |cells: [&str; 9]| {
        let [pool, numbers @ ..] = cells;
        let numbers = numbers.iter().zip(&COLUMNS[1..]);
        let numbers =
            numbers.map(|(number, column)| format!("  {number:>width$}", width = column.len().max(NUMBER)));
        format!("{pool:<width$}{}\n", numbers.collect::<String>())
    };
    let mut text = line(COLUMNS);
    for row in rows {
        let cells = cells(row);
        text += &line(cells.each_ref().map(String::as_str));
    }
    text + &advice.map(|advice| format!("\n{advice}\n")).unwrap_or_default()
}

/// For a ticket or a page.
pub fn markdown(rows: &[Row], advice: Option<&str>) -> String {
    let mut text = format!("| {} |\n|{}\n", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()));
    for row in rows {
        text += &format!("| {} |\n", cells(row).join(" | "));
    }
    text + &advice.map(|advice| format!("\n{advice}\n")).unwrap_or_default()
}
