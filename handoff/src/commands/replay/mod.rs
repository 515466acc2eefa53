//! `cargo handoff replay`: one sample through template, rules, queues and functions.

mod deployed;
mod follow;
mod header;
mod output;
mod retarget;
mod sample;
mod send;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::Value;
use testbed::{FUNCTIONS, RUNNER, State, Testbed};

use crate::account::AccountArguments;
use crate::commands::signals::Signal;
use crate::commands::world::WorldArguments;
use crate::timeline::comparison;
use crate::usage::UsageError;
use crate::verdict::{Leftovers, Verdict};
use output::Output;
use retarget::{Retarget, StandIn};
use sample::Sample;

/// The group of the sample fleet whose first instance carries a task of every kind.
const USUAL_GROUP: &str = "inference";
/// The group of the sample fleet with a termination lifecycle hook.
const HOOKED_GROUP: &str = "hooked";

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
    instance: Option<String>,

    /// Plan and report, but change nothing
    #[arg(long, conflicts_with = "stack")]
    dry_run: bool,

    /// Invoke the functions of this deployed stack, rather than those of an AWS on this machine. They plan only
    #[arg(long, value_name = "NAME", conflicts_with_all = ["times", "watch", "speed", "pace", "seed", "parameters"])]
    stack: Option<String>,

    /// With --stack: have the functions act; with DryRun=true they plan only all the same
    #[arg(long, requires = "stack")]
    for_real: bool,

    #[command(flatten)]
    account: AccountArguments,

    #[command(flatten)]
    world: WorldArguments,

    /// Wait for delayed messages for at most so many seconds of the replay's time [default: 1200 for a
    /// rebalance recommendation or a retirement, whose exchange takes up to 15 minutes; else 300]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(0..=86_400))]
    watch: Option<i64>,

    /// Send it so many times, each time once the one before is through
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    times: u32,

    /// Leave the event's time as it is, rather than making it now
    #[arg(long)]
    keep_time: bool,

    /// What to print: a timeline, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Replays a sample; answers whether all went well.
pub async fn run(arguments: Arguments) -> Result<bool> {
    let sample = Sample::read(&arguments.event)?;
    if let Some(stack) = &arguments.stack {
        return deployed::run(&arguments, stack, sample).await;
    }
    let mut options = arguments.world.options();
    if arguments.dry_run {
        options = options.parameter("DryRun", "true");
    }
    let bed = Testbed::start(options).await?;
    let before = bed.world.state().await?;

    let output = Output::new(arguments.format);
    let zero = bed.world.clock().now();
    let new_time = (!arguments.keep_time).then_some(zero);
    let stand_ins = stand_ins(&before, &sample, arguments.instance.as_deref())?;
    let mut retarget = Retarget::new(stand_ins, new_time);

    let sample = sample.retarget(&mut retarget);
    let instances = retarget.instances();
    output.header(&header::of(&sample, &before, &instances, arguments.dry_run));

    let watch = arguments.watch.unwrap_or_else(|| usual_watch(&sample));
    let mut backlog = None;
    for time in 0..arguments.times {
        let shown = bed.journal().len();
        if arguments.times > 1 {
            output.time(time + 1);
        }
        send::send(&bed, &sample, &instances, &output).await?;
        backlog = follow::follow(&bed, &output, zero, watch, shown).await?;
    }

    let after = bed.world.state().await?;
    let leftovers = Leftovers {
        dead_letters: FUNCTIONS
            .iter()
            .chain([&RUNNER])
            .map(|function| {
                let queue = bed.dead_letter_queue(function)?;
                let bodies = after.queue(&queue.name).map(|queue| queue.bodies.clone());
                Ok(((*function).to_owned(), bodies.unwrap_or_default()))
            })
            .collect::<Result<_>>()?,
        backlog,
    };
    let verdict = Verdict::on(&bed.journal().since(0), &leftovers);
    let rows = comparison::compare(&before, &after, &instances);
    output.end(&rows, &verdict);
    Ok(verdict.is_good())
}

/// For how many seconds a sample leads to further messages.
fn usual_watch(sample: &Sample) -> i64 {
    let exchange = |event: &Value| {
        let signal = event["detail-type"].as_str().and_then(Signal::of);
        signal.is_some_and(Signal::begins_exchange)
    };
    match sample {
        Sample::Event(event) if exchange(event) => 1200,
        _ => 300,
    }
}

/// The instances the sample may be about, the first choice first.
fn stand_ins(state: &State, sample: &Sample, chosen: Option<&str>) -> Result<Vec<StandIn>> {
    let group = match sample {
        Sample::Event(event) if event["detail-type"] == Signal::TerminateLifecycleAction.detail_type() => {
            HOOKED_GROUP
        }
        _ => USUAL_GROUP,
    };
    let members = &state
        .group(group)
        .with_context(|| format!("the sample fleet has no group {group}"))?
        .instances;
    let usual = members.iter().map(|member| StandIn {
        id: member.id.clone(),
        zone: Some(member.zone.clone()),
    });
    let Some(chosen) = chosen else {
        return Ok(usual.collect());
    };
    let instance = state.instance(chosen).ok_or_else(|| unknown(state, chosen))?;
    let first = StandIn {
        id: instance.id.clone(),
        zone: Some(instance.zone.clone()),
    };
    let others = usual.filter(|other| other.id != chosen);
    Ok(std::iter::once(first).chain(others).collect())
}

fn unknown(state: &State, chosen: &str) -> UsageError {
    let mut text = format!("the sample fleet has no instance {chosen}; it has");
    for instance in &state.instances {
        let group = instance.group.as_deref().unwrap_or("in no group");
        text.push_str(&format!("\n  {}  {group}", instance.id));
    }
    UsageError::new(text)
}

/// Where T stands for in a timeline.
type Zero = Timestamp;
