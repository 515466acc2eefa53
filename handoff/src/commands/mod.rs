//! The subcommands, one module each.

mod replay;
mod sandbox;
mod world;

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub enum Command {
    /// Sends a sample event through template, rules, queues and functions, and shows what happens
    Replay(replay::Arguments),
    /// Runs an AWS on this machine, with a sample fleet and the deployed stack, to try the other commands on
    Sandbox(sandbox::Arguments),
}

impl Command {
    /// Runs the command; answers whether all went well.
    pub async fn run(self) -> Result<bool> {
        match self {
            Self::Replay(arguments) => replay::run(arguments).await,
            Self::Sandbox(arguments) => sandbox::run(arguments).await,
        }
    }
}
