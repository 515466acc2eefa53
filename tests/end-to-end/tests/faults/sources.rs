//! No call without a scenario: the test compares the calls in the sources with the recorded ones.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::recording::Recording;

#[tokio::test(flavor = "multi_thread")]
async fn every_call_in_the_source_is_in_a_scenario() -> Result<()> {
    let recording = Recording::shared().await?;
    let uses = recording.uses();
    let called: BTreeSet<&str> = uses.keys().map(|of| of.action.as_str()).collect();
    let written = calls_in_the_source()?;
    ensure!(written.len() > 20, "the source names {written:?} only");
    let missing: Vec<_> = written
        .iter()
        .filter(|action| !called.contains(action.as_str()))
        .collect();
    ensure!(
        missing.is_empty(),
        "no scenario has the functions call {missing:?}"
    );
    Ok(())
}

/// The actions that the sources of the functions name where they call AWS.
fn calls_in_the_source() -> Result<BTreeSet<String>> {
    let root = testbed::Workspace::locate()?;
    let mut folders = vec![root.path("shared/src"), root.path("functions")];
    let mut actions = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(&path)?;
                // `call` is the one way to AWS, and has the action's name before what it sends.
                for call in source.split("call(").skip(1) {
                    let mut parts = call.split('"');
                    let before = parts.next().unwrap_or_default();
                    if matches!(before.trim(), "" | "stop_at,") {
                        actions.extend(parts.next().map(str::to_owned));
                    }
                }
            }
        }
    }
    Ok(actions)
}
