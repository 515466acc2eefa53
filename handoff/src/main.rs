//! `cargo handoff`: what the person on call runs.

mod account;
mod commands;
mod logs;
mod refusal;
mod stack;
mod style;
mod timeline;
mod usage;
mod verdict;
mod words;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use usage::UsageError;

/// For the person on call. Replays the signals of AWS on an AWS that runs on this machine, says what an account would
/// lose in an interruption, and shows what a deployed stack did, what it would do and what failed for good.
#[derive(Parser)]
#[command(name = "cargo handoff", bin_name = "cargo handoff", version)]
#[command(
    after_help = "Exit status: 0 all went well, 1 something failed, 2 wrong usage; of the doctor also 3 and 4, see \
                  `doctor --help`."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command.run().await {
        Ok(status) => status,
        Err(error) => {
            anstream::eprintln!("{} {error:#}", style::bad("error:"));
            let usage = error.downcast_ref::<UsageError>().is_some();
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}
