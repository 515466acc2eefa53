//! The story of a hand-off: all reports about one instance and one event.

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use spot_handoff::notice::Signal;
use spot_handoff::report::{Outcome, Report, kept};

use super::{Line, Told, lines};
use crate::commands::signals;
use crate::verdict::Verdict;
use crate::words::count;
use crate::{NAME, style, terminal};

/// By this time each function has reported, or something is wrong: an interruption warning leaves no more time.
const TO_REPORT: SignedDuration = SignedDuration::from_mins(2);
/// How long after the end of the instance the functions look how its tasks ended.
const TO_SEE: SignedDuration = SignedDuration::from_secs(90);
/// By this time the message of a later step has had all its tries: see `commands::dlq::reason`.
const TO_FOLLOW: SignedDuration = SignedDuration::from_mins(25);

/// What was done for one instance after one event.
#[derive(Debug, Clone)]
pub struct Story {
    /// The reports, in the order in which they were begun.
    pub reports: Vec<Report>,
    /// Whether it began before the part of the logs that was read.
    pub is_cut: bool,
}

impl Story {
    /// Sorts reports by instance and event, the oldest notice first.
    pub fn of(mut reports: Vec<Report>) -> Vec<Self> {
        reports.sort_by_key(|report| report.started_at);
        let mut stories = Vec::<Self>::new();
        for report in reports {
            let same = |story: &&mut Self| {
                let first = &story.reports[0];
                (&first.event_id, &first.instance) == (&report.event_id, &report.instance)
            };
            match stories.iter_mut().find(same) {
                Some(story) => story.reports.push(report),
                None => stories.push(Self {
                    reports: vec![report],
                    is_cut: false,
                }),
            }
        }
        stories.sort_by_key(Self::notice_time);
        stories
    }

    /// Whether it is about an instance that runs or ends, and no function had anything to do.
    pub fn is_idle(&self) -> bool {
        let is_of_any = |report: &Report| matches!(report.signal.as_str(), "state-change" | Signal::RETURNED);
        let mut reports = self.reports.iter();
        reports.all(|report| is_of_any(report) && report.outcome == Outcome::NothingToDo)
    }

    /// The instance.
    pub fn instance(&self) -> &str {
        &self.reports[0].instance
    }

    /// The id of the event.
    pub fn event_id(&self) -> &str {
        &self.reports[0].event_id
    }

    /// When the event was sent.
    pub fn notice_time(&self) -> Timestamp {
        self.reports[0].notice_time
    }

    /// When AWS takes the instance, if the event says so.
    pub fn deadline(&self) -> Option<Timestamp> {
        kept::deadline(&self.reports)
    }

    /// What happens at the deadline.
    pub fn end(&self) -> &'static str {
        if self.reports.iter().any(|report| report.drill) {
            "in a real interruption AWS would take the instance"
        } else {
            "AWS takes the instance"
        }
    }

    /// Where the instance was, according to the reports: `group web, us-east-1a, cluster web`.
    pub fn place(&self) -> String {
        let group = self.reports.iter().find_map(|report| report.group.as_deref());
        let cluster = self.reports.iter().find_map(cluster);
        let zone = self
            .reports
            .iter()
            .find_map(|report| report.pool.as_ref()?.zone.as_deref());
        let parts = [("group ", group), ("", zone), ("cluster ", cluster)];
        let parts = parts
            .iter()
            .filter_map(|(kind, name)| Some(format!("{kind}{}", (*name)?)));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// `Interruption warning`, and whether it was a drill or a dry run.
    pub fn title(&self) -> String {
        let signal = self.reports.iter().map(|report| report.signal.as_str());
        let signal = signal
            .clone()
            .find(|signal| *signal != Signal::FOLLOW_UP)
            .unwrap_or(Signal::FOLLOW_UP);
        let words = signal.replace('-', " ");
        let (first, rest) = words.split_at(words.len().min(1));
        let mut title = format!("{}{rest}", first.to_uppercase());
        let any = |of: fn(&Report) -> bool| self.reports.iter().any(of);
        let traits: Vec<_> = [
            (any(|report| report.drill), "drill"),
            (any(|report| report.dry_run), "planned only"),
        ]
        .into_iter()
        .filter_map(|(holds, word)| holds.then_some(word))
        .collect();
        if !traits.is_empty() {
            title.push_str(&format!(" ({})", traits.join(", ")));
        }
        title
    }

    /// What happened, ordered by time.
    pub fn lines(&self) -> Vec<Line> {
        let mut told = Told::default();
        let mut all = Vec::new();
        for report in &self.reports {
            all.extend(told.filter(lines(report)));
        }
        all.sort_by_key(|line| line.at);
        all
    }

    /// The functions that the signal is for, but that have not reported on it.
    fn silent(&self) -> Vec<&'static str> {
        let first = || self.reports.iter().filter(|report| !report.is_follow_up());
        let signal = first().find_map(|report| signals::Signal::from_str(&report.signal, false).ok());
        let functions = signal.map(signals::Signal::functions).unwrap_or_default();
        let has_reported = |function: &&str| first().any(|report| report.function == **function);
        functions
            .iter()
            .copied()
            .filter(|function| !has_reported(function))
            .collect()
    }

    /// How it ended, or how it stands now.
    pub fn verdict(&self, now: Timestamp) -> Verdict {
        let mut verdict = Verdict::on(&self.reports);
        if self.is_cut {
            verdict.add_note("it began before what was read: a larger --since shows all of it".to_owned());
            return verdict;
        }
        let silent = self.silent().join(", ");
        if !silent.is_empty() {
            if now.duration_since(self.notice_time()) < TO_REPORT {
                verdict.add_note(format!("no report yet from {silent}"));
            } else {
                verdict.add_problem(format!("no report from {silent}: {NAME} dlq list may say why"));
            }
        }
        if verdict.unseen() > 0 {
            let tasks = count(verdict.unseen() as u64, "task");
            let over = self
                .deadline()
                .and_then(|deadline| deadline.checked_add(TO_SEE).ok());
            if over.is_some_and(|over| now > over) {
                verdict.add_problem(format!(
                    "what became of {tasks} was not reported: {NAME} dlq list may say why"
                ));
            } else {
                verdict.add_note(format!("what became of {tasks} is not reported yet"));
            }
        }
        if verdict.to_follow() > 0 {
            let steps = count(verdict.to_follow() as u64, "later step");
            let last = self.reports.iter().map(|report| report.started_at).max();
            if last.is_some_and(|last| now.duration_since(last) > TO_FOLLOW) {
                verdict.add_problem(format!("{steps} not reported: {NAME} dlq list may say why"));
            } else {
                verdict.add_note(format!("{steps} to follow"));
            }
        }
        verdict
    }

    /// The whole story for a terminal, without a trailing line break.
    pub fn render(&self, now: Timestamp) -> String {
        let sent = self.notice_time();
        let mut when = sent.to_string();
        if let Some(deadline) = self.deadline() {
            when.push_str(&format!("; {} at {deadline:.0}", self.end()));
        }
        let header = style::strong(&self.title());
        let when = terminal::hang("  sent       ", &when);
        let lines: Vec<String> = self.lines().iter().map(|line| line.render(sent)).collect();
        let place = self.place();
        let place = if place.is_empty() {
            place
        } else {
            format!(", {place}")
        };
        let whom = terminal::hang("  instance   ", &format!("{}{place}", self.instance()));
        format!(
            "{header}\n{when}\n{whom}\n  event      {}\n\n{}\n\n{}",
            self.event_id(),
            lines.join("\n"),
            self.verdict(now).render(),
        )
    }
}

/// The cluster that drain-tasks acted on or looked at.
fn cluster(report: &Report) -> Option<&str> {
    let acted_on = report.actions.iter().map(|action| action.resource.as_str());
    let tasks = report.tasks.iter().map(|task| task.task.as_str());
    acted_on.chain(tasks).find_map(|arn| {
        let resource = arn.strip_prefix("arn:")?.splitn(5, ':').nth(4)?;
        let (_, name) = resource
            .split_once("task/")
            .or_else(|| resource.split_once("container-instance/"))?;
        Some(name.split_once('/')?.0)
    })
}
