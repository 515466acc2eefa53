//! What AWS and the table know: targets, commands that were sent, and their states.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_ssm::types::{CommandFilter, CommandFilterKey, CommandInvocation};
use jiff::Timestamp;
use spot_handoff::elb::health::TargetHealth;
use spot_handoff::notice::InstanceId;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::stop_scripts::StopScript;
use spot_handoff::state::under_notice::WAITS_FOR_TABLE;
use spot_handoff::state::{Key, Table, Versioned};

/// How much of a script's output is reported. People who read it at night need its end.
const OUTPUT_LINES: usize = 3;
const OUTPUT_CHARACTERS: usize = 400;

/// The facts for plans.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The registered targets in the target groups of groups with a stop script.
    pub health: TargetHealth,
    /// The items of the table, by instance, or why they are not known.
    pub items: Items,
    /// The parameters that documents declare, by the name of the document, or why they are not known.
    pub documents: HashMap<String, Result<BTreeSet<String>, CallError>>,
    /// Commands that were sent but are not in the table, by instance.
    pub sent_before: HashMap<InstanceId, Result<Option<String>, CallError>>,
    /// The states of commands, by command and instance, or why they are not known.
    pub runs: HashMap<String, Result<HashMap<InstanceId, Run>, CallError>>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            health: TargetHealth::default(),
            items: Ok(HashMap::new()),
            documents: HashMap::new(),
            sent_before: HashMap::new(),
            runs: HashMap::new(),
        }
    }
}

/// The items of the table.
pub type Items = Result<HashMap<InstanceId, Versioned<StopScript>>, ItemsUnread>;

/// Why the table could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemsUnread(pub String);

/// A command on one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// How far it is.
    pub state: State,
    /// The same, in the words of Systems Manager, for example `Undeliverable`.
    pub status: String,
    /// The exit code of the last step that has one.
    pub exit_code: Option<i32>,
    /// The last lines that it wrote.
    pub output: String,
}

/// How far a command is on an instance.
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not ended.
    UnderWay,
    /// It has ended well.
    Success,
    /// It has ended in another way, or will never begin.
    Bad,
}

/// Reads the items of these instances from the table.
pub async fn items(table: &Table, invocation: &Invocation, instances: &BTreeSet<InstanceId>) -> Items {
    if instances.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<Key> = instances.iter().map(StopScript::key_of).collect();
    let invocation = invocation.for_at_most(WAITS_FOR_TABLE);
    let found = table.get_all::<StopScript>(&invocation, &keys).await;
    let by_instance = |found: Vec<Versioned<StopScript>>| {
        let found = found.into_iter();
        found.map(|one| (one.item.instance.clone(), one)).collect()
    };
    found
        .map(by_instance)
        .map_err(|error| ItemsUnread(error.to_string()))
}

/// The parameters that each of these documents declares.
pub async fn documents(
    ssm: &aws_sdk_ssm::Client,
    invocation: &Invocation,
    names: BTreeSet<String>,
) -> HashMap<String, Result<BTreeSet<String>, CallError>> {
    let calls = names.into_iter().map(|name| async move {
        let asking = ssm.describe_document().name(&name).send();
        let answer = invocation.briefly().call("DescribeDocument", asking).await;
        let declared = answer.map(|answer| {
            let parameters = answer.document.and_then(|document| document.parameters);
            let parameters = parameters.unwrap_or_default().into_iter();
            parameters.filter_map(|parameter| parameter.name).collect()
        });
        (name, declared)
    });
    together(calls).await.into_iter().collect()
}

/// The command that has run a document on an instance since a given moment, if there is one.
///
/// # Errors
/// See [`CallError`].
pub async fn sent_before(
    ssm: &aws_sdk_ssm::Client,
    invocation: &Invocation,
    instance: &InstanceId,
    document: &str,
    since: Timestamp,
) -> Result<Option<String>, CallError> {
    let since = since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let filter = CommandFilter::builder()
        .key(CommandFilterKey::InvokedAfter)
        .value(since)
        .build()
        .map_err(|error| CallError::NoAnswer {
            action: "ListCommandInvocations",
            message: error.to_string(),
        })?;
    let asking = ssm
        .list_command_invocations()
        .instance_id(instance.as_str())
        .filters(filter)
        .send();
    let answer = invocation
        .briefly()
        .call("ListCommandInvocations", asking)
        .await?;
    // A document of the account is identified by its name, whether it was sent by name or by ARN.
    let name = |document: &str| document.rsplit('/').next().unwrap_or_default().to_owned();
    let is_ours = |run: &CommandInvocation| {
        run.comment().is_some_and(|comment| comment.starts_with(COMMENT))
            && run
                .document_name()
                .is_some_and(|found| name(found) == name(document))
    };
    let mut runs = answer.command_invocations.unwrap_or_default().into_iter();
    Ok(runs.find(is_ours).and_then(|run| run.command_id))
}

/// How the comments of our commands begin.
pub const COMMENT: &str = "spot-handoff: ";

/// The state of each of these commands on its instances: one call for each command.
pub async fn runs(
    ssm: &aws_sdk_ssm::Client,
    invocation: &Invocation,
    commands: BTreeSet<String>,
) -> HashMap<String, Result<HashMap<InstanceId, Run>, CallError>> {
    let calls = commands.into_iter().map(|command| async move {
        let pages = ssm
            .list_command_invocations()
            .command_id(&command)
            .details(true)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>();
        let answer = invocation.call("ListCommandInvocations", pages).await;
        (
            command,
            answer.map(|found| found.iter().filter_map(run).collect()),
        )
    });
    together(calls).await.into_iter().collect()
}

fn run(found: &CommandInvocation) -> Option<(InstanceId, Run)> {
    let instance = found.instance_id()?.parse().ok()?;
    let plugins = found.command_plugins();
    let written: Vec<&str> = plugins.iter().filter_map(|plugin| plugin.output()).collect();
    let status = found.status().map(|status| status.as_str()).unwrap_or_default();
    let state = match status {
        "Success" => State::Success,
        "Cancelled" | "TimedOut" | "Failed" => State::Bad,
        // Pending, InProgress, Delayed, Cancelling, and states that we do not know.
        _ => State::UnderWay,
    };
    // The details are more exact: they say Undeliverable when the status is Failed.
    let status = found
        .status_details()
        .filter(|details| !details.is_empty())
        .unwrap_or(status);
    let run = Run {
        state: if state == State::UnderWay && is_end(status) {
            State::Bad
        } else {
            state
        },
        status: status.to_owned(),
        // -1 is the code of a step that has not begun.
        exit_code: plugins
            .iter()
            .rev()
            .map(|plugin| plugin.response_code())
            .find(|code| *code >= 0)
            .filter(|_| state != State::UnderWay),
        output: last_lines(&written.join("\n")),
    };
    Some((instance, run))
}

/// Whether the details say that nothing will come any more, whatever the status says. AWS's documentation writes some
/// of them with blanks.
fn is_end(details: &str) -> bool {
    let details = details.replace(' ', "");
    let ends = [
        "Undeliverable",
        "Terminated",
        "InvalidPlatform",
        "AccessDenied",
        "DeliveryTimedOut",
        "ExecutionTimedOut",
    ];
    ends.contains(&details.as_str())
}

/// The last lines of a script's output, on one line and without characters that disturb a terminal.
fn last_lines(written: &str) -> String {
    let lines: Vec<String> = written
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>())
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with("----------"))
        .collect();
    let last = lines[lines.len().saturating_sub(OUTPUT_LINES)..].join(" / ");
    let too_many = last.chars().count().saturating_sub(OUTPUT_CHARACTERS);
    match too_many {
        0 => last,
        _ => format!("…{}", last.chars().skip(too_many).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ssm::types::{CommandInvocationStatus, CommandPlugin};

    use super::*;

    fn of(status: CommandInvocationStatus, details: &str, code: i32, output: &str) -> Run {
        let plugin = CommandPlugin::builder()
            .response_code(code)
            .output(output)
            .build();
        let found = CommandInvocation::builder()
            .instance_id("i-1234567890abcdef0")
            .status(status)
            .status_details(details)
            .command_plugins(plugin)
            .build();
        run(&found).expect("an instance").1
    }

    #[test]
    fn what_systems_manager_says_is_under_way_good_or_bad() {
        use CommandInvocationStatus::{
            Cancelled, Cancelling, Delayed, Failed, InProgress, Pending, Success, TimedOut,
        };
        let table = [
            (Pending, "Pending", State::UnderWay),
            (InProgress, "InProgress", State::UnderWay),
            (Delayed, "Delayed", State::UnderWay),
            (Cancelling, "Cancelling", State::UnderWay),
            (Success, "Success", State::Success),
            (Cancelled, "Cancelled", State::Bad),
            (TimedOut, "DeliveryTimedOut", State::Bad),
            (TimedOut, "ExecutionTimedOut", State::Bad),
            (Failed, "Failed", State::Bad),
            (Failed, "Undeliverable", State::Bad),
            // If the two contradict each other, the end counts.
            (Pending, "Undeliverable", State::Bad),
        ];
        for (status, details, expected) in table {
            let run = of(status, details, 0, "");
            assert_eq!((run.state, run.status.as_str()), (expected, details));
        }
    }

    #[test]
    fn of_what_a_script_wrote_the_end_is_told() {
        let run = of(
            CommandInvocationStatus::Failed,
            "Failed",
            3,
            "one\ntwo\n\u{1b}[31mthree\n\n----------ERROR-------\ncannot reach the bucket\n",
        );
        assert_eq!(run.exit_code, Some(3));
        assert_eq!(run.output, "two / [31mthree / cannot reach the bucket");
        let long = of(CommandInvocationStatus::Success, "Success", 0, &"x".repeat(5000));
        assert_eq!(long.output.chars().count(), OUTPUT_CHARACTERS + 1);
    }
}
