//! `cargo bench --bench kept-work`: how much work each contender keeps in each scenario.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

mod document;

use std::sync::Arc;

use anyhow::{Result, ensure};
use bench::kept_work::contender::Contender;
use bench::kept_work::outcome::Outcome;
use bench::kept_work::run::run;
use bench::kept_work::scenario::{Scenario, scenarios};
use bench::kept_work::table;
use clap::{Parser, ValueEnum};
use serde_json::json;
use testbed::Workspace;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The work that is kept when instances are interrupted: each contender, in the same worlds.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Only this scenario; may be given several times
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// Only this contender; may be given several times
    #[arg(long = "contender", value_name = "NAME", value_parser = Contender::parse)]
    contenders: Vec<Contender>,
    /// How many worlds of each, drawn by the seeds from 1 on
    #[arg(long, value_name = "N", default_value_t = 3)]
    seeds: u64,
    /// What to print: tables for people, or a line of JSON for each run as soon as it is over
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Show what the functions said in each run
    #[arg(long)]
    story: bool,
    /// How many worlds at a time; as many as there are processors if left out
    #[arg(long, value_name = "N")]
    parallel: Option<usize>,
    /// Write docs/kept-work.md and its pictures
    #[arg(long)]
    write: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let chosen = scenarios(&arguments.scenarios)?;
    let (outcomes, failed) = play(&arguments, &chosen).await?;
    if arguments.format == Format::Text {
        for scenario in &chosen {
            print!("{}", table::text(&scenario.title, &of(&outcomes, scenario)));
        }
    }
    if arguments.write {
        document::write(
            &Workspace::locate()?.path("docs"),
            &chosen,
            &outcomes,
            arguments.seeds,
        )?;
    }
    ensure!(failed == 0, "{failed} runs could not be played: see above");
    Ok(())
}

/// The outcomes of a scenario.
fn of<'a>(outcomes: &'a [Outcome], scenario: &Scenario) -> Vec<&'a Outcome> {
    let of = outcomes
        .iter()
        .filter(|outcome| outcome.scenario == scenario.name);
    of.collect()
}

/// Plays everything, some worlds at a time. Answers with the outcomes in the order of contenders and seeds, and with
/// the number of failed runs.
async fn play(arguments: &Arguments, chosen: &[Scenario]) -> Result<(Vec<Outcome>, usize)> {
    let places = arguments
        .parallel
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
    let places = Arc::new(Semaphore::new(places));
    let mut runs = JoinSet::new();
    for scenario in chosen {
        for contender in Contender::ALL {
            if !arguments.contenders.is_empty() && !arguments.contenders.contains(&contender) {
                continue;
            }
            for seed in 1..=arguments.seeds {
                let (places, scenario) = (Arc::clone(&places), scenario.clone());
                runs.spawn(async move {
                    let _place = places.acquire_owned().await?;
                    run(&scenario, contender, seed).await
                });
            }
        }
    }
    let total = runs.len();
    let (mut outcomes, mut failed) = (vec![], 0);
    while let Some(ended) = runs.join_next().await {
        // If one world cannot be played, the others still count.
        let outcome = match ended? {
            Ok(outcome) => outcome,
            Err(error) => {
                eprintln!("kept-work: {error:#}");
                failed += 1;
                continue;
            }
        };
        if arguments.format == Format::Json {
            println!("{}", line(&outcome));
        }
        if arguments.story {
            for line in &outcome.story {
                eprintln!("{line}");
            }
        }
        outcomes.push(outcome);
        let outcome = &outcomes[outcomes.len() - 1];
        eprintln!(
            "kept-work: {} of {total}: {}, {}, seed {} ({:.1} s)",
            outcomes.len() + failed,
            outcome.scenario,
            outcome.contender,
            outcome.seed,
            outcome.took
        );
    }
    outcomes.sort_by_key(|outcome| (outcome.contender, outcome.seed));
    Ok((outcomes, failed))
}

/// A run as a line for programs.
fn line(outcome: &Outcome) -> serde_json::Value {
    json!({
        "scenario": outcome.scenario,
        "contender": outcome.contender.name(),
        "seed": outcome.seed,
        "requests": outcome.told.requests,
        "losses": outcome.told.losses,
        "took_seconds": outcome.took,
    })
}
