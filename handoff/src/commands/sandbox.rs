//! `cargo handoff sandbox`: an AWS on this machine, to try the other commands.

#[cfg(feature = "local")]
mod bed;
#[cfg(feature = "local")]
mod storm;

#[cfg(feature = "local")]
pub use bed::run;
use clap::Args;

use super::world::WorldArguments;

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo handoff sandbox
  cargo handoff sandbox -- cargo handoff drill --group inference
  cargo handoff sandbox --storm 10 --speed 20 -- cargo handoff pools
  # A shell in which every command goes to the sandbox.
  cargo handoff sandbox -- sh

The first run installs the embedded AWS under target/ and builds the functions.")]
pub struct Arguments {
    /// Have AWS take so many instances first, one every 20 seconds, and have all of it handed off
    #[arg(long, value_name = "N", default_value_t = 0)]
    storm: u32,

    /// Run this with the environment set, and end as it does
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,

    #[command(flatten)]
    world: WorldArguments,
}

/// Says how to get the sandbox.
#[cfg(not(feature = "local"))]
pub async fn run(_: Arguments) -> anyhow::Result<std::process::ExitCode> {
    Err(crate::usage::needs_a_checkout("the sandbox").into())
}
