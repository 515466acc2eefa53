//! Several worlds at a time.

use anyhow::{Result, ensure};
use futures::StreamExt;

/// Awaits all of them, so many at a time, and answers with what came of each.
pub async fn several<F: Future>(at_a_time: usize, plays: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let plays: Vec<F> = plays.into_iter().collect();
    futures::stream::iter(plays)
        .buffer_unordered(at_a_time)
        .collect()
        .await
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
