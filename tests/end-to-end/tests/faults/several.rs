//! Several worlds at a time.

use std::fmt::Debug;

use anyhow::{Result, ensure};
use futures::StreamExt;

/// What somebody wants to see played, out of all.
pub struct Only(Vec<String>);

/// `ONLY_FAULT` has words that stand in the description of what is to be played.
pub fn only() -> Option<Only> {
    let words = std::env::var("ONLY_FAULT").ok()?;
    Some(Only(words.split(' ').map(str::to_owned).collect()))
}

impl Only {
    /// Whether the description has all words.
    pub fn includes(&self, one: &impl Debug) -> bool {
        let description = format!("{one:?}");
        self.0.iter().all(|word| description.contains(word))
    }
}

/// So many that somebody who waits wants to know how far it is.
const TAKES_LONG: usize = 100;

/// Awaits all of them, so many at a time, and answers with what came of each.
pub async fn several<F: Future>(at_a_time: usize, plays: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let plays: Vec<F> = plays.into_iter().collect();
    let number = plays.len();
    let mut played = vec![];
    let mut playing = futures::stream::iter(plays).buffer_unordered(at_a_time);
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
