//! Chromium, if it is installed: Debian and Ubuntu have it in the package `chromium`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The page as a browser shows it: the document after its layout, and a picture of it as PNG. `None` without a browser.
pub fn look(page: &Path, folder: &Path) -> Result<Option<(String, Vec<u8>)>> {
    let found = Command::new("chromium")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !found.is_ok_and(|status| status.success()) {
        eprintln!("there is no chromium here: the page is not looked at (apt install chromium)");
        return Ok(None);
    }
    let picture = folder.join("page.png");
    chromium(page, folder, &[&format!("--screenshot={}", picture.display())])?;
    let dom = chromium(page, folder, &["--dump-dom"])?;
    Ok(Some((
        dom,
        std::fs::read(&picture).context("no picture was taken")?,
    )))
}

fn chromium(page: &Path, folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args([
            "--window-size=1200,1600",
            &format!("--user-data-dir={}", folder.join("profile").display()),
        ])
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .context("cannot run chromium")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
