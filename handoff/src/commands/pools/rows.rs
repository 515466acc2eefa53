//! The history of each pool, from reports.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use spot_handoff::notice::Signal;
use spot_handoff::report::Pool;
use spot_handoff::report::{GroupStanding, Outcome, Report};

use super::output::name;
use crate::words::count;

/// From this number on, interruptions say something about a pool.
const TELLING: usize = 3;

/// The history of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The pool.
    #[serde(flatten)]
    pub pool: Pool,
    /// Interruption warnings.
    pub warnings: usize,
    /// How many of their hand-offs had a function that failed.
    pub failed: usize,
    /// Instances with a rebalance recommendation.
    pub recommendations: usize,
    /// How many of these were interrupted later.
    pub came_true: usize,
    /// Median of the seconds between an interrupted instance's registration in its cluster and its warning. This is
    /// about how long it lived.
    pub life_seconds: Option<u64>,
    /// Watches over a group that began with one of these warnings, and whose end was reported.
    pub watched: usize,
    /// Median of the seconds until the groups were whole again. Groups that did not become whole are left out.
    pub seconds_until_whole: Option<u32>,
    /// Watches at whose end the group still lacked capacity.
    pub short: usize,
    /// Watches in which On-Demand filled the group.
    pub filled_on_demand: usize,
    /// When the warnings came.
    pub warned_at: Vec<Timestamp>,
}

impl Row {
    /// A row for a pool without history.
    pub fn of(pool: Pool) -> Self {
        Self {
            pool,
            warnings: 0,
            failed: 0,
            recommendations: 0,
            came_true: 0,
            life_seconds: None,
            watched: 0,
            seconds_until_whole: None,
            short: 0,
            filled_on_demand: 0,
            warned_at: vec![],
        }
    }
}

/// One hand-off: all reports about one instance and one event.
#[derive(Default)]
struct HandOff<'a> {
    reports: Vec<&'a Report>,
}

impl HandOff<'_> {
    fn is(&self, signal: &str) -> bool {
        self.reports.iter().any(|report| report.signal == signal)
    }

    fn pool(&self) -> Pool {
        let told = self.reports.iter().find_map(|report| report.pool.clone());
        told.unwrap_or_default()
    }

    fn is_of(&self, group: &str) -> bool {
        let mut told = self.reports.iter().filter_map(|report| report.group.as_deref());
        told.any(|told| told == group)
    }

    /// Whether a report has this standing of the group.
    fn is_told(&self, standing: GroupStanding) -> bool {
        let mut lines = self.reports.iter().flat_map(|report| &report.groups);
        lines.any(|line| line.standing == standing)
    }

    /// After how many seconds its group was whole. The same look may be reported twice.
    fn whole_after(&self) -> Option<u32> {
        let lines = self.reports.iter().flat_map(|report| &report.groups);
        let whole = lines.filter(|line| line.standing == GroupStanding::Whole);
        whole.filter_map(|line| line.after_seconds).min()
    }

    /// How many seconds the instance had been in its cluster.
    fn life(&self) -> Option<u64> {
        let mut told = self.reports.iter().filter_map(|report| {
            let since = report.in_cluster_since?;
            u64::try_from(report.notice_time.duration_since(since).as_secs()).ok()
        });
        told.next()
    }

    /// Whether the last report of a function says that it failed.
    fn has_failed(&self) -> bool {
        let mut last: BTreeMap<&str, &Report> = BTreeMap::new();
        for report in &self.reports {
            let known = last.entry(&report.function).or_insert(report);
            if report.started_at >= known.started_at {
                *known = report;
            }
        }
        last.values().any(|report| report.outcome == Outcome::Failed)
    }
}

/// The history of each pool, the worst first. Drills do not count.
pub fn rows(reports: &[Report], group: Option<&str>) -> Vec<Row> {
    let mut hand_offs: BTreeMap<(&str, &str), HandOff<'_>> = BTreeMap::new();
    for report in reports.iter().filter(|report| !report.drill) {
        let of = (report.event_id.as_str(), report.instance.as_str());
        hand_offs.entry(of).or_default().reports.push(report);
    }
    hand_offs.retain(|_, hand_off| group.is_none_or(|group| hand_off.is_of(group)));
    let time = |hand_off: &HandOff<'_>| hand_off.reports.iter().map(|report| report.notice_time).min();
    let interrupted: BTreeMap<&str, Option<Timestamp>> = hand_offs
        .iter()
        .filter(|(_, hand_off)| hand_off.is(Signal::INTERRUPTION_WARNING))
        .map(|((_, instance), hand_off)| (*instance, time(hand_off)))
        .collect();
    let mut rows: BTreeMap<Pool, Row> = BTreeMap::new();
    let mut whole_after: BTreeMap<Pool, Vec<u32>> = BTreeMap::new();
    let mut lives: BTreeMap<Pool, Vec<u64>> = BTreeMap::new();
    let mut recommended: BTreeSet<&str> = BTreeSet::new();
    for ((_, instance), hand_off) in &hand_offs {
        let pool = hand_off.pool();
        let row = rows.entry(pool.clone()).or_insert_with(|| Row::of(pool.clone()));
        if hand_off.is(Signal::INTERRUPTION_WARNING) {
            row.warnings += 1;
            row.failed += usize::from(hand_off.has_failed());
            let whole = hand_off.whole_after();
            let is_short = whole.is_none() && hand_off.is_told(GroupStanding::Short);
            let is_watched = whole.is_some() || is_short;
            row.watched += usize::from(is_watched);
            row.short += usize::from(is_short);
            let is_filled = is_watched && hand_off.is_told(GroupStanding::FilledOnDemand);
            row.filled_on_demand += usize::from(is_filled);
            row.warned_at.extend(time(hand_off));
            lives.entry(pool.clone()).or_default().extend(hand_off.life());
            whole_after.entry(pool).or_default().extend(whole);
        }
        // AWS repeats recommendations for the same instance.
        if hand_off.is(RECOMMENDATION) && recommended.insert(instance) {
            row.recommendations += 1;
            let came_true = interrupted.get(instance).is_some_and(|at| *at >= time(hand_off));
            row.came_true += usize::from(came_true);
        }
    }
    for (pool, seconds) in whole_after {
        if let Some(row) = rows.get_mut(&pool) {
            row.seconds_until_whole = median(seconds);
        }
    }
    for (pool, seconds) in lives {
        if let Some(row) = rows.get_mut(&pool) {
            row.life_seconds = median(seconds);
        }
    }
    for row in rows.values_mut() {
        row.warned_at.sort_unstable();
    }
    let mut rows: Vec<Row> = rows.into_values().collect();
    rows.retain(|row| row.warnings + row.recommendations > 0);
    rows.sort_by(|one, other| {
        let weight = |row: &Row| (row.warnings, row.recommendations);
        weight(other)
            .cmp(&weight(one))
            .then_with(|| one.pool.cmp(&other.pool))
    });
    rows
}

/// The median. If there are two in the middle, the later one, which promises less.
fn median<N: Ord + Copy>(mut seconds: Vec<N>) -> Option<N> {
    seconds.sort_unstable();
    seconds.get(seconds.len() / 2).copied()
}

const RECOMMENDATION: &str = "rebalance-recommendation";

/// The pool that most interruptions came from, in words; `None` if there is no such pool.
pub fn source(rows: &[Row]) -> Option<String> {
    let all: usize = rows.iter().map(|row| row.warnings).sum();
    let worst = rows.first().filter(|row| row.pool != Pool::default())?;
    let is_most = worst.warnings >= TELLING && worst.warnings * 2 > all;
    is_most.then(|| {
        format!(
            "{} of {} came from {}",
            worst.warnings,
            count(all as u64, "interruption"),
            name(&worst.pool)
        )
    })
}

/// What to change if most interruptions came from one pool.
pub fn advice(rows: &[Row]) -> Option<String> {
    source(rows).map(|source| format!("{source}: add instance types and zones"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::pools::output::{markdown, text};

    fn report(event: &str, instance: &str, signal: &str, kind: &str, minute: u32) -> Report {
        let at = format!("2026-11-24T04:{minute:02}:00Z");
        let report = json!({
            "report": "spot-handoff", "function": "replace-capacity", "level": "INFO", "message": "",
            "event_id": event, "signal": signal, "instance": instance, "notice_time": at, "started_at": at,
            "pool": { "instance_type": kind, "zone": "us-east-1a", "zone_id": "use1-az2" },
            "dry_run": false, "outcome": "done", "group": "web",
            "actions": [{ "action": "detach-instance", "resource": "web", "result": "done", "finished_at": at }],
        });
        serde_json::from_value(report).expect("a report")
    }

    /// The same, for an instance that has been in its cluster for this many hours.
    fn aged(hours: i64, mut report: Report) -> Report {
        report.in_cluster_since = Some(report.notice_time - jiff::SignedDuration::from_hours(hours));
        report
    }

    #[test]
    fn what_came_of_each_pool_is_counted_once() {
        let warning = Signal::INTERRUPTION_WARNING;
        let mut failed = report("w3", "i-3", warning, "m5.large", 9);
        failed.function = "drain-tasks".to_owned();
        failed.outcome = Outcome::Failed;
        let mut drill = report("d", "i-9", warning, "c5.large", 5);
        drill.drill = true;
        let reports = [
            report("r1", "i-1", RECOMMENDATION, "m5.large", 0),
            // The same again, and one that no interruption followed.
            report("r2", "i-1", RECOMMENDATION, "m5.large", 1),
            report("r3", "i-4", RECOMMENDATION, "c5.large", 2),
            aged(1, report("w1", "i-1", warning, "m5.large", 5)),
            aged(30, report("w2", "i-2", warning, "m5.large", 6)),
            aged(3, report("w3", "i-3", warning, "m5.large", 7)),
            failed,
            report("w4", "i-5", warning, "c5.large", 8),
            drill,
        ];
        let rows = rows(&reports, Some("web"));
        assert_eq!(rows[0].life_seconds, Some(3 * 3600));
        assert_eq!(rows[0].warned_at.len(), 3);
        let numbers = |row: &Row| (row.warnings, row.failed, row.recommendations, row.came_true);
        assert_eq!(
            rows.iter().map(numbers).collect::<Vec<_>>(),
            [(3, 1, 1, 1), (1, 0, 1, 0)]
        );
        let advice = advice(&rows).expect("advice");
        let expected = "3 of 4 interruptions came from m5.large in use1-az2: add instance types and zones";
        assert_eq!(advice, expected);
        let said = text(&rows, Some(&advice), Timestamp::UNIX_EPOCH);
        assert!(
            said.contains("m5.large in use1-az2         3         1                1          1          3 h            -         -          -"),
            "{said}"
        );
        assert!(markdown(&rows, None).contains("| c5.large in use1-az2 | 1 | 0 | 1 | 0 | - | - | - | - |"));
        assert!(super::rows(&reports, Some("another")).is_empty());
    }

    fn look(event: &str, instance: &str, kind: &str, lines: &[(&str, u32)]) -> Report {
        let mut look = report(event, instance, Signal::FOLLOW_UP, kind, 9);
        let lines = lines.iter().map(|(standing, seconds)| {
            json!({ "group": "web", "standing": standing, "after-seconds": seconds, "detail": "" })
        });
        look.groups = serde_json::from_value(lines.collect()).expect("lines");
        look
    }

    #[test]
    fn what_became_of_the_groups_is_told_by_the_pool_that_made_them_smaller() {
        let warning = |event, instance, kind| report(event, instance, Signal::INTERRUPTION_WARNING, kind, 5);
        let reports = [
            warning("w1", "i-1", "m5.large"),
            warning("w2", "i-2", "m5.large"),
            warning("w3", "i-3", "m5.large"),
            warning("w4", "i-4", "m5.large"),
            // Nobody has told yet how this one ends.
            warning("w5", "i-5", "m5.large"),
            look("w5", "i-5", "m5.large", &[("filled-on-demand", 60)]),
            look("w1", "i-1", "m5.large", &[("whole", 40)]),
            // The same once more, seen later.
            look("w1", "i-1", "m5.large", &[("whole", 45)]),
            look(
                "w2",
                "i-2",
                "m5.large",
                &[("filled-on-demand", 130), ("whole", 300)],
            ),
            look("w3", "i-3", "m5.large", &[("whole", 90)]),
            look("w4", "i-4", "m5.large", &[("short", 1800)]),
            // That was no interruption.
            report("h1", "i-6", "scheduled-change", "c5.large", 5),
            look("h1", "i-6", "c5.large", &[("whole", 20)]),
        ];
        let rows = rows(&reports, Some("web"));
        let [row] = &rows[..] else {
            panic!("one pool: {rows:?}")
        };
        let numbers = (
            row.watched,
            row.seconds_until_whole,
            row.short,
            row.filled_on_demand,
        );
        assert_eq!(numbers, (4, Some(90), 1, 1));
        let said = text(&rows, None, Timestamp::UNIX_EPOCH);
        assert!(said.contains("         90 s    1 of 4     1 of 4\n"), "{said}");
        assert!(markdown(&rows, None).contains("| 90 s | 1 of 4 | 1 of 4 |\n"));
    }

    #[test]
    fn the_median_is_the_later_one_of_two() {
        assert_eq!(median::<u32>(vec![]), None);
        assert_eq!(median(vec![7]), Some(7));
        assert_eq!(median(vec![9, 3]), Some(9));
        assert_eq!(median(vec![9, 1, 3]), Some(3));
    }

    #[test]
    fn few_interruptions_say_nothing_about_a_pool() {
        let warning = Signal::INTERRUPTION_WARNING;
        let two = [
            report("w1", "i-1", warning, "m5.large", 5),
            report("w2", "i-2", warning, "m5.large", 6),
        ];
        assert_eq!(advice(&rows(&two, None)), None);
        assert!(text(&[], None, Timestamp::UNIX_EPOCH).starts_with("no interruption"));
    }
}
