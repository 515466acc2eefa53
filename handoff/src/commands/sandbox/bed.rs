//! The AWS of the sandbox, and what runs in it.

use anyhow::{Context, Result};
use testbed::{Options, State, Testbed};
use tokio::process::Command;

use super::Arguments;
use crate::style;
use crate::words::count;

/// Runs until Ctrl-C, or until the command ends; answers whether that ended well.
pub async fn run(arguments: Arguments) -> Result<bool> {
    let bed = Testbed::start(Options {
        announce: true,
        ..arguments.world.options()
    })
    .await?;
    match arguments.command.split_first() {
        Some((program, rest)) => run_inside(&bed, program, rest).await,
        None => {
            anstream::println!("{}", welcome(&bed.world.state().await?, &bed.environment()));
            tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")?;
            Ok(true)
        }
    }
}

async fn run_inside(bed: &Testbed, program: &str, arguments: &[String]) -> Result<bool> {
    let mut child = Command::new(program)
        .args(arguments)
        .envs(bed.environment())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    loop {
        tokio::select! {
            ended = child.wait() => return Ok(ended?.success()),
            // The terminal sends Ctrl-C to both; what it means is for the command to say.
            pressed = tokio::signal::ctrl_c() => pressed.context("cannot wait for Ctrl-C")?,
        }
    }
}

fn welcome(state: &State, environment: &[(&str, String)]) -> String {
    let mut lines = vec![format!(
        "\nAn AWS runs on this machine, with {} in {} and the stack spot-handoff.\nFor another terminal:\n",
        count(state.instances.len() as u64, "instance"),
        count(state.groups.len() as u64, "group"),
    )];
    let variables = environment.iter().map(|(name, value)| format!("{name}={value}"));
    let variables: Vec<String> = variables.collect();
    lines.push(style::strong(&format!("export {}", variables.join(" "))));
    lines.push(format!(
        "\nThere `cargo handoff` and the AWS CLI see this AWS. For example:\n\n  {}\n  {}\n\n{}",
        "aws autoscaling describe-auto-scaling-groups",
        "cargo handoff drill --group inference",
        style::dim("Ctrl-C ends it, and everything in it."),
    ));
    lines.join("\n")
}
