//! Looks after the drain. Between two looks, an instance can register late or become `ACTIVE`, and a task can be
//! placed: it was on its way when the container instance was drained, or somebody starts it there.
//!
//! A look reads the container instances. It reads the tasks only if there may be new ones: if a container instance was
//! not `DRAINING` at an earlier look, or has more tasks than when they were handled.
//!
//! Looks respect what people do. If a container instance was seen `DRAINING` and is `ACTIVE` again, somebody has made
//! it so, and it stays so. Nothing else makes it `ACTIVE`: an agent that comes back keeps the state, and one that
//! registers anew has a new ARN. Before the first look has seen it `DRAINING`, a person's change looks the same as a
//! failed drain. Then it is drained once more.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::ecs::container_instances::{ContainerInstance, ContainerInstances, Status};
use spot_handoff::exchange;
use spot_handoff::notice::{Cause, FollowUp, Notice, Registered, Signal, Step, next_look};

use super::cause;
use crate::facts::TaskFacts;

/// The time between two looks for an instance that is in no cluster. Most of these never register; one that will
/// register is booting.
const EVERY_WHERE_IN_NONE: SignedDuration = SignedDuration::from_secs(30);
/// A task that is older than this at the notice was already there, and has been handled.
const LATE_FROM: SignedDuration = SignedDuration::from_secs(60);

/// Whether the notice is a look.
pub fn is_look(notice: &Notice) -> bool {
    matches!(&notice.signal, Signal::FollowUp(follow_up) if matches!(follow_up.step, Step::Look { .. }))
}

/// Whether an earlier look has seen this container instance `DRAINING`, and somebody has made it `ACTIVE` since.
pub fn was_made_active_again(notice: &Notice, container_instance: &ContainerInstance) -> bool {
    container_instance.status == Status::Active && known(notice, container_instance).is_some()
}

/// Whether the container instance may have tasks that nobody has handled.
pub fn may_have_new_tasks(notice: &Notice, container_instance: &ContainerInstance) -> bool {
    let known = known(notice, container_instance);
    known.is_none_or(|tasks| container_instance.tasks > tasks)
}

/// Whether a look has to handle the task. Tasks that were there earlier were handled when the notice came.
pub fn is_late(notice: &Notice, task: &TaskFacts) -> bool {
    let from = notice.time.saturating_sub(LATE_FROM).unwrap_or(notice.time);
    !is_look(notice) || task.created_at.is_none_or(|created_at| created_at >= from)
}

/// The next look, and when; `None` if there is no reason to look again. `group` is the group of the instance.
///
/// `cares` says which container instances are ours to handle, and `every` is the time until the next look.
pub fn next(
    notice: &Notice,
    group: Option<&str>,
    found: &ContainerInstances,
    cares: impl Fn(&ContainerInstance) -> bool,
    every: SignedDuration,
    now: Timestamp,
) -> Option<(FollowUp, Timestamp)> {
    let deadline = notice.deadline()?;
    let is_near = deadline.duration_since(now) <= exchange::LIMIT;
    let on = found.of_instance(&notice.instance);
    let has_left = on.is_empty() && drained(notice).next().is_some();
    let nothing_is_ours = !on.is_empty() && !on.iter().any(&cares);
    let obeyed = on.iter().any(|one| was_made_active_again(notice, one));
    let in_no_cluster = on.is_empty() && found.why_not_found(&notice.instance).is_none();
    if !looks(notice) || !is_near || has_left || nothing_is_ours || obeyed || found.has_no_cluster() {
        return None;
    }
    let at = match in_no_cluster {
        true => now.saturating_add(every.max(EVERY_WHERE_IN_NONE)).ok(),
        false => Some(next_look(now, deadline, every)),
    };
    let at = at.filter(|at| *at < deadline)?;
    let seen_to = |one: &ContainerInstance| one.status == Status::Draining && cares(one);
    let step = Step::Look {
        group: group.map(str::to_owned),
        registered: on
            .iter()
            .map(|one| one.registered(seen_to(one).then_some(one.tasks)))
            .collect(),
        seen: vec![],
    };
    let follow_up = FollowUp {
        cause: cause(notice),
        deadline: Some(deadline),
        step,
    };
    Some((follow_up, at))
}

/// How many tasks ECS wants running on the instance, if that has changed since the last look.
pub fn tasks_that_run(notice: &Notice, found: &ContainerInstances, is_storm: bool) -> Option<usize> {
    let on = found.of_instance(&notice.instance);
    if on.is_empty() || !looks(notice) {
        return None;
    }
    let now: usize = on.iter().map(|one| one.tasks).sum();
    let is_first = drained(notice).next().is_none();
    let before: usize = drained(notice).filter_map(|known| known.draining_with).sum();
    let is_news = match (is_first, is_storm) {
        (true, _) => true,
        (false, true) => (now == 0) != (before == 0),
        (false, false) => now != before,
    };
    is_news.then_some(now)
}

/// Whether the notice needs looks: the instance goes at its deadline, and nobody else looks at it again.
fn looks(notice: &Notice) -> bool {
    match &notice.signal {
        Signal::InterruptionWarning { .. } | Signal::ScheduledRetirement { .. } => true,
        Signal::FollowUp(follow_up) => match follow_up.step {
            Step::Look { .. } | Step::StepAside { .. } => true,
            Step::MoveWork { .. } => follow_up.cause == Cause::Interruption,
            _ => false,
        },
        Signal::RebalanceRecommendation
        | Signal::TerminateLifecycleAction(_)
        | Signal::StateChange { .. }
        | Signal::ScheduledRestart(_)
        | Signal::Returned => false,
    }
}

/// How many tasks the container instance had when it was seen `DRAINING`; `None` if it was not.
fn known(notice: &Notice, container_instance: &ContainerInstance) -> Option<usize> {
    drained(notice)
        .find(|known| known.container_instance == container_instance.id())
        .and_then(|known| known.draining_with)
}

/// The container instances that were seen `DRAINING`.
fn drained(notice: &Notice) -> impl Iterator<Item = &Registered> {
    let registered = notice.registered().iter();
    registered.filter(|one| one.draining_with.is_some())
}
