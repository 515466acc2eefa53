//! Running a stopped standalone task again, somewhere else: once, however often it is asked for.

use std::collections::HashMap;

use aws_sdk_ecs::types::{
    AwsVpcConfiguration, CapacityProviderStrategyItem, NetworkConfiguration, Tag, Task,
};
use jiff::SignedDuration;
use spot_handoff::ecs::standalone_tasks::SECURITY_GROUPS_TAG;
use spot_handoff::lambda::outbox::{self, Outgoing};
use spot_handoff::notice::{FollowUp, Notice, Signal, Step};
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};

use super::Clients;
use crate::config::Config;
use crate::plan::Action;
use crate::plan::standalone_tasks::rerun_token;

/// How soon to try again where the cluster has no room: about as soon as a replacement may have registered.
const TRY_AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// How long after the deadline a re-run is still tried: the replacement may take that long.
const TRY_UNTIL: SignedDuration = SignedDuration::from_mins(3);

/// Runs every task again that the plans name.
pub async fn run(
    clients: &Clients,
    config: &Config,
    invocation: &Invocation,
    distinct: &[(&Notice, &Action)],
    described: &HashMap<String, Task>,
) -> Vec<(Action, Done)> {
    let calls = distinct.iter().filter_map(|(notice, action)| match action {
        Action::RunAgain { cluster, task } => Some(async move {
            let done = match described.get(task) {
                Some(old) => run_one(clients, config, invocation, notice, cluster, old).await,
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
    cluster: &str,
    old: &Task,
) -> Done {
    match run_task(clients, invocation, cluster, old).await {
        Ok(Ok(new)) => Done {
            note: Some(format!("as {new}")),
            ..Done::now(invocation.clock)
        },
        Ok(Err(no_room)) => try_again(clients, config, invocation, notice, cluster, old, &no_room).await,
        Err(error) => Done::failed(invocation.clock, error),
    }
}

/// The new task's ARN; or the reason why ECS could place it nowhere, for example `RESOURCE:MEMORY`.
async fn run_task(
    clients: &Clients,
    invocation: &Invocation,
    cluster: &str,
    old: &Task,
) -> Result<Result<String, String>, CallError> {
    let provider = old.capacity_provider_name().map(|name| {
        CapacityProviderStrategyItem::builder()
            .capacity_provider(name)
            .weight(1)
            .build()
            .map(|item| vec![item])
    });
    // A capacity provider and a launch type exclude each other.
    let launch_type = if provider.is_some() {
        None
    } else {
        old.launch_type.clone()
    };
    let group = old
        .group()
        .filter(|group| !group.starts_with("family:"))
        .map(str::to_owned);
    let asking = clients
        .ecs
        .run_task()
        .cluster(cluster)
        .client_token(rerun_token(old.task_arn().unwrap_or_default()))
        .set_task_definition(old.task_definition_arn.clone())
        .set_overrides(old.overrides.clone())
        .set_capacity_provider_strategy(provider.and_then(Result::ok))
        .set_launch_type(launch_type)
        .set_network_configuration(network_of(old))
        .set_tags(Some(own_tags(old)))
        .set_group(group)
        .set_started_by(old.started_by.clone())
        .enable_execute_command(old.enable_execute_command)
        .count(1)
        .send();
    let answer = match invocation.call("RunTask", asking).await {
        Ok(answer) => answer,
        // The token has been used before, with a tag more or less: the task runs.
        Err(error) if error.code() == Some("ConflictException") => return Ok(Ok("it was before".to_owned())),
        Err(error) => return Err(error),
    };
    if let Some(new) = answer
        .tasks
        .unwrap_or_default()
        .into_iter()
        .find_map(|task| task.task_arn)
    {
        return Ok(Ok(new));
    }
    let reasons: Vec<String> = answer
        .failures
        .unwrap_or_default()
        .into_iter()
        .filter_map(|f| f.reason)
        .collect();
    Ok(Err(if reasons.is_empty() {
        "ECS gives no reason".to_owned()
    } else {
        reasons.join(", ")
    }))
}

/// Tags that AWS put on the task itself cannot be given to another.
fn own_tags(old: &Task) -> Vec<Tag> {
    old.tags()
        .iter()
        .filter(|tag| tag.key().is_some_and(|key| !key.starts_with("aws:")))
        .cloned()
        .collect()
}

/// The subnet of the old task's network interface, with the security groups that its tag names.
fn network_of(old: &Task) -> Option<NetworkConfiguration> {
    let interface = old
        .attachments()
        .iter()
        .find(|a| a.r#type() == Some("ElasticNetworkInterface"))?;
    let subnet = interface
        .details()
        .iter()
        .find(|detail| detail.name() == Some("subnetId"))?
        .value()?;
    let groups = old
        .tags()
        .iter()
        .find(|tag| tag.key() == Some(SECURITY_GROUPS_TAG))?
        .value()?;
    let groups = groups.split_whitespace().map(str::to_owned).collect();
    let configuration = AwsVpcConfiguration::builder()
        .subnets(subnet)
        .set_security_groups(Some(groups))
        .build()
        .ok()?;
    Some(
        NetworkConfiguration::builder()
            .awsvpc_configuration(configuration)
            .build(),
    )
}

/// Comes back to the task while that may still help.
async fn try_again(
    clients: &Clients,
    config: &Config,
    invocation: &Invocation,
    notice: &Notice,
    cluster: &str,
    old: &Task,
    no_room: &str,
) -> Done {
    let now = invocation.clock.now();
    let deadline = notice.deadline().unwrap_or(now);
    if now > deadline.saturating_add(TRY_UNTIL).unwrap_or(deadline) {
        return Done::failed(
            invocation.clock,
            format!("no room in the cluster: {no_room}; run the task by hand"),
        );
    }
    let cause = match &notice.signal {
        Signal::FollowUp(follow_up) => follow_up.cause,
        _ => spot_handoff::notice::Cause::Interruption,
    };
    let step = Step::StopTasks {
        cluster: cluster.to_owned(),
        container_instance: old.container_instance_arn.clone().unwrap_or_default(),
        tasks: old.task_arn.iter().cloned().collect(),
    };
    let follow_up = FollowUp {
        cause,
        deadline: Some(deadline),
        step,
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
