//! What a function saw of the work itself: how many targets serve, how many tasks run.
//!
//! A function looks every ten seconds, and reports what has changed since its last look. So a number here was true when
//! it was seen. Nobody knows more about the time in between.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use crate::notice::Serving;

/// What was seen at one look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The target groups that the instance was in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Serving>,
    /// Tasks that run on the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<usize>,
}

impl Work {
    /// Whether nothing was seen.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// How a task ended whose instance is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskEnd {
    /// ECS stopped it before that, since its service has other tasks.
    Moved,
    /// It ended by itself before that.
    Ended,
    /// spot-handoff stopped it, and its containers ended within their grace.
    Stopped,
    /// spot-handoff stopped it, and a container was killed when its grace was over.
    Killed,
    /// It was cut off when the instance went.
    Cut,
    /// ECS knows no end of it.
    Running,
    /// ECS does not know it any more.
    Unknown,
}

impl TaskEnd {
    /// Whether its work is lost, or may be lost.
    pub fn is_loss(self) -> bool {
        match self {
            Self::Cut | Self::Running | Self::Unknown => true,
            Self::Moved | Self::Ended | Self::Stopped | Self::Killed => false,
        }
    }
}

impl fmt::Display for TaskEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Moved => "was moved by ECS",
            Self::Ended => "ended by itself",
            Self::Stopped => "was stopped in order",
            Self::Killed => "was stopped, and killed when its grace was over",
            Self::Cut => "was cut off",
            Self::Running => "has no end that ECS knows of",
            Self::Unknown => "is not known to ECS any more",
        })
    }
}
