//! Notices: what AWS, or one of our own functions, says about an instance.
//!
//! One file for each event: the detail-type it answers to, the fields it needs, the [`Signal`] it becomes. A message
//! is parsed by itself, so that one which cannot be read fails alone, and the error names the field.

mod follow_up;
mod home;
mod instance_id;
mod interruption_warning;
mod rebalance_recommendation;
mod scheduled_retirement;
mod state_change;
mod terminate_lifecycle_action;

use aws_lambda_events::eventbridge::EventBridgeEvent;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

pub use follow_up::{Cause, FollowUp, SOURCE as FOLLOW_UP_SOURCE, Step, Then};
pub use home::Home;
pub use instance_id::InstanceId;
pub use interruption_warning::InstanceAction;
pub use state_change::InstanceState;
pub use terminate_lifecycle_action::LifecycleAction;

/// The source of drills: AWS refuses `aws.*` sources in PutEvents, so a game day sends the same events under this one.
pub const DRILL_SOURCE: &str = "spot-handoff.drill";

/// How long before the interruption EC2 sends its warning.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>
pub const NOTICE: SignedDuration = SignedDuration::from_secs(120);

/// What one event says about one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Id of the EventBridge event.
    pub event_id: String,
    /// The instance the event names in its detail. The ARN in `resources` is not used: for an interruption warning it
    /// carries the Availability Zone in the place of the region.
    pub instance: InstanceId,
    /// When the event was emitted.
    pub time: Timestamp,
    /// What is said about the instance.
    pub signal: Signal,
    /// Where somebody holds a drill: which kind.
    pub drill: Option<Drill>,
}

/// A drill: an event under [`DRILL_SOURCE`], and the follow-ups to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drill {
    /// Whether it is acted on. A drill is only planned, unless its detail has `"for-real": true`.
    pub for_real: bool,
}

impl Drill {
    fn of(source: &str, detail: &RawValue) -> Option<Self> {
        let detail: Value = serde_json::from_str(detail.get()).ok()?;
        let is_drill = source == DRILL_SOURCE || (source == FOLLOW_UP_SOURCE && detail["drill"] == true);
        is_drill.then(|| Self {
            for_real: detail["for-real"] == true,
        })
    }
}

/// What is said about the instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// EC2 takes the instance back in two minutes.
    InterruptionWarning {
        /// What EC2 will do to the instance.
        action: InstanceAction,
    },
    /// The instance is at an elevated risk of interruption.
    RebalanceRecommendation,
    /// Auto Scaling is about to terminate the instance and waits for the hook.
    TerminateLifecycleAction(LifecycleAction),
    /// The instance is stopping or shutting down already.
    StateChange {
        /// The state it is in.
        state: InstanceState,
    },
    /// AWS will retire the hardware under the instance.
    ScheduledRetirement {
        /// When AWS will stop the instance.
        starts: Timestamp,
    },
    /// One of our own functions comes back to the instance.
    FollowUp(FollowUp),
}

impl Signal {
    /// The name of an interruption warning.
    pub const INTERRUPTION_WARNING: &'static str = "interruption-warning";
    /// The name of a follow-up.
    pub const FOLLOW_UP: &'static str = "follow-up";

    /// The name of the kind, as reports and metrics carry it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InterruptionWarning { .. } => Self::INTERRUPTION_WARNING,
            Self::RebalanceRecommendation => "rebalance-recommendation",
            Self::TerminateLifecycleAction(_) => "terminate-lifecycle-action",
            Self::StateChange { .. } => "state-change",
            Self::ScheduledRetirement { .. } => "scheduled-retirement",
            Self::FollowUp(_) => Self::FOLLOW_UP,
        }
    }
}

impl Notice {
    /// Whether to plan only, whatever the function is set to.
    pub fn is_planned_only(&self) -> bool {
        self.drill.is_some_and(|drill| !drill.for_real)
    }

    /// When the instance goes away, where the notice says so.
    pub fn deadline(&self) -> Option<Timestamp> {
        match &self.signal {
            // Hibernation begins with the warning itself: there are no two minutes, and no seconds to be left.
            Signal::InterruptionWarning {
                action: InstanceAction::Hibernate,
            } => None,
            Signal::InterruptionWarning { .. } => Some(self.time.saturating_add(NOTICE).unwrap_or(self.time)),
            Signal::ScheduledRetirement { starts } => Some(*starts),
            Signal::FollowUp(follow_up) => follow_up.deadline,
            // An instance that stops already has no known moment left; everything is due now.
            Signal::StateChange { .. }
            | Signal::RebalanceRecommendation
            | Signal::TerminateLifecycleAction(_) => None,
        }
    }

    /// Whether the notice is so old that the instance it speaks of may be another one by now: a Spot instance that was
    /// stopped comes back under the same id. Lifecycle actions and follow-ups carry limits of their own.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        const STALE_AFTER: SignedDuration = SignedDuration::from_mins(30);
        match self.signal {
            Signal::InterruptionWarning { .. }
            | Signal::RebalanceRecommendation
            | Signal::StateChange { .. } => now.duration_since(self.time) > STALE_AFTER,
            Signal::ScheduledRetirement { .. }
            | Signal::TerminateLifecycleAction(_)
            | Signal::FollowUp(_) => false,
        }
    }
}

/// What a message turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Notices, one for each instance the event names.
    Notices(Vec<Notice>),
    /// An event that asks nothing of us.
    NotOurs {
        /// Its source and detail-type, for the log.
        what: String,
    },
}

/// Why a message cannot be read.
#[derive(Debug, Error)]
pub enum NoticeError {
    /// The text is not JSON.
    #[error("the message is not JSON: {0}")]
    NotJson(String),
    /// A field is missing, of the wrong type or of an impossible value.
    #[error("field `{field}`: {problem}")]
    Field {
        /// Path of the field in the event, for example `detail.instance-id`.
        field: String,
        /// What was expected and what was found.
        problem: String,
    },
}

impl NoticeError {
    /// A problem with a field. What was found may be long, and is cut.
    pub fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field {
            field: cut(field.into()),
            problem: cut(problem.into()),
        }
    }
}

/// The longest text of a message that goes into a log line.
const SHOWN: usize = 200;

/// The longest event id that is accepted; those of EventBridge have 36 characters. The id goes into every report and
/// follow-up, whose size SQS limits.
const LONGEST_EVENT_ID: usize = 100;

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// An event whose detail is still text: each kind reads it into its own type, which sees a key that stands there twice.
type Event = EventBridgeEvent<Box<RawValue>>;

/// Reads the text of one message: an EventBridge event.
///
/// `now` bounds the time of the event: one from the future counts as sent now, so that a wrong clock somewhere cannot
/// move the deadline.
///
/// # Errors
/// Where the text is not JSON, or a field that is needed is missing or wrong; the error names the field.
pub fn parse(text: &str, now: Timestamp) -> Result<Message, NoticeError> {
    parse_at(text, &Home::default(), now)
}

/// The same for a function that is at `home`: an event about another account or region is not ours.
///
/// # Errors
/// As above.
pub fn parse_at(text: &str, home: &Home, now: Timestamp) -> Result<Message, NoticeError> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        return Err(NoticeError::NotJson(error.to_string()));
    }
    expect_object("the event", text)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let event: Event = at_path("", serde_path_to_error::deserialize(&mut json))?;
    let is_follow_up = event.source == follow_up::SOURCE && event.detail_type == follow_up::DETAIL_TYPE;
    if is_follow_up && let Some(notices) = follow_up::parse_many(&event.detail, now)? {
        return Ok(Message::Notices(notices));
    }
    let Some((instances, signal)) = signal(&event)? else {
        return Ok(Message::NotOurs {
            what: cut(format!("{} `{}`", event.source, event.detail_type)),
        });
    };
    if let Some(elsewhere) = home.why_foreign(&event)? {
        return Ok(Message::NotOurs {
            what: cut(format!("{} `{}` {elsewhere}", event.source, event.detail_type)),
        });
    }
    let event_id = event.id.ok_or_else(|| NoticeError::field("id", "missing"))?;
    check_event_id("id", &event_id)?;
    let time = event.time.ok_or_else(|| NoticeError::field("time", "missing"))?;
    let time = Timestamp::from_millisecond(time.timestamp_millis())
        .map_err(|error| NoticeError::field("time", error.to_string()))?
        .min(now);
    let drill = Drill::of(&event.source, &event.detail);
    let notice = |instance| Notice {
        event_id: event_id.clone(),
        instance,
        time,
        signal: signal.clone(),
        drill,
    };
    Ok(Message::Notices(instances.into_iter().map(notice).collect()))
}

fn check_event_id(field: &str, id: &str) -> Result<(), NoticeError> {
    if id.is_empty() || id.chars().count() > LONGEST_EVENT_ID {
        let problem = format!("expected 1 to {LONGEST_EVENT_ID} characters");
        return Err(NoticeError::field(field, problem));
    }
    Ok(())
}

/// Finds the file that answers to the event's source and detail-type.
fn signal(event: &Event) -> Result<Option<(Vec<InstanceId>, Signal)>, NoticeError> {
    let of_aws = |service: &str| event.source == service || event.source == DRILL_SOURCE;
    match event.detail_type.as_str() {
        interruption_warning::DETAIL_TYPE if of_aws("aws.ec2") => {
            interruption_warning::parse(&event.detail).map(Some)
        }
        rebalance_recommendation::DETAIL_TYPE if of_aws("aws.ec2") => {
            rebalance_recommendation::parse(&event.detail).map(Some)
        }
        state_change::DETAIL_TYPE if of_aws("aws.ec2") => state_change::parse(&event.detail),
        terminate_lifecycle_action::DETAIL_TYPE if of_aws("aws.autoscaling") => {
            terminate_lifecycle_action::parse(&event.detail).map(Some)
        }
        scheduled_retirement::DETAIL_TYPE if of_aws("aws.health") => {
            scheduled_retirement::parse(&event.detail)
        }
        follow_up::DETAIL_TYPE if event.source == follow_up::SOURCE => {
            follow_up::parse(&event.detail).map(Some)
        }
        _ => Ok(None),
    }
}

/// A list of the right values would do for serde as well.
fn expect_object(field: &str, json: &str) -> Result<(), NoticeError> {
    match json.trim_start().starts_with('{') {
        true => Ok(()),
        false => Err(NoticeError::field(field, "expected an object")),
    }
}

/// Reads the detail of an event into the type that names the fields it needs.
fn detail<T: DeserializeOwned>(detail: &RawValue) -> Result<T, NoticeError> {
    expect_object("detail", detail.get())?;
    let mut json = serde_json::Deserializer::from_str(detail.get());
    at_path("detail", serde_path_to_error::deserialize(&mut json))
}

fn at_path<T, E: std::fmt::Display>(
    parent: &str,
    result: Result<T, serde_path_to_error::Error<E>>,
) -> Result<T, NoticeError> {
    result.map_err(|error| {
        let path = error.path().to_string();
        let problem = error.inner().to_string();
        // The path says where; a position in a part of the message says nothing.
        let problem = problem.split(" at line ").next().unwrap_or_default();
        // serde puts a missing or repeated field into the message and not into the path.
        let named = |words: &str| {
            problem
                .strip_prefix(words)
                .and_then(|rest| rest.split('`').next())
        };
        let (missing, repeated) = (named("missing field `"), named("duplicate field `"));
        let path = if path == "." { "" } else { path.as_str() };
        let steps = [parent, path, missing.or(repeated).unwrap_or("")];
        let field: Vec<_> = steps.into_iter().filter(|step| !step.is_empty()).collect();
        let field = if field.is_empty() {
            "the event".to_owned()
        } else {
            field.join(".")
        };
        NoticeError::field(
            field,
            match (missing, repeated) {
                (Some(_), _) => "missing",
                (None, Some(_)) => "stands there twice",
                (None, None) => problem,
            },
        )
    })
}

#[cfg(test)]
mod tests;
