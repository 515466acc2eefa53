//! What became of the work of an instance, as far as the functions have seen, and what of it is lost. Announcements,
//! timelines, replays and drills all use this one account.
//!
//! It is made of numbers in reports, and says no more than was seen. There are ten seconds between two looks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::names::short;
use super::{ActionKind, ActionResult, Report, TaskEnd, TaskKind, TaskLine};
use crate::notice::Signal;

/// What became of the work.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kept {
    /// Tasks of services.
    pub service_tasks: Ends,
    /// Other tasks.
    pub standalone_tasks: Ends,
    /// Tasks that run again elsewhere.
    pub run_again: usize,
    /// How many seconds before the end of the instance ECS had moved the last service task; `None` if it moved none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_before_end: Option<i64>,
    /// The target groups that the instance was in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Least>,
}

/// How many tasks there were, and how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ends {
    /// All of them.
    pub all: usize,
    /// Moved by ECS.
    pub moved: usize,
    /// Ended by themselves.
    pub ended: usize,
    /// Stopped, and ended within their grace.
    pub stopped: usize,
    /// Stopped, and killed when their grace was over.
    pub killed: usize,
    /// Cut off with the instance.
    pub cut: usize,
    /// ECS does not tell how they ended.
    pub unknown: usize,
    /// Nobody has looked yet.
    pub unseen: usize,
}

/// The fewest serving targets that were seen in a target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Least {
    /// Name of the target group.
    pub target_group: String,
    /// How many served at the look with the fewest.
    pub least: usize,
    /// How many seconds after the notice this was.
    pub after_seconds: i64,
    /// Whether the last look found no target that would serve without the instance.
    pub bare: bool,
    /// The most serving targets that were seen.
    #[serde(skip)]
    most: usize,
}

/// Something that was lost, or may have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// Tasks were cut off.
    Cut(usize),
    /// No end of these tasks is known.
    NoEndKnown(usize),
    /// No report says how these tasks ended.
    NotReported(usize),
    /// No target of this target group was healthy at a look: requests may have failed, also where they went to one that was
    /// not healthy yet.
    NoTarget {
        /// Its name.
        target_group: String,
        /// How many seconds after the notice.
        after_seconds: i64,
    },
    /// At no look was there a target that would serve in this target group without the instance.
    NoSuccessor {
        /// Its name.
        target_group: String,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(tasks) => write!(
                f,
                "{} cut off with the instance",
                count(*tasks, "task was", "tasks were")
            ),
            Self::NoEndKnown(tasks) => {
                write!(
                    f,
                    "ECS does not tell how {} ended",
                    count(*tasks, "task", "tasks")
                )
            }
            Self::NotReported(tasks) => write!(
                f,
                "what became of {} was not reported",
                count(*tasks, "task", "tasks")
            ),
            Self::NoTarget {
                target_group,
                after_seconds,
            } => write!(
                f,
                "no target of {target_group} was healthy when it was looked at T+{after_seconds} s"
            ),
            Self::NoSuccessor { target_group } => write!(
                f,
                "no target of {target_group} was seen that would serve without the instance"
            ),
        }
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// When AWS takes the instance, according to the report on the notice itself.
pub fn deadline<'r>(reports: impl IntoIterator<Item = &'r Report>) -> Option<Timestamp> {
    let mut reports = reports.into_iter();
    let first = reports.find(|report| !report.is_follow_up() && report.seconds_left_at_start.is_some())?;
    let millis = (first.seconds_left_at_start? * 1000.0).round() as i64;
    let deadline = first
        .started_at
        .checked_add(SignedDuration::from_millis(millis))
        .ok()?;
    // Reports have it in milliseconds. It is a whole second, like the event's time.
    deadline.round(jiff::Unit::Second).ok()
}

impl Kept {
    /// The account from reports about one instance of one notice.
    pub fn of<'r>(reports: impl IntoIterator<Item = &'r Report>) -> Self {
        let reports: Vec<&Report> = reports.into_iter().collect();
        let deadline = deadline(reports.iter().copied());
        let mut kept = Self::default();
        if !reports.iter().any(|report| report.dry_run) {
            kept.count_tasks(&reports, deadline);
        }
        kept.count_targets(&reports);
        kept
    }

    fn count_tasks(&mut self, reports: &[&Report], deadline: Option<Timestamp>) {
        let is_interrupted = |report: &&Report| report.signal == Signal::INTERRUPTION_WARNING;
        // Otherwise nobody looks at the end: drain-tasks waits for the tasks, or no end of the instance is known.
        if deadline.is_none() || !reports.iter().any(is_interrupted) {
            return;
        }
        let is_drill = reports.iter().any(|report| report.drill);
        let mut tasks: BTreeMap<&str, (&TaskLine, Option<&TaskLine>)> = BTreeMap::new();
        for line in reports.iter().flat_map(|report| &report.tasks) {
            let known = tasks.entry(&line.task).or_insert((line, None));
            if known.0.name.is_empty() {
                known.0 = line;
            }
            if line.end.is_some() {
                known.1 = Some(line);
            }
        }
        let lines = reports.iter().flat_map(|report| &report.actions);
        let again: BTreeSet<&str> = lines
            .filter(|line| line.action == ActionKind::RunTaskAgain)
            .filter(|line| matches!(line.result, ActionResult::Done | ActionResult::AlreadyDone))
            .map(|line| line.resource.as_str())
            .collect();
        self.run_again = again.len();
        let mut last_moved: Option<Timestamp> = None;
        for (first, last) in tasks.values() {
            let ends = match first.kind {
                TaskKind::Service => &mut self.service_tasks,
                TaskKind::Standalone => &mut self.standalone_tasks,
            };
            ends.all += 1;
            match last.and_then(|line| line.end) {
                Some(TaskEnd::Moved) => {
                    ends.moved += 1;
                    last_moved = last_moved.max(last.and_then(|line| line.ended_at));
                }
                Some(TaskEnd::Ended) => ends.ended += 1,
                Some(TaskEnd::Stopped) => ends.stopped += 1,
                Some(TaskEnd::Killed) => ends.killed += 1,
                Some(TaskEnd::Cut) => ends.cut += 1,
                // AWS does not take the instance of a drill.
                Some(TaskEnd::Running) if is_drill => ends.all -= 1,
                Some(TaskEnd::Running | TaskEnd::Unknown) => ends.unknown += 1,
                None => ends.unseen += 1,
            }
        }
        let before = |moved: Timestamp| deadline.map(|deadline| deadline.duration_since(moved).as_secs());
        self.moved_before_end = last_moved.and_then(before);
    }

    fn count_targets(&mut self, reports: &[&Report]) {
        let mut targets: BTreeMap<&str, Least> = BTreeMap::new();
        let mut in_order: Vec<&&Report> = reports.iter().collect();
        in_order.sort_by_key(|report| report.started_at);
        for report in in_order {
            let after_seconds = report.started_at.duration_since(report.notice_time).as_secs();
            for seen in &report.work.targets {
                let least = targets.entry(&seen.target_group).or_insert_with(|| Least {
                    target_group: short(&seen.target_group),
                    least: seen.serving,
                    after_seconds,
                    bare: false,
                    most: 0,
                });
                if seen.serving < least.least {
                    (least.least, least.after_seconds) = (seen.serving, after_seconds);
                }
                least.most = least.most.max(seen.serving);
                least.bare = seen.staying == 0;
            }
        }
        self.targets = targets.into_values().collect();
    }

    /// The number of tasks whose end nobody has looked at yet.
    pub fn unseen(&self) -> usize {
        self.service_tasks.unseen + self.standalone_tasks.unseen
    }

    /// What was lost, or may have been lost. It does not include what nobody has looked at yet.
    pub fn losses(&self) -> Vec<Loss> {
        let mut losses = vec![];
        let both = |of: fn(&Ends) -> usize| of(&self.service_tasks) + of(&self.standalone_tasks);
        let (cut, unknown) = (both(|ends| ends.cut), both(|ends| ends.unknown));
        if cut > 0 {
            losses.push(Loss::Cut(cut));
        }
        if unknown > 0 {
            losses.push(Loss::NoEndKnown(unknown));
        }
        // If nothing served before, nothing was lost.
        for target in self.targets.iter().filter(|target| target.most > 0) {
            let target_group = target.target_group.clone();
            if target.least == 0 {
                losses.push(Loss::NoTarget {
                    target_group,
                    after_seconds: target.after_seconds,
                });
            } else if target.bare {
                losses.push(Loss::NoSuccessor { target_group });
            }
        }
        losses
    }

    /// What became of the work, one sentence each. What was kept comes first.
    pub fn sentences(&self) -> Vec<String> {
        let mut said = vec![];
        let services = &self.service_tasks;
        if services.moved > 0 {
            let when = match self.moved_before_end {
                Some(left) if left >= 0 => format!(", the last of them {left} s before the deadline"),
                _ => String::new(),
            };
            let (moved, all) = (
                services.moved,
                count(services.all, "service task", "service tasks"),
            );
            said.push(format!("{moved} of {all} moved by ECS{when}"));
        }
        for (ends, one, many) in [
            (services, "service task", "service tasks"),
            (&self.standalone_tasks, "standalone task", "standalone tasks"),
        ] {
            let parts: Vec<String> = [
                (ends.ended, "ended by itself"),
                (ends.stopped, "stopped in order"),
                (ends.killed, "killed when its grace was over"),
                (ends.cut, "CUT OFF with the instance"),
                (ends.unknown, "with an unknown end"),
                (ends.unseen, "not looked at yet"),
            ]
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, how)| format!("{number} {how}"))
            .collect();
            if !parts.is_empty() {
                said.push(format!("{}: {}", count(ends.all, one, many), parts.join(", ")));
            }
        }
        if self.run_again > 0 {
            said.push(format!(
                "{} again elsewhere",
                count(self.run_again, "task runs", "tasks run")
            ));
        }
        for target in &self.targets {
            let Least {
                target_group, least, ..
            } = target;
            said.push(match least {
                0 => format!(
                    "no target of {target_group} was healthy at T+{} s",
                    target.after_seconds
                ),
                _ => format!(
                    "at least {} seen to serve in {target_group}, at looks every ten seconds",
                    count(*least, "target", "targets")
                ),
            });
        }
        said
    }
}

#[cfg(test)]
mod tests;
