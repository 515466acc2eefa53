//! Plans while somebody waits until the tasks are gone: Auto Scaling in a lifecycle hook, or replace-capacity before it
//! terminates an instance that has been replaced.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::policies::StandaloneTasks;
use spot_handoff::ecs::aws_batch;
use spot_handoff::ecs::container_instances::{ContainerInstance, ContainerInstances};
use spot_handoff::notice::{Cause, FollowUp, LifecycleAction, Notice, Signal, Step, Then};

use super::service_tasks::Fate;
use super::standalone_tasks::{latest_safe_stop, service_task, stop_now};
use super::{Action, Plan, Queue, Skip, Warning, cause, task_line};
use crate::facts::stop_scripts::StopScript;
use crate::facts::{TaskFacts, TaskState};

/// How often to look. Hooks last minutes to hours, so less often is enough after a while.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// Still often enough for a hook's shortest heartbeat timeout, 30 seconds.
const LOOK_AGAIN_SELDOM: SignedDuration = SignedDuration::from_secs(15);
const SELDOM_AFTER: SignedDuration = SignedDuration::from_mins(2);
/// How long before the limit the waiting ends: enough for one look and the last call.
pub const BEFORE_LIMIT: SignedDuration = SignedDuration::from_secs(30);
/// Agents disconnect several times an hour, and are back within moments. If the agent is disconnected at every look for
/// this long, its instance has failed.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_cwe_events.html>
const SILENT_FOR: SignedDuration = SignedDuration::from_mins(5);

/// Waits until `limit` for the tasks of the instance, and lets the instance go when they are gone.
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
    let mut asks_for_targets = false;
    let look_at = next_look(notice, now);
    let ends = limit.saturating_sub(BEFORE_LIMIT).unwrap_or(limit);
    let silent_since = silent_since(notice, found, now);
    let has_failed = silent_since.is_some_and(|since| now.duration_since(since) > SILENT_FOR);
    for container_instance in found.of_instance(&notice.instance) {
        let tasks = match tasks_on(container_instance) {
            Ok(tasks) => tasks,
            Err(error) => {
                plan.problems.push(error);
                continue;
            }
        };
        if has_failed && !container_instance.agent_connected && !tasks.is_empty() {
            plan.skip(&container_instance.arn, Skip::AgentSilent);
            continue;
        }
        remaining += tasks.len();
        let left_alone = if aws_batch::manages(&container_instance.cluster) {
            Some(Skip::OfAwsBatch)
        } else {
            container_instance.is_managed.then_some(Skip::ManagedByEcs)
        };
        let is_left = left_alone.is_some();
        if let Some(skip) = left_alone {
            plan.skip(&container_instance.arn, skip);
        }
        for task in &tasks {
            let stop_at = latest_safe_stop(ends, task);
            let is_due = match policy {
                StandaloneTasks::StopNow => true,
                StandaloneTasks::StopLate => stop_at <= look_at,
                StandaloneTasks::Leave => false,
            };
            if let Some(service) = &task.service {
                let fate = match is_left {
                    true => Fate::LeftToEcs,
                    false => Fate::of(notice, ends, task, service, now),
                };
                asks_for_targets |= fate.asks_for_targets(now, look_at);
                match fate {
                    // Its moment comes before the next look.
                    Fate::StoppedAt { at, .. } if at <= look_at && now < ends => {
                        service_task(&mut plan, notice, limit, container_instance, task, fate, now);
                    }
                    _ => plan.tasks.push(task_line(task, "waits for ECS to move it")),
                }
            } else if task.state == TaskState::Stopping {
                plan.tasks.push(task_line(task, "is stopping"));
            } else if is_left {
                plan.tasks
                    .push(task_line(task, "is left alone, waits for it to end"));
            } else if is_due {
                plan.tasks.push(task_line(task, "stop now"));
                if task.definition_unread {
                    let family = task.family.clone();
                    plan.warnings.push(Warning::DefinitionUnread { family });
                }
                stop_now(&mut plan, notice, limit, container_instance, task, now);
            } else {
                plan.tasks.push(task_line(task, "waits for it to end"));
            }
        }
    }
    if let Some(error) = found.why_not_found(&notice.instance) {
        plan.problems.push(error.to_string());
    }
    if !plan.problems.is_empty() {
        // It is not known whether tasks are left. The message comes back and asks again, and Auto Scaling waits for
        // that.
        plan.actions.extend(heartbeat(then));
        return plan;
    }
    if remaining == 0 {
        plan.actions.push(let_go(notice, then, limit, now));
    } else if now >= ends {
        // The hook's own limit would end the wait anyway, and an exchange has to end as well. The tasks that still run
        // are those that `StandaloneTasks=leave` lets die with the instance, and those that ECS cannot move.
        plan.warnings.push(Warning::LimitReached { tasks: remaining });
        plan.actions.push(let_go(notice, then, limit, now));
    } else {
        plan.actions.extend(heartbeat(then));
        if asks_for_targets {
            plan.actions.push(ask_for_targets(notice, then, ends, now));
        }
        plan.actions
            .push(look_again(notice, then, limit, look_at, silent_since));
    }
    plan
}

/// Makes Auto Scaling keep an instance that still has tasks, if its group retains instances whose hook is abandoned.
pub fn abandon_with_tasks_left(plan: &mut Plan) {
    let has_tasks_left = |warning: &Warning| matches!(warning, Warning::LimitReached { .. });
    if !plan.warnings.iter().any(has_tasks_left) {
        return;
    }
    for action in &mut plan.actions {
        if let Action::Complete(lifecycle_action) = action {
            *action = Action::Abandon(lifecycle_action.clone());
        }
    }
}

fn look_again(
    notice: &Notice,
    then: &Then,
    limit: Timestamp,
    at: Timestamp,
    silent_since: Option<Timestamp>,
) -> Action {
    let step = Step::AwaitTasks {
        then: then.clone(),
        silent_since,
    };
    Action::Send {
        to: Queue::Own,
        instance: notice.instance.clone(),
        at,
        follow_up: FollowUp {
            cause: cause(notice),
            deadline: Some(limit),
            step,
        },
    }
}

/// Asks deregister-targets to take out the targets of the service tasks before the tasks are stopped. It knows neither
/// when that is nor, in an exchange, that it has to take these targets out.
fn ask_for_targets(notice: &Notice, then: &Then, ends: Timestamp, now: Timestamp) -> Action {
    let (Then::CompleteLifecycleAction(LifecycleAction { group, .. }) | Then::Retire { group }) = then;
    Action::Send {
        to: Queue::DeregisterTargets,
        instance: notice.instance.clone(),
        at: now,
        follow_up: FollowUp {
            cause: Cause::Termination,
            deadline: Some(ends),
            step: Step::Look {
                group: Some(group.clone()),
                registered: vec![],
                seen: vec![],
            },
        },
    }
}

/// Changes the plan so that the instance is not let go before its stop script has ended.
///
/// run-commands runs the script, and records its end. If the table does not answer, the instance stays until the script
/// is over in any case. To cut off a script would lose work; to terminate late does not.
pub fn until_script_ends(
    mut plan: Plan,
    script: Option<&StopScript>,
    notice: &Notice,
    then: &Then,
    limit: Timestamp,
    now: Timestamp,
) -> Plan {
    let ends = limit.saturating_sub(BEFORE_LIMIT).unwrap_or(limit);
    let (waits_until, error) = match script {
        None | Some(StopScript::Over) => return plan,
        Some(StopScript::Awaited { until }) => (*until, None),
        Some(StopScript::Unknown { error, until }) => (*until, Some(error)),
    };
    let lets_go = let_go(notice, then, limit, now);
    if !plan.actions.contains(&lets_go) {
        return plan;
    }
    if let Some(error) = error {
        let error = error.clone();
        plan.warnings.push(Warning::StopScriptUnknown { error });
    }
    if now >= waits_until.min(ends) {
        if error.is_none() {
            let error = "nothing was heard of it in time".to_owned();
            plan.warnings.push(Warning::StopScriptUnknown { error });
        }
        return plan;
    }
    plan.actions.retain(|action| *action != lets_go);
    plan.skip(&notice.instance, Skip::StopScriptRuns);
    plan.actions.extend(heartbeat(then));
    plan.actions
        .push(look_again(notice, then, limit, next_look(notice, now), None));
    plan
}

/// Since when the agent has been disconnected at every look; `None` if it is connected.
fn silent_since(notice: &Notice, found: &ContainerInstances, now: Timestamp) -> Option<Timestamp> {
    let before = match &notice.signal {
        Signal::FollowUp(FollowUp {
            step: Step::AwaitTasks { silent_since, .. },
            ..
        }) => *silent_since,
        _ => None,
    };
    let mut instances = found.of_instance(&notice.instance).iter();
    instances
        .any(|one| !one.agent_connected)
        .then(|| before.unwrap_or(now))
}

fn next_look(notice: &Notice, now: Timestamp) -> Timestamp {
    let seldom = now.duration_since(notice.time) > SELDOM_AFTER;
    now.saturating_add(if seldom { LOOK_AGAIN_SELDOM } else { LOOK_AGAIN })
        .unwrap_or(now)
}

/// Makes Auto Scaling wait longer, if it is the one that waits.
fn heartbeat(then: &Then) -> Option<Action> {
    match then {
        Then::CompleteLifecycleAction(action) => Some(Action::Heartbeat(action.clone())),
        Then::Retire { .. } => None,
    }
}

fn let_go(notice: &Notice, then: &Then, limit: Timestamp, now: Timestamp) -> Action {
    match then {
        Then::CompleteLifecycleAction(action) => Action::Complete(action.clone()),
        Then::Retire { group } => Action::Send {
            to: Queue::ReplaceCapacity,
            instance: notice.instance.clone(),
            at: now,
            follow_up: FollowUp {
                cause: cause(notice),
                deadline: Some(limit),
                step: Step::Retire { group: group.clone() },
            },
        },
    }
}
