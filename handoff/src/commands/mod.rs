//! The subcommands, one module each.

mod doctor;
mod replay;
mod sandbox;
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
    /// Runs an AWS on this machine, with a sample fleet and the deployed stack, to try the other commands on
    Sandbox(sandbox::Arguments),
}

impl Command {
    /// Runs the command; answers its exit status.
    pub async fn run(self) -> Result<ExitCode> {
        let went_well = match self {
            Self::Replay(arguments) => replay::run(arguments).await?,
            Self::Doctor(arguments) => return doctor::run(arguments).await,
            Self::Sandbox(arguments) => sandbox::run(arguments).await?,
        };
        Ok(if went_well {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
