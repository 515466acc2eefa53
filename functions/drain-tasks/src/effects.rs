//! Carries out the plans: everything at the same time, and with as few calls of each kind as the API allows.

mod lifecycle;
pub mod remember;
mod run_again;

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_ecs::operation::update_container_instances_state::UpdateContainerInstancesStateOutput;
use aws_sdk_ecs::types::ContainerInstanceStatus;
use spot_handoff::lambda::outbox::{self, Outgoing};
use spot_handoff::notice::{Cause, Notice, RerunOrder, Signal, Step};
use spot_handoff::report::plan::{Done, Results};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::Table;

use crate::config::Config;
use crate::plan::{Action, Plan, Queue};

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateContainerInstancesState.html>
const DRAINED_PER_CALL: usize = 10;

/// The clients that effects need.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Auto Scaling.
    pub autoscaling: aws_sdk_autoscaling::Client,
    /// ECS.
    pub ecs: aws_sdk_ecs::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// The table.
    pub table: Table,
}

/// Carries out every action of the plans once, except for [successors]. `orders` are the known re-runs.
///
/// [successors]: is_chained
pub async fn carry_out(
    clients: &Clients,
    config: &Config,
    invocation: &Invocation,
    notices: &[&Notice],
    plans: &[Plan],
    orders: &HashMap<String, RerunOrder>,
) -> Results<Action> {
    let mut seen = HashSet::new();
    let mut distinct: Vec<(&Notice, &Action)> = vec![];
    for (notice, plan) in notices.iter().zip(plans) {
        for action in &plan.actions {
            if seen.insert(action) {
                distinct.push((notice, action));
            }
        }
    }
    let sendable: Vec<_> = distinct
        .iter()
        .copied()
        .filter(|(notice, _)| !is_chained(notice))
        .collect();
    let (sent, drained, stopped, run, told) = tokio::join!(
        send(clients, config, invocation, &sendable),
        drain(clients, invocation, &distinct),
        stop(clients, invocation, &distinct),
        run_again::run(clients, config, invocation, &distinct, orders),
        lifecycle::tell(&clients.autoscaling, invocation, &distinct),
    );
    sent.into_iter()
        .chain(drained)
        .chain(stopped)
        .chain(run)
        .chain(told)
        .collect()
}

/// Whether the messages that a notice sends are its own successors: the next look in a chain of looks.
///
/// If a chained notice fails, it comes back by itself. If it had sent its successor as well, each failure would split
/// the chain in two.
pub fn is_chained(notice: &Notice) -> bool {
    match &notice.signal {
        Signal::TerminateLifecycleAction(_) => true,
        Signal::FollowUp(follow_up) => {
            // With this follow-up, replace-capacity passes on an interruption warning.
            let is_warning =
                follow_up.cause == Cause::Interruption && matches!(follow_up.step, Step::MoveWork { .. });
            // And with this one, the work begins to leave an instance.
            !is_warning && !matches!(follow_up.step, Step::StepAside { .. })
        }
        _ => false,
    }
}

/// Sends the successors of the chained notices that have not failed.
pub async fn send_successors(
    clients: &Clients,
    config: &Config,
    invocation: &Invocation,
    notices: &[Notice],
    plans: &[Plan],
    results: &Results<Action>,
) -> Results<Action> {
    let mut seen = HashSet::new();
    let mut sendable: Vec<(&Notice, &Action)> = vec![];
    for (notice, plan) in notices.iter().zip(plans) {
        if is_chained(notice) && !has_failed(plan, results) {
            let fresh = plan.actions.iter().filter(|action| seen.insert(*action));
            sendable.extend(fresh.map(|action| (notice, action)));
        }
    }
    send(clients, config, invocation, &sendable)
        .await
        .into_iter()
        .collect()
}

/// Whether something of a plan could not be read or done. Then its message comes back.
pub fn has_failed(plan: &Plan, results: &Results<Action>) -> bool {
    !plan.problems.is_empty() || plan.has_failed_action(results)
}

async fn drain(
    clients: &Clients,
    invocation: &Invocation,
    distinct: &[(&Notice, &Action)],
) -> Vec<(Action, Done)> {
    let mut by_cluster: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, action) in distinct {
        if let Action::Drain {
            cluster,
            container_instance,
        } = action
        {
            by_cluster.entry(cluster).or_default().push(container_instance);
        }
    }
    let calls = by_cluster.iter().flat_map(|(cluster, container_instances)| {
        container_instances
            .chunks(DRAINED_PER_CALL)
            .map(|chunk| drain_together(clients, invocation, cluster, chunk))
    });
    together(calls).await.into_iter().flatten().collect()
}

/// If one of them is not ACTIVE any more, ECS may refuse the call for all. Then each gets a call of its own, so that
/// the others are not delayed.
async fn drain_together(
    clients: &Clients,
    invocation: &Invocation,
    cluster: &str,
    container_instances: &[&str],
) -> Vec<(Action, Done)> {
    let answer = ask_to_drain(clients, invocation, cluster, container_instances).await;
    let is_about_one = |error: &CallError| !error.is_passing() && !error.is_denied();
    let answers = match &answer {
        Err(error) if container_instances.len() > 1 && is_about_one(error) => {
            let each = container_instances.chunks(1);
            together(each.map(|one| ask_to_drain(clients, invocation, cluster, one))).await
        }
        _ => vec![answer; container_instances.len()],
    };
    let drained = container_instances.iter().zip(answers);
    drained
        .map(|(one, answer)| {
            let action = Action::Drain {
                cluster: cluster.to_owned(),
                container_instance: one.to_string(),
            };
            (action, drained_as(invocation, one, &answer))
        })
        .collect()
}

async fn ask_to_drain(
    clients: &Clients,
    invocation: &Invocation,
    cluster: &str,
    container_instances: &[&str],
) -> Result<UpdateContainerInstancesStateOutput, CallError> {
    let status = ContainerInstanceStatus::Draining;
    set_state(clients, invocation, cluster, container_instances, status).await
}

/// Sets one container instance to ACTIVE.
pub async fn activate(clients: &Clients, invocation: &Invocation, cluster: &str, one: &str) -> Done {
    let status = ContainerInstanceStatus::Active;
    let answer = set_state(clients, invocation, cluster, &[one], status).await;
    drained_as(invocation, one, &answer)
}

async fn set_state(
    clients: &Clients,
    invocation: &Invocation,
    cluster: &str,
    container_instances: &[&str],
    status: ContainerInstanceStatus,
) -> Result<UpdateContainerInstancesStateOutput, CallError> {
    let asking = clients
        .ecs
        .update_container_instances_state()
        .cluster(cluster)
        .set_container_instances(Some(
            container_instances.iter().map(ToString::to_string).collect(),
        ))
        .status(status)
        .send();
    invocation.call("UpdateContainerInstancesState", asking).await
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html>
fn drained_as(
    invocation: &Invocation,
    container_instance: &str,
    answer: &Result<UpdateContainerInstancesStateOutput, CallError>,
) -> Done {
    let clock = invocation.clock;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Done::failed(clock, error),
    };
    let mut failures = answer.failures().iter();
    match failures.find(|failure| failure.arn() == Some(container_instance)) {
        Some(failure) if matches!(failure.reason(), Some("MISSING" | "INACTIVE")) => {
            Done::already(clock, "the container instance is gone")
        }
        Some(failure) => Done::failed(clock, failure.reason().unwrap_or("ECS gives no reason")),
        None => Done::now(clock),
    }
}

async fn stop(
    clients: &Clients,
    invocation: &Invocation,
    distinct: &[(&Notice, &Action)],
) -> Vec<(Action, Done)> {
    let mut stops: Vec<&Action> = distinct
        .iter()
        .map(|(_, action)| *action)
        .filter(|action| matches!(action, Action::StopTask { .. }))
        .collect();
    stops.sort_by_key(|action| {
        !matches!(
            action,
            Action::StopTask {
                holds_accelerator: true,
                ..
            }
        )
    });
    let calls = stops.into_iter().filter_map(|action| match action {
        Action::StopTask {
            cluster,
            task,
            reason,
            ..
        } => Some(async move {
            let asking = clients
                .ecs
                .stop_task()
                .cluster(cluster)
                .task(task)
                .reason(reason)
                .send();
            let answer = invocation.call("StopTask", asking).await;
            (action.clone(), stopped(invocation, answer.map(|_| ())))
        }),
        _ => None,
    });
    together(calls).await
}

fn stopped(invocation: &Invocation, answer: Result<(), CallError>) -> Done {
    match answer {
        Err(error) if error.message().contains("task was not found") => {
            Done::already(invocation.clock, "ECS does not know the task any more")
        }
        answer => Done::of(invocation.clock, &answer),
    }
}

/// The follow-ups of interruption warnings go together: in a storm there are as many as instances. Each successor goes
/// alone. If successors shared a message and one of them failed, the others would be sent again.
pub async fn send(
    clients: &Clients,
    config: &Config,
    invocation: &Invocation,
    distinct: &[(&Notice, &Action)],
) -> Vec<(Action, Done)> {
    let now = invocation.clock.now();
    let (mut together, mut actions_together) = (vec![], vec![]);
    let (mut messages, mut actions) = (vec![], vec![]);
    for (notice, action) in distinct {
        let Action::Send {
            to, at, follow_up, ..
        } = action
        else {
            continue;
        };
        if *to == Queue::Own && !is_chained(notice) {
            together.push((*notice, follow_up, *at));
            actions_together.push((*action, *to));
            continue;
        }
        let queue_url = match to {
            Queue::Own => &config.own_queue_url,
            Queue::DeregisterTargets => &config.deregister_targets_queue_url,
            Queue::ReplaceCapacity => &config.replace_capacity_queue_url,
            Queue::RunCommands => &config.run_commands_queue_url,
        };
        messages.push(Outgoing::new(queue_url, notice, follow_up, *at, now));
        actions.push((*action, *to));
    }
    let (sqs, own) = (&clients.sqs, &config.own_queue_url);
    let (results_together, results) = tokio::join!(
        outbox::send_together(sqs, invocation, own, &together),
        outbox::send(sqs, invocation, &messages),
    );
    let done = |to, result: Result<(), CallError>| match (to, result) {
        (_, Err(error)) => Done::failed(invocation.clock, error),
        (Queue::Own, Ok(())) => Done::later(invocation.clock),
        (Queue::DeregisterTargets | Queue::ReplaceCapacity | Queue::RunCommands, Ok(())) => {
            Done::now(invocation.clock)
        }
    };
    let actions = actions_together.into_iter().chain(actions);
    let results = results_together.into_iter().chain(results);
    actions
        .zip(results)
        .map(|((action, to), result)| (action.clone(), done(to, result)))
        .collect()
}

#[cfg(test)]
mod tests;
