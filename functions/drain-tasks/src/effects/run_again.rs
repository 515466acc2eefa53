//! Runs a stopped standalone task again, somewhere else. It runs only once, however often this is asked for.

use std::collections::HashMap;

use aws_sdk_ecs::operation::run_task::{RunTaskError, RunTaskOutput};
use jiff::SignedDuration;
use spot_handoff::ecs::task_copy;
use spot_handoff::lambda::outbox::{self, Outgoing};
use spot_handoff::notice::{Cause, FollowUp, Notice, RerunOrder, RerunStage, Signal, Step};
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::reruns;

use super::Clients;
use crate::config::Config;
use crate::plan::Action;

/// How soon to try again if the cluster has no room: by then a replacement may have registered.
const TRY_AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// How long after the deadline a re-run is still tried: a replacement may take that long.
const TRY_UNTIL: SignedDuration = SignedDuration::from_mins(3);

/// AWS's messages for no room, if it sends an exception and not `failures`. A wrong order gets the same error codes, so
/// only the words tell.
/// <https://github.com/boto/boto3/issues/2862>
/// <https://repost.aws/knowledge-center/ecs-fargate-runtask-capacity>
const NO_ROOM: [&str; 3] = [
    "No Container Instances were found",
    "Capacity is unavailable at this time",
    "reached the limit on the number of tasks",
];

/// The result of one RunTask call.
enum Answer {
    /// The task with this ARN runs now, or has been running since an earlier call.
    Runs(String),
    /// There is no room, for this reason.
    NoRoom(String),
    /// The token was used for another order, and this call ran nothing.
    TokenIsSpent(String),
}

/// Runs again every task that the plans name.
pub async fn run(
    clients: &Clients,
    config: &Config,
    invocation: &Invocation,
    distinct: &[(&Notice, &Action)],
    orders: &HashMap<String, RerunOrder>,
) -> Vec<(Action, Done)> {
    let calls = distinct.iter().filter_map(|(notice, action)| match action {
        Action::RunAgain { task, .. } => Some(async move {
            let done = match orders.get(task) {
                Some(order) => run_one(clients, config, invocation, notice, order.clone()).await,
                None => Done::failed(invocation.clock, "the stopped task could not be read"),
            };
            ((*action).clone(), done)
        }),
        _ => None,
    });
    together(calls).await
}

async fn run_one(
    clients: &Clients,
    config: &Config,
    invocation: &Invocation,
    notice: &Notice,
    mut order: RerunOrder,
) -> Done {
    let mut answer = run_task(clients, invocation, &order).await;
    if let Ok(Answer::TokenIsSpent(_)) = answer {
        order.refusals += 1;
        answer = run_task(clients, invocation, &order).await;
    }
    match answer {
        Ok(Answer::Runs(new)) => {
            let note = Some(format!("as {new}"));
            order.stage = RerunStage::Runs { new };
            write_down(clients, invocation, &order).await;
            Done {
                note,
                ..Done::now(invocation.clock)
            }
        }
        Ok(Answer::NoRoom(reason)) => {
            order.refusals += 1;
            let is_written = write_down(clients, invocation, &order).await;
            try_again(clients, config, invocation, notice, &order, is_written, &reason).await
        }
        Ok(Answer::TokenIsSpent(error)) => {
            order.refusals += 1;
            write_down(clients, invocation, &order).await;
            Done::failed(invocation.clock, error)
        }
        Err(error) => {
            // If a call got no answer, only the same token tells whether it ran the task.
            if !error.is_passing() && !error.is_denied() {
                order.refusals += 1;
                write_down(clients, invocation, &order).await;
            }
            Done::failed(invocation.clock, error)
        }
    }
}

/// Returns whether the order is in the table now. If not, the token keeps a second copy of the message from running a
/// second task.
async fn write_down(clients: &Clients, invocation: &Invocation, order: &RerunOrder) -> bool {
    let orders = std::slice::from_ref(order);
    match reruns::write(&clients.table, invocation, orders).await.pop() {
        Some(Err(error)) => {
            tracing::warn!("cannot write down the re-run of {}: {error}", order.task);
            false
        }
        _ => true,
    }
}

async fn run_task(
    clients: &Clients,
    invocation: &Invocation,
    order: &RerunOrder,
) -> Result<Answer, CallError> {
    let asking = async {
        match task_copy::ordered(&clients.ecs, order).send().await {
            Ok(answer) => Ok(answer_of(answer)),
            Err(error) => match error.as_service_error() {
                // https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html#API_RunTask_Errors: the
                // exception names the tasks that the token has run.
                Some(RunTaskError::ConflictException(conflict)) => {
                    Ok(match conflict.resource_ids().first() {
                        Some(task) => Answer::Runs(task.clone()),
                        None => {
                            Answer::TokenIsSpent(format!("RunTask refused: ConflictException: {conflict}"))
                        }
                    })
                }
                _ => Err(error),
            },
        }
    };
    match invocation.call("RunTask", asking).await {
        Err(error) if NO_ROOM.iter().any(|words| error.message().contains(words)) => {
            Ok(Answer::NoRoom(error.message().to_owned()))
        }
        answer => answer,
    }
}

fn answer_of(answer: RunTaskOutput) -> Answer {
    let mut tasks = answer.tasks.unwrap_or_default().into_iter();
    if let Some(new) = tasks.find_map(|task| task.task_arn) {
        return Answer::Runs(new);
    }
    let failures = answer.failures.unwrap_or_default().into_iter();
    let reasons: Vec<String> = failures.filter_map(|failure| failure.reason).collect();
    Answer::NoRoom(match reasons.is_empty() {
        true => "ECS gives no reason".to_owned(),
        false => reasons.join(", "),
    })
}

/// Looks at the task again later, as long as this may help.
async fn try_again(
    clients: &Clients,
    config: &Config,
    invocation: &Invocation,
    notice: &Notice,
    order: &RerunOrder,
    is_written: bool,
    no_room: &str,
) -> Done {
    let now = invocation.clock.now();
    let deadline = notice.deadline().unwrap_or(now);
    if now > deadline.saturating_add(TRY_UNTIL).unwrap_or(deadline) {
        return Done::failed(
            invocation.clock,
            format!(
                "no room in the cluster: {no_room}; run the task by hand, or redrive the message when there is"
            ),
        );
    }
    let (cause, container_instance) = match &notice.signal {
        Signal::FollowUp(FollowUp {
            cause,
            step: Step::StopTasks {
                container_instance, ..
            },
            ..
        }) => (*cause, container_instance.clone()),
        _ => (Cause::Interruption, String::new()),
    };
    let follow_up = FollowUp {
        cause,
        deadline: Some(deadline),
        step: Step::StopTasks {
            cluster: order.cluster.clone(),
            container_instance,
            tasks: vec![order.task.clone()],
            as_last: None,
            reruns: if is_written { vec![] } else { vec![order.clone()] },
        },
    };
    let at = now.saturating_add(TRY_AGAIN).unwrap_or(now);
    let message = Outgoing::new(&config.own_queue_url, notice, &follow_up, at, now);
    match outbox::send(&clients.sqs, invocation, &[message]).await.pop() {
        Some(Err(error)) => Done::failed(invocation.clock, error),
        _ => Done {
            note: Some(format!("no room yet: {no_room}")),
            ..Done::later(invocation.clock)
        },
    }
}
