//! Deregisters targets, and sends looks.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::TargetDescription;
use spot_handoff::elb::health::{self, Target};
use spot_handoff::lambda::outbox;
use spot_handoff::notice::Notice;
use spot_handoff::report::plan::{Done, Results};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, at_most};

use crate::plan::{Action, Deregistration, Look, Plan};

/// While AWS throttles, each call tries about once a second. More calls would not be faster, since AWS takes four such
/// calls a second after a burst of twenty.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html>
const CALLS_AT_ONCE: usize = 4;

/// AWS documents no limit, but at times refuses calls with very many targets. Its own controllers send 100 or 200.
/// <https://github.com/kubernetes/kubernetes/pull/101592>
const TARGETS_PER_CALL: usize = 100;

/// Carries out the deregistrations, and returns how each went.
///
/// A target that is not registered any more is no error for Elastic Load Balancing, so it is safe to repeat a call. If
/// a call with many targets is refused because of its content, it is made again in halves. So one bad target does not
/// affect the others.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html>
pub async fn deregister(elb: &Client, invocation: &Invocation, all: &[Deregistration]) -> Results<Action> {
    let mut by_target_group: BTreeMap<&str, Vec<&Deregistration>> = BTreeMap::new();
    for one in all {
        by_target_group.entry(&one.target_group).or_default().push(one);
    }
    let mut calls: Vec<Vec<&Deregistration>> = by_target_group
        .values()
        .flat_map(|all| all.chunks(TARGETS_PER_CALL).map(<[_]>::to_vec))
        .collect();
    let mut results = Results::new();
    while !calls.is_empty() {
        let making = calls.iter().map(|some| call(elb, invocation, some));
        let answers = at_most(CALLS_AT_ONCE, making).await;
        let mut again = vec![];
        for (some, answer) in calls.iter().zip(answers) {
            match &answer {
                Err(error) if some.len() > 1 && is_about_one_of_many(error) => {
                    let (one_half, other_half) = some.split_at(some.len() / 2);
                    again.extend([one_half.to_vec(), other_half.to_vec()]);
                }
                _ => {
                    let done = done(invocation, answer);
                    let action = |one: &&Deregistration| Action::Deregister((*one).clone());
                    results.extend(some.iter().map(|one| (action(one), done.clone())));
                }
            }
        }
        calls = again;
    }
    results
}

async fn call(elb: &Client, invocation: &Invocation, some: &[&Deregistration]) -> Result<(), CallError> {
    let target_group = some.first().map(|one| one.target_group.clone());
    let targets = some.iter().map(|one| description(&one.target)).collect();
    let asking = elb
        .deregister_targets()
        .set_target_group_arn(target_group)
        .set_targets(Some(targets))
        .send();
    invocation.call("DeregisterTargets", asking).await.map(|_| ())
}

/// Whether a call with fewer targets may succeed: AWS refused the content.
fn is_about_one_of_many(error: &CallError) -> bool {
    !error.is_passing() && !error.is_denied() && !health::is_gone(error)
}

fn done(invocation: &Invocation, answer: Result<(), CallError>) -> Done {
    match answer {
        Err(error) if health::is_gone(&error) => Done::already(invocation.clock, "the target group is gone"),
        answer => Done::of(invocation.clock, &answer),
    }
}

fn description(target: &Target) -> TargetDescription {
    TargetDescription::builder()
        .id(&target.id)
        .set_port(target.port)
        .build()
}

/// Sends the looks of the plans. Looks for the same moment share a message.
pub async fn send_looks(
    sqs: &aws_sdk_sqs::Client,
    invocation: &Invocation,
    queue_url: &str,
    notices: &[Notice],
    plans: &[Plan],
) -> Results<Action> {
    let planned = notices.iter().zip(plans).flat_map(|(notice, plan)| {
        let looks = plan.actions.iter().filter_map(|action| match action {
            Action::Look(look) => Some(look),
            Action::Deregister(_) | Action::Register(_) => None,
        });
        looks.map(move |look| (notice, look))
    });
    let planned: Vec<(&Notice, &Look)> = planned.collect();
    let follow_ups: Vec<_> = planned
        .iter()
        .map(|(notice, look)| (*notice, &look.follow_up, look.at))
        .collect();
    let answers = outbox::send_together(sqs, invocation, queue_url, &follow_ups).await;
    let done = |answer: Result<(), CallError>| match answer {
        Ok(()) => Done::later(invocation.clock),
        Err(error) => Done::failed(invocation.clock, error),
    };
    let looks = planned.into_iter().zip(answers);
    looks
        .map(|((_, look), answer)| (Action::Look(look.clone()), done(answer)))
        .collect()
}

#[cfg(test)]
mod tests;
