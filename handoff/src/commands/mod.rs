//! The subcommands, one module each.

mod replay;

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub enum Command {
    /// Sends a sample event through template, rules, queues and functions, and shows what happens
    Replay(replay::Arguments),
}

impl Command {
    /// Runs the command; answers whether all went well.
    pub async fn run(self) -> Result<bool> {
        match self {
            Self::Replay(arguments) => replay::run(arguments).await,
        }
    }
}
