//! A report as lines for people: when, who, and what the result was.

pub mod html;
pub mod story;

use std::collections::HashSet;

use jiff::Timestamp;
pub use spot_handoff::report::names;
use spot_handoff::report::{ActionKind, ActionLine, ActionResult, Outcome, Report, TaskLine};

use crate::{style, terminal};
use names::Names;

/// The longest function name. It sets the width of the column.
const WHO: usize = "deregister-targets".len();
/// The longest word for a result.
const WORD: usize = "already".len();

/// The result of what a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word {
    /// AWS accepted it.
    Done,
    /// It had been done before.
    Already,
    /// A dry run: it would be done.
    Planned,
    /// A delayed message will do it.
    Later,
    /// It failed.
    Failed,
    /// It ended badly, and the instance's work is lost.
    Lost,
    /// It cannot be done, and trying again will not help.
    Impossible,
    /// It was left alone.
    Left,
    /// A task on the instance, and what happens to it.
    Task,
    /// A setting that causes trouble.
    Warning,
    /// Something worth knowing.
    Note,
}

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// When it happened.
    pub at: Timestamp,
    /// The function.
    pub who: String,
    /// The result.
    pub word: Word,
    /// The rest.
    pub text: String,
    /// The kind of action, if it is one.
    pub action: Option<ActionKind>,
    /// If set: a later line with the same gist is not printed.
    gist: Option<String>,
}

impl Line {
    /// A line about a function that does not come from its report.
    pub fn new(at: Timestamp, who: &str, word: Word, text: impl Into<String>) -> Self {
        Self {
            at,
            who: who.to_owned(),
            word,
            text: text.into(),
            action: None,
            gist: None,
        }
    }

    /// Leaves the line out if one with the same gist was printed before.
    fn once(mut self, gist: impl Into<String>) -> Self {
        self.gist = Some(gist.into());
        self
    }

    /// The text without colours.
    pub fn plain(&self) -> String {
        anstream::adapter::strip_str(&self.text).to_string()
    }

    /// The printed line; `zero` is the zero of T+.
    pub fn render(&self, zero: Timestamp) -> String {
        let at = style::dim(&since(zero, self.at));
        let who = style::function(&self.who, &format!("{:WHO$}", self.who));
        let (word, text) = (self.word, &self.text);
        let word = word.style(&format!("{:WORD$}", word.text()));
        let text = match self.word {
            Word::Left | Word::Note => style::dim(text),
            _ => text.clone(),
        };
        terminal::hang(&format!("{at}  {who}  {word}  "), &text)
    }
}

impl Word {
    /// The word in the output.
    pub fn text(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Already => "already",
            Self::Planned => "would",
            Self::Later => "later",
            Self::Failed => "FAILED",
            Self::Lost => "LOST",
            Self::Impossible => "cannot",
            Self::Left => "left",
            Self::Task => "task",
            Self::Warning => "warning",
            Self::Note => "",
        }
    }

    fn style(self, text: &str) -> String {
        match self {
            Self::Done | Self::Already => style::good(text),
            Self::Planned | Self::Later => style::pending(text),
            Self::Failed | Self::Lost => style::bad(text),
            Self::Warning | Self::Impossible => style::warning(text),
            Self::Left | Self::Task | Self::Note => style::dim(text),
        }
    }
}

impl From<ActionResult> for Word {
    fn from(result: ActionResult) -> Self {
        match result {
            ActionResult::Done => Self::Done,
            ActionResult::AlreadyDone => Self::Already,
            ActionResult::Planned => Self::Planned,
            ActionResult::Later => Self::Later,
            ActionResult::Failed => Self::Failed,
            ActionResult::NotPossible => Self::Impossible,
            ActionResult::Lost => Self::Lost,
        }
    }
}

/// The lines that a timeline has already printed. A function that waits looks again every few seconds, and would repeat
/// itself while nothing changes.
#[derive(Debug, Default)]
pub struct Told(HashSet<(String, Word, String)>);

impl Told {
    /// The lines that are worth printing.
    pub fn filter(&mut self, lines: Vec<Line>) -> Vec<Line> {
        let news = lines.into_iter().filter(|line| match &line.gist {
            Some(gist) => self.0.insert((line.who.clone(), line.word, gist.clone())),
            None => true,
        });
        news.collect()
    }
}

/// The lines of a report, ordered by time.
pub fn lines(report: &Report) -> Vec<Line> {
    let names = Names::of(report);
    let line = |at, word, text| Line::new(at, &report.function, word, text);
    let once = |at, word, text: String| {
        let gist = format!("{} {text}", report.instance);
        line(at, word, text).once(gist)
    };
    let actions = report.actions.iter().map(|action| {
        let text = action_text(action, &names);
        let mut line = line(action.finished_at, action.result.into(), text);
        line.action = Some(action.action);
        match action.result {
            // The detail has the time of the next look, which differs every time.
            ActionResult::Later if report.is_follow_up() => {
                line.once(format!("{} {}", action.action, action.resource))
            }
            _ => line,
        }
    });
    let mut lines: Vec<Line> = actions.collect();
    lines.sort_by_key(|line| line.at);

    // The following was found while looking. It is printed after the actions.
    let end = lines.last().map_or(report.started_at, |line| line.at);
    let acted_on = |task: &TaskLine| report.actions.iter().any(|action| action.resource == task.task);
    // A follow-up is about the tasks it acts on; the first report already has them.
    let told = |task: &&TaskLine| report.is_follow_up() && acted_on(task);
    for task in report.tasks.iter().filter(|task| !told(task)) {
        lines.push(once(end, Word::Task, task_text(task, &names)));
    }
    for skipped in &report.skipped {
        let (what, reason) = (names.resource(&skipped.what), names.sentence(&skipped.reason));
        lines.push(once(end, Word::Left, format!("{what}: {reason}")));
    }
    for warning in &report.warnings {
        lines.push(once(end, Word::Warning, names.sentence(warning)));
    }
    for problem in &report.problems {
        lines.push(line(end, Word::Failed, names.sentence(problem)));
    }
    if report.outcome == Outcome::NothingToDo && report.skipped.is_empty() {
        let text = format!("nothing to do for {}", report.instance);
        lines.push(once(end, Word::Note, text));
    }
    lines
}

fn action_text(action: &ActionLine, names: &Names) -> String {
    let what = action.action.in_words();
    let mut text = format!("{what} {}", names.resource(&action.resource));
    if !action.detail.is_empty() {
        let detail = names.sentence(&action.detail);
        text.push_str(&style::dim(&format!("  {detail}")));
    }
    if let Some(error) = &action.error {
        text.push_str(&format!(" ({})", names.sentence(error)));
    }
    text
}

fn task_text(task: &TaskLine, names: &Names) -> String {
    let mut traits = vec![task.kind.to_string()];
    traits.extend(task.accelerators.iter().cloned());
    format!(
        "{} ({}): {}",
        names.resource(&task.task),
        traits.join(", "),
        task.plan
    )
}

/// `T+  412 ms`, or `T+  75.2 s` when milliseconds do not matter any more.
pub fn since(zero: Timestamp, at: Timestamp) -> String {
    let ms = at.duration_since(zero).as_millis();
    if ms.abs() < 10_000 {
        format!("T+{ms:>5} ms")
    } else {
        format!("T+{:>6.1} s", ms as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests;
