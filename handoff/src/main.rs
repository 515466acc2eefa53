//! The command line of the person on call.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    handoff::run().await
}
