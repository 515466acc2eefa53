//! What a test or a replay can choose.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a bed starts with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Parameters of the template that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// How many seconds of the world pass in a real one.
    pub speed: f64,
    /// Whether AWS does by itself what it would: tasks start, instances boot, targets drain.
    pub simulate: bool,
    /// How many invocations of a function may run at a time.
    pub concurrency: usize,
    /// How many pollers a queue has. None leaves the messages in the queues.
    pub pollers: usize,
    /// A program and its arguments to run in place of every function.
    pub stand_in: Option<(PathBuf, Vec<String>)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parameters: BTreeMap::new(),
            speed: 1.0,
            simulate: true,
            concurrency: 10,
            pollers: 1,
            stand_in: None,
        }
    }
}

impl Options {
    /// Sets a parameter of the template.
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Makes the world's clock run this many times as fast as real time.
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }
}
