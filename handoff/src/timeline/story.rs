//! All reports about one instance in one event: the story of a hand-off.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::notice::Signal;
use spot_handoff::report::Report;

use super::{Line, Told, lines};
use crate::style;
use crate::verdict::Verdict;

/// What was done about one instance after one event.
#[derive(Debug, Clone)]
pub struct Story {
    /// The reports, in the order in which they were begun.
    pub reports: Vec<Report>,
}

impl Story {
    /// Sorts reports by what they are about; the oldest notice first.
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
                }),
            }
        }
        stories.sort_by_key(Self::notice_time);
        stories
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

    /// When AWS takes the instance, where the event says so.
    pub fn deadline(&self) -> Option<Timestamp> {
        let first = self.reports.iter().find(|report| !report.is_follow_up())?;
        let left = first.seconds_left_at_start?;
        let millis = (left * 1000.0).round() as i64;
        let deadline = first
            .started_at
            .checked_add(SignedDuration::from_millis(millis))
            .ok()?;
        // Reports have it to the millisecond; it is a whole second, as the event's time is.
        deadline.round(jiff::Unit::Second).ok()
    }

    /// What happens at the deadline.
    pub fn end(&self) -> &'static str {
        if self.reports.iter().any(|report| report.drill) {
            "in a real interruption AWS would take the instance"
        } else {
            "AWS takes the instance"
        }
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

    /// What happened, in the order of time.
    pub fn lines(&self) -> Vec<Line> {
        let mut told = Told::default();
        let mut all = Vec::new();
        for report in &self.reports {
            all.extend(told.filter(lines(report)));
        }
        all.sort_by_key(|line| line.at);
        all
    }

    /// How it ended.
    pub fn verdict(&self) -> Verdict {
        Verdict::on(&self.reports)
    }

    /// The whole story for a terminal, without a trailing line break.
    pub fn render(&self) -> String {
        let sent = self.notice_time();
        let mut header = format!("{}\n  sent       {sent}", style::strong(&self.title()));
        if let Some(deadline) = self.deadline() {
            header.push_str(&format!("; {} at {deadline:.0}", self.end()));
        }
        let lines: Vec<String> = self.lines().iter().map(|line| line.render(sent)).collect();
        format!(
            "{header}\n  instance   {}\n  event      {}\n\n{}\n\n{}",
            self.instance(),
            self.event_id(),
            lines.join("\n"),
            self.verdict().render(),
        )
    }
}
