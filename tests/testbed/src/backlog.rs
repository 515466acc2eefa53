//! What is left to do.

use std::fmt;

/// What is left to do in a bed. Dead-letter queues do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that wait to be received.
    pub visible: u64,
    /// Messages that a function works on, or that failed and will come again.
    pub in_flight: u64,
    /// Messages that were sent to appear later.
    pub delayed: u64,
    /// How many of those are looks at groups that are not whole yet. They come for half an hour, in which nothing
    /// else may happen.
    pub watching: u64,
    /// Invocations that run.
    pub running: usize,
}

impl Backlog {
    /// Whether nothing happens until a delayed message appears.
    pub fn is_idle(&self) -> bool {
        self.visible == 0 && self.in_flight == 0 && self.running == 0
    }

    /// Whether only looks at groups that are not whole still happen.
    pub fn is_settled(&self) -> bool {
        self.is_idle() && self.delayed <= self.watching
    }
}

impl fmt::Display for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            visible,
            in_flight,
            delayed,
            watching,
            running,
        } = self;
        write!(
            f,
            "{visible} messages waiting, {in_flight} in flight, {delayed} delayed, {watching} of them to look at groups, \
             {running} invocations running"
        )
    }
}
