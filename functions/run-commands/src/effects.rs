//! Carries out the plans: sends commands, follows them, and records how they ended.

mod commands;

use std::collections::HashSet;

use jiff::Timestamp;
use spot_handoff::lambda::outbox;
use spot_handoff::notice::{FollowUp, Notice};
use spot_handoff::report::ActionResult;
use spot_handoff::report::plan::{Done, Results};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::stop_scripts::{Stage, StopScript};
use spot_handoff::state::under_notice::WAITS_FOR_TABLE;
use spot_handoff::state::{Expected, Table, Written};

use crate::facts::{Facts, Items};
use crate::plan::{self, Action, Command, Ended, Plan};

/// The clients that effects need.
#[derive(Debug)]
pub struct Clients {
    /// Systems Manager, without retries: a command that is sent again runs again.
    pub ssm_once: aws_sdk_ssm::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// The table.
    pub table: Table,
    /// URL of this function's own queue.
    pub own_queue_url: String,
}

/// Carries out every action of the plans once.
pub async fn carry_out(
    clients: &Clients,
    invocation: &Invocation,
    notices: &[Notice],
    plans: &[Plan],
    facts: &Facts,
) -> Results<Action> {
    let mut seen = HashSet::new();
    let mut distinct: Vec<(&Notice, &Action)> = vec![];
    for (notice, plan) in notices.iter().zip(plans) {
        let actions = plan.actions.iter().filter(|action| seen.insert(*action));
        distinct.extend(actions.map(|action| (notice, action)));
    }
    let (run, sent, ended) = tokio::join!(
        run(clients, invocation, &distinct, &facts.items),
        send(clients, invocation, &distinct),
        end(clients, invocation, &distinct, &facts.items),
    );
    run.into_iter().chain(sent).chain(ended).collect()
}

/// What the write of an instance's item expects, given what was read.
fn expected(items: &Items, instance: &spot_handoff::notice::InstanceId) -> Expected {
    match items {
        Ok(items) => items
            .get(instance)
            .map_or(Expected::Nothing, |found| Expected::Version(found.version)),
        Err(_) => Expected::Nothing,
    }
}

/// Claims each script, sends it, sends the message that follows it, and records that it was sent. The order matters: a
/// kill at any call leaves either no command, or a claim that leads to the command.
async fn run(
    clients: &Clients,
    invocation: &Invocation,
    distinct: &[(&Notice, &Action)],
    items: &Items,
) -> Vec<(Action, Done)> {
    let asked: Vec<(&Notice, &Command)> = distinct
        .iter()
        .filter_map(|(notice, action)| match action {
            Action::Run(command) => Some((*notice, command)),
            _ => None,
        })
        .collect();
    let claims = together(
        asked
            .iter()
            .map(|(_, command)| claim(clients, invocation, command, items)),
    )
    .await;
    let mut results = vec![];
    let mut ours = vec![];
    for ((notice, command), is_ours) in asked.into_iter().zip(claims) {
        if is_ours {
            ours.push((notice, command));
        } else {
            let done = Done::already(invocation.clock, "another invocation runs it");
            results.push((Action::Run(command.clone()), done));
        }
    }
    let wanted: Vec<&Command> = ours.iter().map(|(_, command)| *command).collect();
    let sent = commands::send(&clients.ssm_once, invocation, &wanted).await;
    let now = invocation.clock.now();
    let mut follow_ups = vec![];
    let mut followed = vec![];
    let mut over = vec![];
    for ((notice, command), sent) in ours.into_iter().zip(sent) {
        match sent {
            Ok(id) => {
                let until = command.until;
                let (group, document) = (&command.group, &command.document);
                let follow_up = plan::await_script(notice, group, id.clone(), document, now, until);
                follow_ups.push((notice, follow_up, plan::first_look(now)));
                followed.push((command, id));
            }
            Err(error) if commands::is_final(&error) => {
                over.push(plan::item(&command.instance, &command.document, Stage::Over, now));
                let done = Done::lost(invocation.clock, error);
                results.push((Action::Run(command.clone()), done));
            }
            Err(error) => {
                let done = Done::failed(invocation.clock, error);
                results.push((Action::Run(command.clone()), done));
            }
        }
    }
    let told = send_all(clients, invocation, &follow_ups).await;
    for ((command, id), told) in followed.into_iter().zip(told) {
        let done = match told {
            Ok(()) => {
                let stage = Stage::Sent { command: id.clone() };
                over.push(plan::item(&command.instance, &command.document, stage, now));
                Done {
                    note: Some(format!("command {id}")),
                    ..Done::now(invocation.clock)
                }
            }
            Err(error) => Done::failed(
                invocation.clock,
                format!("runs, but is not followed yet: {error}"),
            ),
        };
        results.push((Action::Run(command.clone()), done));
    }
    write(clients, invocation, &over).await;
    results
}

/// Whether this invocation should send the script. Yes if the table does not answer: running a script twice is better
/// than not running it.
async fn claim(clients: &Clients, invocation: &Invocation, command: &Command, items: &Items) -> bool {
    if items.is_err() {
        return true;
    }
    let item = plan::item(
        &command.instance,
        &command.document,
        Stage::Claimed,
        invocation.clock.now(),
    );
    let expected = expected(items, &command.instance);
    let invocation = invocation.for_at_most(WAITS_FOR_TABLE);
    match clients.table.write(&invocation, &item, expected).await {
        Ok(Written::Yes(_)) => true,
        Ok(Written::Conflict) => false,
        Err(error) => {
            tracing::warn!(
                "{}: the stop script runs although the table does not answer: {error}",
                command.instance
            );
            true
        }
    }
}

async fn write(clients: &Clients, invocation: &Invocation, items: &[StopScript]) {
    if items.is_empty() {
        return;
    }
    if let Err(error) = clients.table.overwrite_all(&invocation.briefly(), items).await {
        tracing::warn!(
            "cannot write down how far {} stop scripts are: {error}",
            items.len()
        );
    }
}

/// Reports how scripts have ended, each one once.
async fn end(
    clients: &Clients,
    invocation: &Invocation,
    distinct: &[(&Notice, &Action)],
    items: &Items,
) -> Vec<(Action, Done)> {
    let ends = distinct.iter().filter_map(|(_, action)| match action {
        Action::End(ended) => Some(async move {
            let done = end_one(clients, invocation, ended, items).await;
            ((*action).clone(), done)
        }),
        _ => None,
    });
    together(ends).await
}

async fn end_one(clients: &Clients, invocation: &Invocation, ended: &Ended, items: &Items) -> Done {
    let clock = invocation.clock;
    let item = plan::item(&ended.instance, &ended.document, Stage::Over, clock.now());
    let expected = expected(items, &ended.instance);
    let written = clients.table.write(&invocation.briefly(), &item, expected).await;
    match written {
        Ok(Written::Conflict) => return Done::already(clock, "told by another invocation"),
        Ok(Written::Yes(_)) => {}
        Err(error) => tracing::warn!(
            "{}: cannot write down how its stop script ended: {error}",
            ended.instance
        ),
    }
    Done {
        result: if ended.saved {
            ActionResult::Done
        } else {
            ActionResult::Lost
        },
        finished_at: clock.now(),
        note: None,
    }
}

async fn send(
    clients: &Clients,
    invocation: &Invocation,
    distinct: &[(&Notice, &Action)],
) -> Vec<(Action, Done)> {
    let mut follow_ups = vec![];
    let mut actions = vec![];
    for (notice, action) in distinct {
        if let Action::Send { at, follow_up, .. } = action {
            follow_ups.push((*notice, follow_up.clone(), *at));
            actions.push(*action);
        }
    }
    let results = send_all(clients, invocation, &follow_ups).await;
    actions
        .into_iter()
        .zip(results)
        .map(|(action, result)| {
            let done = match result {
                Ok(()) => Done::later(invocation.clock),
                Err(error) => Done::failed(invocation.clock, error),
            };
            (action.clone(), done)
        })
        .collect()
}

/// Sends follow-ups. Those for the same moment share as few messages as possible. Returns the results in their order.
async fn send_all(
    clients: &Clients,
    invocation: &Invocation,
    follow_ups: &[(&Notice, FollowUp, Timestamp)],
) -> Vec<Result<(), CallError>> {
    let follow_ups: Vec<(&Notice, &FollowUp, Timestamp)> = follow_ups
        .iter()
        .map(|(notice, follow_up, at)| (*notice, follow_up, *at))
        .collect();
    outbox::send_together(&clients.sqs, invocation, &clients.own_queue_url, &follow_ups).await
}
