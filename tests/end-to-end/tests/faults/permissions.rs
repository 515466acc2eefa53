//! Least privilege: if any action is taken out of a role, something is denied that a hand-off needs.

use anyhow::{Context, Result, bail, ensure};
use end_to_end::scene::Scene;
use serde_json::json;
use spot_handoff::report::Report;
use testbed::Event;

use crate::EVERY_FUNCTION;
use crate::faults::is_denial;
use crate::finish::{Finish, nothing, play};
use crate::recording::{Recording, Use};
use crate::scenarios::Scenario;
use crate::several::{all_well, chosen, several};

/// Actions that another action depends on: AWS checks them when the other one is called.
fn asked_for_with(action: &str) -> Option<&'static str> {
    match action {
        "ecs:TagResource" => Some("RunTask"),
        _ => None,
    }
}

/// The scenarios in which the function makes the call that needs this action.
fn scenarios_of(recording: &Recording, function: &str, permission: &str) -> Option<Vec<Scenario>> {
    let (service, action) = permission.split_once(':')?;
    let call = match permission {
        "iam:PassRole" => "RunTask",
        _ => asked_for_with(permission).unwrap_or(action),
    };
    let is_it = |of: &Use| {
        // A batch needs the permission of what it is a batch of.
        let same = of.action.strip_suffix("Batch").unwrap_or(&of.action) == call;
        of.caller == function && same && (of.service == service || call != action)
    };
    let uses = recording.uses();
    uses.into_iter()
        .find(|(of, _)| is_it(of))
        .map(|(_, scenarios)| scenarios)
}

/// Takes one permission away, and plays its scenarios until one of them misses it.
async fn without(recording: &Recording, function: &str, permission: &str) -> Result<()> {
    let scenarios = scenarios_of(recording, function, permission)
        .context("no scenario needs it: take it out of the role, or write one that does")?;
    for scenario in &scenarios {
        let lose = async |scene: &Scene| {
            let loss = json!({ "kind": "lose-permission", "function": function, "action": permission });
            scene.happen(loss).await.map(|_| ())
        };
        let finish = play(*scenario, scenario.options(), lose, nothing).await?;
        let calls = finish.scene.bed.world.calls().await?;
        let denied = |call: &testbed::Call| {
            let error = call.error.as_deref().unwrap_or_default();
            call.caller.as_deref() == Some(function) && is_denial(error)
        };
        if calls.iter().any(denied) {
            ensure!(
                tells(&finish, function),
                "{scenario:?}: nothing tells of it\n{}",
                finish.scene.story()
            );
            return Ok(());
        }
    }
    bail!("{scenarios:?}: nothing was denied")
}

/// Whether the function says in a report or in its log that it was denied something.
fn tells(finish: &Finish, function: &str) -> bool {
    let says = |text: &str| text.contains("in the function's role");
    let reports = |report: &Report| serde_json::to_string(report).is_ok_and(|text| says(&text));
    let entries = finish.scene.bed.journal().since(0);
    entries
        .iter()
        .filter(|entry| entry.function == function)
        .any(|entry| match &entry.event {
            Event::Report(report) => reports(report),
            Event::Log(line) => says(&line.to_string()),
            _ => false,
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_permission_of_every_role_is_needed() -> Result<()> {
    let recording = Recording::shared().await?;
    let permissions = &recording.permissions;
    let of_the_function = |permission: &&String| !permissions.lambda.contains(permission);
    let mut taken = vec![];
    for function in EVERY_FUNCTION {
        let role = permissions.roles.get(function).context("a role")?;
        ensure!(
            role.iter().all(|permission| !permission.contains('*')),
            "{function}: a wildcard in {role:?}"
        );
        taken.extend(
            role.iter()
                .filter(of_the_function)
                .map(|permission| (function, permission.as_str())),
        );
    }
    let every = || taken.clone();
    let plays = chosen(every, every).into_iter().map(|(function, permission)| {
        let recording = &recording;
        async move {
            let played = without(recording, function, permission).await;
            played.with_context(|| format!("{function} without {permission}"))
        }
    });
    all_well("permissions taken away", several(plays).await)
}

/// Lambda polls a queue and writes logs under the role of the function, and AWS's own policies name what that takes.
#[tokio::test(flavor = "multi_thread")]
async fn of_what_lambda_itself_needs_each_role_has_what_a_queue_and_a_log_take() -> Result<()> {
    let recording = Recording::shared().await?;
    let expected = [
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
    ];
    for function in EVERY_FUNCTION {
        let role = recording.permissions.roles.get(function).context("a role")?;
        let of_lambda = role
            .iter()
            .filter(|one| recording.permissions.lambda.contains(one));
        let of_lambda: Vec<&str> = of_lambda.map(String::as_str).collect();
        ensure!(of_lambda == expected, "{function}: {of_lambda:?}");
    }
    Ok(())
}
