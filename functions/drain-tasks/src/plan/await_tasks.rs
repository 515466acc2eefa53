//! Where somebody waits for the tasks to be gone: Auto Scaling in a lifecycle hook, or replace-capacity before it
//! terminates an instance that has been replaced.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::container_instances::{ContainerInstance, ContainerInstances};
use spot_handoff::notice::{FollowUp, Notice, Step, Then};

use super::standalone_tasks::{latest_safe_stop, stop_now};
use super::{Action, Plan, Queue, Skip, Warning, cause, task_line};
use crate::config::StandaloneTasks;
use crate::facts::{TaskFacts, TaskState};

/// How often to look. Hooks last minutes to hours, so after a while it is seldom enough.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);
const LOOK_AGAIN_SELDOM: SignedDuration = SignedDuration::from_secs(30);
const SELDOM_AFTER: SignedDuration = SignedDuration::from_mins(2);
/// How long before the limit the waiting ends: one look and the time for the last call.
const BEFORE_LIMIT: SignedDuration = SignedDuration::from_secs(30);

/// Waits for the tasks of the instance until `limit`, and lets go when they are gone.
pub fn plan(
    notice: &Notice,
    then: &Then,
    limit: Timestamp,
    found: &ContainerInstances,
    tasks_on: impl Fn(&ContainerInstance) -> Result<Vec<TaskFacts>, String>,
    policy: StandaloneTasks,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let mut remaining = 0;
    let look_at = next_look(notice, now);
    for container_instance in found.of_instance(&notice.instance) {
        let tasks = match tasks_on(container_instance) {
            Ok(tasks) => tasks,
            Err(error) => {
                plan.problems.push(error);
                continue;
            }
        };
        remaining += tasks.len();
        for task in &tasks {
            let stop_at = latest_safe_stop(limit, task);
            let is_due = match policy {
                StandaloneTasks::StopNow => true,
                StandaloneTasks::StopLate => stop_at <= look_at,
                StandaloneTasks::Leave => false,
            };
            if task.service.is_some() {
                plan.tasks.push(task_line(task, "waits for ECS to move it"));
            } else if task.state == TaskState::Stopping {
                plan.tasks.push(task_line(task, "is stopping"));
            } else if is_due {
                plan.tasks.push(task_line(task, "stop now"));
                stop_now(&mut plan, notice, container_instance, task, now);
            } else {
                plan.tasks.push(task_line(task, "waits for it to end"));
            }
        }
    }
    if let Some(error) = found.why_not_found(&notice.instance) {
        plan.problems.push(error.to_string());
    }
    if !plan.problems.is_empty() {
        // Whether tasks are left is not known: the message comes back and asks again.
        return plan;
    }
    let is_over = now >= limit.saturating_sub(BEFORE_LIMIT).unwrap_or(limit);
    if remaining == 0 {
        plan.actions.push(let_go(notice, then, now));
    } else if is_over {
        give_up(&mut plan, notice, then, remaining);
    } else {
        if let Then::CompleteLifecycleAction(action) = then {
            plan.actions.push(Action::Heartbeat(action.clone()));
        }
        let step = Step::AwaitTasks { then: then.clone() };
        plan.actions.push(Action::Send {
            to: Queue::Own,
            instance: notice.instance.clone(),
            at: look_at,
            follow_up: FollowUp {
                cause: cause(notice),
                deadline: Some(limit),
                step,
            },
        });
    }
    plan
}

fn next_look(notice: &Notice, now: Timestamp) -> Timestamp {
    let seldom = now.duration_since(notice.time) > SELDOM_AFTER;
    now.saturating_add(if seldom { LOOK_AGAIN_SELDOM } else { LOOK_AGAIN })
        .unwrap_or(now)
}

fn let_go(notice: &Notice, then: &Then, now: Timestamp) -> Action {
    match then {
        Then::CompleteLifecycleAction(action) => Action::Complete(action.clone()),
        Then::Retire { group } => Action::Send {
            to: Queue::ReplaceCapacity,
            instance: notice.instance.clone(),
            at: now,
            follow_up: FollowUp {
                cause: cause(notice),
                deadline: None,
                step: Step::Retire { group: group.clone() },
            },
        },
    }
}

/// The hook's own limit would end the wait anyway; an instance nobody forces out stays with its tasks.
fn give_up(plan: &mut Plan, notice: &Notice, then: &Then, tasks: usize) {
    match then {
        Then::CompleteLifecycleAction(action) => {
            plan.warnings.push(Warning::LimitReached {
                hook: action.hook.clone(),
                tasks,
            });
            plan.actions.push(Action::Complete(action.clone()));
        }
        Then::Retire { .. } => plan.skip(&notice.instance, Skip::TasksDidNotMove { tasks }),
    }
}
