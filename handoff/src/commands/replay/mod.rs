//! `cargo handoff replay`: one sample through template, rules, queues and functions.

mod follow;
mod header;
mod output;
mod retarget;
mod sample;
mod send;
mod verdict;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use testbed::{FUNCTIONS, State, Testbed};

use crate::commands::world::WorldArguments;
use crate::timeline::comparison;
use crate::usage::UsageError;
use output::Output;
use retarget::{Retarget, StandIn};
use sample::Sample;
use verdict::{Leftovers, Verdict};

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

The first run installs the embedded AWS under target/ and builds the functions.")]
pub struct Arguments {
    /// An EventBridge event, or a batch of SQS messages, as JSON; `-` reads standard input
    event: PathBuf,

    /// The instance of the sample fleet that the event is about [default: one with tasks of every kind]
    #[arg(long, value_name = "ID")]
    instance: Option<String>,

    /// Plan and report, but change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    world: WorldArguments,

    /// Wait for delayed messages for at most so many seconds of the replay's time
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(i64).range(0..=86_400))]
    watch: i64,

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

    let mut backlog = None;
    for time in 0..arguments.times {
        let shown = bed.journal().len();
        if arguments.times > 1 {
            output.time(time + 1);
        }
        send::send(&bed, &sample, &instances, &output).await?;
        backlog = follow::follow(&bed, &output, zero, arguments.watch, shown).await?;
    }

    let after = bed.world.state().await?;
    let leftovers = Leftovers {
        dead_letters: FUNCTIONS
            .iter()
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

/// The instances the sample may be about, the first choice first.
fn stand_ins(state: &State, sample: &Sample, chosen: Option<&str>) -> Result<Vec<StandIn>> {
    let group = match sample {
        Sample::Event(event) if event["detail-type"] == send::LIFECYCLE_ACTION => HOOKED_GROUP,
        _ => USUAL_GROUP,
    };
    let members = &state
        .group(group)
        .with_context(|| format!("the sample fleet has no group {group}"))?
        .instances;
    let usual = members.iter().map(|member| StandIn {
        id: member.id.clone(),
        zone: member.zone.clone(),
    });
    let Some(chosen) = chosen else {
        return Ok(usual.collect());
    };
    let instance = state.instance(chosen).ok_or_else(|| unknown(state, chosen))?;
    let first = StandIn {
        id: instance.id.clone(),
        zone: instance.zone.clone(),
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
