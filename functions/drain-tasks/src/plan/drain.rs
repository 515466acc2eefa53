//! Which container instances to drain.

use jiff::Timestamp;
use spot_handoff::autoscaling::groups::GroupOf;
use spot_handoff::ecs::container_instances::{ContainerInstance, ContainerInstances, Status};
use spot_handoff::notice::{FollowUp, InstanceId, Notice, Signal, Step};

use super::look::was_made_active_again;
use super::{Action, Plan, Skip, Warning, left_alone, may_act};
use crate::config::Config;

/// Drains the container instances of the notice's instance.
pub fn plan(
    notice: &Notice,
    group: &GroupOf<'_>,
    found: &ContainerInstances,
    config: &Config,
    now: Timestamp,
) -> Plan {
    if let Err(plan) = may_act(notice, group, config) {
        return *plan;
    }
    let instance = &notice.instance;
    let mut plan = Plan::default();
    if let Signal::FollowUp(FollowUp {
        step: Step::StopTasks { .. } | Step::SeeEnds { .. },
        ..
    }) = notice.signal
    {
        return plan;
    }
    if let Some(error) = found.why_not_found(instance) {
        plan.problems.push(error.to_string());
    } else if found.of_instance(instance).is_empty() {
        plan.skip(instance, Skip::InNoCluster);
    }
    if !matches!(
        replacement_of(notice, found, now),
        Replacement::Ready | Replacement::NotNeeded
    ) {
        return plan;
    }
    for container_instance in found.of_instance(instance) {
        if let Some(skip) = left_alone(notice, group, container_instance) {
            plan.skip(&container_instance.arn, skip);
            continue;
        }
        match container_instance.status {
            Status::Active if was_made_active_again(notice, container_instance) => {
                plan.warnings.push(Warning::MadeActiveAgain {
                    container_instance: container_instance.arn.clone(),
                });
            }
            Status::Active => plan.actions.push(drain(container_instance)),
            Status::Draining => plan.skip(&container_instance.arn, Skip::AlreadyDraining),
            Status::Other => plan.skip(&container_instance.arn, Skip::NotActive),
        }
    }
    plan
}

fn drain(container_instance: &ContainerInstance) -> Action {
    Action::Drain {
        cluster: container_instance.cluster.clone(),
        container_instance: container_instance.arn.clone(),
    }
}

/// The replacement that has to be in the cluster before the work moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replacement {
    /// The notice does not wait for one, or the instance is in no cluster.
    NotNeeded,
    /// It is ACTIVE in the same cluster.
    Ready,
    /// It is not there yet.
    Awaited(InstanceId),
    /// It is not there, and the time for waiting is over.
    Late(InstanceId),
}

/// Whether work may move off the instance.
pub fn replacement_of(notice: &Notice, found: &ContainerInstances, now: Timestamp) -> Replacement {
    let Signal::FollowUp(FollowUp {
        step: Step::MoveWork {
            replacement: Some(replacement),
            ..
        },
        deadline,
        ..
    }) = &notice.signal
    else {
        return Replacement::NotNeeded;
    };
    let Some(own) = found.of_instance(&notice.instance).first() else {
        return Replacement::NotNeeded;
    };
    let is_ready = |other: &ContainerInstance| other.cluster == own.cluster && other.status == Status::Active;
    if found.of_instance(replacement).iter().any(is_ready) {
        Replacement::Ready
    } else if deadline.is_some_and(|deadline| now >= deadline) {
        Replacement::Late(replacement.clone())
    } else {
        Replacement::Awaited(replacement.clone())
    }
}
