//! The result of a run, as the meter of the embedded AWS tells it.

use serde::{Deserialize, Serialize};

use super::contender::Contender;

/// What was lost in one run, or could not but be lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// Requests and connections that failed.
    pub failed: Failed,
    /// Seconds in which a target group had no target that served, of all target groups together.
    pub dark_seconds: f64,
    /// Tasks whose instance went before they had ended.
    pub tasks_cut: f64,
    /// Work of jobs that has to be done again.
    pub job_seconds_lost: f64,
    /// Seconds for which a task was missing: below a service's desired count, or a job that is to run again.
    pub task_seconds_short: f64,
    /// Seconds for which somebody paid for more instances than the group's owner asked for.
    pub instance_seconds_twice: f64,
    /// Hand-offs whose announcement was wrong. Empty if nobody announces.
    #[serde(default)]
    pub misreported: Option<f64>,
}

/// Why requests failed. They are computed from rates, so half a request can fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failed {
    /// No target was registered.
    pub no_target: f64,
    /// They went to a target that no longer answered, or not yet.
    pub gone: f64,
    /// They were under way when they were cut off.
    pub cut: f64,
}

impl Failed {
    /// Whatever the cause.
    pub fn all(&self) -> f64 {
        self.no_target + self.gone + self.cut
    }
}

/// A moment of a run, until the next one: seconds after the first warning, serving targets, running tasks, instances in
/// service.
pub type Moment = (f64, f64, f64, f64);

/// What the meter tells.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Told {
    /// What was lost.
    #[serde(flatten)]
    pub losses: Losses,
    /// When measuring began, in seconds after the first warning.
    pub from: f64,
    /// When it ended.
    pub until: f64,
    /// How many requests there were.
    pub requests: f64,
    /// What was warned, and when.
    pub warned: Vec<(f64, String)>,
    /// What there was, and when.
    pub line: Vec<Moment>,
    /// The least that could be lost in this world.
    #[serde(default)]
    pub bound: Option<Losses>,
}

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The name of the scenario.
    pub scenario: String,
    /// Who acted.
    pub contender: Contender,
    /// What the world was drawn by.
    pub seed: u64,
    /// What the meter tells.
    pub told: Told,
    /// How long it took, in real seconds.
    pub took: f64,
    /// What the functions said, with the seconds after the first warning.
    pub story: Vec<String>,
}
