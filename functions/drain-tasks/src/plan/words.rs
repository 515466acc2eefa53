//! The texts of a plan: the actions, the reasons to leave something alone, the warnings.

use std::fmt;

use spot_handoff::autoscaling::policies::UnknownValue;
use spot_handoff::autoscaling::scope::OutOfScope;
use spot_handoff::ecs::grace::GRACE_OF_UNREAD_DEFINITION;
use spot_handoff::ecs::standalone_tasks::{RERUN_TAG, SECURITY_GROUPS_TAG};
use spot_handoff::notice::{InstanceId, Step};
use spot_handoff::report::ActionKind;
use spot_handoff::report::{names, plan as shared_plan};

use super::{Action, Queue};

impl shared_plan::Action for Action {
    fn describe(&self) -> (ActionKind, String, String) {
        match self {
            Self::Drain {
                container_instance, ..
            } => (
                ActionKind::DrainContainerInstance,
                container_instance.clone(),
                String::new(),
            ),
            Self::Activate {
                container_instance, ..
            } => (
                ActionKind::ActivateContainerInstance,
                container_instance.clone(),
                String::new(),
            ),
            Self::StopTask { task, reason, .. } => (ActionKind::StopTask, task.clone(), reason.clone()),
            Self::RunAgain { task, .. } => (ActionKind::RunTaskAgain, task.clone(), String::new()),
            Self::Heartbeat(action) => (
                ActionKind::RecordHeartbeat,
                action.group.clone(),
                format!("hook {}", action.hook),
            ),
            Self::Complete(action) => (
                ActionKind::CompleteLifecycleAction,
                action.group.clone(),
                format!("hook {}, CONTINUE", action.hook),
            ),
            Self::Abandon(action) => (
                ActionKind::AbandonLifecycleAction,
                action.group.clone(),
                format!("hook {}, ABANDON: the group retains the instance", action.hook),
            ),
            Self::Send {
                to: Queue::DeregisterTargets,
                instance,
                follow_up,
                ..
            } => {
                let why = match follow_up.step {
                    Step::Look { .. } => "its service tasks are stopped soon",
                    Step::StepAside { .. } => "AWS restarts it",
                    Step::StepBack => "its restart is over, so its targets come back",
                    _ => "its work moves now",
                };
                (ActionKind::AskToDeregister, instance.to_string(), why.to_owned())
            }
            Self::Send {
                to: Queue::RunCommands,
                instance,
                ..
            } => (
                ActionKind::AskToRunStopScript,
                instance.to_string(),
                "its work moves now".to_owned(),
            ),
            Self::Send {
                instance,
                at,
                follow_up,
                ..
            } => {
                let at = at.strftime("%H:%M:%S").to_string();
                match &follow_up.step {
                    Step::StopTasks { tasks, .. } => {
                        let ids: Vec<_> = tasks.iter().map(|task| names::last(task)).collect();
                        (
                            ActionKind::StopTasksLater,
                            instance.to_string(),
                            format!("at {at}: {}", ids.join(", ")),
                        )
                    }
                    Step::AwaitTasks { .. } => (
                        ActionKind::AwaitTasks,
                        instance.to_string(),
                        format!("look again at {at}"),
                    ),
                    Step::Look { .. } => (
                        ActionKind::Look,
                        instance.to_string(),
                        format!("look again at {at}"),
                    ),
                    Step::MoveWork { .. } => (
                        ActionKind::AwaitRegistration,
                        instance.to_string(),
                        format!("look again at {at}"),
                    ),
                    Step::GiveUp { group } => (
                        ActionKind::AskToGiveUp,
                        instance.to_string(),
                        format!("group {group}"),
                    ),
                    Step::Retire { group } => (
                        ActionKind::AskToRetire,
                        instance.to_string(),
                        format!("group {group}"),
                    ),
                    Step::WatchGroup { group, .. } => (
                        ActionKind::WatchGroup,
                        instance.to_string(),
                        format!("group {group}"),
                    ),
                    Step::AwaitReplacement { group } => (
                        ActionKind::AwaitReplacement,
                        instance.to_string(),
                        format!("group {group}"),
                    ),
                    Step::AwaitScript { .. } => (
                        ActionKind::AwaitStopScript,
                        instance.to_string(),
                        format!("at {at}"),
                    ),
                    Step::AwaitRestart { .. } => (
                        ActionKind::AwaitRestart,
                        instance.to_string(),
                        format!("look again at {at}"),
                    ),
                    Step::StepAside { .. } => (
                        ActionKind::StepAside,
                        instance.to_string(),
                        "AWS restarts it".to_owned(),
                    ),
                    Step::StepBack => (
                        ActionKind::StepBack,
                        instance.to_string(),
                        "its restart is over".to_owned(),
                    ),
                    Step::SeeEnds { tasks, .. } => (
                        ActionKind::SeeEnds,
                        instance.to_string(),
                        format!("of {} at {at}", tasks.len()),
                    ),
                    Step::Tell
                    | Step::AwaitStart { .. }
                    | Step::AwaitEnd { .. }
                    | Step::AwaitGone { .. }
                    | Step::AwaitWhole { .. } => (ActionKind::Tell, instance.to_string(), format!("at {at}")),
                }
            }
        }
    }

    fn group(&self) -> Option<&str> {
        match self {
            Self::Heartbeat(action) | Self::Complete(action) | Self::Abandon(action) => Some(&action.group),
            Self::Send { follow_up, .. } => follow_up.step.group(),
            Self::Drain { .. } | Self::Activate { .. } | Self::StopTask { .. } | Self::RunAgain { .. } => {
                None
            }
        }
    }
}

/// Why something is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// The instance is not ours to act on.
    OutOfScope(OutOfScope),
    /// A rebalance recommendation or a retirement: the replacement comes first.
    WaitsForReplacement,
    /// The replacement has not registered in the cluster yet.
    WaitsForRegistration {
        /// The replacement.
        replacement: InstanceId,
    },
    /// The replacement did not register in time.
    NeverRegistered {
        /// The replacement.
        replacement: InstanceId,
    },
    /// The step belongs to another function.
    NotForThisFunction,
    /// The instance is in no cluster.
    InNoCluster,
    /// It drains already.
    AlreadyDraining,
    /// It is registering or deregistering.
    NotActive,
    /// The instance is being stopped, but nobody will terminate it because of that.
    MayStartAgain,
    /// AWS has sent newer information about the restart.
    OlderNews,
    /// The restart is over or cancelled, and nothing is left to do.
    RestartOver,
    /// Another look handles the restart.
    AnotherLook,
    /// The instance has left its group since the restart was announced.
    HasLeftGroup,
    /// Nothing was taken from the instance, so there is nothing to give back.
    NothingTaken,
    /// The container instance is not DRAINING any more.
    NotDraining,
    /// The cluster belongs to AWS Batch.
    OfAwsBatch,
    /// It is a Managed Instance of ECS.
    ManagedByEcs,
    /// The hook waits for somebody else.
    ForeignHook {
        /// The hook.
        hook: String,
    },
    /// The task ended by itself before its late stop.
    EndedByItself,
    /// The task was stopped before.
    AlreadyStopped,
    /// The task is being stopped already.
    AlreadyStopping,
    /// ECS has moved the service's task in time.
    MovedByEcs,
    /// ECS does not know the task any more.
    TaskForgotten,
    /// Its stop script has not ended.
    StopScriptRuns,
    /// ECS does not know the task any more, and we did not stop it. It may have ended by itself.
    FateUnknown,
    /// It has been run again before.
    RunsAgain {
        /// ARN of the new task.
        new: String,
    },
    /// The task is not where the message says.
    NotOnInstance,
    /// `StandaloneTasks=leave`.
    LeftByPolicy,
    /// The instance goes later than any message can be delayed.
    DeadlineFarAway,
    /// The agent has been disconnected for so long that the instance counts as gone.
    AgentSilent,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfScope(why) => why.fmt(f),
            Self::WaitsForReplacement => write!(f, "its tasks stay until a replacement is in service"),
            Self::WaitsForRegistration { replacement } => {
                write!(
                    f,
                    "its tasks stay until replacement {replacement} is ACTIVE in the cluster"
                )
            }
            Self::NeverRegistered { replacement } => write!(
                f,
                "replacement {replacement} did not become ACTIVE in the cluster in time, so the tasks stay where they \
                 are; look at the ECS agent on it"
            ),
            Self::NotForThisFunction => write!(f, "this step belongs to another function"),
            Self::InNoCluster => write!(f, "not in any ECS cluster: nothing to drain"),
            Self::AlreadyDraining => write!(f, "already DRAINING"),
            Self::NotActive => write!(
                f,
                "neither ACTIVE nor DRAINING: only ACTIVE container instances can be drained"
            ),
            Self::MayStartAgain => write!(
                f,
                "it may be started again: ECS finds out by itself that it is stopped"
            ),
            Self::OlderNews => write!(f, "AWS has sent newer information about this restart"),
            Self::RestartOver => write!(
                f,
                "the restart is over, or called off: nothing is left to be done"
            ),
            Self::AnotherLook => write!(f, "another look handles this restart"),
            Self::HasLeftGroup => write!(
                f,
                "it has left its group since the restart was announced: nothing is given back"
            ),
            Self::NothingTaken => write!(f, "it runs, and was not drained before"),
            Self::NotDraining => write!(f, "not DRAINING any more: nothing to undo"),
            Self::OfAwsBatch => write!(
                f,
                "its cluster is managed by AWS Batch, which takes care of its jobs itself"
            ),
            Self::ManagedByEcs => write!(f, "it is a Managed Instance of ECS, which moves its tasks itself"),
            Self::ForeignHook { hook } => write!(
                f,
                "lifecycle hook {hook} waits for somebody else; name it in LifecycleHooks if it waits for spot-handoff"
            ),
            Self::EndedByItself => write!(f, "ended by itself before it had to be stopped"),
            Self::AlreadyStopped => write!(f, "already stopped"),
            Self::AlreadyStopping => write!(f, "is stopping already"),
            Self::MovedByEcs => write!(f, "ECS has moved it in time"),
            Self::TaskForgotten => write!(f, "ECS does not know the task any more"),
            Self::StopScriptRuns => write!(f, "its stop script has not ended: the instance stays until then"),
            Self::FateUnknown => write!(
                f,
                "ECS does not know the task any more, nor whether it ended by itself; if it did not, run it by hand"
            ),
            Self::RunsAgain { new } => write!(f, "has been run again as {}", names::last(new)),
            Self::NotOnInstance => write!(f, "the task is not on this instance"),
            Self::LeftByPolicy => write!(f, "StandaloneTasks is `leave`: it runs until the instance goes"),
            Self::DeadlineFarAway => {
                write!(
                    f,
                    "the instance goes only later; the task is stopped when EC2 reports that it is stopping"
                )
            }
            Self::AgentSilent => {
                write!(
                    f,
                    "its ECS agent is disconnected: nobody waits for its tasks any longer"
                )
            }
        }
    }
}

/// A setting or an event that causes trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The containers may need more time than the notice leaves.
    GraceLongerThanNotice {
        /// The task definition's family.
        family: String,
        /// How long its containers may take to end, in seconds.
        seconds: i64,
    },
    /// The drain could not be recorded, so the instance stays DRAINING when it is back.
    NotRemembered {
        /// The error.
        error: String,
    },
    /// A tag of the group has a value that is not valid.
    UnknownPolicy(UnknownValue),
    /// A task's definition could not be read.
    DefinitionUnread {
        /// The task definition's family.
        family: String,
    },
    /// A task asks to be run again, but its security groups are not known.
    RerunLacksSecurityGroups {
        /// The task definition's family.
        family: String,
    },
    /// A task asks to be run again, but RerunRoles is empty.
    RerunIsSwitchedOff {
        /// The task definition's family.
        family: String,
    },
    /// A task asks to be run again, but has roles that RerunRoles does not name.
    RerunRolesNotNamed {
        /// The task definition's family.
        family: String,
        /// The roles that are not named.
        roles: Vec<String>,
    },
    /// A task asks to be run again, but ECS does not tell how it created the task's volume.
    RerunHasVolume {
        /// The task definition's family.
        family: String,
    },
    /// A task asks to be run again, but whoever started it waits for it.
    RerunIsWaitedFor {
        /// The task definition's family.
        family: String,
    },
    /// It has not come back from its restart.
    NeverBack,
    /// A container instance was drained, and somebody has made it ACTIVE since.
    MadeActiveAgain {
        /// Its ARN.
        container_instance: String,
    },
    /// It is not known whether the stop script has ended.
    StopScriptUnknown {
        /// Why.
        error: String,
    },
    /// The waiting ends, but tasks are still there.
    LimitReached {
        /// How many tasks.
        tasks: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GraceLongerThanNotice { family, seconds } => write!(
                f,
                "{family}: its containers may take {seconds} s to end, one after the other, more than the notice leaves; \
                 some will be killed before that: set their stopTimeouts so that they make 90 s or less"
            ),
            Self::NotRemembered { error } => write!(
                f,
                "the table could not record that it was drained, so it stays DRAINING when it is back: set it to ACTIVE then: \
                 {error}"
            ),
            Self::UnknownPolicy(unknown) => unknown.fmt(f),
            Self::DefinitionUnread { family } => write!(
                f,
                "{family}: its task definition could not be read (the log has the error): it is stopped in time for a \
                 grace of {} s",
                GRACE_OF_UNREAD_DEFINITION.as_secs()
            ),
            Self::RerunLacksSecurityGroups { family } => write!(
                f,
                "{family}: tagged {RERUN_TAG} but not run again, since ECS does not tell the security groups of its \
                 network interface: name them in the tag {SECURITY_GROUPS_TAG}"
            ),
            Self::RerunIsSwitchedOff { family } => {
                write!(
                    f,
                    "{family}: tagged {RERUN_TAG} but not run again: RerunRoles is empty"
                )
            }
            Self::RerunRolesNotNamed { family, roles } => write!(
                f,
                "{family}: tagged {RERUN_TAG} but not run again: RerunRoles does not name {}",
                roles.join(", ")
            ),
            Self::RerunHasVolume { family } => write!(
                f,
                "{family}: tagged {RERUN_TAG} but not run again, since ECS does not tell how it made the task's volume"
            ),
            Self::RerunIsWaitedFor { family } => write!(
                f,
                "{family}: tagged {RERUN_TAG} but not run again, since whoever started it (startedBy) waits for it and sees \
                 it stop: have it retried there"
            ),
            Self::NeverBack => write!(
                f,
                "its ECS agent has not connected again since AWS was to restart it, a day ago: it stays DRAINING"
            ),
            Self::MadeActiveAgain { container_instance } => write!(
                f,
                "{container_instance}: somebody has made it ACTIVE again after it was drained: it stays so, and nobody looks \
                 at it any more"
            ),
            Self::StopScriptUnknown { error } => write!(
                f,
                "whether its stop script has ended is not known, so the instance stays until it must have: {error}"
            ),
            Self::LimitReached { tasks } => write!(
                f,
                "the time for waiting is over with {tasks} tasks still on the instance: its termination goes on; look at \
                 the events of their services"
            ),
        }
    }
}
