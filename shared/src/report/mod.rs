//! A function's report on each instance that it handled: one line, for people and for machines.
//!
//! The line is JSON, so that CloudWatch Logs Insights can query it, and its `message` reads as a sentence.
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

/// The value of [`Report::report`]. It distinguishes report lines from other log lines.
pub const REPORT_MARKER: &str = "spot-handoff";

/// One function's account of one instance in one notice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The notice that it is about, until the report is paired with it.
    #[serde(skip)]
    pub about: Option<Box<Notice>>,
    /// Always [`REPORT_MARKER`].
    pub report: String,
    /// The function that acted, for example `drain-tasks`.
    pub function: String,
    /// `INFO` if all went well, `ERROR` if something has to be tried again.
    pub level: String,
    /// The whole report as one sentence.
    pub message: String,
    /// Id of the EventBridge event that named the instance.
    pub event_id: String,
    /// Kind of notice, for example `interruption-warning`.
    pub signal: String,
    /// The instance.
    pub instance: String,
    /// Its Auto Scaling group, if the plan uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its pool, if Auto Scaling tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// When it registered in its ECS cluster, which is soon after its launch; if drain-tasks has found it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_cluster_since: Option<Timestamp>,
    /// When AWS emitted the notice: the start of the two minutes for an interruption warning.
    pub notice_time: Timestamp,
    /// When this function began to handle the notice.
    pub started_at: Timestamp,
    /// Seconds of the notice left when the function began; absent if the notice has no deadline.
    pub seconds_left_at_start: Option<f64>,
    /// Seconds of the notice left when the function was done.
    pub seconds_left_at_end: Option<f64>,
    /// Whether the function only planned and changed nothing.
    pub dry_run: bool,
    /// Whether it was a drill.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drill: bool,
    /// The outcome for the notice as a whole.
    pub outcome: Outcome,
    /// Every action, in the order of the plan.
    pub actions: Vec<ActionLine>,
    /// What was looked at and left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedLine>,
    /// Settings that will cause trouble, each with its fix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What could not be read; the notice is tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Targets that stay for now, until a successor serves or their last safe moment comes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldLine>,
    /// The tasks on the instance, and what happens to each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskLine>,
    /// Stop scripts that have ended, or never ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<ScriptLine>,
    /// How the exchange of the instance ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// What was seen of the work, if it has changed.
    #[serde(default, skip_serializing_if = "Work::is_nothing")]
    pub work: Work,
    /// Groups that lost instances to interruptions, and how they stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupLine>,
}

/// The outcome for a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every action is done, or a delayed message will do it.
    Done,
    /// The plan was empty.
    NothingToDo,
    /// A dry run: the report shows the plan, and nothing was changed.
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
    /// Whether it makes Auto Scaling launch a replacement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub launches: bool,
    /// How it went.
    pub result: ActionResult,
    /// When AWS's answer came.
    pub finished_at: Timestamp,
    /// The error, if it failed; a remark, if AWS had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How an action went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionResult {
    /// AWS accepted it.
    Done,
    /// It was done before: the event was repeated, or AWS itself was faster.
    AlreadyDone,
    /// A dry run: it would have been done.
    Planned,
    /// A delayed message will do it.
    Later,
    /// AWS cannot do it now, and trying again soon does not help: no Spot capacity, MaxSize reached.
    NotPossible,
    /// AWS refused it or did not answer in time.
    Failed,
    /// It ended badly, or not in time, and trying again does not help: the instance's work is lost.
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
    /// The target, and its task if it belongs to one.
    pub target: String,
    /// Its last safe moment, at which it leaves in any case; absent if no moment is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many serving targets are not under notice.
    pub staying: usize,
    /// How many targets have to serve.
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
    /// Id of the command that ran it; absent if none was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How it ended, in the words of Systems Manager. `Not sent` and `No end in time` are our own words.
    pub status: String,
    /// Whether it succeeded.
    pub saved: bool,
    /// The exit code of its last step, if it is known.
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
    /// What happens to it.
    pub plan: String,
    /// Whether it ended by itself before it had to be stopped, so that its job is saved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub saved: bool,
    /// How it had ended when the instance was gone; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<TaskEnd>,
    /// When it had ended, if it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// What runs a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// A service. ECS keeps its number of tasks.
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
    /// Reads a log line; `None` if the line is not a report.
    pub fn from_line(line: &str) -> Option<Self> {
        let report: Self = serde_json::from_str(line).ok()?;
        (report.report == REPORT_MARKER).then_some(report)
    }

    /// The same, about an instance of this pool.
    pub fn in_pool(mut self, pool: Option<&Pool>) -> Self {
        self.pool = pool.cloned();
        self
    }

    /// The same, about an instance that registered in its cluster at that time.
    pub fn in_cluster_since(mut self, since: Option<Timestamp>) -> Self {
        self.in_cluster_since = since;
        self
    }

    /// Whether it is about a follow-up, and not about an event of AWS.
    pub fn is_follow_up(&self) -> bool {
        self.signal == Signal::FOLLOW_UP
    }
}
