//! The AWS of the sandbox, and the command in it.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, Result};
use testbed::{Options, State, Testbed};
use tokio::process::Command;

use super::{Arguments, WorldArguments, storm};
use crate::style;
use crate::words::count;

/// Runs until Ctrl-C, or until the command ends. Returns the exit code.
pub async fn run(arguments: Arguments) -> Result<ExitCode> {
    WorldArguments::say_that_it_starts();
    let bed = Testbed::start(Options {
        announce: true,
        ..arguments.world.options()
    })
    .await?;
    // EC2 reports every end; a quick world does not do that by default.
    let tells_ends = serde_json::json!({ "state_change_events": true });
    bed.world.settings(&tells_ends).await?;
    storm::pass(&bed, arguments.storm).await?;
    match arguments.command.split_first() {
        Some((program, rest)) => run_inside(&bed, program, rest).await,
        None => {
            anstream::println!("{}", welcome(&bed.world.state().await?, &bed.environment()));
            tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn run_inside(bed: &Testbed, program: &str, arguments: &[String]) -> Result<ExitCode> {
    let mut child = Command::new(program)
        .args(arguments)
        .envs(bed.environment())
        // The person's own profile does not exist in this account.
        .env_remove("AWS_PROFILE")
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    loop {
        tokio::select! {
            ended = child.wait() => return Ok(exit_code(ended?)),
            // The terminal sends Ctrl-C to both. The command decides what it means.
            pressed = tokio::signal::ctrl_c() => pressed.context("cannot wait for Ctrl-C")?,
        }
    }
}

/// Like a shell: the command's own code, or 128 plus the signal that ended it.
fn exit_code(ended: ExitStatus) -> ExitCode {
    let code = ended.code().or_else(|| Some(128 + ended.signal()?));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn welcome(state: &State, environment: &[(&str, String)]) -> String {
    let mut lines = vec![format!(
        "\nAn AWS runs on this machine, with {} in {} and the stack spot-handoff.\nFor another terminal:\n",
        count(state.instances.len() as u64, "instance"),
        count(state.groups.len() as u64, "group"),
    )];
    let variables = environment.iter().map(|(name, value)| format!("{name}={value}"));
    let variables: Vec<String> = variables.collect();
    let export = format!("unset AWS_PROFILE; export {}", variables.join(" "));
    lines.push(style::strong(&export));
    lines.push(format!(
        "\nThere `cargo handoff` and the AWS CLI see this AWS. For example:\n\n  {}\n  {}\n\n{}",
        "aws autoscaling describe-auto-scaling-groups",
        "cargo handoff drill --group inference",
        style::dim("Ctrl-C ends it, and everything in it."),
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_ends_as_its_command_did() {
        for (status, code) in [(0, 0), (3 << 8, 3), (15, 143)] {
            assert_eq!(
                exit_code(ExitStatus::from_raw(status)),
                ExitCode::from(code),
                "{status}"
            );
        }
    }
}
