//! The pools as a self-contained page for a browser: when AWS took instances back, and a table.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::output::{COLUMNS, cells, name};
use super::rows::Row;
use crate::timeline::html::head;
use crate::words::count;

/// What this page needs in addition to the common style.
const STYLE: &str = include_str!("page.css");

/// The size of the timeline, in the units of the picture.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 24.0;
const TWO_DAYS: f64 = 172_800.0;

/// The page.
pub fn page(rows: &[Row], advice: Option<&str>, stack: &str, since: Timestamp, now: Timestamp) -> String {
    let title = format!("Spot capacity pools of {stack}");
    let warnings: usize = rows.iter().map(|row| row.warnings).sum();
    let taken = rows.iter().filter(|row| row.warnings > 0).count();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&title, STYLE))
            body {
                header {
                    h1 { (title) }
                    p {
                        (since.strftime("%F %T").to_string()) " to " (now.strftime("%F %T UTC").to_string()) ". "
                        (count(warnings as u64, "interruption")) " in " (count(taken as u64, "pool")) "."
                    }
                    @if let Some(advice) = advice { p.verdict.warning { "! " (advice) } }
                }
                main {
                    @if rows.is_empty() { p { "No interruption and no recommendation in this time." } }
                    @else {
                        section { h2 { "When instances were taken" } (moments(rows, now)) }
                        section { h2 { "What each pool has done" } (table(rows)) }
                    }
                }
            }
        }
    };
    page.into_string()
}

/// A timeline for each pool, from the first warning of all, with a mark for each warning of the pool.
fn moments(rows: &[Row], now: Timestamp) -> Markup {
    let all = rows.iter().flat_map(|row| &row.warned_at);
    let since = all.min().copied().unwrap_or(now);
    let whole = now.duration_since(since).as_secs_f64().max(1.0);
    let form = if whole < TWO_DAYS { "%F %R" } else { "%F" };
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
                span.ticks { span { (since.strftime(form).to_string()) } span { (now.strftime(form).to_string()) } }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &str, warned: &[&str]) -> Row {
        let pool = spot_handoff::report::Pool::of(Some(kind), None, Some("use1-az2")).expect("a pool");
        Row {
            warnings: warned.len(),
            warned_at: warned.iter().map(|at| at.parse().expect("a time")).collect(),
            ..Row::of(pool)
        }
    }

    #[test]
    fn a_warning_is_a_mark_where_it_was_in_time() {
        let rows = [
            row("m5.large", &["2026-11-01T00:00:00Z", "2026-11-06T00:00:00Z"]),
            row("c5.<b>", &["2026-11-11T00:00:00Z"]),
            row("r5.large", &[]),
        ];
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let (since, now) = (time("2026-10-12T00:00:00Z"), time("2026-11-11T00:00:00Z"));
        let page = page(&rows, Some("add types"), "spot-handoff", since, now);
        for (what, times) in [
            ("3 interruptions in 2 pools.", 1),
            ("! add types", 1),
            ("class=\"taken\"", 3),
            ("x1=\"0.0\"", 1),
            ("x1=\"500.0\"", 1),
            ("x1=\"1000.0\"", 1),
            ("c5.&lt;b&gt; in use1-az2", 3),
            ("r5.large in use1-az2", 1),
            ("<b>", 0),
        ] {
            assert_eq!(page.matches(what).count(), times, "{what} in {page}");
        }
        assert!(super::page(&[], None, "spot-handoff", since, now).contains("No interruption"));
    }
}
