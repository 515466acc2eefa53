//! `cargo bench --bench storm`: storms of growing size, ours and a baseline in Python, and what the AWS saw of them.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

mod document;
mod growth;
mod plot;

use std::time::Duration;

use anyhow::Result;
use bench::baseline;
use bench::fleet::Size;
use bench::run::{self, Outcome, Setting};
use bench::table;
use clap::{Parser, ValueEnum};
use fast_aws::Limits;
use testbed::{MappingOptions, Workspace};

/// Many Spot interruption warnings in the same second.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Sizes of the storms, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "1,10,100,1000,5000")]
    instances: Vec<usize>,
    /// The largest storm for the baseline: this machine takes a second of processor time for each Python process
    #[arg(long, default_value_t = 100)]
    baseline_up_to: usize,
    /// Run only one of the two
    #[arg(long, value_enum)]
    only: Option<Only>,
    /// Vary clusters, target groups and tasks as well, each alone
    #[arg(long)]
    growth: bool,
    /// Write docs/benchmark.md and its plot
    #[arg(long)]
    write: bool,
    /// Messages of a batch, in place of the template's
    #[arg(long)]
    batch_size: Option<usize>,
    /// Seconds to wait for a batch to fill, in place of the template's
    #[arg(long)]
    window: Option<u64>,
    /// The most invocations of a function at a time, in place of the template's
    #[arg(long)]
    max_concurrency: Option<usize>,
    /// Processes of a function that this machine is to hold; AWS has 1,000 for an account
    #[arg(long, default_value_t = 60)]
    processes: usize,
    /// Seconds after which a storm is given up
    #[arg(long, default_value_t = 120)]
    patience: u64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    /// The functions of this project
    Ours,
    /// The baseline in Python
    Baseline,
}

impl Arguments {
    fn setting(&self, size: Size) -> Result<Setting> {
        Ok(Setting {
            size,
            limits: Limits::of_aws()?,
            mapping: MappingOptions {
                batch_size: self.batch_size,
                window_seconds: self.window,
                maximum_concurrency: self.max_concurrency,
            },
            processes: self.processes,
            patience: Duration::from_secs(self.patience),
            // Cargo builds benchmarks into the directory of the release profile.
            profile: Some("bench"),
        })
    }

    fn runs(&self, which: Only) -> bool {
        self.only.is_none_or(|only| only == which)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (mut ours, mut theirs) = (vec![], vec![]);
    print!("{}", table::head());
    for &instances in &arguments.instances {
        let setting = arguments.setting(Size {
            instances,
            ..Size::default()
        })?;
        if arguments.runs(Only::Ours) {
            ours.push(shown(run::ours(&setting).await?));
        }
        if arguments.runs(Only::Baseline) && instances <= arguments.baseline_up_to {
            theirs.push(shown(baseline::baseline(&setting).await?));
        }
    }
    let curves = if arguments.growth {
        growth::measure(&arguments, &ours).await?
    } else {
        vec![]
    };
    if arguments.write {
        let docs = Workspace::locate()?.path("docs");
        std::fs::create_dir_all(&docs)?;
        document::write(&docs, &ours, &theirs, &curves)?;
    }
    Ok(())
}

/// Prints the rows of a storm as soon as it is over, and what its calls were.
fn shown(outcome: Outcome) -> Outcome {
    print!("{}", table::rows(&outcome));
    eprint!("{}", table::calls(&outcome));
    let (invocations, cold) = outcome.invocations;
    let processor = outcome.processor.unwrap_or_default().as_secs_f64();
    eprintln!("  {invocations} invocations, {cold} with a cold start; {processor:.1} s of processor time");
    if outcome.given_up {
        eprintln!("  given up: messages were still being worked on");
    }
    outcome
}
