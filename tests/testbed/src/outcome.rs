//! How an invocation ended, in Lambda's terms.

use std::fmt;
use std::time::Duration;

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The function answered.
    Answer(String),
    /// The function reported an error.
    Error(String),
    /// The function took longer than it may; its process was killed.
    TimedOut(Duration),
    /// The process ended without an answer.
    Crashed(String),
    /// The process never got as far as asking for work.
    NotStarted(String),
}

impl Outcome {
    /// Whether Lambda counts the invocation as failed.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Answer(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => write!(f, "answered {answer}"),
            Self::Error(error) => write!(f, "returned an error: {error}"),
            Self::TimedOut(limit) => write!(f, "was killed after {} s", limit.as_secs_f64()),
            Self::Crashed(how) => write!(f, "ended without an answer ({how})"),
            Self::NotStarted(why) => write!(f, "did not start ({why})"),
        }
    }
}
