//! What to drain, and what to do with the tasks: pure functions from facts to plans.
//!
//! A notice leads to two plans, which are carried out at the same time. [`drain`] is for the container instance, and
//! must not wait for anything. The other is for the tasks: [`standalone_tasks`] and [`service_tasks`] if the instance
//! goes at a known moment, [`await_tasks`] if somebody waits until the tasks are gone. [`look`] says when to look
//! again, and [`ends`] how the tasks ended.

pub mod await_tasks;
pub mod drain;
pub mod ends;
pub mod look;
pub mod restart;
pub mod service_tasks;
pub mod standalone_tasks;
mod words;

use std::fmt;

use jiff::Timestamp;
use spot_handoff::autoscaling::groups::GroupOf;
use spot_handoff::autoscaling::restarts;
use spot_handoff::ecs::aws_batch;
use spot_handoff::ecs::container_instances::{ContainerInstance, ContainerInstances, Status};
use spot_handoff::exchange;
use spot_handoff::notice::{Cause, FollowUp, InstanceId, LifecycleAction, Notice, Signal, Step};
use spot_handoff::report::plan as shared_plan;
use spot_handoff::report::{TaskKind, TaskLine};

use crate::config::Config;
use crate::facts::TaskFacts;

pub use words::{Skip, Warning};

/// A plan of this function.
pub type Plan = shared_plan::Plan<Action, Skip, Warning>;

/// What this function can do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Set a container instance to DRAINING.
    Drain {
        /// Its cluster.
        cluster: String,
        /// Its ARN.
        container_instance: String,
    },
    /// Set a container instance to ACTIVE again.
    Activate {
        /// Its cluster.
        cluster: String,
        /// Its ARN.
        container_instance: String,
    },
    /// Stop a task.
    StopTask {
        /// Its cluster.
        cluster: String,
        /// Its ARN.
        task: String,
        /// What ECS shows as the reason.
        reason: String,
        /// Whether it holds an accelerator; those are stopped first.
        holds_accelerator: bool,
    },
    /// Run a task again that we had to stop.
    RunAgain {
        /// Its cluster.
        cluster: String,
        /// ARN of the stopped task.
        task: String,
    },
    /// Tell Auto Scaling that the lifecycle action takes longer.
    Heartbeat(LifecycleAction),
    /// Let Auto Scaling go on with the termination.
    Complete(LifecycleAction),
    /// Let Auto Scaling keep the instance, since it still has tasks.
    Abandon(LifecycleAction),
    /// Look again later, or ask another function for the next step.
    Send {
        /// Whose queue.
        to: Queue,
        /// The instance that it is about.
        instance: InstanceId,
        /// When it should arrive.
        at: Timestamp,
        /// The message.
        follow_up: FollowUp,
    },
}

/// A queue that follow-ups are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// This function's own.
    Own,
    /// The queue of deregister-targets.
    DeregisterTargets,
    /// The queue of replace-capacity.
    ReplaceCapacity,
    /// The queue of run-commands.
    RunCommands,
}

/// Whether this function may act on the notice.
///
/// # Errors
/// If it may not, or cannot know: the plan that says why.
pub fn may_act(notice: &Notice, group: &GroupOf<'_>, config: &Config) -> Result<(), Box<Plan>> {
    let nothing = |skip| Err(Box::new(Plan::nothing(&notice.instance, skip)));
    match &notice.signal {
        Signal::RebalanceRecommendation => return nothing(Skip::WaitsForReplacement),
        Signal::Returned => return nothing(Skip::NothingTaken),
        Signal::FollowUp(FollowUp {
            step:
                Step::AwaitReplacement { .. }
                | Step::Retire { .. }
                | Step::GiveUp { .. }
                | Step::AwaitScript { .. }
                | Step::AwaitStart { .. }
                | Step::AwaitEnd { .. }
                | Step::AwaitGone { .. }
                | Step::AwaitWhole { .. }
                | Step::AwaitRestart { .. }
                | Step::StepBack
                | Step::Tell,
            ..
        }) => {
            return nothing(Skip::NotForThisFunction);
        }
        // The sender of the follow-up has already decided that the instance is ours. It may have left its group.
        Signal::FollowUp(_) => return Ok(()),
        Signal::InterruptionWarning { .. }
        | Signal::TerminateLifecycleAction(_)
        | Signal::StateChange { .. }
        | Signal::ScheduledRestart(_)
        | Signal::ScheduledRetirement { .. } => {}
    }
    let admitted = match group {
        GroupOf::Unknown(error) => {
            return Err(Box::new(Plan {
                problems: vec![error.to_string()],
                ..Plan::default()
            }));
        }
        GroupOf::None => config.scope.admits(None),
        GroupOf::Some { group, .. } => config.scope.admits(Some(group)),
    };
    match admitted {
        Err(why) => nothing(Skip::OutOfScope(why)),
        Ok(()) if exchange::replacement_comes_first(notice, group) => nothing(Skip::WaitsForReplacement),
        Ok(()) => Ok(()),
    }
}

/// Why to leave a container instance and its tasks alone, if so.
///
/// If an instance that may start again is already DRAINING, a retirement or a person has drained it before. Its tasks
/// are handled as usual.
pub fn left_alone(
    notice: &Notice,
    group: &GroupOf<'_>,
    container_instance: &ContainerInstance,
) -> Option<Skip> {
    let serves = container_instance.status == Status::Active;
    if aws_batch::manages(&container_instance.cluster) {
        Some(Skip::OfAwsBatch)
    } else if container_instance.is_managed {
        Some(Skip::ManagedByEcs)
    } else if serves && restarts::may_start_again(&notice.signal, group) {
        Some(Skip::MayStartAgain)
    } else {
        None
    }
}

/// Whether the instance runs jobs of AWS Batch. Nobody moves these.
pub fn runs_batch_jobs(instance: &InstanceId, found: &ContainerInstances) -> bool {
    let mut on = found.of_instance(instance).iter();
    on.any(|container_instance| aws_batch::manages(&container_instance.cluster))
}

/// Why the instance goes, for the reason of a stopped task.
fn cause(notice: &Notice) -> Cause {
    match &notice.signal {
        Signal::FollowUp(follow_up) => follow_up.cause,
        Signal::InterruptionWarning { .. } => Cause::Interruption,
        Signal::StateChange { .. } => Cause::StateChange,
        Signal::RebalanceRecommendation | Signal::Returned => Cause::Rebalance,
        Signal::ScheduledRetirement { .. } => Cause::Retirement,
        Signal::ScheduledRestart(_) => Cause::Restart,
        Signal::TerminateLifecycleAction(_) => Cause::Termination,
    }
}

/// The line of the report about a task.
fn task_line(task: &TaskFacts, plan: impl fmt::Display) -> TaskLine {
    TaskLine {
        task: task.arn.clone(),
        kind: if task.service.is_some() {
            TaskKind::Service
        } else {
            TaskKind::Standalone
        },
        name: match &task.service {
            Some(service) => service.name.clone(),
            None => task.family.clone(),
        },
        accelerators: task.accelerators.iter().map(ToString::to_string).collect(),
        plan: plan.to_string(),
        saved: false,
        end: None,
        ended_at: None,
    }
}

/// Adds the plan for the tasks to the plan for their container instance.
pub fn merge(mut drain: Plan, tasks: Plan) -> Plan {
    drain.actions.extend(tasks.actions);
    for skipped in tasks.skipped {
        if !drain.skipped.contains(&skipped) {
            drain.skipped.push(skipped);
        }
    }
    drain.warnings.extend(tasks.warnings);
    drain.problems.extend(tasks.problems);
    drain.problems.dedup();
    drain.tasks.extend(tasks.tasks);
    drain
}

#[cfg(test)]
mod tests;
