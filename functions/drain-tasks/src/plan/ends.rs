//! How the tasks of an instance that is gone have ended. A last look reads them once more, by their ARNs.
//!
//! Before that, nobody can say. A task that was told to stop may be cut off before it has ended, and ECS may not have
//! moved a task that it should move.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use spot_handoff::notice::{Cause, FollowUp, InstanceAction, Notice, Signal, Step};
use spot_handoff::report::{TaskEnd, TaskLine};

use super::{Action, Plan, Queue, cause, task_line};
use crate::facts::TaskFacts;

/// When to look after the end of the instance: ECS learns of the end some seconds later.
const AFTER_END: SignedDuration = SignedDuration::from_secs(10);
/// The time between two looks at tasks whose end ECS does not know.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(6);
/// announce-hand-offs reads the last report half a minute after the end.
const NO_LONGER_THAN: SignedDuration = SignedDuration::from_secs(22);
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html>
const TASKS_PER_MESSAGE: usize = 100;

/// Whether to look at the ends of the tasks in a plan for this notice: yes if AWS takes the instance at a known moment.
fn is_looked_after(notice: &Notice) -> bool {
    match &notice.signal {
        Signal::InterruptionWarning { action } => *action != InstanceAction::Hibernate,
        Signal::FollowUp(follow_up) => {
            let is_look = matches!(follow_up.step, Step::Look { .. } | Step::MoveWork { .. });
            is_look && follow_up.cause == Cause::Interruption
        }
        _ => false,
    }
}

/// The messages that look at the ends of a plan's tasks, and when. The tasks are in these clusters.
pub fn looks<'a>(
    notice: &Notice,
    tasks: &[TaskLine],
    cluster_of: impl Fn(&str) -> Option<&'a str>,
) -> Vec<(FollowUp, Timestamp)> {
    let Some(deadline) = notice.deadline().filter(|_| is_looked_after(notice)) else {
        return vec![];
    };
    let mut by_cluster: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for task in tasks {
        if let Some(cluster) = cluster_of(&task.task) {
            by_cluster.entry(cluster).or_default().push(task.task.clone());
        }
    }
    let at = deadline.saturating_add(AFTER_END).unwrap_or(deadline);
    let message = |cluster: &str, tasks: &[String]| FollowUp {
        cause: cause(notice),
        deadline: Some(deadline),
        step: Step::SeeEnds {
            cluster: cluster.to_owned(),
            tasks: tasks.to_vec(),
        },
    };
    by_cluster
        .iter()
        .flat_map(|(cluster, tasks)| {
            let chunks = tasks.chunks(TASKS_PER_MESSAGE);
            chunks.map(|chunk| (message(cluster, chunk), at))
        })
        .collect()
}

/// How these tasks have ended. Tasks whose end ECS does not know are looked at again while there is time.
pub fn plan(notice: &Notice, cluster: &str, named: &[String], found: &[TaskFacts], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let deadline = notice.deadline().unwrap_or(now);
    let last = deadline.saturating_add(NO_LONGER_THAN).unwrap_or(deadline);
    let at = now.saturating_add(LOOK_AGAIN).unwrap_or(now);
    let mut open = vec![];
    for arn in named {
        let Some(task) = found.iter().find(|task| task.arn == *arn) else {
            // An earlier report has its kind and name.
            plan.tasks.push(TaskLine {
                end: Some(TaskEnd::Unknown),
                ..unknown(arn)
            });
            continue;
        };
        if task.end == TaskEnd::Running && at <= last {
            open.push(arn.clone());
            continue;
        }
        plan.tasks.push(TaskLine {
            end: Some(task.end),
            ended_at: task.ended_at,
            ..task_line(task, task.end)
        });
    }
    if !open.is_empty() {
        plan.actions.push(Action::Send {
            to: Queue::Own,
            instance: notice.instance.clone(),
            at,
            follow_up: FollowUp {
                cause: cause(notice),
                deadline: Some(deadline),
                step: Step::SeeEnds {
                    cluster: cluster.to_owned(),
                    tasks: open,
                },
            },
        });
    }
    plan
}

fn unknown(arn: &str) -> TaskLine {
    TaskLine {
        task: arn.to_owned(),
        kind: spot_handoff::report::TaskKind::Standalone,
        name: String::new(),
        accelerators: vec![],
        plan: TaskEnd::Unknown.to_string(),
        saved: false,
        end: None,
        ended_at: None,
    }
}
