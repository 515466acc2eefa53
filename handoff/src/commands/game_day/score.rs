//! How a game day went: numbers from what was seen, and which of them exceed a threshold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use spot_handoff::lambda::FUNCTIONS;
use spot_handoff::notice::InstanceId;
use spot_handoff::report::{Outcome, Report, TaskEnd};

use crate::words::count;

/// A group at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// When.
    pub at: Timestamp,
    /// Its desired capacity.
    pub desired: usize,
    /// Its instances in service.
    pub in_service: BTreeSet<InstanceId>,
    /// Healthy targets in each of its target groups.
    pub healthy: BTreeMap<String, usize>,
}

impl Look {
    /// Whether the group is whole without these instances.
    pub fn is_whole_without(&self, interrupted: &BTreeSet<InstanceId>) -> bool {
        self.in_service.len() >= self.desired && self.in_service.is_disjoint(interrupted)
    }
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// Instances that were interrupted.
    pub interrupted: usize,
    /// Instances on which a function did not report, with the function.
    pub unheard: Vec<(InstanceId, &'static str)>,
    /// Functions whose last report on an instance says that they failed.
    pub failed: Vec<(String, String)>,
    /// Seconds from the start until the group was whole without the interrupted instances; `None` if it never was.
    pub whole_after: Option<i64>,
    /// The fewest instances in service.
    pub least_in_service: usize,
    /// Seconds in which a target group that had healthy targets before had none.
    pub seconds_without_target: i64,
    /// The sum over time of the instances missing from the desired capacity, in instance-seconds.
    pub instance_seconds_short: i64,
    /// Tasks that were cut off, or whose end is not known.
    pub tasks_cut: usize,
    /// Tasks that moved, ended, or were stopped in order.
    pub tasks_in_order: usize,
}

/// The functions that did not report on an instance.
pub fn unheard(interrupted: &BTreeSet<InstanceId>, reports: &[Report]) -> Vec<(InstanceId, &'static str)> {
    let pairs = interrupted
        .iter()
        .flat_map(|id| FUNCTIONS.map(|function| (id.clone(), function)));
    let is_unheard = |(id, function): &(InstanceId, &'static str)| {
        let mut of_both = reports.iter();
        !of_both.any(|report| report.instance == id.as_str() && report.function == *function)
    };
    pairs.filter(is_unheard).collect()
}

impl Score {
    /// The score from the looks. The first look is from before the start.
    pub fn of(
        began: Timestamp,
        interrupted: &BTreeSet<InstanceId>,
        looks: &[Look],
        reports: &[Report],
    ) -> Self {
        let whole = looks
            .iter()
            .find(|look| look.at > began && look.is_whole_without(interrupted));
        let served = |name: &String| {
            looks
                .first()
                .and_then(|first| first.healthy.get(name))
                .is_some_and(|n| *n > 0)
        };
        let lacks_target = |look: &Look| {
            look.healthy
                .iter()
                .any(|(name, healthy)| *healthy == 0 && served(name))
        };
        let (mut without_target, mut short) = (0, 0);
        for pair in looks.windows(2) {
            let [one, next] = pair else { continue };
            let seconds = next.at.duration_since(one.at).as_secs();
            without_target += if lacks_target(one) { seconds } else { 0 };
            let missing = one.desired.saturating_sub(one.in_service.len());
            short += seconds * i64::try_from(missing).unwrap_or(i64::MAX);
        }
        let mut last: BTreeMap<(&str, &str), &Report> = BTreeMap::new();
        for report in reports {
            let known = last.entry((&report.function, &report.instance)).or_insert(report);
            if report.started_at >= known.started_at {
                *known = report;
            }
        }
        let failed = last
            .into_iter()
            .filter(|(_, report)| report.outcome == Outcome::Failed);
        let lines = reports.iter().flat_map(|report| &report.tasks);
        let ends: BTreeMap<&str, TaskEnd> = lines
            .filter_map(|line| Some((line.task.as_str(), line.end?)))
            .collect();
        let cut = ends.values().filter(|end| end.is_loss()).count();
        Self {
            interrupted: interrupted.len(),
            unheard: unheard(interrupted, reports),
            failed: failed
                .map(|((function, instance), _)| (instance.to_owned(), function.to_owned()))
                .collect(),
            whole_after: whole.map(|look| look.at.duration_since(began).as_secs()),
            least_in_service: looks
                .iter()
                .map(|look| look.in_service.len())
                .min()
                .unwrap_or_default(),
            seconds_without_target: without_target,
            instance_seconds_short: short,
            tasks_cut: cut,
            tasks_in_order: ends.len() - cut,
        }
    }

    /// What exceeded a threshold or went wrong.
    pub fn problems(&self, whole_within: Duration) -> Vec<String> {
        let mut problems = vec![];
        if self.interrupted == 0 {
            problems.push("no instance was interrupted".to_owned());
        }
        match self.whole_after {
            Some(seconds)
                if u64::try_from(seconds).is_ok_and(|seconds| seconds <= whole_within.as_secs()) => {}
            Some(seconds) => problems.push(format!(
                "the group was whole after {seconds} s, and not within {} s",
                whole_within.as_secs()
            )),
            None => problems.push(format!(
                "the group was not whole within {} s",
                whole_within.as_secs()
            )),
        }
        if self.seconds_without_target > 0 {
            problems.push(format!(
                "a target group was without a healthy target for {} s",
                self.seconds_without_target
            ));
        }
        if self.tasks_cut > 0 {
            let cut = count(self.tasks_cut as u64, "task");
            problems.push(format!("{cut} cut off, or without a known end"));
        }
        problems.extend(
            self.failed
                .iter()
                .map(|(instance, function)| format!("{function} failed for {instance}")),
        );
        problems.extend(
            self.unheard
                .iter()
                .map(|(instance, function)| format!("no report of {function} about {instance}")),
        );
        problems
    }

    /// The numbers, one in each line.
    pub fn table(&self) -> String {
        let whole = self
            .whole_after
            .map_or("never".to_owned(), |seconds| format!("{seconds} s"));
        let lines = [
            ("instances interrupted", self.interrupted.to_string()),
            ("group whole again after", whole),
            ("fewest instances in service", self.least_in_service.to_string()),
            (
                "seconds without a healthy target",
                self.seconds_without_target.to_string(),
            ),
            ("instance-seconds short", self.instance_seconds_short.to_string()),
            (
                "tasks that moved, ended or were stopped",
                self.tasks_in_order.to_string(),
            ),
            ("tasks cut off", self.tasks_cut.to_string()),
        ];
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        lines
            .map(|(name, value)| format!("{name:width$}  {value}"))
            .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn ids(names: &[u8]) -> BTreeSet<InstanceId> {
        let id = |name: &u8| format!("i-{name:08x}").parse().expect("an id");
        names.iter().map(id).collect()
    }

    fn look(seconds: i64, in_service: &[u8], healthy: usize) -> Look {
        Look {
            at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds),
            desired: 2,
            in_service: ids(in_service),
            healthy: [("tg".to_owned(), healthy)].into(),
        }
    }

    #[test]
    fn a_game_day_is_scored_by_what_was_seen() {
        let began = Timestamp::UNIX_EPOCH;
        let interrupted = ids(&[1]);
        let looks = [
            look(0, &[1, 2], 2),
            look(10, &[2], 1),
            look(20, &[2], 0),
            look(35, &[2, 3], 2),
        ];
        let score = Score::of(began, &interrupted, &looks, &[]);
        assert_eq!(score.whole_after, Some(35));
        assert_eq!(score.least_in_service, 1);
        assert_eq!(score.seconds_without_target, 15);
        assert_eq!(score.instance_seconds_short, 25);
        assert_eq!(score.unheard.len(), FUNCTIONS.len());

        let problems = score.problems(Duration::from_secs(30));
        assert_eq!(problems.len(), 2 + FUNCTIONS.len(), "{problems:?}");
        assert_eq!(problems[0], "the group was whole after 35 s, and not within 30 s");
        assert_eq!(
            problems[1],
            "a target group was without a healthy target for 15 s"
        );

        let never = Score::of(began, &interrupted, &looks[..3], &[]);
        assert_eq!(never.whole_after, None);
        assert!(never.table().contains("never"), "{}", never.table());

        let good = Score {
            unheard: vec![],
            seconds_without_target: 0,
            ..score
        };
        assert_eq!(good.problems(Duration::from_secs(35)), Vec::<String>::new());
        let nobody = Score {
            interrupted: 0,
            ..good
        };
        assert_eq!(
            nobody.problems(Duration::from_secs(35)),
            ["no instance was interrupted"]
        );
    }
}
