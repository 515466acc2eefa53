//! What a test or a replay can choose.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::stack::Mapping;

/// How long AWS takes for what it does, see `pace.json` of the embedded AWS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// A few seconds for everything: for tests of logic.
    #[default]
    Quick,
    /// As users see it.
    Real,
}

/// The roles of the task in the sample fleet that asks to be run again.
const ROLES_OF_JOBS: &str = "arn:aws:iam::123456789012:role/ecs-tasks,arn:aws:iam::123456789012:role/report";

/// What a bed starts with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Parameters of the template that differ from their defaults. Unless it is set, `RerunRoles` differs too: the
    /// sample fleet has a task that asks to be run again.
    pub parameters: BTreeMap<String, String>,
    /// How many seconds of the world pass in a real one.
    pub speed: f64,
    /// Whether AWS acts by itself, as the real one does: tasks start, instances boot, targets drain.
    pub simulate: bool,
    /// How long AWS takes for that.
    pub pace: Pace,
    /// What the numbers and variants of the real pace are drawn by.
    pub seed: u64,
    /// Which variants of open facts AWS plays, instead of those that the seed draws.
    pub variants: BTreeMap<String, String>,
    /// How many invocations of a function may run at a time.
    pub concurrency: usize,
    /// How many pollers a queue has. None leaves the messages in the queues.
    pub pollers: usize,
    /// Whether announce-hand-offs runs, too. It works minutes after the others, and few tests want to wait for it.
    pub announce: bool,
    /// When Lambda gives an invocation up, if this should differ from the template.
    pub timeout: Option<Duration>,
    /// A large fleet in addition to the sample fleet: see the README of the embedded AWS.
    pub storm: Option<Value>,
    /// A program and its arguments to run in place of every function.
    pub stand_in: Option<(PathBuf, Vec<String>)>,
    /// What to change in the event source mappings of the template.
    pub mapping: MappingOptions,
    /// Whether more pollers join while messages are waiting, as in Lambda. `pollers` is the number at first.
    pub pollers_grow: bool,
    /// The cargo profile to build the functions with, if it is not that of the running program.
    pub profile: Option<&'static str>,
}

/// Settings of event source mappings in place of the template's.
#[derive(Debug, Clone, Copy, Default)]
pub struct MappingOptions {
    /// The most messages an invocation gets.
    pub batch_size: Option<usize>,
    /// Seconds to wait for a batch to fill.
    pub window_seconds: Option<u64>,
    /// The most invocations at a time.
    pub maximum_concurrency: Option<usize>,
}

impl MappingOptions {
    pub(crate) fn apply(&self, mapping: &mut Mapping) {
        mapping.batch_size = self.batch_size.unwrap_or(mapping.batch_size);
        mapping.window_seconds = self.window_seconds.unwrap_or(mapping.window_seconds);
        mapping.maximum_concurrency = self.maximum_concurrency.or(mapping.maximum_concurrency);
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parameters: BTreeMap::from([("RerunRoles".to_owned(), ROLES_OF_JOBS.to_owned())]),
            speed: 1.0,
            simulate: true,
            pace: Pace::default(),
            seed: 0,
            variants: BTreeMap::new(),
            concurrency: 10,
            pollers: 1,
            announce: false,
            timeout: None,
            storm: None,
            stand_in: None,
            mapping: MappingOptions::default(),
            pollers_grow: false,
            profile: None,
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
