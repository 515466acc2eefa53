//! The names of the functions' actions in reports.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An action.
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
    /// The same function checks how tasks have ended.
    SeeEnds,
    /// A task that was stopped runs again.
    RunTaskAgain,
    /// Auto Scaling is told that a lifecycle action takes longer.
    RecordHeartbeat,
    /// Auto Scaling is told that a lifecycle action is over.
    CompleteLifecycleAction,
    /// Auto Scaling is told to abandon a termination, if the group keeps such instances.
    AbandonLifecycleAction,
    /// An interrupted instance leaves its group.
    DetachInstance,
    /// The same, but by terminating the instance.
    TerminateInstance,
    /// An instance leaves whose replacement serves.
    RetireInstance,
    /// The desired capacity of a group goes up by one.
    RaiseDesiredCapacity,
    /// The desired capacity of a group goes down by one.
    LowerDesiredCapacity,
    /// More of a group is to be On-Demand, in place of Spot.
    RaiseOnDemandBase,
    /// Less of a group is to be On-Demand.
    LowerOnDemandBase,
    /// A replacement that is not needed is terminated.
    GiveCapacityBack,
    /// The same function looks again.
    Look,
    /// The same function checks whether tasks have ended.
    AwaitTasks,
    /// The same function checks whether a container instance has registered.
    AwaitRegistration,
    /// The same function checks whether a replacement serves.
    AwaitReplacement,
    /// The same function checks whether a restart is near or over.
    AwaitRestart,
    /// The work leaves an instance until it has been restarted.
    StepAside,
    /// The instance gets back what was taken.
    StepBack,
    /// The same function checks whether a group is whole again.
    WatchGroup,
    /// Another function is asked to move work.
    AskToMoveWork,
    /// Another function is asked to take targets out.
    AskToDeregister,
    /// Another function is asked to call off an exchange.
    AskToGiveUp,
    /// Another function is asked to terminate the old instance.
    AskToRetire,
    /// run-commands is asked for the stop script of an instance.
    AskToRunStopScript,
    /// The stop script of an instance is run.
    RunStopScript,
    /// The stop script of an instance is run later.
    RunStopScriptLater,
    /// The same function checks how the stop script has ended.
    AwaitStopScript,
    /// The stop script has ended.
    EndStopScript,
    /// The result of a hand-off is announced.
    Tell,
    /// A message waits for others, to be published together with them.
    PublishMessage,
    /// Messages that waited are published.
    PublishPending,
    /// An event about the end of a hand-off is put on the bus.
    PutEvent,
    /// An event about the start of a hand-off is put on the bus.
    PutStartEvent,
    /// The same function checks whether the hand-off has begun.
    AwaitStart,
    /// The same function checks whether the hand-off is over.
    AwaitEnd,
    /// The same function checks whether an instance that left its group has ended.
    AwaitGone,
    /// The same function checks whether the group is whole again.
    AwaitWhole,
    /// An action that only an older or a newer version knows.
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
        // A formatter writes the name of a variant as serde does.
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
