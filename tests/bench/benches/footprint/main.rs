//! `cargo bench --bench footprint`: what a start of each function costs, beside the baseline in Python.

mod document;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bench::baseline;
use bench::cold_start::{self, ColdStart};
use bench::fleet::{self, Size};
use bench::run::warning;
use clap::Parser;
use fast_aws::{FastAws, FastOptions, Limits};
use serde_json::json;
use testbed::{ANNOUNCER, Clock, FUNCTIONS, FunctionSpec, Journal, Options, RUNNER, Stack, Workspace};

/// The most notices of one batch, as the template has it.
const FULL_BATCH: usize = 1_000;

/// What a start of each function costs: time, processor, memory, and the size of what is deployed.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each is started
    #[arg(long, default_value_t = 21)]
    starts: usize,
    /// Write docs/footprint.md
    #[arg(long)]
    write: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// One program and what came of its starts.
struct Row {
    name: String,
    archive_bytes: Option<u64>,
    start: Option<ColdStart>,
    full_batch: Option<ColdStart>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let workspace = Workspace::locate()?;
    // Each start has its own instance, so that each finds the same work.
    let size = Size {
        instances: FULL_BATCH + arguments.starts + 1,
        ..Size::default()
    };
    let limits = Limits {
        latency_ms: Limits::of_aws()?.latency_ms,
        ..Limits::default()
    };

    let mut ours = Vec::new();
    for function in FUNCTIONS {
        let program = testbed::build_for_deployment(&workspace, function)?;
        let bed = fast_aws::start(
            FastOptions {
                fleet: Some(fleet::build(size)),
                limits: limits.clone(),
            },
            Options {
                stand_in: Some((program.clone(), vec![])),
                // Nobody but this program invokes the function.
                pollers: 0,
                ..Options::default()
            },
        )
        .await?;
        let aws = fast_aws::of(&bed)?;
        let specification = bed.specification(function)?;
        ours.push(Row {
            name: function.to_owned(),
            archive_bytes: Some(archive_bytes(&workspace, &program)?),
            start: Some(starts(specification, aws, arguments.starts).await?),
            full_batch: Some(cold_start::measure(specification, aws, &journal(), full_batch()).await?),
        });
    }
    // The first one works after the two minutes, and nobody waits for it. The other one has nothing to do in this
    // fleet.
    for function in [ANNOUNCER, RUNNER] {
        let program = testbed::build_for_deployment(&workspace, function)?;
        ours.push(Row {
            name: function.to_owned(),
            archive_bytes: Some(archive_bytes(&workspace, &program)?),
            start: None,
            full_batch: None,
        });
    }

    let mut theirs = Vec::new();
    for (handler, _) in baseline::FUNCTIONS {
        let nothing_deployed = Stack {
            functions: vec![],
            queues: vec![],
            tables: vec![],
            event_source_mappings: vec![],
            rules: vec![],
        };
        let aws = FastAws::start(fleet::build(size), nothing_deployed, &limits, Clock::real()).await?;
        let specs = baseline::specifications(&aws, 1).await?;
        let spec = specs.iter().find(|spec| spec.name == handler);
        let spec = spec.with_context(|| format!("the baseline has no {handler}"))?;
        theirs.push(Row {
            name: format!("baseline: {handler}.py"),
            archive_bytes: None,
            start: Some(starts(spec, &aws, arguments.starts).await?),
            full_batch: None,
        });
    }

    let text = document::text(arguments.starts, &ours, &theirs);
    if arguments.write {
        let path = workspace.path("docs/footprint.md");
        std::fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    show(&text);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the table is what it is for")]
fn show(text: &str) {
    print!("{text}");
}

/// Starts it once, so that it is in the system's file cache, as for all later starts. Then it starts it for the
/// figures.
async fn starts(function: &FunctionSpec, aws: &FastAws, times: usize) -> Result<ColdStart> {
    let journal = journal();
    let event = |n: usize| warning(&fleet::instance_id(FULL_BATCH + n), n).to_string();
    cold_start::measure(function, aws, &journal, event(times)).await?;
    let mut seen = Vec::with_capacity(times);
    for n in 0..times {
        seen.push(cold_start::measure(function, aws, &journal, event(n)).await?);
    }
    Ok(cold_start::medians(&seen))
}

fn journal() -> Arc<Journal> {
    Arc::new(Journal::new(Clock::real()))
}

/// A batch as a queue hands it over.
fn full_batch() -> String {
    let record = |n: usize| json!({"messageId": n.to_string(), "body": warning(&fleet::instance_id(n), n).to_string()});
    json!({"Records": (0..FULL_BATCH).map(record).collect::<Vec<_>>()}).to_string()
}

/// The size of the archive that `sam deploy` makes of a program. It uses Python's `zipfile`.
fn archive_bytes(workspace: &Workspace, program: &Path) -> Result<u64> {
    const ZIP: &str = "import sys, zipfile\n\
        with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as archive:\n\
        \x20   archive.write(sys.argv[2], 'bootstrap')\n";
    let archive = workspace.target().join("footprint.zip");
    let python = testbed::interpreter(workspace)?;
    let made = Command::new(python)
        .args(["-c", ZIP])
        .args([&archive, program])
        .status()?;
    ensure!(
        made.success(),
        "{} cannot be zipped, see above",
        program.display()
    );
    Ok(std::fs::metadata(&archive)?.len())
}
