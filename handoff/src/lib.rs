//! The program for the person on call: `cargo handoff` in a checkout, `handoff` if it is installed.
//!
//! The feature `local` adds the commands that need the test bed, which starts an AWS on this machine: local replays and
//! the sandbox. The alias `cargo handoff` has the feature on. The other commands work and install without it.

mod account;
mod commands;
mod logs;
mod refusal;
mod stack;
mod style;
mod terminal;
mod timeline;
mod usage;
mod verdict;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};

use commands::Command;
use usage::UsageError;

/// The name of this program in messages.
const NAME: &str = if cfg!(feature = "local") {
    IN_A_CHECKOUT
} else {
    "handoff"
};
const IN_A_CHECKOUT: &str = "cargo handoff";

/// For the person on call. Replays the signals of AWS on an AWS that runs on this machine, says what an account would
/// lose in an interruption, and shows what a deployed stack did, what it would do and what failed for good.
#[derive(Parser)]
#[command(name = NAME, bin_name = NAME, version, max_term_width = 120)]
#[command(
    after_help = "Exit status: 0 all went well, 1 something failed, 2 wrong usage; of the doctor also 3 and 4, see \
                  `doctor --help`."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Runs the command of this process.
pub async fn run() -> ExitCode {
    let matches = under_its_name(Arguments::command()).get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match arguments.command.run().await {
        Ok(status) => status,
        Err(error) => {
            let prefix = format!("{} ", style::bad("error:"));
            anstream::eprintln!("{}", terminal::hang(&prefix, &format!("{error:#}")));
            let usage = error.downcast_ref::<UsageError>().is_some();
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// The same, with examples for the name of the program.
fn under_its_name(command: clap::Command) -> clap::Command {
    let examples = command
        .get_after_help()
        .map(|help| help.to_string().replace(IN_A_CHECKOUT, NAME));
    let command = command.mut_subcommands(under_its_name);
    match examples {
        Some(examples) => command.after_help(examples),
        None => command,
    }
}
