//! How a task ended, according to ECS's description of the stopped task.

use aws_sdk_ecs::types::{Task, TaskStopCode};
use jiff::Timestamp;
use spot_handoff::ecs::tasks;
use spot_handoff::report::TaskEnd;

use super::STOP_REASON;

/// The exit code of a killed container: 128 plus the number of SIGKILL.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>
const KILLED: i32 = 137;

/// How the task ended. A task that was told to stop and has stopped may still have been cut off: if the instance went
/// before a container had ended, the container has no exit code.
pub fn end(task: &Task) -> TaskEnd {
    if !matches!(task.last_status(), Some("STOPPED" | "DELETED")) {
        return TaskEnd::Running;
    }
    let reason = task.stopped_reason().unwrap_or_default();
    let with_its_instance = matches!(
        task.stop_code(),
        Some(
            TaskStopCode::SpotInterruption
                | TaskStopCode::TerminationNotice
                | TaskStopCode::InfrastructureHealth
        )
    ) || reason.starts_with("Host EC2");
    let has_begun = task.started_at.is_some();
    let mut containers = task.containers().iter();
    let has_no_end = has_begun && containers.any(|container| container.exit_code.is_none());
    if with_its_instance || has_no_end {
        // A task that never began had no work to lose.
        return if has_begun { TaskEnd::Cut } else { TaskEnd::Ended };
    }
    if reason.starts_with(STOP_REASON) {
        let is_killed = task
            .containers()
            .iter()
            .any(|container| container.exit_code == Some(KILLED));
        return if is_killed {
            TaskEnd::Killed
        } else {
            TaskEnd::Stopped
        };
    }
    match tasks::service_of(task) {
        Some(_) => TaskEnd::Moved,
        None => TaskEnd::Ended,
    }
}

/// When its containers had ended.
pub fn ended_at(task: &Task) -> Option<Timestamp> {
    let ended = task.execution_stopped_at.or(task.stopped_at)?;
    Timestamp::from_second(ended.secs()).ok()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::primitives::DateTime;
    use aws_sdk_ecs::types::Container;

    use super::*;

    #[test]
    fn what_has_become_of_a_task_is_told_by_its_reason_and_its_containers() {
        let task = |reason: &str, code: TaskStopCode, exits: &[Option<i32>], group: &str| {
            let containers = exits
                .iter()
                .map(|exit| Container::builder().set_exit_code(*exit).build());
            Task::builder()
                .last_status("STOPPED")
                .started_at(DateTime::from_secs(1))
                .stopped_reason(reason)
                .stop_code(code)
                .group(group)
                .set_containers(Some(containers.collect()))
                .build()
        };
        let ours = "spot-handoff: i-1 is interrupted";
        let (user, moved, ended, host) = (
            TaskStopCode::UserInitiated,
            TaskStopCode::ServiceSchedulerInitiated,
            TaskStopCode::EssentialContainerExited,
            TaskStopCode::TerminationNotice,
        );
        for (task, expected) in [
            (
                task(ours, user.clone(), &[Some(0), Some(143)], "family:job"),
                TaskEnd::Stopped,
            ),
            (
                task(ours, user.clone(), &[Some(0), Some(137)], "family:job"),
                TaskEnd::Killed,
            ),
            // Told to stop, but its instance went before it had ended.
            (task(ours, user, &[Some(0), None], "family:job"), TaskEnd::Cut),
            (
                task("Scaling activity", moved.clone(), &[Some(0)], "service:web"),
                TaskEnd::Moved,
            ),
            (
                task("Scaling activity", moved, &[None], "service:web"),
                TaskEnd::Cut,
            ),
            (
                task(
                    "Essential container in task exited",
                    ended,
                    &[Some(0)],
                    "family:job",
                ),
                TaskEnd::Ended,
            ),
            (
                task(
                    "Host EC2 (instance i-1) terminated.",
                    host,
                    &[None],
                    "service:web",
                ),
                TaskEnd::Cut,
            ),
            (Task::builder().last_status("RUNNING").build(), TaskEnd::Running),
            // It never began.
            (
                Task::builder()
                    .last_status("STOPPED")
                    .stopped_reason("Host EC2 (instance i-1) terminated.")
                    .build(),
                TaskEnd::Ended,
            ),
        ] {
            assert_eq!(end(&task), expected, "{:?}", task.stopped_reason());
        }
    }
}
