//! What was asked of a fast AWS and what changed, with the moment of each.

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::Timestamp;

/// One call.
#[derive(Debug, Clone)]
pub struct CallRecord {
    /// The access key id of its signature, by which the test bed names a function.
    pub caller: String,
    /// The service as signatures name it, for example `elasticloadbalancing`.
    pub service: String,
    /// The action.
    pub action: String,
    /// When it arrived, by the world's clock.
    pub at: Timestamp,
    /// When it arrived.
    pub began: Instant,
    /// When it was answered.
    pub ended: Instant,
    /// The HTTP status.
    pub status: u16,
    /// The error code, where it was refused.
    pub error: Option<String>,
    /// Whether it was refused for being one too many.
    pub throttled: bool,
}

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A target began to drain its connections.
    Deregistered {
        /// ARN of the target group.
        target_group: String,
        /// The target's id.
        target: String,
    },
    /// A container instance became DRAINING.
    Draining {
        /// The EC2 instance.
        instance: String,
    },
    /// An instance left its Auto Scaling group, which launches a replacement.
    Left {
        /// The EC2 instance.
        instance: String,
    },
    /// A task was told to stop.
    Stopped {
        /// ARN of the task.
        task: String,
    },
}

/// All of it, in order.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Every call.
    pub calls: Vec<CallRecord>,
    /// Every change.
    pub writes: Vec<(Instant, Write)>,
    /// How many messages of each queue were received a second time.
    pub came_back: BTreeMap<String, u64>,
}

impl Record {
    pub(crate) fn write(&mut self, write: Write) {
        self.writes.push((Instant::now(), write));
    }
}
