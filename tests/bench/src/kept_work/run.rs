//! Plays a scenario with one contender in one world.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use testbed::{Clock, Event, Options, Outcome as Answer, Pace, Testbed, Workspace, World, WorldOptions};
use tokio::time::timeout;

use super::contender::Contender;
use super::outcome::{Outcome, Told};
use super::scenario::Scenario;

/// Real time that a run may take. A run of minutes takes seconds. A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(900);

/// Facts about AWS that nobody knows, as the first three seeds play them: each possibility in one of them. The names
/// are those of the embedded AWS's `pace.json`.
const VARIANTS: [[(&str, &str); 3]; 3] = [
    [
        ("replacement-launches", "before-drain"),
        ("re-registration", "no"),
        ("interruption", "on-time"),
    ],
    [
        ("replacement-launches", "after-drain"),
        ("re-registration", "yes"),
        ("interruption", "early"),
    ],
    [
        ("replacement-launches", "before-drain"),
        ("re-registration", "yes"),
        ("interruption", "late"),
    ],
];

/// How a seed plays open facts. It draws the facts that are not named here, and later seeds draw all of them.
pub fn variants(seed: u64) -> BTreeMap<String, String> {
    let index = usize::try_from(seed).ok().and_then(|seed| seed.checked_sub(1));
    let fixed = index.and_then(|index| VARIANTS.get(index)).into_iter().flatten();
    fixed
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Plays it.
///
/// # Errors
/// Where the world cannot be started or its functions not be built, or the run hangs.
pub async fn run(scenario: &Scenario, contender: Contender, seed: u64) -> Result<Outcome> {
    let began = Instant::now();
    let playing = async {
        match contender {
            Contender::SpotHandoff => with_functions(scenario, seed).await,
            // The bound can be computed in any world that has the same numbers.
            Contender::LowerBound => by_itself(scenario, Contender::Nobody, seed).await,
            other => by_itself(scenario, other, seed).await,
        }
    };
    let told = timeout(PATIENCE, playing).await.context("it hangs")?;
    let (told, story) = told.with_context(|| format!("{}, {contender}, seed {seed}", scenario.name))?;
    let mut told = Told::deserialize(&told).with_context(|| format!("the meter told {told}"))?;
    if contender == Contender::LowerBound {
        told.losses = told.bound.clone().context("the meter told no bound")?;
    }
    Ok(Outcome {
        scenario: scenario.name.clone(),
        contender,
        seed,
        told,
        took: began.elapsed().as_secs_f64(),
        story,
    })
}

/// What the meter tells, and what the functions said.
type Played = (Value, Vec<String>);

/// Nobody but the world itself acts: it is over in a leap.
async fn by_itself(scenario: &Scenario, contender: Contender, seed: u64) -> Result<Played> {
    let world = World::start(WorldOptions {
        parameters: BTreeMap::new(),
        clock: Clock::fast(scenario.speed),
        simulate: true,
        pace: Pace::Real,
        seed,
        variants: variants(seed),
        enforce_iam: false,
        storm: None,
    })
    .await?;
    let measured = world.start_meter(&scenario.order, contender.name()).await?;
    let mut until_ms = measured.zero_ms;
    while until_ms < measured.end_ms {
        // Some minutes at a time: the answer to a leap comes when AWS has done everything in between.
        until_ms = measured.end_ms.min(until_ms + 600_000.0);
        world.leap(until_ms, &[], 0).await?;
    }
    Ok((world.meter().await?, vec![]))
}

async fn with_functions(scenario: &Scenario, seed: u64) -> Result<Played> {
    let mut options = Options {
        speed: scenario.speed,
        pace: Pace::Real,
        seed,
        variants: variants(seed),
        announce: true,
        profile: profile()?,
        ..Options::default()
    };
    options.parameters.extend(scenario.parameters.clone());
    let bed = Testbed::start(options).await?;
    let measured = bed
        .world
        .start_meter(&scenario.order, Contender::SpotHandoff.name())
        .await?;
    bed.play_until(measured.end_ms).await?;
    let told = bed.world.meter().await?;
    let mut story = story(&bed, measured.zero_ms);
    // How that was announced, and how it went.
    story.push(told["announced"].to_string());
    Ok((told, story))
}

/// The reports of the functions, and what went wrong with them.
fn story(bed: &Testbed, zero_ms: f64) -> Vec<String> {
    let lines = bed.journal().since(0).into_iter().filter_map(|entry| {
        let told = match entry.event {
            Event::Report(report) => report.message,
            Event::Text(text) | Event::Trouble(text) => text,
            Event::Ended { outcome, .. } if !matches!(outcome, Answer::Answer(_)) => outcome.to_string(),
            _ => return None,
        };
        let seconds = (entry.at.as_millisecond() as f64 - zero_ms) / 1000.0;
        Some(format!("{seconds:7.1} s  {}: {told}", entry.function))
    });
    lines.collect()
}

/// `cargo bench` builds with the profile bench, into the directory of the release profile.
fn profile() -> Result<Option<&'static str>> {
    let workspace = Workspace::locate()?;
    Ok((workspace.profile() == "release").then_some("bench"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_seeds_play_every_possibility() {
        let played: Vec<_> = (1..=3).flat_map(variants).collect();
        for (name, value) in [
            ("replacement-launches", "after-drain"),
            ("re-registration", "no"),
            ("re-registration", "yes"),
            ("interruption", "early"),
            ("interruption", "late"),
        ] {
            assert!(
                played.contains(&(name.to_owned(), value.to_owned())),
                "{name} {value}"
            );
        }
        assert!(variants(0).is_empty() && variants(4).is_empty());
    }
}
