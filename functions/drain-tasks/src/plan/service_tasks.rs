//! When service tasks are stopped that ECS could not move: the end of the instance would cut them off.
//!
//! A draining instance has ECS start successors and stop the old tasks when these are healthy. At minimumHealthyPercent 100,
//! the default, that takes longer than a notice where there is no room or the deregistration delay is long; a protected task
//! is not moved at all. What still runs at its last safe moment is stopped then: SIGTERM and the whole grace in place of a
//! cut. deregister-targets reckons the same moment, and has taken the targets out before it.
//!
//! Where by then nothing else of the service serves, every request would fail from that moment on. So a task that serves
//! requests, and for which nobody has asked for a longer grace, is stopped later: [`grace::of_last_server`].

use jiff::{SignedDuration, Timestamp};
use spot_handoff::ecs::grace;
use spot_handoff::elb::holding::LONGEST_DRAINING;
use spot_handoff::lambda::outbox::LONGEST_DELAY;
use spot_handoff::notice::{Cause, FollowUp, Notice, Signal, Step};

use super::cause;
use crate::facts::others::Services;
use crate::facts::{NamedTasks, Scheduling, Service, TaskFacts, TaskState};

/// So long before its stop a task's targets are asked to leave, where nobody has told deregister-targets of an end: for the
/// message, and for requests that are under way.
const ASKED_BEFORE_STOP: SignedDuration = LONGEST_DRAINING.saturating_add(SignedDuration::from_secs(15));

/// What becomes of a service task.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// ECS sees to it.
    LeftToEcs,
    /// It is of a DAEMON service, which ECS stops last.
    Daemon,
    /// It is stopped, unless ECS has moved it.
    StoppedAt {
        /// When.
        at: Timestamp,
        /// When, where nothing else of its service serves by then.
        as_last: Option<Timestamp>,
    },
    /// Whether it is of a DAEMON service could not be read.
    Unknown(String),
}

impl Fate {
    /// Of a task on an instance that goes at `deadline`.
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

    /// Whether the targets of the task have to be asked out between now and the next look.
    pub fn asks_for_targets(&self, now: Timestamp, look_at: Timestamp) -> bool {
        let Self::StoppedAt { at, .. } = self else {
            return false;
        };
        let ask_at = at.saturating_sub(ASKED_BEFORE_STOP).unwrap_or(*at);
        // The second time is for a look that came late.
        (now..look_at).contains(&ask_at) || *at <= look_at
    }

    /// What the report says of it.
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

/// The services with tasks whose moment has come and that may serve on. For them it matters whether anything else of the
/// service serves.
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
