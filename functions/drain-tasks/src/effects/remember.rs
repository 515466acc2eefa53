//! Writes down what a re-run needs before its task is stopped, since StopTask deletes the tags with this information.

use std::collections::HashMap;

use aws_sdk_ecs::types::Task;
use jiff::Timestamp;
use spot_handoff::ecs::task_copy;
use spot_handoff::notice::{RerunOrder, RerunStage, Step};
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::state::{Table, reruns};

use crate::plan::{Action, Plan};

/// A message carries at most this many orders, of some 28 KiB each at most.
const CARRIED_PER_MESSAGE: usize = 5;

/// Writes down the re-runs that the plans lead to. Returns all known re-runs, by the ARN of the task.
///
/// No task is stopped late because of the table. If the table does not take an order in time, the order travels in the
/// message that runs the task again.
pub async fn remember(
    table: &Table,
    invocation: &Invocation,
    plans: &mut [&mut Plan],
    mut known: HashMap<String, RerunOrder>,
    wanted: impl Fn(&str) -> bool,
    described: &HashMap<String, Task>,
) -> HashMap<String, RerunOrder> {
    let now = invocation.clock.now();
    let mut news: HashMap<String, RerunOrder> = HashMap::new();
    for (task, cluster, stage) in plans.iter().flat_map(|plan| due(plan)) {
        let order = match (known.get(task), described.get(task)) {
            (Some(order), _) => order.clone(),
            (None, Some(old)) if wanted(task) => new_order(task, cluster, old, now),
            _ => continue,
        };
        let stage = order.stage.clone().max(stage);
        let joined = RerunOrder { stage, ..order };
        let joined = match news.remove(task) {
            Some(before) => before.joined(&joined),
            None => joined,
        };
        news.insert(task.to_owned(), joined);
    }
    let news: Vec<RerunOrder> = news.into_values().collect();
    let written = reruns::write(table, invocation, &news).await;
    let mut unwritten: Vec<RerunOrder> = vec![];
    for (order, written) in news.into_iter().zip(written) {
        if let Err(error) = written {
            tracing::warn!("cannot write down the re-run of {}: {error}", order.task);
            unwritten.push(order.clone());
        }
        known.insert(order.task.clone(), order);
    }
    if !unwritten.is_empty() {
        for plan in plans {
            carry(plan, &unwritten);
        }
    }
    known
}

fn new_order(task: &str, cluster: &str, old: &Task, now: Timestamp) -> RerunOrder {
    RerunOrder {
        task: task.to_owned(),
        cluster: cluster.to_owned(),
        since: now,
        stage: RerunStage::Noted,
        refusals: 0,
        copy: task_copy::of(old),
    }
}

/// The tasks that a plan stops, or will stop, with their clusters.
fn due(plan: &Plan) -> Vec<(&str, &str, RerunStage)> {
    plan.actions.iter().flat_map(due_by).collect()
}

fn due_by(action: &Action) -> Vec<(&str, &str, RerunStage)> {
    match action {
        Action::StopTask { cluster, task, .. } | Action::RunAgain { cluster, task } => {
            vec![(task.as_str(), cluster.as_str(), RerunStage::Cut)]
        }
        Action::Send { follow_up, .. } => match &follow_up.step {
            Step::StopTasks { cluster, tasks, .. } => {
                let tasks = tasks.iter().map(String::as_str);
                let noted = tasks.map(|task| (task, cluster.as_str(), RerunStage::Noted));
                noted.collect()
            }
            _ => vec![],
        },
        _ => vec![],
    }
}

/// Puts the orders for these tasks into the messages about them.
fn carry(plan: &mut Plan, unwritten: &[RerunOrder]) {
    for action in &mut plan.actions {
        let Action::Send { follow_up, .. } = action else {
            continue;
        };
        if let Step::StopTasks { tasks, reruns, .. } = &mut follow_up.step {
            let theirs = unwritten.iter().filter(|order| tasks.contains(&order.task));
            *reruns = theirs.take(CARRIED_PER_MESSAGE).cloned().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use spot_handoff::notice::{Cause, FollowUp};

    use super::*;
    use crate::plan::Queue;

    fn order(task: &str) -> RerunOrder {
        new_order(task, "c", &Task::builder().build(), Timestamp::UNIX_EPOCH)
    }

    fn send(tasks: &[&str]) -> Action {
        Action::Send {
            to: Queue::Own,
            instance: "i-1234567890abcdef0".parse().expect("an id"),
            at: Timestamp::UNIX_EPOCH,
            follow_up: FollowUp {
                cause: Cause::Interruption,
                deadline: None,
                step: Step::StopTasks {
                    cluster: "c".to_owned(),
                    container_instance: "ci".to_owned(),
                    tasks: tasks.iter().map(|task| task.to_string()).collect(),
                    as_last: None,
                    reruns: vec![],
                },
            },
        }
    }

    #[test]
    fn a_task_that_is_stopped_now_is_further_than_one_that_is_stopped_later() {
        let stop = Action::StopTask {
            cluster: "c".to_owned(),
            task: "a".to_owned(),
            reason: String::new(),
            holds_accelerator: false,
        };
        let plan = Plan {
            actions: vec![stop, send(&["a", "b"])],
            ..Plan::default()
        };
        let expected = [
            ("a", "c", RerunStage::Cut),
            ("a", "c", RerunStage::Noted),
            ("b", "c", RerunStage::Noted),
        ];
        assert_eq!(due(&plan), expected);
    }

    #[test]
    fn what_the_table_did_not_take_travels_in_the_message_about_the_task() {
        let mut plan = Plan {
            actions: vec![send(&["a"]), send(&["b"])],
            ..Plan::default()
        };
        carry(&mut plan, &[order("b")]);
        let carried = plan.actions.iter().map(|action| match action {
            Action::Send {
                follow_up:
                    FollowUp {
                        step: Step::StopTasks { reruns, .. },
                        ..
                    },
                ..
            } => reruns.len(),
            _ => 0,
        });
        assert_eq!(carried.collect::<Vec<_>>(), [0, 1]);
    }
}
