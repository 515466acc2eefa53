//! The Python environment of the embedded AWS: made once under `target/`, then reused.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::progress;
use crate::workspace::Workspace;

/// What the requirements of the embedded AWS need.
const OLDEST: (u32, u32) = (3, 10);

/// The interpreter of an environment with the requirements of the embedded AWS. Makes the environment if it does not
/// exist yet. Blocks, for minutes the first time.
pub fn interpreter(workspace: &Workspace) -> Result<PathBuf> {
    environment(workspace, "embedded-aws", "tests/embedded-aws/requirements.txt")
}

/// The interpreter of an environment under `target/<name>` that holds these requirements.
pub fn environment(workspace: &Workspace, name: &str, requirements: &str) -> Result<PathBuf> {
    let requirements_file = workspace.path(requirements);
    let requirements = fs::read_to_string(&requirements_file)
        .with_context(|| format!("cannot read {}", requirements_file.display()))?;
    let python = system_python()?;

    let home = workspace.target().join(name);
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let venv = home.join(key(&requirements, &python.version));
    let interpreter = venv.join("bin/python");

    // Test binaries and a replay may start at the same moment. Then one installs, and the others wait.
    let lock = File::create(home.join("lock")).context("cannot create the lock file")?;
    lock.lock()
        .with_context(|| format!("cannot lock the Python environment {name}"))?;

    // This is written last, so an interrupted installation never looks like a finished one.
    let finished = venv.join("finished");
    if !finished.is_file() {
        install(&python, name, &requirements_file, &venv)?;
        fs::write(&finished, "").context("cannot mark the Python environment as finished")?;
    }
    Ok(interpreter)
}

struct Python {
    program: &'static str,
    version: String,
}

fn system_python() -> Result<Python> {
    let mut found = None;
    for program in ["python3", "python"] {
        let Ok(output) = Command::new(program).arg("--version").output() else {
            continue;
        };
        // "Python 3.11.7"
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.trim().trim_start_matches("Python ").to_owned();
        if is_new_enough(&version) {
            return Ok(Python { program, version });
        }
        found.get_or_insert(version);
    }
    let (major, minor) = OLDEST;
    match found {
        Some(version) => bail!(
            "the embedded AWS needs Python {major}.{minor} or newer, and python3 here is {version}: install a newer one and put it first on PATH"
        ),
        None => bail!(
            "the embedded AWS needs Python {major}.{minor} or newer, and there is no python3 on PATH: install it (Debian and Ubuntu: apt install python3 python3-venv; macOS: brew install python)"
        ),
    }
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse().ok());
    let found: (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    found >= OLDEST
}

/// Other requirements or another Python make another environment.
fn key(requirements: &str, python: &str) -> String {
    let mut hasher = DefaultHasher::new();
    requirements.hash(&mut hasher);
    python.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn install(python: &Python, name: &str, requirements: &Path, venv: &Path) -> Result<()> {
    let started = Instant::now();
    if venv.exists() {
        fs::remove_dir_all(venv).with_context(|| format!("cannot remove {}", venv.display()))?;
    }

    progress::step(&format!(
        "{name}: making a Python {} environment in {} (only the first time)",
        python.version,
        venv.display()
    ));
    let made = Command::new(python.program)
        .args(["-m", "venv"])
        .arg(venv)
        .output()
        .context("cannot start python3")?;
    ensure!(
        made.status.success(),
        "python3 cannot make a virtual environment: on Debian and Ubuntu install it with `apt install python3-venv`, then try again\n{}{}",
        String::from_utf8_lossy(&made.stdout),
        String::from_utf8_lossy(&made.stderr)
    );

    progress::step(&format!(
        "{name}: installing its packages with pip, a minute or two"
    ));
    pip_install(name, &venv.join("bin/python"), requirements)?;
    progress::step(&format!("{name}: installed in {} s", started.elapsed().as_secs()));
    Ok(())
}

fn pip_install(name: &str, interpreter: &Path, requirements: &Path) -> Result<()> {
    let mut pip = Command::new(interpreter)
        .args(["-m", "pip", "install", "--no-input", "--progress-bar=off"])
        .args(["--disable-pip-version-check", "--requirement"])
        .arg(requirements)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("cannot start pip")?;

    // pip prints many lines. The package that it works on shows that it makes progress.
    if let Some(stdout) = pip.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(package) = line.strip_prefix("Collecting ") {
                let package = package.split(" (from").next().unwrap_or(package);
                progress::step(&format!("{name}:   {package}"));
            }
        }
    }
    let status = pip.wait().context("cannot wait for pip")?;
    ensure!(
        status.success(),
        "pip could not install {} (its own message is above): check that this machine reaches the Python package index, or that pip is configured for your mirror, then run the same command again",
        requirements.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_versions_are_compared_as_numbers() {
        assert!(is_new_enough("3.10.0"));
        assert!(is_new_enough("3.13.1"));
        assert!(is_new_enough("3.14.0rc2"));
        assert!(!is_new_enough("3.9.20"));
        assert!(!is_new_enough("2.7.18"));
        assert!(!is_new_enough(""));
    }

    #[test]
    fn other_requirements_or_another_python_make_another_environment() {
        let one = key("moto==5.2.5", "3.11.7");
        assert_eq!(one, key("moto==5.2.5", "3.11.7"));
        assert_ne!(one, key("moto==5.2.6", "3.11.7"));
        assert_ne!(one, key("moto==5.2.5", "3.12.0"));
    }
}
