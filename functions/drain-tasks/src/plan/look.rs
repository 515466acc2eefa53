//! Looks after the drain. Between two of them an instance can register late or become `ACTIVE`, and a task can be placed: it
//! was on its way when the container instance was drained, or somebody starts it there.
//!
//! A look reads the container instances, and the tasks only where there may be new ones: of one that has not been seen
//! `DRAINING` before, and of one with more tasks on it than when they were seen to.
//!
//! People are obeyed: a container instance that was seen `DRAINING` and is `ACTIVE` again was made so by somebody, and stays
//! so. Nothing else makes it `ACTIVE`: an agent that comes back keeps the state, and one that registers anew has a new ARN.
//! Until the first look has seen it `DRAINING`, somebody who makes it `ACTIVE` cannot be told from a drain that came to
//! nothing, and it is drained once more.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::ecs::container_instances::{ContainerInstance, ContainerInstances, Status};
use spot_handoff::exchange;
use spot_handoff::notice::{Cause, Drained, FollowUp, Notice, Signal, Step};

use super::{cause, short_id};
use crate::facts::TaskFacts;

/// Between two looks.
const EVERY: SignedDuration = SignedDuration::from_secs(10);
/// Between two looks for an instance that is in no cluster. Most of these never will be; one that is about to is booting.
const EVERY_WHERE_IN_NONE: SignedDuration = SignedDuration::from_secs(30);
/// Tasks that are older at the notice were there when it came, and have been seen to.
const LATE_FROM: SignedDuration = SignedDuration::from_secs(60);

/// Whether the notice is a look.
pub fn is_look(notice: &Notice) -> bool {
    matches!(&notice.signal, Signal::FollowUp(follow_up) if matches!(follow_up.step, Step::Look { .. }))
}

/// Whether an earlier look has seen this container instance `DRAINING`, and somebody has made it `ACTIVE` since.
pub fn was_made_active_again(notice: &Notice, container_instance: &ContainerInstance) -> bool {
    container_instance.status == Status::Active && known(notice, container_instance).is_some()
}

/// Whether tasks may be on the container instance that nobody has seen to.
pub fn may_have_new_tasks(notice: &Notice, container_instance: &ContainerInstance) -> bool {
    let known = known(notice, container_instance);
    known.is_none_or(|known| container_instance.tasks > known.tasks)
}

/// Whether a look has to see to the task. What was there before has been seen to when the notice came.
pub fn is_late(notice: &Notice, task: &TaskFacts) -> bool {
    let from = notice.time.saturating_sub(LATE_FROM).unwrap_or(notice.time);
    !is_look(notice) || task.created_at.is_none_or(|created_at| created_at >= from)
}

/// The next look, and when; `None` where there is nothing to come back for. `group` is the group of the instance.
///
/// `cares` says which container instances are ours to see to.
pub fn next(
    notice: &Notice,
    group: Option<&str>,
    found: &ContainerInstances,
    cares: impl Fn(&ContainerInstance) -> bool,
    now: Timestamp,
) -> Option<(FollowUp, Timestamp)> {
    let deadline = notice.deadline()?;
    let is_near = deadline.duration_since(now) <= exchange::LIMIT;
    let on = found.of_instance(&notice.instance);
    let has_left = on.is_empty() && !drained(notice).is_empty();
    let nothing_is_ours = !on.is_empty() && !on.iter().any(&cares);
    let obeyed = on.iter().any(|one| was_made_active_again(notice, one));
    let in_no_cluster = on.is_empty() && found.why_not_found(&notice.instance).is_none();
    if !looks(notice) || !is_near || has_left || nothing_is_ours || obeyed || found.has_no_cluster() {
        return None;
    }
    let every = if in_no_cluster { EVERY_WHERE_IN_NONE } else { EVERY };
    let at = now.saturating_add(every).ok().filter(|at| *at < deadline)?;
    let draining = on
        .iter()
        .filter(|one| one.status == Status::Draining && cares(one));
    let step = Step::Look {
        group: group.map(str::to_owned),
        drained: draining
            .map(|one| Drained {
                container_instance: short_id(&one.arn).to_owned(),
                tasks: one.tasks,
            })
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

/// How many tasks ECS wants running on the instance, where that has changed since the look before.
pub fn tasks_that_run(notice: &Notice, found: &ContainerInstances, is_storm: bool) -> Option<usize> {
    let on = found.of_instance(&notice.instance);
    if on.is_empty() || !looks(notice) {
        return None;
    }
    let now: usize = on.iter().map(|one| one.tasks).sum();
    let known = drained(notice);
    let before: usize = known.iter().map(|one| one.tasks).sum();
    let is_news = match (known.is_empty(), is_storm) {
        (true, _) => true,
        (false, true) => (now == 0) != (before == 0),
        (false, false) => now != before,
    };
    is_news.then_some(now)
}

/// Whether the notice is one that is looked after: the instance goes at its deadline, and nobody else comes back to it.
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

fn known<'a>(notice: &'a Notice, container_instance: &ContainerInstance) -> Option<&'a Drained> {
    let id = short_id(&container_instance.arn);
    drained(notice)
        .iter()
        .find(|known| known.container_instance == id)
}

fn drained(notice: &Notice) -> &[Drained] {
    match &notice.signal {
        Signal::FollowUp(FollowUp {
            step: Step::Look { drained, .. },
            ..
        }) => drained,
        _ => &[],
    }
}
