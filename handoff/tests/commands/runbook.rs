//! The commands of `docs/runbook.md`, run as they stand there after an instance was drained.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use testbed::{Options, Testbed, Workspace, python_environment};
use tokio::process::Command;

/// What a person types: `cargo handoff` is the command line under test. Version 1 of the AWS CLI, which is the one in the
/// package index, does not heed `AWS_ENDPOINT_URL` for SQS. The embedded AWS has no concurrency and updates no stack.
const SETTING: &str = r#"
set -eu
cargo() { shift; "$HANDOFF" "$@" || [ $? = 1 ]; }
aws() {
  case "$2" in get-account-settings | update-stack | wait) return ;; esac
  command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"
}
"#;
/// Sets what is this person's own; the test has its own account.
const OWN_ACCOUNT: &str = "export AWS_PROFILE";

/// The shell blocks of the page, without the account.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = vec![];
    let mut open: Option<String> = None;
    for line in page.lines().map(str::trim_start) {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) if !line.starts_with(OWN_ACCOUNT) => *block += &format!("{line}\n"),
            _ => {}
        }
    }
    blocks
}

/// The directory of the AWS CLI, installed like the embedded AWS.
async fn aws_cli() -> Result<PathBuf> {
    let install = || python_environment(&Workspace::locate()?, "aws-cli", "handoff/tests/aws-cli.txt");
    let interpreter = tokio::task::spawn_blocking(install).await??;
    Ok(interpreter.parent().context("it is in a directory")?.to_owned())
}

#[tokio::test]
async fn every_command_of_the_runbook_works_as_it_stands_there() -> Result<()> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runbook.md");
    let blocks = blocks(&std::fs::read_to_string(page)?);
    ensure!(blocks.len() > 8, "the page has lost its commands");
    let cli = aws_cli().await?;
    let path = format!("{}:{}", cli.display(), std::env::var("PATH")?);
    let bed = Testbed::start(Options::default().parameter("Drills", "real")).await?;
    // The names of one block are used in those below it, and there is an instance that drains.
    let drill = "cargo handoff drill --group inference --for-real >&2\n".to_owned();
    let script = [vec![SETTING.to_owned(), drill], blocks]
        .concat()
        .join("set -x\n");
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(script)
        .envs(bed.environment())
        .env("HANDOFF", env!("CARGO_BIN_EXE_handoff"))
        .env("PATH", path)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_PAGER", "")
        .env_remove("AWS_PROFILE");
    let output = shell.output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{why}\n{said}");

    // What they say is about this stack: a group, a service, a log, and the instance that is put back.
    for word in ["inference", "ranker", "spot-handoff", "ACTIVE"] {
        ensure!(said.contains(word), "nothing says {word}:\n{said}\n{why}");
    }
    let state = bed.world.state().await?;
    let mut registered = state
        .clusters
        .iter()
        .flat_map(|cluster| &cluster.container_instances);
    ensure!(
        registered.all(|one| one.status == "ACTIVE"),
        "an instance still drains:\n{said}"
    );
    Ok(())
}
