//! When to stop tasks. Draining does not stop standalone tasks, and the end of the instance would kill them without
//! warning. What [`super::service_tasks`] decides about a service's task is carried out here, too.
//!
//! With `StandaloneTasks=stop-late`, a task runs for as long as its containers can still end in order. So an inference
//! job that is nearly done can finish. A delayed message brings up the moment; no function sleeps.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::policies::StandaloneTasks;
use spot_handoff::ecs::container_instances::ContainerInstance;
use spot_handoff::ecs::grace;
use spot_handoff::ecs::standalone_tasks::Rerun;
use spot_handoff::lambda::outbox::LONGEST_DELAY;
use spot_handoff::notice::{Cause, FollowUp, NOTICE, Notice, RerunOrder, RerunStage, Signal, Step};
use spot_handoff::report::TaskLine;

use super::service_tasks::Fate;
use super::{Action, Plan, Queue, Skip, Warning, cause, task_line};
use crate::facts::{STOP_REASON, TaskFacts, TaskState};

/// How soon to look whether a stopped task is gone, so that it can be run again.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(5);
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html>
const TASKS_PER_MESSAGE: usize = 100;

/// The latest moment at which a task can be stopped so that its containers end in order before `deadline`.
pub fn latest_safe_stop(deadline: Timestamp, task: &TaskFacts) -> Timestamp {
    grace::latest_safe_stop(deadline, task.grace, &task.accelerators)
}

/// Plans for the tasks of an instance that goes at `deadline`.
pub fn plan(
    notice: &Notice,
    deadline: Timestamp,
    container_instance: &ContainerInstance,
    tasks: &[TaskFacts],
    policy: StandaloneTasks,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let mut stops = Stops {
        notice,
        container_instance,
        later: BTreeMap::new(),
    };
    for task in in_order(tasks) {
        if task.is_managed {
            plan.tasks.push(task_line(task, "left to ECS"));
            plan.skip(&task.arn, Skip::ManagedByEcs);
            continue;
        }
        if let Some(service) = &task.service {
            // An instance that is already going, or hibernates, has no moment left to choose.
            let fate = match notice.deadline() {
                Some(_) if !is_awaited(notice) => Fate::of(notice, deadline, task, service, now),
                _ => Fate::LeftToEcs,
            };
            stops.service_task(&mut plan, task, fate, now);
            continue;
        }
        warn(&mut plan, task);
        let at = latest_safe_stop(deadline, task);
        let too_far = at.duration_since(now).unsigned_abs() > LONGEST_DELAY && at > now;
        match policy {
            StandaloneTasks::Leave => {
                plan.tasks.push(task_line(task, "left running"));
                plan.skip(&task.arn, Skip::LeftByPolicy);
            }
            StandaloneTasks::StopLate if too_far => {
                plan.tasks.push(task_line(task, "left running for now"));
                plan.skip(&task.arn, Skip::DeadlineFarAway);
            }
            StandaloneTasks::StopLate if at > now => {
                let seconds = at.duration_since(notice.time).as_secs();
                plan.tasks.push(task_line(task, format!("stop at T+{seconds} s")));
                stops.later(at, None, task);
            }
            StandaloneTasks::StopLate | StandaloneTasks::StopNow => {
                plan.tasks.push(task_line(task, "stop now"));
                stops.due(&mut plan, task, now);
            }
        }
    }
    stops.add_later(&mut plan, deadline);
    plan
}

/// Whether the looks of an exchange take care of the service tasks: these looks come until the work has moved.
fn is_awaited(notice: &Notice) -> bool {
    let Signal::FollowUp(follow_up) = &notice.signal else {
        return false;
    };
    matches!(follow_up.step, Step::MoveWork { .. }) && follow_up.cause != Cause::Interruption
}

/// Plans for tasks whose moment has come: they are stopped, or found to be over. They run again once they are gone.
///
/// `is_last` says of which tasks nothing else of their service serves. If the message names a later moment for them,
/// that one counts.
pub fn plan_for_named(
    notice: &Notice,
    deadline: Timestamp,
    container_instance: &ContainerInstance,
    named: &[String],
    tasks: &[TaskFacts],
    is_last: impl Fn(&TaskFacts) -> bool,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let later = moment_of_last(notice).filter(|later| *later > now);
    let mut stops = Stops {
        notice,
        container_instance,
        later: BTreeMap::new(),
    };
    for arn in named
        .iter()
        .filter(|arn| !tasks.iter().any(|task| task.arn == **arn))
    {
        plan.skip(arn, Skip::TaskForgotten);
    }
    for task in in_order(tasks) {
        if task.container_instance != container_instance.arn || task.is_managed {
            plan.skip(&task.arn, Skip::NotOnInstance);
            continue;
        }
        let is_of_service = task.service.is_some();
        let wants_rerun = task.rerun == Rerun::Yes;
        // If a task is still stopping after the deadline and its whole grace, it has ended with the instance.
        let went_down = now >= deadline.saturating_add(task.grace).unwrap_or(deadline);
        match (task.state, later) {
            (TaskState::Running, Some(later)) if is_of_service && is_last(task) => {
                let seconds = later.duration_since(notice.time).as_secs();
                let words =
                    format!("serves on, since nothing else of its service does; stop at T+{seconds} s");
                plan.tasks.push(task_line(task, words));
                stops.later(later, None, task);
            }
            (TaskState::Running, _) => {
                plan.tasks.push(task_line(task, "stop now"));
                plan.actions.push(stops.stop(task));
                if wants_rerun {
                    // If a task runs after the deadline, its instance is still there. The grace of the task begins now.
                    plan.actions.push(stops.look_again(task, deadline.max(now), now));
                }
            }
            (TaskState::Ended, _) if is_of_service => plan.skip(&task.arn, Skip::MovedByEcs),
            (TaskState::Ended, _) => {
                plan.tasks.push(TaskLine {
                    saved: true,
                    ..task_line(task, "ended by itself in time")
                });
                plan.skip(&task.arn, Skip::EndedByItself);
            }
            (TaskState::CutShort | TaskState::Stopping, _)
                if wants_rerun && is_over(task.state, went_down) =>
            {
                plan.tasks.push(task_line(task, "run again"));
                plan.actions.push(stops.run_again(task));
            }
            (TaskState::Stopping, _) if wants_rerun => {
                plan.tasks.push(task_line(task, "run again when it has stopped"));
                plan.actions.push(stops.look_again(task, deadline, now));
            }
            (TaskState::Stopping, _) => plan.skip(&task.arn, Skip::AlreadyStopping),
            (TaskState::CutShort, _) => plan.skip(&task.arn, Skip::AlreadyStopped),
        }
    }
    stops.add_later(&mut plan, deadline);
    plan
}

/// The later moment that a message names for tasks that are the last of their services.
fn moment_of_last(notice: &Notice) -> Option<Timestamp> {
    match &notice.signal {
        Signal::FollowUp(FollowUp {
            step: Step::StopTasks { as_last, .. },
            ..
        }) => *as_last,
        _ => None,
    }
}

/// Adds what is known about the task's re-run: StopTask has deleted the tag that asks for it.
pub fn learn(task: &mut TaskFacts, order: Option<&RerunOrder>) {
    match order.map(|order| &order.stage) {
        None => {}
        Some(RerunStage::Runs { .. }) => task.rerun = Rerun::No,
        Some(RerunStage::Noted | RerunStage::Cut) if task.stopped_by_somebody => {}
        Some(RerunStage::Noted | RerunStage::Cut) => task.rerun = Rerun::Yes,
    }
}

/// Plans for re-runs of tasks that ECS has forgotten, as it does an hour after they stopped.
pub fn plan_for_forgotten(orders: &[&RerunOrder]) -> Plan {
    let mut plan = Plan::default();
    for order in orders {
        match &order.stage {
            RerunStage::Noted => plan.skip(&order.task, Skip::FateUnknown),
            RerunStage::Cut => plan.actions.push(Action::RunAgain {
                cluster: order.cluster.clone(),
                task: order.task.clone(),
            }),
            RerunStage::Runs { new } => plan.skip(&order.task, Skip::RunsAgain { new: new.clone() }),
        }
    }
    plan
}

fn is_over(state: TaskState, went_down_with_instance: bool) -> bool {
    state == TaskState::CutShort || went_down_with_instance
}

/// Handles a service task, in a plan that waits for it until `limit`.
pub fn service_task(
    plan: &mut Plan,
    notice: &Notice,
    limit: Timestamp,
    container_instance: &ContainerInstance,
    task: &TaskFacts,
    fate: Fate,
    now: Timestamp,
) {
    let mut stops = Stops {
        notice,
        container_instance,
        later: BTreeMap::new(),
    };
    stops.service_task(plan, task, fate, now);
    stops.add_later(plan, limit);
}

/// Stops `task` now, in a plan that waits for it until `limit`.
pub fn stop_now(
    plan: &mut Plan,
    notice: &Notice,
    limit: Timestamp,
    container_instance: &ContainerInstance,
    task: &TaskFacts,
    now: Timestamp,
) {
    let mut stops = Stops {
        notice,
        container_instance,
        later: BTreeMap::new(),
    };
    plan.warnings.extend(no_rerun(task));
    stops.due(plan, task, now);
    stops.add_later(plan, limit);
}

/// Tasks with accelerators first: their devices are the scarcest resource on the instance.
fn in_order(tasks: &[TaskFacts]) -> Vec<&TaskFacts> {
    let mut tasks: Vec<&TaskFacts> = tasks.iter().collect();
    tasks.sort_by_key(|task| (task.accelerators.is_empty(), &task.arn));
    tasks
}

fn warn(plan: &mut Plan, task: &TaskFacts) {
    plan.warnings.extend(no_rerun(task));
    if task.definition_unread {
        plan.warnings.push(Warning::DefinitionUnread {
            family: task.family.clone(),
        });
    } else if task.grace + grace::margin(&[]) > NOTICE {
        let seconds = task.grace.as_secs();
        plan.warnings.push(Warning::GraceLongerThanNotice {
            family: task.family.clone(),
            seconds,
        });
    }
}

/// Why a task that asks to be run again is not.
fn no_rerun(task: &TaskFacts) -> Option<Warning> {
    let family = task.family.clone();
    match &task.rerun {
        Rerun::No | Rerun::Yes => None,
        Rerun::WaitedFor => Some(Warning::RerunIsWaitedFor { family }),
        Rerun::SwitchedOff { .. } => Some(Warning::RerunIsSwitchedOff { family }),
        Rerun::RolesNotNamed { roles } => Some(Warning::RerunRolesNotNamed {
            family,
            roles: roles.iter().cloned().collect(),
        }),
        Rerun::HasVolume => Some(Warning::RerunHasVolume { family }),
        Rerun::LacksSecurityGroups => Some(Warning::RerunLacksSecurityGroups { family }),
    }
}

/// The stops of one container instance.
struct Stops<'a> {
    notice: &'a Notice,
    container_instance: &'a ContainerInstance,
    /// By their moment, and the later moment for the last task of a service.
    later: BTreeMap<(Timestamp, Option<Timestamp>), Vec<String>>,
}

impl Stops<'_> {
    /// The task's moment is now. If it has to be run again, the message that names it also stops it, and not this plan:
    /// if a call fails halfway, the message comes back and still knows the task.
    fn due(&mut self, plan: &mut Plan, task: &TaskFacts, now: Timestamp) {
        if task.rerun == Rerun::Yes {
            self.later(now, None, task);
        } else {
            plan.actions.push(self.stop(task));
        }
    }

    fn later(&mut self, at: Timestamp, as_last: Option<Timestamp>, task: &TaskFacts) {
        let as_last = as_last.filter(|last| *last > at);
        self.later
            .entry((at, as_last))
            .or_default()
            .push(task.arn.clone());
    }

    /// Not before its moment: until then ECS may move it.
    fn service_task(&mut self, plan: &mut Plan, task: &TaskFacts, fate: Fate, now: Timestamp) {
        match &fate {
            Fate::StoppedAt { at, .. } if *at <= now => {
                plan.tasks.push(task_line(task, "stop now"));
                plan.actions.push(self.stop(task));
                return;
            }
            Fate::StoppedAt { at, as_last } => self.later(*at, *as_last, task),
            Fate::Unknown(problem) if !plan.problems.contains(problem) => plan.problems.push(problem.clone()),
            Fate::Unknown(_) | Fate::LeftToEcs | Fate::Daemon => {}
        }
        plan.tasks.push(task_line(task, fate.words(self.notice)));
    }

    fn stop(&self, task: &TaskFacts) -> Action {
        let in_vain = match task.service {
            Some(_) => "ECS has not moved the task in time, ",
            None => "",
        };
        Action::StopTask {
            cluster: self.container_instance.cluster.clone(),
            task: task.arn.clone(),
            reason: self.reason(in_vain),
            holds_accelerator: !task.accelerators.is_empty(),
        }
    }

    fn reason(&self, in_vain: &str) -> String {
        let why = match cause(self.notice) {
            Cause::StateChange => "is stopping or shutting down",
            Cause::Interruption => "is interrupted",
            Cause::Rebalance => "is at risk and has been replaced",
            Cause::Retirement => "is retired by AWS",
            Cause::Termination => "is terminated by Auto Scaling",
            Cause::Restart => "is restarted by AWS",
        };
        let drill = if self.notice.drill.is_some() {
            "drill: "
        } else {
            ""
        };
        format!(
            "{STOP_REASON}{drill}{} {why}, {in_vain}notice of {}",
            self.notice.instance, self.notice.time
        )
    }

    fn run_again(&self, task: &TaskFacts) -> Action {
        Action::RunAgain {
            cluster: self.container_instance.cluster.clone(),
            task: task.arn.clone(),
        }
    }

    fn look_again(&self, task: &TaskFacts, deadline: Timestamp, now: Timestamp) -> Action {
        let at = now.saturating_add(LOOK_AGAIN).unwrap_or(now);
        self.send(at, None, deadline, vec![task.arn.clone()])
    }

    fn add_later(self, plan: &mut Plan, deadline: Timestamp) {
        for ((at, as_last), tasks) in &self.later {
            let chunks = tasks.chunks(TASKS_PER_MESSAGE);
            plan.actions
                .extend(chunks.map(|chunk| self.send(*at, *as_last, deadline, chunk.to_vec())));
        }
    }

    fn send(
        &self,
        at: Timestamp,
        as_last: Option<Timestamp>,
        deadline: Timestamp,
        tasks: Vec<String>,
    ) -> Action {
        Action::Send {
            to: Queue::Own,
            instance: self.notice.instance.clone(),
            at,
            follow_up: FollowUp {
                cause: cause(self.notice),
                deadline: Some(deadline),
                step: Step::StopTasks {
                    cluster: self.container_instance.cluster.clone(),
                    container_instance: self.container_instance.arn.clone(),
                    tasks,
                    as_last,
                    reruns: vec![],
                },
            },
        }
    }
}
