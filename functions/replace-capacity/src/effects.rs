//! Carrying the plans out, all that can at the same time.

mod give_back;
mod launch;
mod leave;
mod raise;
mod tags;

use std::collections::{BTreeSet, HashSet};

use aws_sdk_autoscaling::Client;
use spot_handoff::lambda::outbox::{self, Outgoing};
use spot_handoff::notice::{FollowUp, InstanceId, Notice};
use spot_handoff::report::ActionResult;
use spot_handoff::report::plan::{Done, Results};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::Invocation;

use crate::config::Queues;
use crate::plan::{Action, Plan, Queue};

/// What effects need to call AWS.
#[derive(Debug, Clone, Copy)]
pub struct Aws<'a> {
    /// Auto Scaling.
    pub autoscaling: &'a Client,
    /// The same, which does not ask again while a group is busy.
    pub impatient_autoscaling: &'a Client,
    /// SQS.
    pub sqs: &'a aws_sdk_sqs::Client,
    /// The queues.
    pub queues: &'a Queues,
    /// The invocation.
    pub invocation: &'a Invocation,
}

/// An action with the notice that asked for it.
type Asked<'a> = (&'a Notice, &'a Action);

/// Carries out every action of the plans once.
pub async fn carry_out(aws: Aws<'_>, notices: &[Notice], plans: &[Plan]) -> Results<Action> {
    let mut seen = HashSet::new();
    let mut distinct: Vec<Asked<'_>> = vec![];
    for (notice, plan) in notices.iter().zip(plans) {
        distinct.extend(
            plan.actions
                .iter()
                .filter(|action| seen.insert(*action))
                .map(|action| (notice, action)),
        );
    }
    // With `Scope=tagged` the group makes an instance ours. Once it has left, a repeated notice would not know that the
    // others are still to be told, so they are told first, and it stays where they could not be.
    let told_and_left = async {
        let sent: Results<Action> = send(aws, &distinct, |to| to != Queue::Own)
            .await
            .into_iter()
            .collect();
        let told = of_successes(notices, plans, &sent);
        let left = leave::all(aws, &told).await;
        let given_back = give_back::all(aws, &distinct).await;
        (sent, left, given_back)
    };
    let ((sent, left, given_back), launched, raised) = tokio::join!(
        told_and_left,
        launch::all(aws, &distinct),
        raise::all(aws, &distinct),
    );
    let mut results: Results<Action> = left
        .into_iter()
        .chain(launched)
        .chain(raised)
        .chain(given_back)
        .chain(sent)
        .collect();
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
    let follow_ups = send(aws, &of_successes(notices, plans, &results), |to| {
        to == Queue::Own
    })
    .await;
    results.extend(follow_ups);
    let untagged = untag(aws, plans, &results).await;
    results.extend(untagged);
    results
}

/// The actions of the plans of which nothing failed.
///
/// What failed comes back by itself. Would it send its own follow-up as well, each failure would make two chains of one.
fn of_successes<'a>(notices: &'a [Notice], plans: &'a [Plan], results: &Results<Action>) -> Vec<Asked<'a>> {
    let mut seen = HashSet::new();
    notices
        .iter()
        .zip(plans)
        .filter(|(_, plan)| !has_failed(plan, results))
        .flat_map(|(notice, plan)| plan.actions.iter().map(move |action| (notice, action)))
        .filter(|(_, action)| seen.insert(*action))
        .collect()
}

fn has_failed(plan: &Plan, results: &Results<Action>) -> bool {
    let failed = |action| {
        results
            .get(action)
            .is_some_and(|done| done.result == ActionResult::Failed)
    };
    plan.actions.iter().any(failed)
}

/// Removes the tags of exchanges that are over. Where anything else of the plan failed the tag stays: the message comes
/// back, and has to know how far the exchange has come.
async fn untag(aws: Aws<'_>, plans: &[Plan], results: &Results<Action>) -> Vec<(Action, Done)> {
    let mut removable = BTreeSet::new();
    let mut kept = BTreeSet::new();
    for plan in plans {
        let has_failed = has_failed(plan, results);
        for action in &plan.actions {
            if let Action::Untag { group, instance } = action {
                let tags = if has_failed { &mut kept } else { &mut removable };
                tags.insert((group.as_str(), instance));
            }
        }
    }
    let removable: Vec<_> = removable.difference(&kept).copied().collect();
    let unremoved = tags::remove(aws, &removable).await;
    let clock = aws.invocation.clock;
    let done = |(group, instance): (&str, &InstanceId), done| {
        (
            Action::Untag {
                group: group.to_owned(),
                instance: instance.clone(),
            },
            done,
        )
    };
    let removed = removable.iter().map(|tag| match unremoved.get(tag.1) {
        Some(error) => done(*tag, Done::failed(clock, error)),
        None => done(*tag, Done::now(clock)),
    });
    let why = "kept, since another action of the exchange failed";
    removed
        .chain(kept.iter().map(|tag| done(*tag, Done::failed(clock, why))))
        .collect()
}

async fn send(aws: Aws<'_>, distinct: &[Asked<'_>], to_queue: impl Fn(Queue) -> bool) -> Vec<(Action, Done)> {
    let now = aws.invocation.clock.now();
    let mut actions = vec![];
    let mut messages = vec![];
    for (notice, action) in distinct {
        if let Action::Send {
            to, at, follow_up, ..
        } = action
            && to_queue(*to)
        {
            let queue_url = match to {
                Queue::DeregisterTargets => &aws.queues.deregister_targets,
                Queue::DrainTasks => &aws.queues.drain_tasks,
                Queue::Own => &aws.queues.own,
            };
            actions.push((*action, *to));
            messages.push(Outgoing::new(queue_url, notice, follow_up, *at, now));
        }
    }
    let answers = outbox::send(aws.sqs, aws.invocation, &messages).await;
    let done = |to, answer| match (to, answer) {
        (_, Err(error)) => Done::failed(aws.invocation.clock, error),
        (Queue::Own, Ok(())) => Done::later(aws.invocation.clock),
        (Queue::DeregisterTargets | Queue::DrainTasks, Ok(())) => Done::now(aws.invocation.clock),
    };
    actions
        .into_iter()
        .zip(answers)
        .map(|((action, to), answer)| (action.clone(), done(to, answer)))
        .collect()
}

/// Sends the follow-up of a replacement that is on its way, to arrive soon.
async fn follow(aws: Aws<'_>, notice: &Notice, follow_up: &FollowUp) -> Result<(), CallError> {
    let now = aws.invocation.clock.now();
    let at = now.saturating_add(launch::FIRST_LOOK).unwrap_or(now);
    let message = Outgoing::new(&aws.queues.own, notice, follow_up, at, now);
    outbox::send(aws.sqs, aws.invocation, &[message])
        .await
        .pop()
        .unwrap_or(Ok(()))
}
