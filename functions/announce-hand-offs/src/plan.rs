//! What to announce about a hand-off: pure functions from reports to one message and one event.

mod account;
pub mod digest;
mod event;
mod gone;
mod text;
pub mod watch;

use std::convert::Infallible;
use std::fmt;

use jiff::Timestamp;
use spot_handoff::notice::{FollowUp, Notice, Signal, Step};
use spot_handoff::report::plan as shared_plan;
pub use spot_handoff::report::verdict::Verdict as Outcome;
use spot_handoff::report::{ActionKind, ActionResult, Ending, Report};
use spot_handoff::runtime::config::Choice;
use spot_handoff::state::claims::Event;
use spot_handoff::state::group_watch::Standing;

use crate::facts::{Reporter, Reports, Told};
use account::HandOff;
pub use event::{DETAIL_TYPE, START_DETAIL_TYPE};
pub use text::for_mail;
use watch::{Asked, Progress, Start, Subject};

/// A plan of this function. No setting causes it trouble, so it has no warnings.
pub type Plan = shared_plan::Plan<Action, Skip, Infallible>;

/// What this function can do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Have a message published to the topic, together with others.
    Publish(Message),
    /// Publish the messages that have gathered.
    PublishPending,
    /// Put an event on the bus: how the hand-off went.
    PutEvent {
        /// Which of the events. Each is put once.
        of: Event,
        /// The instance, for the report.
        instance: String,
        /// The event's detail as JSON.
        detail: String,
    },
    /// Put an event on the bus: the hand-off has begun.
    PutStartEvent {
        /// The instance, for the report.
        instance: String,
        /// The event's detail as JSON.
        detail: String,
    },
    /// Look again.
    Await {
        /// The instance, for the report.
        instance: String,
        /// When to look.
        at: Timestamp,
        /// The message.
        follow_up: FollowUp,
    },
}

/// A message for people.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    /// The instance.
    pub instance: String,
    /// Its Auto Scaling group, if it is known.
    pub group: Option<String>,
    /// One line; mail programs show it as the subject.
    pub subject: String,
    /// The rest of the message.
    pub text: String,
    /// How the hand-off went. Subscribers may filter by it.
    pub outcome: Outcome,
    /// Whether it was a drill.
    pub drill: bool,
    /// Whether it says that the instance still runs, and not how its hand-off went.
    pub runs_on: bool,
}

impl shared_plan::Action for Action {
    fn describe(&self) -> (ActionKind, String, String) {
        match self {
            Self::Publish(message) => (ActionKind::PublishMessage, message.subject.clone(), String::new()),
            Self::PublishPending => (ActionKind::PublishPending, "topic".to_owned(), String::new()),
            Self::PutEvent { instance, .. } => {
                (ActionKind::PutEvent, instance.clone(), DETAIL_TYPE.to_owned())
            }
            Self::PutStartEvent { instance, .. } => (
                ActionKind::PutStartEvent,
                instance.clone(),
                START_DETAIL_TYPE.to_owned(),
            ),
            Self::Await {
                instance,
                at,
                follow_up,
            } => {
                let kind = match follow_up.step {
                    Step::AwaitStart { .. } => ActionKind::AwaitStart,
                    Step::AwaitWhole { .. } => ActionKind::AwaitWhole,
                    Step::AwaitGone { .. } => ActionKind::AwaitGone,
                    _ => ActionKind::AwaitEnd,
                };
                let at = format!("look again at {}", at.strftime("%H:%M:%S"));
                (kind, instance.clone(), at)
            }
        }
    }
}

/// The name of this function in its reports.
pub const OWN_NAME: &str = "announce-hand-offs";

/// About which hand-offs to publish a message. The bus gets events about all of them.
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
        ("failures", Self::Failures),
        ("all", Self::All),
        ("none", Self::None),
    ];
}

/// Why something is not announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// It takes nothing away, or is about something that was announced before.
    NotAnnounced,
    /// An interruption warning came meanwhile, and has its own announcement.
    ToldWithInterruption,
    /// The three functions had nothing to do: the instance is not ours.
    NothingHandedOff,
    /// No function has begun, and none will.
    NothingBegun,
    /// `Announcements` excludes it.
    LeftOut,
    /// The message waits until the group is whole, or until nobody waits for that any longer.
    GroupAwaited,
    /// The instance has ended.
    Ended,
    /// A report of this function says that an earlier try put the event on the bus.
    PutBefore,
    /// A report of this function says that an earlier try published the message.
    PublishedBefore,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnnounced => write!(f, "this signal is not announced"),
            Self::ToldWithInterruption => write!(
                f,
                "the instance was interrupted or taken out meanwhile: an interruption is announced by itself"
            ),
            Self::NothingHandedOff => {
                write!(
                    f,
                    "the functions had nothing to do for it, so there is nothing to announce"
                )
            }
            Self::NothingBegun => write!(f, "no function has begun anything to announce"),
            Self::LeftOut => write!(
                f,
                "Announcements leaves this message out; the event is put on the bus"
            ),
            Self::GroupAwaited => write!(
                f,
                "the message waits until its group is whole again, or until nobody waits for that any longer"
            ),
            Self::Ended => write!(f, "the instance has ended"),
            Self::PutBefore => write!(f, "an earlier try has put the event on the bus"),
            Self::PublishedBefore => write!(f, "an earlier try has published the message"),
        }
    }
}

/// Whether to look for reports about the notice.
///
/// # Errors
/// The reason, if not.
pub fn is_announced(notice: &Notice) -> Result<(), Skip> {
    Subject::of(notice).map(|_| ())
}

/// What to announce about one notice: what the `reporters` have done, without what our own reports say is already
/// announced.
pub fn plan(
    notice: &Notice,
    reporters: &[Reporter],
    reports: Option<&Reports>,
    announcements: Announcements,
    now: Timestamp,
) -> Plan {
    if let Signal::FollowUp(FollowUp { step: Step::Tell, .. }) = notice.signal {
        return Plan {
            actions: vec![Action::PublishPending],
            ..Plan::default()
        };
    }
    let subject = match Subject::of(notice) {
        Ok(subject) => subject,
        Err(skip) => return Plan::nothing(&notice.instance, skip),
    };
    if !subject.is_interrupted() {
        return plan_other(notice, &subject, reporters, reports, announcements, now);
    }
    let is_over = now >= subject.over_at(notice);
    match subject.asked {
        Asked::Start => plan_start(notice, &subject, reporters, reports, now),
        Asked::All if !is_over => {
            let mut plan = plan_start(notice, &subject, reporters, reports, now);
            plan.actions.push(Action::Await {
                instance: notice.instance.to_string(),
                at: subject.over_at(notice),
                follow_up: subject.look_again(Step::AwaitEnd {
                    action: subject.action,
                }),
            });
            plan
        }
        Asked::Gone => gone::plan(notice, &subject, reports, announcements, now),
        Asked::All | Asked::End | Asked::Whole => plan_end(
            notice,
            &subject,
            reporters,
            reports,
            announcements,
            Progress::Over(None),
            now,
        ),
    }
}

/// The reports of each function.
fn by_function<'a>(reporters: &'a [Reporter], reports: &'a [Report]) -> Vec<(&'a Reporter, Vec<&'a Report>)> {
    let of = |function: &str| -> Vec<&Report> {
        let theirs = reports.iter().filter(|report| report.function == function);
        theirs.collect()
    };
    reporters
        .iter()
        .map(|reporter| (reporter, of(reporter.function)))
        .collect()
}

/// What to announce about its beginning: that it has begun, or nothing yet.
fn plan_start(
    notice: &Notice,
    subject: &Subject,
    reporters: &[Reporter],
    reports: Option<&Reports>,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let instance = notice.instance.to_string();
    let reports = match reports {
        Some(Ok(told)) => told.reports.as_slice(),
        // Others have less time than the table may take, so they get what the warning says.
        Some(Err(_)) => {
            let detail = event::start_detail(notice, subject, &[], &[], now);
            plan.actions.push(Action::PutStartEvent { instance, detail });
            return plan;
        }
        None => &[],
    };
    let found = by_function(reporters, reports);
    match watch::start(notice, subject, &found, now) {
        Start::Begun(by) => {
            let detail = event::start_detail(notice, subject, &by, reports, now);
            plan.actions.push(Action::PutStartEvent { instance, detail });
        }
        Start::Awaited(at) => {
            let Some(action) = subject.action else {
                return plan;
            };
            plan.actions.push(Action::Await {
                instance,
                at,
                follow_up: subject.look_again(Step::AwaitStart { action }),
            });
        }
        Start::Never => plan.skip(&notice.instance, Skip::NothingBegun),
    }
    plan
}

/// What to announce about an exchange, a retirement or a termination when it is over: how it went.
fn plan_other(
    notice: &Notice,
    subject: &Subject,
    reporters: &[Reporter],
    reports: Option<&Reports>,
    announcements: Announcements,
    now: Timestamp,
) -> Plan {
    let told = match reports {
        Some(Ok(told)) => told.reports.as_slice(),
        Some(Err(error)) => {
            return Plan {
                problems: vec![error.to_string()],
                ..Plan::default()
            };
        }
        None => &[],
    };
    let found = by_function(reporters, told);
    match watch::progress(notice, subject, &found, now) {
        Progress::Nothing => Plan::nothing(&notice.instance, Skip::NothingHandedOff),
        Progress::Over(Some(Ending::LeftMeanwhile)) => {
            Plan::nothing(&notice.instance, Skip::ToldWithInterruption)
        }
        Progress::Awaited(at) => Plan {
            actions: vec![Action::Await {
                instance: notice.instance.to_string(),
                at,
                follow_up: subject.look_again(Step::AwaitEnd { action: None }),
            }],
            ..Plan::default()
        },
        progress @ (Progress::Over(_) | Progress::GivenUp) => {
            plan_end(notice, subject, reporters, reports, announcements, progress, now)
        }
    }
}

/// What to announce about its end.
fn plan_end(
    notice: &Notice,
    subject: &Subject,
    reporters: &[Reporter],
    reports: Option<&Reports>,
    announcements: Announcements,
    progress: Progress,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let nothing = Told::default();
    let told = match reports {
        Some(Ok(told)) => told,
        Some(Err(error)) => {
            plan.problems.push(error.to_string());
            return plan;
        }
        None => &nothing,
    };
    let found = by_function(reporters, &told.reports);
    let standing = told.standing.as_ref();
    let hand_off = HandOff::of(notice, subject, standing, progress, &found);
    let action = subject.action;
    let look_again = |at, step| Action::Await {
        instance: notice.instance.to_string(),
        at,
        follow_up: subject.look_again(step),
    };
    if hand_off.outcome == Outcome::NothingToDo {
        return Plan::nothing(&notice.instance, Skip::NothingHandedOff);
    }
    if hand_off.kept.unseen() > 0
        && hand_off.outcome != Outcome::Failed
        && let Some(at) = watch::late(notice, subject, now)
    {
        plan.actions.push(look_again(at, Step::AwaitEnd { action }));
        return plan;
    }
    let is_looking = matches!(standing, Some(Standing::Looking { .. }));
    let again = watch::whole(notice, now).filter(|_| is_looking);
    if let Some(at) = again {
        plan.actions.push(look_again(at, Step::AwaitWhole { action }));
        if subject.asked == Asked::Whole {
            return plan;
        }
    }
    let before = told.reports.iter().filter(|report| report.function == OWN_NAME);
    let before: Vec<&Report> = before.collect();
    let is_done = |kind| {
        let mut lines = before.iter().flat_map(|report| &report.actions);
        let told = [ActionResult::Done, ActionResult::Later];
        lines.any(|line| line.action == kind && told.contains(&line.result))
    };
    let message = text::message(&hand_off);
    let of = match subject.asked {
        Asked::Whole => Event::Whole,
        Asked::All | Asked::Start | Asked::End | Asked::Gone => Event::Ended,
    };
    if of == Event::Ended && is_done(ActionKind::PutEvent) {
        plan.skip(&notice.instance, Skip::PutBefore);
    } else {
        plan.actions.push(Action::PutEvent {
            of,
            instance: notice.instance.to_string(),
            detail: event::detail(&hand_off, &message),
        });
        if of == Event::Ended {
            plan.actions.extend(gone::look(notice, subject, &told.reports));
        }
    }
    // Most groups are short for the minute that a launch takes. So the message waits for the result.
    let ends_well = again.is_some() && hand_off.outcome == Outcome::StillShort && !told.launches_fail;
    let published = is_done(ActionKind::PublishMessage);
    let wanted = match announcements {
        Announcements::All => true,
        Announcements::Failures => hand_off.outcome.is_bad() || (of == Event::Whole && published),
        Announcements::None => false,
    };
    if !wanted {
        plan.skip(&notice.instance, Skip::LeftOut);
    } else if ends_well {
        plan.skip(&notice.instance, Skip::GroupAwaited);
    } else if published && of == Event::Ended {
        plan.skip(&notice.instance, Skip::PublishedBefore);
    } else {
        plan.actions.push(Action::Publish(message));
    }
    plan
}

#[cfg(test)]
mod tests;
