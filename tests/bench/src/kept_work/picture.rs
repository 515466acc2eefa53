//! The picture of a scenario: three panels one above the other, one line per contender.
//!
//! Lines at the same height are drawn a little apart, so that none hides another.

use std::fmt::Write as _;

use super::contender::Contender;
use super::outcome::{Moment, Outcome};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 64.0;
const PANEL: f64 = 120.0;
const GAP: f64 = 40.0;
/// How far apart lines are drawn that have the same value.
const APART: f64 = 3.2;

/// What a panel shows: its heading, and the number of a moment.
type Panel = (&'static str, fn(&Moment) -> f64);

const PANELS: [Panel; 3] = [
    ("Targets that serve", |moment| moment.1),
    ("Tasks that run", |moment| moment.2),
    ("Instances in service", |moment| moment.3),
];

/// Colours that can be told apart by everybody (Okabe and Ito).
fn colour(contender: Contender) -> &'static str {
    match contender {
        Contender::Nobody => "#999999",
        Contender::EcsDraining => "#e69f00",
        Contender::CapacityRebalancing => "#cc79a7",
        Contender::PythonSample => "#56b4e9",
        Contender::SpotHandoff => "#009e73",
        Contender::LowerBound => "#000000",
    }
}

/// The picture as SVG; nothing if nobody ran. It shows one run of each contender, that of the lowest seed.
pub fn svg(title: &str, outcomes: &[&Outcome]) -> Option<String> {
    let mut drawn: Vec<&Outcome> = vec![];
    for contender in Contender::ALL {
        let mut runs: Vec<_> = outcomes.iter().filter(|one| one.contender == contender).collect();
        runs.sort_by_key(|outcome| outcome.seed);
        if contender != Contender::LowerBound {
            drawn.extend(runs.first().map(|outcome| **outcome));
        }
    }
    let first = drawn.first()?;
    let scale = Scale {
        from: first.told.from,
        until: first.told.until,
    };
    let panels: Vec<&Panel> = PANELS
        .iter()
        .filter(|(_, number)| {
            let lines = drawn.iter().flat_map(|outcome| &outcome.told.line);
            lines.into_iter().any(|moment| number(moment) > 0.0)
        })
        .collect();
    let height = TOP + panels.len() as f64 * (PANEL + GAP) + 4.0;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="Helvetica, Arial, sans-serif" font-size="12">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
<text x="{LEFT}" y="22" font-size="16" font-weight="bold">{}</text>
"##,
        escaped(title)
    );
    legend(&mut svg, &drawn);
    for (index, panel) in panels.iter().enumerate() {
        let top = TOP + index as f64 * (PANEL + GAP);
        draw(&mut svg, panel, top, &scale, &drawn);
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

/// Seconds to pixels.
struct Scale {
    from: f64,
    until: f64,
}

impl Scale {
    fn x(&self, second: f64) -> f64 {
        let share = (second - self.from) / (self.until - self.from);
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// Where the axis has marks: every one, two, five or ten minutes, so that there are at most a dozen.
    fn marks(&self) -> impl Iterator<Item = f64> + use<> {
        let step = [60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0]
            .into_iter()
            .find(|step| (self.until - self.from) / step <= 12.0)
            .unwrap_or(14_400.0);
        let (first, last) = (
            (self.from / step).ceil() as i64,
            (self.until / step).floor() as i64,
        );
        (first..=last).map(move |number| number as f64 * step)
    }
}

fn legend(svg: &mut String, drawn: &[&Outcome]) {
    let mut x = LEFT;
    for outcome in drawn {
        let name = outcome.contender.name();
        let weight = if outcome.contender == Contender::SpotHandoff {
            "bold"
        } else {
            "normal"
        };
        let _ = writeln!(
            svg,
            r#"<rect x="{x}" y="33" width="18" height="4" fill="{}"/><text x="{}" y="39" font-weight="{weight}">{name}</text>"#,
            colour(outcome.contender),
            x + 23.0
        );
        x += 42.0 + 7.0 * name.len() as f64;
    }
}

fn draw(svg: &mut String, (heading, number): &Panel, top: f64, scale: &Scale, drawn: &[&Outcome]) {
    let values = drawn
        .iter()
        .flat_map(|outcome| outcome.told.line.iter().map(number));
    let highest = values.fold(1.0, f64::max);
    let bottom = top + PANEL;
    let y = |value: f64| bottom - 12.0 - value / highest * (PANEL - 28.0);
    notice(svg, top, scale);
    let _ = writeln!(
        svg,
        r##"<text x="{LEFT}" y="{}" fill="#444444">{heading}</text>
<line x1="{LEFT}" y1="{bottom}" x2="{}" y2="{bottom}" stroke="#888888"/>"##,
        top - 5.0,
        WIDTH - RIGHT
    );
    for value in [0.0, (highest / 2.0).floor(), highest] {
        let _ = writeln!(
            svg,
            r##"<text x="{}" y="{}" text-anchor="end" fill="#444444">{value}</text><line x1="{LEFT}" y1="{2}" x2="{3}" y2="{2}" stroke="#eeeeee"/>"##,
            LEFT - 8.0,
            y(value) + 4.0,
            y(value),
            WIDTH - RIGHT
        );
    }
    for second in scale.marks() {
        let x = scale.x(second);
        let _ = writeln!(
            svg,
            r##"<line x1="{x:.1}" y1="{bottom}" x2="{x:.1}" y2="{}" stroke="#888888"/><text x="{x:.1}" y="{}" text-anchor="middle" fill="#444444">{}</text>"##,
            bottom + 4.0,
            bottom + 17.0,
            minutes(second)
        );
    }
    for (index, outcome) in drawn.iter().enumerate() {
        let apart = (index as f64 - (drawn.len() as f64 - 1.0) / 2.0) * APART;
        let mut points = String::new();
        let mut before = None;
        for moment in &outcome.told.line {
            let (x, value) = (scale.x(moment.0), y(number(moment)) + apart);
            if let Some(before) = before {
                let _ = write!(points, "{x:.1},{before:.1} ");
            }
            let _ = write!(points, "{x:.1},{value:.1} ");
            before = Some(value);
        }
        if let Some(before) = before {
            let _ = write!(points, "{:.1},{before:.1}", scale.x(scale.until));
        }
        let width = if outcome.contender == Contender::SpotHandoff {
            3.0
        } else {
            2.0
        };
        let _ = writeln!(
            svg,
            r#"<polyline points="{points}" fill="none" stroke="{}" stroke-width="{width}"/>"#,
            colour(outcome.contender)
        );
    }
}

/// The two minutes of the first warning.
fn notice(svg: &mut String, top: f64, scale: &Scale) {
    let (begins, ends) = (scale.x(0.0), scale.x(120.0));
    let _ = writeln!(
        svg,
        r##"<rect x="{begins:.1}" y="{top}" width="{:.1}" height="{PANEL}" fill="#fff3d6"/>"##,
        ends - begins
    );
    // Above the panel, where no line runs, and beside its heading.
    if ends - LEFT > 270.0 {
        let _ = writeln!(
            svg,
            r##"<text x="{ends:.1}" y="{}" text-anchor="end" fill="#a07000" font-size="11">two minutes of notice</text>"##,
            top - 5.0
        );
    }
}

fn minutes(second: f64) -> String {
    if second.abs() >= 7200.0 {
        format!("{} h", second / 3600.0)
    } else {
        format!("{} min", second / 60.0)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept_work::outcome::{Losses, Told};

    fn outcome(contender: Contender, line: Vec<Moment>) -> Outcome {
        Outcome {
            scenario: "one".to_owned(),
            contender,
            seed: 1,
            told: Told {
                losses: Losses::default(),
                from: -10.0,
                until: 290.0,
                requests: 0.0,
                warned: vec![],
                line,
                bound: None,
            },
            took: 0.0,
            story: vec![],
        }
    }

    #[test]
    fn each_contender_has_a_line_in_each_panel_that_shows_anything() {
        let line = vec![(-10.0, 3.0, 0.0, 3.0), (120.0, 2.0, 0.0, 2.0)];
        let (nobody, ours) = (
            outcome(Contender::Nobody, line.clone()),
            outcome(Contender::SpotHandoff, line),
        );
        let picture = svg("One <of> three", &[&nobody, &ours]).unwrap();
        assert_eq!(picture.matches("<polyline").count(), 4, "{picture}");
        assert!(picture.contains("One &lt;of&gt; three"));
        assert!(!picture.contains("Tasks that run"), "no task ever ran");
        // Down at T+120 s, and on to the end.
        let x = |second: f64| {
            Scale {
                from: -10.0,
                until: 290.0,
            }
            .x(second)
        };
        assert!(picture.contains(&format!("{:.1},", x(120.0))), "{picture}");
        assert!(picture.contains(&format!("{:.1},", x(290.0))), "{picture}");
    }

    #[test]
    fn without_a_run_there_is_no_picture() {
        assert_eq!(svg("One", &[]), None);
    }

    #[test]
    fn the_axis_has_few_marks_however_long_it_lasts() {
        for seconds in [120.0, 600.0, 2_400.0, 70_000.0] {
            let scale = Scale {
                from: -10.0,
                until: seconds,
            };
            let marks = scale.marks().count();
            assert!((2..=13).contains(&marks), "{seconds}: {marks}");
        }
    }
}
