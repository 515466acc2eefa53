//! The commands of `docs/runbook.md`, run exactly as written, after an instance was drained.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testbed::{Options, Testbed, Workspace, python_environment};
use tokio::process::Command;

/// Replaces the programs that a person types. `cargo handoff` is the command line under test. The package index has
/// version 1 of the AWS CLI, which ignores `AWS_ENDPOINT_URL` for SQS. The embedded AWS has no concurrency, and cannot
/// update a stack.
const SETTING: &str = r#"
set -eu
cargo() { shift; "$HANDOFF" "$@" || [ $? = 1 ]; }
aws() {
  case "$2" in get-account-settings | update-stack | wait) return ;; esac
  command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"
}
"#;
/// Sets the person's own account data; the test has its own account.
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

/// The directory of the AWS CLI, which is installed like the embedded AWS.
async fn aws_cli() -> Result<PathBuf> {
    let install = || python_environment(&Workspace::locate()?, "aws-cli", "handoff/tests/aws-cli.txt");
    let interpreter = tokio::task::spawn_blocking(install).await??;
    Ok(interpreter.parent().context("it is in a directory")?.to_owned())
}

/// The page's queries for CloudWatch Logs Insights: the blocks without a language that begin with `fields`.
fn queries(page: &str) -> Vec<String> {
    let mut blocks = page.split("```").skip(1).step_by(2);
    let mut queries = vec![];
    for block in &mut blocks {
        let lines: Vec<&str> = block
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        if lines.first().is_some_and(|first| first.starts_with("fields ")) {
            queries.push(lines.join("\n"));
        }
    }
    queries
}

/// The reports that a query finds, if it consists of `fields`, `filter … = "…" and …` and `sort`.
fn found_by<'r>(query: &str, reports: &'r [Value]) -> Result<Vec<&'r Value>> {
    let (mut fields, mut found): (Vec<&str>, Vec<&Value>) = (vec![], reports.iter().collect());
    for step in query.lines().map(|line| line.trim_start_matches("| ")) {
        match step.split_once(' ').context("a step has words")? {
            ("fields", named) => fields = named.split(", ").collect(),
            ("filter", conditions) => {
                for condition in conditions.split(" and ") {
                    let (field, value) = condition.split_once(" = ").context("a condition")?;
                    found.retain(|report| report[field] == value.trim_matches('"'));
                }
            }
            ("sort", by) => ensure!(by == "@timestamp", "{by}"),
            (other, _) => bail!("{other} is not known here"),
        }
    }
    for field in fields.iter().filter(|field| !field.starts_with('@')) {
        ensure!(
            found.iter().all(|report| report.get(*field).is_some()),
            "no report has the field {field}"
        );
    }
    Ok(found)
}

#[tokio::test]
async fn every_command_of_the_runbook_works_as_it_stands_there() -> Result<()> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runbook.md");
    let page = std::fs::read_to_string(page)?;
    let blocks = blocks(&page);
    ensure!(blocks.len() > 8, "the page has lost its commands");
    let cli = aws_cli().await?;
    let path = format!("{}:{}", cli.display(), std::env::var("PATH")?);
    let bed = Testbed::start(Options::default().parameter("Drills", "real")).await?;
    // Later blocks use the names of earlier ones, and one instance is draining.
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
        .env_remove("AWS_PROFILE")
        .env_remove("COLUMNS");
    let output = shell.output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{why}\n{said}");

    // The output is about this stack: a group, a service, a log, and the instance that is put back.
    for word in ["inference", "ranker", "spot-handoff", "ACTIVE"] {
        ensure!(said.contains(word), "nothing says {word}:\n{said}\n{why}");
    }
    // What the CloudWatch Logs Insights queries would find in the same logs.
    let reports: Vec<Value> = bed
        .reports()
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()?;
    let instance = reports.first().context("the drill is reported")?["instance"].clone();
    let queries = queries(&page);
    ensure!(queries.len() == 2, "the page has lost its queries: {queries:?}");
    for query in queries {
        let query = query.replace("i-1234567890abcdef0", instance.as_str().unwrap_or_default());
        ensure!(
            !found_by(&query, &reports)?.is_empty(),
            "nothing is found by\n{query}"
        );
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
