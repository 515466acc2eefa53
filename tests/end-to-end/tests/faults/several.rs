//! Several worlds at a time.

use futures::StreamExt;

/// Awaits all of them, so many at a time, and answers with what came of each.
pub async fn several<F: Future>(at_a_time: usize, plays: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let plays: Vec<F> = plays.into_iter().collect();
    futures::stream::iter(plays)
        .buffer_unordered(at_a_time)
        .collect()
        .await
}
