//! The pools as one page for a browser, which needs nothing but itself: when AWS took instances back, and a table.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::output::{COLUMNS, cells, name};
use super::rows::Row;
use crate::words::count;

const STYLE: &str = include_str!("../../timeline/html/page.css");
/// What this page has besides.
const OWN_STYLE: &str = include_str!("page.css");

/// Of the line of time, in the units of the picture.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 24.0;

/// The page.
pub fn page(rows: &[Row], advice: Option<&str>, stack: &str, since: Timestamp, now: Timestamp) -> String {
    let title = format!("Spot capacity pools of {stack}");
    let warnings: usize = rows.iter().map(|row| row.warnings).sum();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(OWN_STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p {
                        (since.strftime("%F %T").to_string()) " to " (now.strftime("%F %T UTC").to_string()) ". "
                        (count(warnings as u64, "interruption")) " in " (count(rows.len() as u64, "pool")) "."
                    }
                    @if let Some(advice) = advice { p.verdict.warning { "! " (advice) } }
                }
                main {
                    @if rows.is_empty() { p { "No interruption and no recommendation in this time." } }
                    @else {
                        section { h2 { "When instances were taken" } (moments(rows, since, now)) }
                        section { h2 { "What each pool has done" } (table(rows)) }
                    }
                }
            }
        }
    };
    page.into_string()
}

/// A line of time for each pool, and a mark for each warning.
fn moments(rows: &[Row], since: Timestamp, now: Timestamp) -> Markup {
    let whole = now.duration_since(since).as_secs_f64().max(1.0);
    let x = |at: &Timestamp| (at.duration_since(since).as_secs_f64() / whole).clamp(0.0, 1.0) * WIDTH;
    let most = rows.iter().map(|row| row.warnings).max().unwrap_or(0).max(1);
    html! {
        div.pools {
            @for row in rows.iter().filter(|row| row.warnings > 0) {
                div.pool {
                    span.name { (name(&row.pool)) }
                    svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                        aria-label={ (count(row.warnings as u64, "interruption")) " of " (name(&row.pool)) } {
                        rect.lane x="0" y="0" width=(WIDTH) height=(HEIGHT) {}
                        @for at in &row.warned_at {
                            line.taken x1=(format!("{:.1}", x(at))) x2=(format!("{:.1}", x(at))) y1="3" y2=(HEIGHT - 3.0) {
                                title { (at.strftime("%F %T UTC").to_string()) }
                            }
                        }
                    }
                    span.number { (row.warnings) }
                    span.share { span style={ "width:" (row.warnings * 100 / most) "%" } {} }
                }
            }
            div.pool.ends aria-hidden="true" {
                span {}
                span.ticks { span { (since.strftime("%F").to_string()) } span { (now.strftime("%F").to_string()) } }
            }
        }
    }
}

fn table(rows: &[Row]) -> Markup {
    html! {
        div.table {
            table.pools {
                thead { tr { @for column in COLUMNS { th { (column) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (column, cell) in COLUMNS.iter().zip(cells(row)) {
                                td data-column=(column) { (cell) }
                            }
                        }
                    }
                }
            }
        }
    }
}
