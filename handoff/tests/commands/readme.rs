//! The first screen of README.md: the output of its two commands.

use anyhow::{Context, Result, ensure};
use testbed::Options;

use crate::scenes::Scene;

const REPLAY: &str = "replay events/spot-interruption-warning.json";
const DOCTOR: &str = "doctor --group inference";

#[tokio::test]
async fn the_readme_shows_what_its_commands_print() -> Result<()> {
    let mut scene = Scene::start("readme", "README.md", Options::default()).await?;
    scene.add_sample("spot-interruption-warning.json")?;
    let (printed, status) = scene.run(&format!("{REPLAY} --speed 4")).await?;
    ensure!(status == 0, "{status}: {printed}");
    scene
        .document
        .check(&format!("cargo handoff {REPLAY}"), &printed)?;

    let (printed, status) = scene.run(DOCTOR).await?;
    ensure!(status == 4, "{status}: {printed}");
    scene
        .document
        .check(
            &format!("cargo handoff sandbox -- cargo handoff {DOCTOR}"),
            &printed,
        )
        .context("the doctor")
}
