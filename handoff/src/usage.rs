//! Mistakes of the caller, which end with another exit status than failures do.

use std::fmt;

/// Something the caller can put right on the command line. The text says how.
#[derive(Debug)]
pub struct UsageError(String);

impl UsageError {
    /// A mistake, with what to do about it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}
