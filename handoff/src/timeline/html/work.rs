//! The work as lines above the actions: how many targets serve, and how many tasks run on the instance, as the looks
//! saw it.
//!
//! A look reports what has changed since the last look. So a number holds from its mark to the next mark.

use std::collections::BTreeMap;

use jiff::Timestamp;
use spot_handoff::report::Report;
use spot_handoff::report::names::short;

/// A number over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// What is counted.
    pub name: String,
    /// When it was seen, and how many there were.
    pub seen: Vec<(Timestamp, usize)>,
}

impl Series {
    /// The highest number that was seen.
    pub fn most(&self) -> usize {
        self.seen.iter().map(|(_, number)| *number).max().unwrap_or(0)
    }
}

/// What the reports say about the work: target groups by name, then the tasks.
pub fn series(reports: &[Report]) -> Vec<Series> {
    let mut targets: BTreeMap<String, Vec<(Timestamp, usize)>> = BTreeMap::new();
    let mut tasks = vec![];
    for report in reports {
        for seen in &report.work.targets {
            let name = format!("{}: serving", short(&seen.target_group));
            targets
                .entry(name)
                .or_default()
                .push((report.started_at, seen.serving));
        }
        tasks.extend(report.work.tasks.map(|number| (report.started_at, number)));
    }
    let mut all: Vec<Series> = targets
        .into_iter()
        .map(|(name, seen)| Series { name, seen })
        .collect();
    if !tasks.is_empty() {
        all.push(Series {
            name: "tasks".to_owned(),
            seen: tasks,
        });
    }
    for one in &mut all {
        one.seen.sort_by_key(|(at, _)| *at);
        // Each wave of a look may report the same number.
        one.seen.dedup_by_key(|(_, number)| *number);
    }
    all
}

/// The corners of the line of a series: it steps at each moment, and ends at `last`.
pub fn corners(
    series: &Series,
    last: Timestamp,
    x: impl Fn(Timestamp) -> f64,
    y: impl Fn(usize) -> f64,
) -> Vec<(f64, f64)> {
    let mut corners = vec![];
    for (index, (at, number)) in series.seen.iter().enumerate() {
        if let Some((_, before)) = index.checked_sub(1).and_then(|before| series.seen.get(before)) {
            corners.push((x(*at), y(*before)));
        }
        corners.push((x(*at), y(*number)));
    }
    if let Some((at, number)) = series.seen.last() {
        corners.push((x(last.max(*at)), y(*number)));
    }
    corners
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(second: u32, function: &str, work: serde_json::Value) -> Report {
        let report = json!({
            "report": "spot-handoff", "function": function, "level": "INFO", "message": "", "event_id": "e",
            "signal": "interruption-warning", "instance": "i-1", "notice_time": "2026-11-24T04:00:00Z",
            "started_at": format!("2026-11-24T04:00:{second:02}Z"), "seconds_left_at_start": 119.5,
            "seconds_left_at_end": 119.0, "dry_run": false, "outcome": "done", "actions": [], "work": work,
        });
        Report::from_line(&report.to_string()).unwrap()
    }

    #[test]
    fn a_number_holds_until_another_is_seen() {
        let serving = |serving: usize| {
            json!({"targets": [{"target-group": "arn:aws:elasticloadbalancing:r:1:targetgroup/web/1",
                "serving": serving, "staying": serving}]})
        };
        let reports = [
            report(0, "deregister-targets", serving(5)),
            report(1, "drain-tasks", json!({"tasks": 3})),
            report(10, "deregister-targets", serving(5)),
            report(20, "deregister-targets", serving(4)),
        ];
        let all = series(&reports);
        let seen: Vec<(&str, Vec<usize>)> = all
            .iter()
            .map(|one| {
                (
                    one.name.as_str(),
                    one.seen.iter().map(|(_, number)| *number).collect(),
                )
            })
            .collect();
        assert_eq!(seen, [("web: serving", vec![5, 4]), ("tasks", vec![3])]);
        let zero = reports[0].started_at;
        let x = |at: Timestamp| at.duration_since(zero).as_secs_f64();
        let last = "2026-11-24T04:00:30Z".parse().unwrap();
        let corners = corners(&all[0], last, x, |number| number as f64);
        assert_eq!(corners, [(0.0, 5.0), (20.0, 5.0), (20.0, 4.0), (30.0, 4.0)]);
    }
}
