//! Which services have nothing that serves except tasks on instances that go.

use std::collections::BTreeSet;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::Task;
use jiff::{SignedDuration, Timestamp};
use spot_handoff::ecs::container_instances::{self, Status};
use spot_handoff::ecs::tasks::{self, DESCRIBED_PER_CALL};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};

/// After running this long, a task has passed the health checks of its load balancer, with most defaults: five checks
/// in 30 s, or the first one at once.
const SERVES_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// Services by cluster and name.
pub type Services = BTreeSet<(String, String)>;

/// Returns those of these services of which no other task serves.
///
/// A task serves if its container instance is `ACTIVE`, or if it has none: then it is on Fargate. A task on a draining
/// instance does not serve, whoever drains it. If this cannot be read, the service is left out, and its tasks get their
/// whole grace.
pub async fn alone(client: &Client, invocation: &Invocation, services: Services) -> Services {
    let calls = services
        .iter()
        .map(|(cluster, service)| serves_elsewhere(client, invocation, cluster, service));
    let answers = together(calls).await;
    let answers = services.iter().zip(answers);
    let alone = answers.filter_map(|(service, answer)| {
        let serves = answer.inspect_err(|error| {
            tracing::warn!(
                "cannot see whether anything else of service {} serves: {error}",
                service.1
            );
        });
        (!serves.unwrap_or(true)).then(|| service.clone())
    });
    alone.collect()
}

async fn serves_elsewhere(
    client: &Client,
    invocation: &Invocation,
    cluster: &str,
    service: &str,
) -> Result<bool, CallError> {
    let listed = tasks::of_service(client, invocation, cluster, service).await?;
    let now = invocation.clock.now();
    for some in listed.chunks(DESCRIBED_PER_CALL) {
        let described = tasks::describe(client, invocation, cluster, some).await?;
        let running = described.iter().filter(|task| runs_long_enough(task, now));
        let on: BTreeSet<Option<&String>> =
            running.map(|task| task.container_instance_arn.as_ref()).collect();
        if on.contains(&None) {
            return Ok(true);
        }
        let on: Vec<String> = on.into_iter().flatten().cloned().collect();
        if on.is_empty() {
            continue;
        }
        let on = container_instances::describe(client, invocation, cluster, &on).await?;
        if on
            .iter()
            .any(|one| one.status == Status::Active && one.agent_connected)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn runs_long_enough(task: &Task, now: Timestamp) -> bool {
    let started = task.started_at().map(|at| Timestamp::from_second(at.secs()));
    let since = started.and_then(Result::ok).map(|at| now.duration_since(at));
    task.last_status() == Some("RUNNING") && since.is_some_and(|since| since >= SERVES_AFTER)
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::primitives::DateTime;

    use super::*;

    #[test]
    fn a_task_serves_when_it_has_run_for_a_while() {
        let now = Timestamp::from_second(1_000).expect("a time");
        let task = |status: &str, started: Option<i64>| {
            let task = Task::builder().last_status(status);
            let task = task.set_started_at(started.map(DateTime::from_secs));
            runs_long_enough(&task.build(), now)
        };
        assert!(task("RUNNING", Some(970)));
        assert!(
            !task("RUNNING", Some(971)),
            "its load balancer may not have seen it yet"
        );
        assert!(!task("RUNNING", None));
        assert!(!task("PENDING", None));
        assert!(!task("STOPPING", Some(100)));
    }
}
