//! What to tell about a hand-off: pure functions from reports to one message and one event.

mod account;
mod event;
mod text;

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;

use spot_handoff::notice::{Notice, Signal};
use spot_handoff::report::plan as shared_plan;
use spot_handoff::report::{ActionResult, Report};
use spot_handoff::runtime::config::Choice;

use crate::facts::{Reporter, Reports, can_be_asked_for};
use account::HandOff;
pub use account::Outcome;
pub use event::DETAIL_TYPE;

/// A plan of this function. No setting that it meets could hurt, so it warns of nothing.
pub type Plan = shared_plan::Plan<Action, Skip, Infallible>;

const PUBLISH: &str = "publish-message";
const PUT: &str = "put-event";

/// What this function can do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Publish a message to the topic.
    Publish(Message),
    /// Put an event on the bus.
    PutEvent {
        /// The instance, for the report.
        instance: String,
        /// The event's detail as JSON.
        detail: String,
    },
}

/// A message for people.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    /// One line; mail programs show it as the subject.
    pub subject: String,
    /// The rest.
    pub text: String,
    /// How the hand-off went, by which subscribers may filter.
    pub outcome: Outcome,
    /// Whether it was a drill.
    pub drill: bool,
}

impl shared_plan::Action for Action {
    fn describe(&self) -> (&'static str, String, String) {
        match self {
            Self::Publish(message) => (PUBLISH, message.subject.clone(), String::new()),
            Self::PutEvent { instance, .. } => (PUT, instance.clone(), DETAIL_TYPE.to_owned()),
        }
    }
}

/// Which hand-offs a message is published about. Events are put on the bus about all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcements {
    /// Every one.
    All,
    /// Those that failed.
    Failures,
    /// None.
    None,
}

impl Choice for Announcements {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("all", Self::All),
        ("failures", Self::Failures),
        ("none", Self::None),
    ];
}

/// Why something is not announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// Only an interruption has a known end, after which it can be told how it went.
    NoInterruption,
    /// The three functions had nothing to do: the instance is not theirs.
    NothingHandedOff,
    /// The event has an id that EventBridge would not give, and reports cannot be looked for by it.
    OddEventId,
    /// `Announcements` leaves it out.
    LeftOut,
    /// By a report of our own: an earlier try put the event on the bus.
    PutBefore,
    /// By a report of our own: an earlier try published the message.
    PublishedBefore,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInterruption => write!(f, "only interruptions are announced"),
            Self::NothingHandedOff => {
                write!(
                    f,
                    "the functions had nothing to do for it, so there is nothing to tell"
                )
            }
            Self::OddEventId => write!(
                f,
                "the id of the event is no id of EventBridge: its reports cannot be found"
            ),
            Self::LeftOut => write!(
                f,
                "Announcements leaves this message out; the event is put on the bus"
            ),
            Self::PutBefore => write!(f, "an earlier try has put the event on the bus"),
            Self::PublishedBefore => write!(f, "an earlier try has published the message"),
        }
    }
}

/// Whether reports about the notice are looked for.
///
/// # Errors
/// Where they are not: why.
pub fn is_announced(notice: &Notice) -> Result<(), Skip> {
    if !matches!(notice.signal, Signal::InterruptionWarning { .. }) {
        Err(Skip::NoInterruption)
    } else if !can_be_asked_for(&notice.event_id) {
        Err(Skip::OddEventId)
    } else {
        Ok(())
    }
}

/// What to tell about one notice: what the `reporters` have done, less what `own` reports say is told already.
pub fn plan(
    notice: &Notice,
    reporters: &[Reporter],
    own: &Reporter,
    reports: &HashMap<&'static str, Reports>,
    announcements: Announcements,
) -> Plan {
    if let Err(skip) = is_announced(notice) {
        return Plan::nothing(&notice.instance, skip);
    }
    let mut plan = Plan::default();
    let mut of = |reporter: &Reporter| -> Vec<&Report> {
        let about = |report: &&Report| {
            report.event_id == notice.event_id && report.instance == notice.instance.as_str()
        };
        match reports.get(reporter.function) {
            Some(Ok(all)) => all.iter().filter(about).collect(),
            Some(Err(error)) => {
                plan.problems.push(format!("{}: {error}", reporter.log_group));
                vec![]
            }
            None => vec![],
        }
    };
    let found: Vec<(&Reporter, Vec<&Report>)> = reporters
        .iter()
        .map(|reporter| (reporter, of(reporter)))
        .collect();
    let before = of(own);
    if !plan.problems.is_empty() {
        return plan;
    }
    let hand_off = HandOff::of(notice, &found);
    if hand_off.outcome == Outcome::NothingToDo {
        return Plan::nothing(&notice.instance, Skip::NothingHandedOff);
    }
    let is_done = |name| {
        let mut lines = before.iter().flat_map(|report| &report.actions);
        lines.any(|line| line.action == name && line.result == ActionResult::Done)
    };
    let message = text::message(&hand_off);
    if is_done(PUT) {
        plan.skip(&notice.instance, Skip::PutBefore);
    } else {
        plan.actions.push(Action::PutEvent {
            instance: notice.instance.to_string(),
            detail: event::detail(&hand_off, &message),
        });
    }
    let wanted = match announcements {
        Announcements::All => true,
        Announcements::Failures => hand_off.outcome == Outcome::Failed,
        Announcements::None => false,
    };
    if !wanted {
        plan.skip(&notice.instance, Skip::LeftOut);
    } else if is_done(PUBLISH) {
        plan.skip(&notice.instance, Skip::PublishedBefore);
    } else {
        plan.actions.push(Action::Publish(message));
    }
    plan
}

#[cfg(test)]
mod tests;
