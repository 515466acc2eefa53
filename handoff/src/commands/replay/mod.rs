//! `cargo handoff replay`: one sample through template, rules, queues and functions.

mod deployed;
#[cfg(feature = "local")]
mod local;
mod output;
mod retarget;
mod sample;

use std::path::PathBuf;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use spot_handoff::notice::InstanceId;

use crate::account::AccountArguments;
use crate::commands::world::WorldArguments;
use sample::Sample;

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo handoff replay events/spot-interruption-warning.json
  cargo handoff replay events/spot-interruption-warning.json --dry-run
  cargo handoff replay events/rebalance-recommendation.json --speed 20
  cargo handoff replay events/sqs-batch-mixed.json --speed 20
  cargo handoff replay --stack spot-handoff events/spot-interruption-warning.json --instance i-1234567890abcdef0

The first run installs the embedded AWS under target/ and builds the functions.

Permissions for --stack: cloudformation:ListStackResources, lambda:InvokeFunction.")]
pub struct Arguments {
    /// An EventBridge event, or a batch of SQS messages, as JSON; `-` reads standard input
    event: PathBuf,

    /// The instance that the event is about [default: one of the sample fleet with tasks of every kind; with --stack
    /// the event's own]
    #[arg(long, value_name = "ID")]
    instance: Option<InstanceId>,

    /// Leave the event's time as it is, rather than making it now
    #[arg(long)]
    keep_time: bool,

    /// What to print: a timeline, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    #[command(flatten)]
    local: LocalArguments,

    #[command(flatten)]
    deployed: DeployedArguments,
}

/// Options for a replay on a deployed stack only.
#[derive(Args)]
#[command(next_help_heading = "On a deployed stack")]
struct DeployedArguments {
    /// Invoke the functions of this deployed stack, rather than those of an AWS on this machine. They plan only
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = ["dry_run", "times", "watch", "speed", "pace", "seed", "parameters"])]
    stack: Option<String>,

    /// With --stack: have the functions act; with DryRun=true they plan only all the same
    #[arg(long, requires = "stack")]
    for_real: bool,

    #[command(flatten)]
    account: AccountArguments,
}

/// Options for a replay on this machine only. They are accepted without the feature `local` as well, so that the error
/// can say how to get it.
#[derive(Args)]
#[command(next_help_heading = "On an AWS on this machine")]
struct LocalArguments {
    #[command(flatten)]
    world: WorldArguments,

    /// Plan and report, but change nothing
    #[arg(long)]
    dry_run: bool,

    /// Wait for delayed messages for at most so many seconds of the replay's time [default: 1200 for a
    /// rebalance recommendation or a retirement, whose exchange takes up to 15 minutes; else 300]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(0..=86_400))]
    watch: Option<i64>,

    /// Send it so many times, each time once the one before is through
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    times: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Replays a sample. Returns whether all went well.
pub async fn run(arguments: Arguments) -> Result<bool> {
    let sample = Sample::read(&arguments.event)?;
    match &arguments.deployed.stack {
        Some(stack) => deployed::run(&arguments, stack, sample).await,
        #[cfg(feature = "local")]
        None => local::run(arguments, sample).await,
        #[cfg(not(feature = "local"))]
        None => Err(crate::usage::needs_a_checkout("replay without --stack").into()),
    }
}

/// The zero of the T+ times in a timeline.
type Zero = Timestamp;
