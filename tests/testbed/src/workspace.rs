//! Where things lie: the checkout, and the directory cargo builds into.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The checkout this program was built from.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    /// `target/debug`, or whatever cargo used for the running program.
    built_into: PathBuf,
    profile: Option<&'static str>,
}

impl Workspace {
    /// Finds the checkout and the build directory of the running program.
    pub fn locate() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).unwrap_or(here).to_path_buf();
        ensure!(
            root.join("Cargo.toml").is_file(),
            "the checkout this program was built from is gone ({}): run it again with cargo from the checkout you have",
            root.display()
        );

        let program = std::env::current_exe().context("cannot tell where this program lies")?;
        let mut built_into = program.parent().unwrap_or(&root).to_path_buf();
        // Test binaries lie one directory deeper than the binaries they exercise.
        if built_into.ends_with("deps") || built_into.ends_with("examples") {
            built_into.pop();
        }
        Ok(Self {
            root,
            built_into,
            profile: None,
        })
    }

    /// A path inside the checkout.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The checkout itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory with the binaries of the running program's profile.
    pub fn binaries(&self) -> &Path {
        &self.built_into
    }

    /// The target directory. cargo and this crate fill it, and anyone may delete it.
    pub fn target(&self) -> &Path {
        self.built_into.parent().unwrap_or(&self.built_into)
    }

    /// Looks whether something can be built and installed.
    ///
    /// # Errors
    /// Where the target directory cannot be written: what to do about it.
    pub fn check_writable(&self) -> Result<()> {
        let target = self.target();
        let probe = target.join(format!(".writable-{}", std::process::id()));
        std::fs::write(&probe, "").with_context(|| {
            format!(
                "{} cannot be written, where the functions are built and the embedded AWS is installed: the checkout is \
                 read-only, or another's. Set CARGO_TARGET_DIR to a directory of your own",
                target.display()
            )
        })?;
        let _ = std::fs::remove_file(probe);
        Ok(())
    }

    /// The same, with the functions built by this profile. The program's own directory does not always tell the
    /// profile: `cargo bench` and `cargo build --release` build into the same directory.
    pub fn with_profile(self, profile: Option<&'static str>) -> Self {
        Self {
            profile: profile.or(self.profile),
            ..self
        }
    }

    /// The cargo profile the running program was built with.
    pub fn profile(&self) -> &str {
        if let Some(profile) = self.profile {
            return profile;
        }
        match self.built_into.file_name().and_then(|name| name.to_str()) {
            // Cargo calls the directory of its `dev` profile `debug`.
            Some("debug") | None => "dev",
            Some(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_directory_that_cannot_be_written_is_named() {
        let mut workspace = Workspace::locate().unwrap();
        workspace.check_writable().unwrap();
        workspace.built_into = PathBuf::from("/proc/target/debug");
        let error = workspace.check_writable().unwrap_err().to_string();
        assert!(error.starts_with("/proc/target cannot be written"), "{error}");
    }

    #[test]
    fn the_checkout_and_the_build_directory_are_found_from_a_test() {
        let workspace = Workspace::locate().unwrap();
        assert!(workspace.path("tests/testbed/Cargo.toml").is_file());
        assert!(!workspace.binaries().ends_with("deps"));
    }
}
