//! Several worlds at a time.

use std::fmt::Debug;

use anyhow::{Result, ensure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

/// Which of all somebody wants to see played: those in whose description all words of `ONLY_FAULT` stand.
pub fn only() -> Option<String> {
    std::env::var("ONLY_FAULT").ok()
}

/// What is played: what [`only`] says, with `EVERY_FAULT` everything, else the part that covers it.
pub fn chosen<T: Debug>(all: impl FnOnce() -> Vec<T>, covering: impl FnOnce() -> Vec<T>) -> Vec<T> {
    if let Some(words) = only() {
        let mut chosen = all();
        chosen.retain(|one| {
            let description = format!("{one:?}");
            words.split(' ').all(|word| description.contains(word))
        });
        return chosen;
    }
    if std::env::var_os("EVERY_FAULT").is_some() {
        all()
    } else {
        covering()
    }
}

/// So many that somebody who waits wants to know how far it is.
const TAKES_LONG: usize = 100;

/// Awaits all of them, as many at a time as there may be worlds, and answers with what came of each.
pub async fn several<F: Future>(plays: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut playing: FuturesUnordered<F> = plays.into_iter().collect();
    let number = playing.len();
    let mut played = vec![];
    while let Some(one) = playing.next().await {
        played.push(one);
        if number > TAKES_LONG && played.len() % TAKES_LONG == 0 {
            eprintln!("  {} of {number} played", played.len());
        }
    }
    played
}

/// Says how many were played.
///
/// # Errors
/// Where any failed: all of these, with what they tell.
pub fn all_well(what: &str, played: Vec<Result<()>>) -> Result<()> {
    let number = played.len();
    let mut failures: Vec<String> = played
        .into_iter()
        .filter_map(|played| played.err().map(|error| format!("{error:#}")))
        .collect();
    failures.sort();
    println!("{what}: {number} played, {} failed", failures.len());
    ensure!(
        failures.is_empty(),
        "{} of {number} failed:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
    Ok(())
}
