//! A replay on this machine: sends the sample to an AWS of its own, follows it until all is done, and compares before
//! and after.

mod comparison;
mod facts;
mod follow;
mod header;
mod output;
mod send;
mod teller;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;
use spot_handoff::notice::InstanceId;
use testbed::{FUNCTIONS, RUNNER, State, Testbed};

use super::output::Output;
use super::retarget::{Retarget, StandIn};
use super::sample::Sample;
use super::{Arguments, WorldArguments, Zero};
use crate::commands::signals::Signal;
use crate::usage::UsageError;
use crate::verdict::{Leftovers, Verdict};

/// The group of the sample fleet whose first instance has a task of every kind.
const USUAL_GROUP: &str = "inference";
/// The group of the sample fleet with a termination lifecycle hook.
const HOOKED_GROUP: &str = "hooked";

/// Replays a sample. Returns whether all went well.
pub async fn run(arguments: Arguments, sample: Sample) -> Result<bool> {
    let local = &arguments.local;
    let mut options = local.world.options();
    if local.dry_run {
        options = options.parameter("DryRun", "true");
    }
    WorldArguments::say_that_it_starts();
    let bed = Testbed::start(options).await?;
    let before = bed.world.state().await?;

    let output = Output::new(arguments.format);
    let zero = bed.world.clock().now();
    let new_time = (!arguments.keep_time).then_some(zero);
    let stand_ins = stand_ins(
        &before,
        &sample,
        arguments.instance.as_ref().map(InstanceId::as_str),
    )?;
    let mut retarget = Retarget::new(stand_ins, new_time);

    let sample = sample.retarget(&mut retarget);
    let instances = retarget.instances();
    output.header(&header::of(&sample, &before, &instances, local.dry_run));
    if let Some(note) = local.world.note() {
        output.note(&note);
    }

    let watch = local.watch.unwrap_or_else(|| usual_watch(&sample));
    let mut backlog = None;
    for time in 0..local.times {
        let shown = bed.journal().len();
        if local.times > 1 {
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
        short: short(&before, &after, &instances),
    };
    let verdict = Verdict::on_replay(&bed.journal().since(0), &leftovers);
    let rows = comparison::compare(&before, &after, &instances);
    output.end(&rows, &verdict);
    Ok(verdict.is_good())
}

/// The groups of these instances that have fewer instances in service than they ask for, and how many they lack.
fn short(before: &State, after: &State, instances: &[String]) -> BTreeMap<String, u64> {
    let were_in = instances.iter().filter_map(|id| before.group_of(id));
    let now = were_in.filter_map(|group| after.group(&group.name));
    let lacks = now.filter_map(|group| {
        let members = group.instances.iter();
        let serving = members.filter(|member| member.lifecycle == "InService").count() as u64;
        let missing = u64::try_from(group.desired).ok()?.checked_sub(serving)?;
        (missing > 0).then(|| (group.name.clone(), missing))
    });
    lacks.collect()
}

/// For how many seconds a sample leads to more messages.
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

/// The instances that the sample may be about, the first choice first.
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
