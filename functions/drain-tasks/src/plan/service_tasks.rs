//! When to stop service tasks that ECS could not move, since the end of the instance would cut them off.
//!
//! When an instance drains, ECS starts successors, and stops the old tasks when these are healthy. With the default
//! minimumHealthyPercent of 100, this takes longer than a notice if there is no room or the deregistration delay is
//! long. ECS does not move a protected task at all. A task that still runs at its last safe moment is stopped then: it
//! gets SIGTERM and its whole grace, and is not cut off. deregister-targets calculates the same moment, and has taken
//! the targets out before it.
//!
//! If nothing else of the service serves by then, every request would fail from that moment on. So a task that serves
//! requests, and for which nobody has asked for a longer grace, is stopped later: [`grace::of_last_server`].

use jiff::{SignedDuration, Timestamp};
use spot_handoff::ecs::grace;
use spot_handoff::elb::holding::LONGEST_DRAINING;
use spot_handoff::lambda::outbox::LONGEST_DELAY;
use spot_handoff::notice::{Cause, FollowUp, Notice, Signal, Step};

use super::cause;
use crate::facts::others::Services;
use crate::facts::{NamedTasks, Scheduling, Service, TaskFacts, TaskState};

/// How long before its stop a task's targets are asked to leave, if nobody has told deregister-targets of an end. This
/// is enough for the message, and for requests under way.
const ASKED_BEFORE_STOP: SignedDuration = LONGEST_DRAINING.saturating_add(SignedDuration::from_secs(15));

/// What happens to a service task.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// ECS takes care of it.
    LeftToEcs,
    /// It belongs to a DAEMON service. ECS stops it last.
    Daemon,
    /// It is stopped, unless ECS has moved it by then.
    StoppedAt {
        /// When.
        at: Timestamp,
        /// When, if nothing else of its service serves by then.
        as_last: Option<Timestamp>,
    },
    /// It could not be read whether the task belongs to a DAEMON service.
    Unknown(String),
}

impl Fate {
    /// The fate of a task on an instance that goes at `deadline`.
    pub fn of(
        notice: &Notice,
        deadline: Timestamp,
        task: &TaskFacts,
        service: &Service,
        now: Timestamp,
    ) -> Self {
        match &service.scheduling {
            _ if task.state != TaskState::Running => Self::LeftToEcs,
            Scheduling::Daemon => Self::Daemon,
            Scheduling::Unread(error) => Self::Unknown(format!("service {}: {error}", service.name)),
            Scheduling::Replica => {
                let latest = |grace| {
                    grace::latest_stop_of_service(notice.time, deadline, grace, &task.accelerators).max(now)
                };
                let at = latest(task.grace);
                let is_interrupted = cause(notice) == Cause::Interruption;
                let as_last = task.grace_as_last.filter(|_| is_interrupted).map(latest);
                let is_far = at.duration_since(now).unsigned_abs() > LONGEST_DELAY;
                if is_far {
                    Self::LeftToEcs
                } else {
                    Self::StoppedAt { at, as_last }
                }
            }
        }
    }

    /// Whether to ask for the task's targets between now and the next look.
    pub fn asks_for_targets(&self, now: Timestamp, look_at: Timestamp) -> bool {
        let Self::StoppedAt { at, .. } = self else {
            return false;
        };
        let ask_at = at.saturating_sub(ASKED_BEFORE_STOP).unwrap_or(*at);
        // The second condition is for a look that came late.
        (now..look_at).contains(&ask_at) || *at <= look_at
    }

    /// What the report says about the task.
    pub fn words(&self, notice: &Notice) -> String {
        match self {
            Self::LeftToEcs => "left to ECS, which replaces it".to_owned(),
            Self::Daemon => "left to ECS, which stops daemons last".to_owned(),
            Self::StoppedAt { at, as_last } => {
                let seconds = |at: &Timestamp| at.duration_since(notice.time).as_secs();
                let later = as_last.filter(|last| last > at);
                let later =
                    later.map(|last| format!(", at T+{} s if nothing else of it serves", seconds(&last)));
                let later = later.unwrap_or_default();
                format!(
                    "left to ECS; stop at T+{} s if it is still there{later}",
                    seconds(at)
                )
            }
            Self::Unknown(_) => "left to ECS for now".to_owned(),
        }
    }
}

/// The services with tasks whose moment has come, but that may serve on. For these services it matters whether anything
/// else of them serves.
pub fn that_may_serve_on(notices: &[Notice], named: &[Option<NamedTasks>], now: Timestamp) -> Services {
    let mut services = Services::new();
    for (notice, tasks) in notices.iter().zip(named) {
        let Signal::FollowUp(FollowUp {
            step:
                Step::StopTasks {
                    cluster,
                    as_last: Some(later),
                    ..
                },
            ..
        }) = &notice.signal
        else {
            continue;
        };
        if let Some(Ok((tasks, _))) = tasks
            && *later > now
        {
            let running = tasks.iter().filter(|task| task.state == TaskState::Running);
            services.extend(running.filter_map(|task| service_of(cluster, task)));
        }
    }
    services
}

/// The service of a task, by cluster and name.
pub fn service_of(cluster: &str, task: &TaskFacts) -> Option<(String, String)> {
    let service = task.service.as_ref()?;
    Some((cluster.to_owned(), service.name.clone()))
}
