//! The subcommands, one module each.

mod dlq;
mod doctor;
mod drill;
mod exchange;
mod game_day;
mod parameters;
mod pools;
mod replay;
mod sandbox;
pub mod signals;
mod timeline;
mod world;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub enum Command {
    /// Sends a sample event through template, rules, queues and functions, and shows what happens
    Replay(replay::Arguments),
    /// Says what an account would lose in an interruption, and what to change; changes nothing itself
    Doctor(doctor::Arguments),
    /// Shows what a deployed stack did: a timeline of each interruption and other signal, from its logs
    Timeline(timeline::Arguments),
    /// Holds a game day: sends a signal through the real bus of a deployed stack, planned only unless for real
    Drill(drill::Arguments),
    /// Shows what failed for good and why; sends it back where that makes sense, or deletes it
    Dlq(dlq::Arguments),
    /// Shows the exchanges that are under way, and ends them
    Exchange(exchange::Arguments),
    /// Shows which Spot capacity pools AWS took instances back from
    Pools(pools::Arguments),
    /// Runs an AWS on this machine, with a sample fleet and the deployed stack, to try the other commands on
    Sandbox(sandbox::Arguments),
}

impl Command {
    /// Runs the command. Returns its exit status.
    pub async fn run(self) -> Result<ExitCode> {
        let went_well = match self {
            Self::Replay(arguments) => replay::run(arguments).await?,
            Self::Doctor(arguments) => return doctor::run(arguments).await,
            Self::Timeline(arguments) => timeline::run(arguments).await?,
            Self::Drill(arguments) => drill::run(arguments).await?,
            Self::Dlq(arguments) => dlq::run(arguments).await?,
            Self::Exchange(arguments) => exchange::run(arguments).await?,
            Self::Pools(arguments) => pools::run(arguments).await?,
            Self::Sandbox(arguments) => return sandbox::run(arguments).await,
        };
        Ok(if went_well {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
