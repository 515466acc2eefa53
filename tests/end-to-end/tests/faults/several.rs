//! Several worlds at a time.

use std::fmt::Debug;

use anyhow::{Result, ensure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

/// Which trials somebody wants to see: those whose description has all words of `ONLY_FAULT`.
pub fn only() -> Option<String> {
    std::env::var("ONLY_FAULT").ok()
}

/// The trials to play: those that [`only`] chooses, all with `EVERY_FAULT`, otherwise the part that covers
/// everything.
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

/// Awaits all of them, as many at a time as there may be worlds. Answers with the result of each.
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
/// If any failed: all of these, with their messages.
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
