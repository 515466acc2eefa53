//! The functions' reports. announce-hand-offs makes its account of a hand-off from them.
//!
//! All reports about one instance and one notice are together, ordered by time. The logs contain the same lines, but a
//! search finds them only seconds to a minute after they were written, and an account may search only five times a
//! second.

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Item, Key};
use crate::notice::{Notice, Signal};
use crate::report::{Outcome, Report};

/// How long a report is kept: people can still ask about last month.
const KEPT: SignedDuration = SignedDuration::from_hours(35 * 24);

/// A report in the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reported(pub Report);

impl Reported {
    /// The key of all reports about this notice.
    pub fn of(notice: &Notice) -> String {
        of(&notice.event_id, notice.instance.as_str())
    }

    /// The item for a report; `None` if nobody will ask for it. That is a look that found nothing new, or an instance
    /// that stops or starts and is not ours.
    pub fn from_report(report: &Report) -> Option<Self> {
        let has_ends = report.tasks.iter().any(|task| task.end.is_some());
        let says_nothing = report.outcome == Outcome::NothingToDo
            && report.problems.is_empty()
            && report.work.is_nothing()
            && report.ending.is_none()
            && !has_ends;
        let is_of_any = report.signal == "state-change" || report.signal == Signal::RETURNED;
        let of_nobody = says_nothing && (report.is_follow_up() || is_of_any);
        (!of_nobody).then(|| Self(report.clone()))
    }
}

fn of(event_id: &str, instance: &str) -> String {
    format!("hand-off#{event_id}#{instance}")
}

impl Item for Reported {
    fn key(&self) -> Key {
        Key::new(
            of(&self.0.event_id, &self.0.instance),
            format!("{}#{}", self.0.started_at, self.0.function),
        )
    }

    fn expires(&self) -> Timestamp {
        let begun = self.0.started_at;
        begun.saturating_add(KEPT).unwrap_or(begun)
    }
}
