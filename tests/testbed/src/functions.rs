//! The binaries of the functions: built by cargo, as the running program was.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;
use crate::{locked, progress};

/// The functions, by the names of their packages and binaries.
pub const FUNCTIONS: [&str; 3] = ["deregister-targets", "drain-tasks", "replace-capacity"];

/// Builds the binaries if they are not up to date; once per program. Blocks.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    static BUILT: OnceLock<()> = OnceLock::new();
    static BUILDING: Mutex<()> = Mutex::new(());

    let _one_at_a_time = locked(&BUILDING);
    if BUILT.get().is_none() {
        run_cargo(workspace)?;
        BUILT.get_or_init(|| ());
    }
    Ok(())
}

/// Where the binary of a function lies.
pub(crate) fn binary(workspace: &Workspace, function: &str) -> PathBuf {
    let name = format!("{function}{}", std::env::consts::EXE_SUFFIX);
    workspace.binaries().join(name)
}

fn run_cargo(workspace: &Workspace) -> Result<()> {
    if FUNCTIONS
        .iter()
        .any(|function| !binary(workspace, function).exists())
    {
        progress::step("functions: building them (minutes the first time, then moments)");
    }
    // Cargo tells the programs it runs which cargo that was.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // No --package: for the whole workspace cargo settles on the same features of every
    // dependency as for `cargo handoff` and `cargo test`, and so need not build them again.
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--profile", workspace.profile()])
        .args(FUNCTIONS.iter().flat_map(|function| ["--bin", function]))
        .arg("--target-dir")
        .arg(workspace.target())
        .current_dir(workspace.root())
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo: is it on PATH?")?;
    ensure!(
        output.status.success(),
        "the functions do not compile:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
