//! What the runs came to, as a table.

use std::fmt::Write as _;

use super::contender::Contender;
use super::outcome::{Losses, Outcome};

/// A column: its heading, and what stands in it.
type Column = (&'static str, fn(&Losses) -> Option<f64>);

/// The columns: a heading and the number. A number that nobody tells stays empty.
pub const COLUMNS: [Column; 10] = [
    ("failed requests", |of| Some(of.failed.all())),
    ("no target", |of| Some(of.failed.no_target)),
    ("gone", |of| Some(of.failed.gone)),
    ("cut", |of| Some(of.failed.cut)),
    ("dark s", |of| Some(of.dark_seconds)),
    ("tasks cut", |of| Some(of.tasks_cut)),
    ("job s lost", |of| Some(of.job_seconds_lost)),
    ("task s short", |of| Some(of.task_seconds_short)),
    ("paid twice s", |of| Some(of.instance_seconds_twice)),
    ("told wrongly", |of| of.misreported),
];

/// The mean of the seeds, and the highest value if it differs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// The mean.
    pub mean: f64,
    /// The highest.
    pub worst: f64,
}

/// One contender's row: a cell for each of [`COLUMNS`].
pub type Row = (Contender, Vec<Option<Cell>>);

/// The rows of a scenario, in the order of the contenders.
pub fn rows(outcomes: &[&Outcome]) -> Vec<Row> {
    let of = |contender: Contender| -> Vec<&Losses> {
        let runs = outcomes.iter().filter(|outcome| outcome.contender == contender);
        runs.map(|outcome| &outcome.told.losses).collect()
    };
    let rows = Contender::ALL.into_iter().filter_map(|contender| {
        let losses = of(contender);
        let cells = COLUMNS.iter().map(|(_, number)| {
            let numbers: Option<Vec<f64>> = losses.iter().map(|losses| number(losses)).collect();
            numbers.filter(|numbers| !numbers.is_empty()).map(|numbers| Cell {
                mean: numbers.iter().sum::<f64>() / numbers.len() as f64,
                worst: numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            })
        });
        (!losses.is_empty()).then(|| (contender, cells.collect()))
    });
    rows.collect()
}

/// A number as short as it can be read.
pub fn short(number: f64) -> String {
    match number {
        number if number.abs() < 0.05 => "0".to_owned(),
        number if number.abs() < 10.0 && (number - number.round()).abs() > 0.04 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    }
}

/// A cell for people.
pub fn cell(cell: Option<Cell>) -> String {
    cell.map_or_else(String::new, |cell| {
        let (mean, worst) = (short(cell.mean), short(cell.worst));
        if mean == worst {
            mean
        } else {
            format!("{mean} (≤{worst})")
        }
    })
}

/// The table of a scenario for a terminal.
pub fn text(title: &str, outcomes: &[&Outcome]) -> String {
    let head = std::iter::once("").chain(COLUMNS.iter().map(|(name, _)| *name));
    let mut lines: Vec<Vec<String>> = vec![head.map(str::to_owned).collect()];
    for (contender, cells) in rows(outcomes) {
        let cells = cells.into_iter().map(cell);
        lines.push(std::iter::once(contender.to_string()).chain(cells).collect());
    }
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..=COLUMNS.len()).map(width).collect();
    let mut text = format!("\n{title}\n");
    for line in &lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(text, "  {cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept_work::outcome::{Failed, Told};

    fn outcome(seed: u64, cut: f64) -> Outcome {
        Outcome {
            scenario: "one".to_owned(),
            contender: Contender::Nobody,
            seed,
            told: Told {
                losses: Losses {
                    failed: Failed {
                        cut,
                        ..Failed::default()
                    },
                    ..Losses::default()
                },
                from: 0.0,
                until: 1.0,
                requests: 0.0,
                warned: vec![],
                line: vec![],
                bound: None,
            },
            took: 0.0,
            story: vec![],
        }
    }

    #[test]
    fn seeds_are_told_by_their_mean_and_the_worst() {
        let (one, two) = (outcome(1, 1.0), outcome(2, 5.0));
        let rows = rows(&[&one, &two]);
        assert_eq!(rows.len(), 1, "only who ran has a row");
        assert_eq!(cell(rows[0].1[0]), "3 (≤5)");
        assert_eq!(cell(rows[0].1[1]), "0");
        assert!(text("One", &[&one, &two]).contains("nobody"), "{rows:?}");
    }

    #[test]
    fn numbers_are_short_but_nothing_is_rounded_away() {
        for (number, told) in [
            (0.0, "0"),
            (0.04, "0"),
            (0.06, "0.1"),
            (2.0, "2"),
            (9.96, "10"),
            (123.4, "123"),
        ] {
            assert_eq!(short(number), told);
        }
    }
}
