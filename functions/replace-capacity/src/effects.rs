//! Carries out the plans, as much as possible at the same time.

pub mod base;
mod capacity;
mod leave;
pub mod watch;

use std::collections::HashSet;

use spot_handoff::lambda::outbox::{self, Outgoing};
use spot_handoff::notice::{Notice, Step};
use spot_handoff::report::plan::{Done, Results};
use spot_handoff::runtime::invocation::Invocation;

use crate::clients::Clients;
use crate::config::Queues;
use crate::plan::{Action, Plan, Queue};

pub use capacity::set_desired;

/// What effects need to call AWS.
#[derive(Debug, Clone, Copy)]
pub struct Aws<'a> {
    /// The clients.
    pub clients: &'a Clients,
    /// The queues.
    pub queues: &'a Queues,
    /// The invocation.
    pub invocation: &'a Invocation,
}

/// An action with the notice that asked for it.
type Asked<'a> = (&'a Notice, &'a Action);

/// Carries out every action of the plans once.
pub async fn carry_out(aws: Aws<'_>, notices: &[&Notice], plans: &[Plan]) -> Results<Action> {
    let mut seen = HashSet::new();
    let mut distinct: Vec<Asked<'_>> = vec![];
    for (notice, plan) in notices.iter().copied().zip(plans) {
        let actions = plan.actions.iter().filter(|action| seen.insert(*action));
        distinct.extend(actions.map(|action| (notice, action)));
    }
    // With `Scope=tagged`, the group makes an instance ours. Once the instance has left, a repeated notice would not
    // know that the other functions still have to be told. So they are told first. If that fails, the instance stays.
    let told_and_left = async {
        let sent: Results<Action> = send(aws, &distinct, |to| to != Queue::Own)
            .await
            .into_iter()
            .collect();
        let told = of_successes(notices, plans, &sent);
        let left = leave::all(aws, &told).await;
        (sent, left)
    };
    let ((sent, left), set) = tokio::join!(told_and_left, capacity::all(aws, &distinct));
    let mut results: Results<Action> = left.into_iter().chain(set).chain(sent).collect();
    for (_, action) in &distinct {
        if leave::is_one(action) {
            let untold = || {
                Done::failed(
                    aws.invocation.clock,
                    "not yet, since the other functions could not be told",
                )
            };
            results.entry((*action).clone()).or_insert_with(untold);
        }
    }
    let successes = of_successes(notices, plans, &results);
    let follow_ups = send(aws, &successes, |to| to == Queue::Own).await;
    results.extend(follow_ups);
    results
}

/// The actions of those plans in which nothing failed.
///
/// A failed plan's message comes back by itself. If it had sent its follow-up as well, each failure would split a chain
/// in two.
fn of_successes<'a>(notices: &[&'a Notice], plans: &'a [Plan], results: &Results<Action>) -> Vec<Asked<'a>> {
    let mut seen = HashSet::new();
    notices
        .iter()
        .copied()
        .zip(plans)
        .filter(|(_, plan)| !plan.has_failed_action(results))
        .flat_map(|(notice, plan)| plan.actions.iter().map(move |action| (notice, action)))
        .filter(|(_, action)| seen.insert(*action))
        .collect()
}

async fn send(aws: Aws<'_>, distinct: &[Asked<'_>], to_queue: impl Fn(Queue) -> bool) -> Vec<(Action, Done)> {
    let now = aws.invocation.clock.now();
    let mut actions = vec![];
    let mut messages = vec![];
    let mut looks = vec![];
    let mut follow_ups = vec![];
    for (notice, action) in distinct {
        let Action::Send {
            to, at, follow_up, ..
        } = action
        else {
            continue;
        };
        if !to_queue(*to) {
            continue;
        }
        let queue_url = match to {
            Queue::DeregisterTargets => &aws.queues.deregister_targets,
            Queue::DrainTasks => &aws.queues.drain_tasks,
            Queue::RunCommands => &aws.queues.run_commands,
            Queue::Own => &aws.queues.own,
        };
        // In a storm, a thousand instances are looked at in the same second.
        if *to == Queue::Own && matches!(follow_up.step, Step::Look { .. }) {
            looks.push(*action);
            follow_ups.push((*notice, follow_up, *at));
        } else {
            actions.push((*action, *to));
            messages.push(Outgoing::new(queue_url, notice, follow_up, *at, now));
        }
    }
    let (answers, of_looks) = tokio::join!(
        outbox::send(&aws.clients.sqs, aws.invocation, &messages),
        outbox::send_together(&aws.clients.sqs, aws.invocation, &aws.queues.own, &follow_ups),
    );
    let done = |to, answer| match (to, answer) {
        (_, Err(error)) => Done::failed(aws.invocation.clock, error),
        (Queue::Own, Ok(())) => Done::later(aws.invocation.clock),
        (Queue::DeregisterTargets | Queue::DrainTasks | Queue::RunCommands, Ok(())) => {
            Done::now(aws.invocation.clock)
        }
    };
    let looks = looks.into_iter().map(|action| (action, Queue::Own));
    actions
        .into_iter()
        .zip(answers)
        .chain(looks.zip(of_looks))
        .map(|((action, to), answer)| (action.clone(), done(to, answer)))
        .collect()
}

#[cfg(test)]
mod tests;
