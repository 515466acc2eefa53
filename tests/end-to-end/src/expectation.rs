//! What a situation should end in, and situations that do not end right yet.

use anyhow::{Result, bail};

/// The situation ended wrong. [`judge`] says so; a test that could not be played is another error.
#[derive(Debug)]
pub struct Wrong(String);

impl std::fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "wrong: {}", self.0)
    }
}

impl std::error::Error for Wrong {}

/// Says whether a situation ended right, and what was seen.
///
/// # Errors
/// [`Wrong`] where it did not.
pub fn judge(right: bool, seen: impl Into<String>) -> Result<()> {
    if right {
        return Ok(());
    }
    Err(Wrong(seen.into()).into())
}

/// Plays a situation that is known to end wrong. The test turns red when the situation ends right. Then remove
/// `expected_to_fail`, and the test is a normal test. A situation that panics or cannot be played does not count as
/// an expected failure.
///
/// # Errors
/// Where the situation ends right, or could not be played.
pub async fn expected_to_fail(why: &str, situation: impl Future<Output = Result<()>>) -> Result<()> {
    match situation.await {
        Err(error) if error.is::<Wrong>() => {
            println!("expected, since {why}: {error}");
            Ok(())
        }
        Err(error) => Err(error.context("the situation could not be played")),
        Ok(()) => bail!("it ends right now: take expected_to_fail away, it said \"{why}\""),
    }
}
