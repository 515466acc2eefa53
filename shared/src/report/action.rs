//! The names of what the functions do, as reports carry them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// A target leaves its target group.
    DeregisterTarget,
    /// A target is put back into its target group.
    RegisterTarget,
    /// A container instance is set to DRAINING.
    DrainContainerInstance,
    /// A container instance is set to ACTIVE again.
    ActivateContainerInstance,
    /// A task is stopped.
    StopTask,
    /// Tasks are stopped at their last safe moment.
    StopTasksLater,
    /// The same function looks what has become of tasks.
    SeeEnds,
    /// A task that was stopped runs again.
    RunTaskAgain,
    /// Auto Scaling is told that a lifecycle action goes on.
    RecordHeartbeat,
    /// Auto Scaling is told that a lifecycle action is over.
    CompleteLifecycleAction,
    /// Auto Scaling is told to abandon a termination, where it keeps such instances.
    AbandonLifecycleAction,
    /// An interrupted instance leaves its group.
    DetachInstance,
    /// The same by terminating it.
    TerminateInstance,
    /// An instance goes whose replacement serves.
    RetireInstance,
    /// A group is to have one instance more.
    RaiseDesiredCapacity,
    /// A group is to have one instance less.
    LowerDesiredCapacity,
    /// More of a group is to be On-Demand, in the place of Spot.
    RaiseOnDemandBase,
    /// Less of it is to be.
    LowerOnDemandBase,
    /// A replacement goes that is of no use.
    GiveCapacityBack,
    /// The same function looks again.
    Look,
    /// The same function looks whether tasks have ended.
    AwaitTasks,
    /// The same function looks whether a container instance has registered.
    AwaitRegistration,
    /// The same function looks whether a replacement serves.
    AwaitReplacement,
    /// The same function looks whether a restart is near, or over.
    AwaitRestart,
    /// An instance lets go of its work until it has been restarted.
    StepAside,
    /// What it let go of is given back.
    StepBack,
    /// The same function looks whether a group is whole again.
    WatchGroup,
    /// Another function is asked to move work.
    AskToMoveWork,
    /// Another function is asked to take targets out.
    AskToDeregister,
    /// Another function is asked to give an exchange up.
    AskToGiveUp,
    /// Another function is asked to end an exchange.
    AskToRetire,
    /// run-commands is asked for the stop script of an instance.
    AskToRunStopScript,
    /// The stop script of an instance is run.
    RunStopScript,
    /// It is run later.
    RunStopScriptLater,
    /// The same function looks how the stop script has ended.
    AwaitStopScript,
    /// It has ended.
    EndStopScript,
    /// It is told how a hand-off went.
    Tell,
    /// A message waits for others, to be published with them.
    PublishMessage,
    /// Messages that waited are published.
    PublishPending,
    /// An event is put on the bus: how it went.
    PutEvent,
    /// An event is put on the bus: it has begun.
    PutStartEvent,
    /// The same function looks whether the hand-off has begun.
    AwaitStart,
    /// The same function looks whether the hand-off is over.
    AwaitEnd,
    /// The same function looks whether an instance that left its group has ended.
    AwaitGone,
    /// The same function looks whether the group is whole again.
    AwaitWhole,
    /// What an older or a newer version has done.
    #[serde(other)]
    Unknown,
}

impl ActionKind {
    /// The name in the words of a sentence: `stop task`.
    pub fn in_words(self) -> String {
        self.to_string().replace('-', " ")
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A formatter takes the name of a variant as serde writes it.
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let name = ActionKind::StopTask.to_string();
        assert_eq!(name, "stop-task");
        assert_eq!(ActionKind::StopTask.in_words(), "stop task");
        let read = |name: &str| serde_json::from_value::<ActionKind>(name.into()).ok();
        assert_eq!(read(&name), Some(ActionKind::StopTask));
        assert_eq!(read("launch-replacement"), Some(ActionKind::Unknown));
    }
}
