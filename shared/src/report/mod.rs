//! What a function says about each instance it handled: one line, for people and for machines.
//!
//! The line is JSON so that CloudWatch Logs Insights can query it, and carries a `message` that reads as a sentence.
//! `cargo handoff` reads the same lines back to draw its timelines.

mod action;
mod ending;
mod group;
pub mod kept;
pub mod log_line;
pub mod log_patterns;
pub mod metrics;
pub mod names;
pub mod plan;
mod pool;
pub mod verdict;
mod work;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::action::ActionKind;
pub use self::ending::Ending;
pub use self::group::{GroupLine, GroupStanding};
pub use self::pool::Pool;
pub use self::work::{Serving, TaskEnd, Work};
use crate::notice::{Notice, Signal};

/// The value of [`Report::report`], by which report lines are told from other log lines.
pub const REPORT_MARKER: &str = "spot-handoff";

/// One function's account of one instance in one notice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The notice that it is about, until the two are paired.
    #[serde(skip)]
    pub about: Option<Box<Notice>>,
    /// Always [`REPORT_MARKER`].
    pub report: String,
    /// The function that acted, for example `drain-tasks`.
    pub function: String,
    /// `INFO` when all went well, `ERROR` when something has to be tried again.
    pub level: String,
    /// The whole report as one sentence.
    pub message: String,
    /// Id of the EventBridge event that named the instance.
    pub event_id: String,
    /// Kind of notice, for example `interruption-warning`.
    pub signal: String,
    /// The instance.
    pub instance: String,
    /// Its Auto Scaling group, where the plan has to do with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its pool, where Auto Scaling tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// Since when it is in its ECS cluster, which is soon after its launch; where drain-tasks has found it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_cluster_since: Option<Timestamp>,
    /// When AWS emitted the notice: the start of the two minutes for an interruption warning.
    pub notice_time: Timestamp,
    /// When this function began with the notice.
    pub started_at: Timestamp,
    /// Seconds of the notice left when the function began; absent where the notice has no deadline.
    pub seconds_left_at_start: Option<f64>,
    /// Seconds of the notice left when the function was done.
    pub seconds_left_at_end: Option<f64>,
    /// Whether the function only planned and changed nothing.
    pub dry_run: bool,
    /// Whether somebody held a drill.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drill: bool,
    /// What became of the notice as a whole.
    pub outcome: Outcome,
    /// Every action, in the order of the plan.
    pub actions: Vec<ActionLine>,
    /// What was looked at and left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedLine>,
    /// Settings that will hurt, each with its fix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What could not be read; the notice is tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What stays for now, until a successor serves or its last safe moment comes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldLine>,
    /// The tasks on the instance and what becomes of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskLine>,
    /// Stop scripts that have ended, or never ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<ScriptLine>,
    /// How the exchange of the instance ended, where it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// What was seen of the work, as far as it is news.
    #[serde(default, skip_serializing_if = "Work::is_nothing")]
    pub work: Work,
    /// What has become of groups that interruptions had made smaller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupLine>,
}

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every action is done or arranged for.
    Done,
    /// The plan was empty.
    NothingToDo,
    /// A dry run: the plan is shown and nothing was changed.
    Planned,
    /// Something failed; the message goes back to its queue.
    Failed,
}

/// One action of a plan and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionLine {
    /// What was done.
    pub action: ActionKind,
    /// Name or ARN of what it was done to.
    pub resource: String,
    /// The particulars: ports, zones, delays.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Whether a replacement is launched because of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub launches: bool,
    /// How it went.
    pub result: ActionResult,
    /// When the answer of AWS was there.
    pub finished_at: Timestamp,
    /// The error, where it failed; a remark, where AWS had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How an action went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionResult {
    /// AWS accepted it.
    Done,
    /// It had been done before: a repeated event, or AWS itself was faster.
    AlreadyDone,
    /// A dry run: it would be done.
    Planned,
    /// A delayed message will bring it up again.
    Later,
    /// AWS has no way to do it now, and trying again soon is no use: no Spot capacity, MaxSize reached.
    NotPossible,
    /// AWS refused it or did not answer in time.
    Failed,
    /// It came to a bad end, or to none in time, and trying again is no use: what the instance was doing is lost.
    Lost,
}

/// Something left alone, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SkippedLine {
    /// Name or ARN of what was left alone.
    pub what: String,
    /// Why, as a sentence.
    pub reason: String,
}

/// A target that stays in its target group for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLine {
    /// ARN of the target group.
    pub target_group: String,
    /// The target, and the task where it is one.
    pub target: String,
    /// Its last safe moment, at which it leaves all the same; absent where no moment is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many targets serve that are not under notice.
    pub staying: usize,
    /// How many have to.
    pub needed: usize,
    /// Why, as a sentence.
    pub reason: String,
}

/// A stop script, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScriptLine {
    /// The document.
    pub document: String,
    /// Id of the command that ran it; absent where none was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How it ended, in the words of Systems Manager; `Not sent` and `No end in time` are ours.
    pub status: String,
    /// Whether it did what it was there for.
    pub saved: bool,
    /// The exit code of its last step, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The last lines that it wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// A task on the instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskLine {
    /// ARN of the task.
    pub task: String,
    /// What kind of task it is.
    pub kind: TaskKind,
    /// The service, or the task definition's family for a standalone task.
    pub name: String,
    /// Accelerators the task holds, for example `elastic-inference:eia2.medium`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accelerators: Vec<String>,
    /// What becomes of it.
    pub plan: String,
    /// Whether it ended by itself before it had to be stopped: a job saved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub saved: bool,
    /// What had become of it when the instance was gone; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<TaskEnd>,
    /// When it had ended, where it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// What runs a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// A service, which ECS keeps at its number of tasks.
    Service,
    /// Somebody's RunTask.
    Standalone,
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Report {
    /// Reads a log line; `None` where the line is not a report.
    pub fn from_line(line: &str) -> Option<Self> {
        let report: Self = serde_json::from_str(line).ok()?;
        (report.report == REPORT_MARKER).then_some(report)
    }

    /// The same, about an instance of this pool.
    pub fn in_pool(mut self, pool: Option<&Pool>) -> Self {
        self.pool = pool.cloned();
        self
    }

    /// The same, about an instance that is in its cluster since then.
    pub fn in_cluster_since(mut self, since: Option<Timestamp>) -> Self {
        self.in_cluster_since = since;
        self
    }

    /// Whether it is about a follow-up, and not about what came from AWS.
    pub fn is_follow_up(&self) -> bool {
        self.signal == Signal::FOLLOW_UP
    }
}
