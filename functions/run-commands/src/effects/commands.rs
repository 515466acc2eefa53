//! Sends commands: one call for up to fifty instances that run the same document with the same parameters.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_ssm::Client;
use spot_handoff::notice::InstanceId;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};

use crate::facts::COMMENT;
use crate::plan::{Command, DELIVERED_WITHIN};

/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html>
const INSTANCES_PER_CALL: usize = 50;
/// How often to make a call that is throttled. After any other error it may have been carried out, so it is not
/// repeated.
const TRIES: usize = 5;
const THROTTLED_FOR: Duration = Duration::from_secs(1);

/// Commands that differ only in their instances.
type Same<'a> = (&'a str, &'a BTreeMap<String, String>);

/// Sends the commands. Returns their ids, in the order of the commands.
pub async fn send(
    ssm: &Client,
    invocation: &Invocation,
    commands: &[&Command],
) -> Vec<Result<String, CallError>> {
    let mut same: BTreeMap<Same<'_>, Vec<&InstanceId>> = BTreeMap::new();
    for command in commands {
        let of_these = same
            .entry((command.document.as_str(), &command.parameters))
            .or_default();
        of_these.push(&command.instance);
    }
    let calls = same.iter().flat_map(|(same, instances)| {
        instances
            .chunks(INSTANCES_PER_CALL)
            .map(move |chunk| send_chunk(ssm, invocation, *same, chunk))
    });
    let answers: HashMap<InstanceId, Result<String, CallError>> =
        together(calls).await.into_iter().flatten().collect();
    let answer = |command: &&Command| {
        answers.get(&command.instance).cloned().unwrap_or_else(|| {
            Err(CallError::NoAnswer {
                action: "SendCommand",
                message: "not asked".to_owned(),
            })
        })
    };
    commands.iter().map(answer).collect()
}

/// If Systems Manager does not know one of the instances, it refuses the call for all. Then each instance gets a call
/// of its own.
async fn send_chunk(
    ssm: &Client,
    invocation: &Invocation,
    same: Same<'_>,
    instances: &[&InstanceId],
) -> Vec<(InstanceId, Result<String, CallError>)> {
    let answer = ask(ssm, invocation, same, instances).await;
    let is_about_one = |error: &CallError| is_final(error) && error.code() != Some("InvalidDocument");
    let answers = match &answer {
        Err(error) if instances.len() > 1 && is_about_one(error) => {
            let each = instances.chunks(1);
            together(each.map(|one| ask(ssm, invocation, same, one))).await
        }
        _ => vec![answer; instances.len()],
    };
    instances
        .iter()
        .map(|instance| (*instance).clone())
        .zip(answers)
        .collect()
}

async fn ask(
    ssm: &Client,
    invocation: &Invocation,
    (document, parameters): Same<'_>,
    instances: &[&InstanceId],
) -> Result<String, CallError> {
    let parameters: HashMap<String, Vec<String>> = parameters
        .iter()
        .map(|(name, value)| (name.clone(), vec![value.clone()]))
        .collect();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let asking = ssm
            .send_command()
            .document_name(document)
            .set_instance_ids(Some(instances.iter().map(ToString::to_string).collect()))
            .set_parameters((!parameters.is_empty()).then(|| parameters.clone()))
            .timeout_seconds(i32::try_from(DELIVERED_WITHIN.as_secs()).unwrap_or(30))
            // By default, the first script that fails would keep the others from getting the command.
            .max_concurrency("100%")
            .max_errors("100%")
            .comment(format!("{COMMENT}these instances are about to go"))
            .send();
        let answer = invocation.call("SendCommand", asking).await;
        match answer {
            Err(error) if is_throttled(&error) && attempt < TRIES => {
                tokio::time::sleep(invocation.clock.real_duration(THROTTLED_FOR)).await;
            }
            Err(error) => return Err(error),
            Ok(answer) => {
                let id = answer.command.and_then(|command| command.command_id);
                return id.ok_or_else(|| CallError::NoAnswer {
                    action: "SendCommand",
                    message: "the answer names no command".to_owned(),
                });
            }
        }
    }
}

fn is_throttled(error: &CallError) -> bool {
    error.code().is_some_and(|code| code.contains("Throttl"))
}

/// Whether the same call will always get this answer: the instance has no agent, or the document does not exist or does
/// not fit.
pub fn is_final(error: &CallError) -> bool {
    const OTHERS: [&str; 3] = [
        "UnsupportedPlatformType",
        "MaxDocumentSizeExceeded",
        "DuplicateInstanceId",
    ];
    error
        .code()
        .is_some_and(|code| code.starts_with("Invalid") || OTHERS.contains(&code))
}
