//! The binaries of the functions. cargo builds them with the profile of the running program.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use anyhow::{Context, Result, ensure};

pub use spot_handoff::lambda::{ANNOUNCER, FUNCTIONS, RUNNER};

use crate::workspace::Workspace;
use crate::{locked, progress};

/// Builds the binaries of the functions if they are not up to date, once per program. Blocks.
///
/// # Errors
/// Where cargo is not there, or the functions do not compile.
pub fn build(workspace: &Workspace) -> Result<()> {
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

/// When cargo runs a program, it describes the program's package in its environment. Build scripts look at these
/// variables (ring's does). They would run again, and everything that depends on them would be built again.
fn is_about_the_running_package(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

fn run_cargo(workspace: &Workspace) -> Result<()> {
    let functions = || FUNCTIONS.iter().chain([&RUNNER, &ANNOUNCER]);
    if functions().any(|function| !binary(workspace, function).exists()) {
        progress::step("functions: building them (minutes the first time, then moments)");
    }
    // No --package: for the whole workspace, cargo chooses the same features of every dependency as for
    // `cargo handoff` and `cargo test`. So it need not build them again.
    cargo_build(
        workspace,
        workspace.profile(),
        functions().flat_map(|function| ["--bin", function]),
    )
}

/// Builds a function as `sam build` does, on its own and with the release profile. Answers with the path of the
/// binary. Blocks.
pub fn build_for_deployment(workspace: &Workspace, function: &str) -> Result<PathBuf> {
    progress::step(&format!(
        "{function}: building it for deployment, which takes minutes"
    ));
    cargo_build(workspace, "release", ["--package", function].into_iter())?;
    Ok(workspace.target().join("release").join(function))
}

fn cargo_build<'a>(
    workspace: &Workspace,
    profile: &str,
    selection: impl Iterator<Item = &'a str>,
) -> Result<()> {
    // Cargo tells the programs it runs which cargo that was.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_the_running_package(name)) {
        build.env_remove(name);
    }
    // A person sees what cargo does and what it waits for. Tests and pipes only show a failure.
    let is_watched = std::io::stderr().is_terminal();
    let (quiet, stderr) = if is_watched {
        (None, Stdio::inherit())
    } else {
        (Some("--quiet"), Stdio::piped())
    };
    let output = build
        .args(["build", "--profile", profile])
        .args(quiet)
        .args(selection)
        .arg("--target-dir")
        .arg(workspace.target())
        .current_dir(workspace.root())
        .stdin(Stdio::null())
        .stderr(stderr)
        .output()
        .context("cannot start cargo: is it on PATH?")?;
    let said = if is_watched {
        "what cargo said is above".into()
    } else {
        String::from_utf8_lossy(&output.stderr)
    };
    ensure!(output.status.success(), "the functions do not compile:\n{said}");
    Ok(())
}
