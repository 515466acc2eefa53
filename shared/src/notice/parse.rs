//! Reads the text of a message.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::advice::{Advice, Matter};
use super::error::{NoticeError, at_path, cut, expect_object};
use super::{
    DRILL_SOURCE, Drill, Home, InstanceId, LaunchFailed, Message, Notice, Parsed, ScheduledRestart, Signal,
    capacity_block, capacity_interruption, follow_up, interruption_warning, launch_failed, left_warm_pool,
    rebalance_recommendation, scheduled_change, state_change, terminate_lifecycle_action,
};

/// The longest accepted event id; those of EventBridge have 36 characters. The id goes into every report and follow-up,
/// and SQS limits their size.
const LONGEST_EVENT_ID: usize = 100;

/// An event whose detail is still text. Each kind of event reads it into its own type, and so notices a repeated key.
pub(super) type Event = EventBridgeEvent<Box<RawValue>>;

/// Reads the text of one message: an EventBridge event.
///
/// `now` limits the time of the event. An event from the future counts as sent now, so that a wrong clock somewhere
/// cannot move the deadline.
///
/// # Errors
/// If the text is not JSON, or a needed field is missing or wrong; the error names the field.
pub fn parse(text: &str, now: Timestamp) -> Result<Message, NoticeError> {
    parse_at(text, &Home::default(), now)
}

/// The same for a function at `home`: an event about another account or region is not ours.
///
/// # Errors
/// As for [`parse`].
pub fn parse_at(text: &str, home: &Home, now: Timestamp) -> Result<Message, NoticeError> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        return Err(NoticeError::NotJson(error.to_string()));
    }
    expect_object("the event", text)?;
    if let Some(what) = notification_of_auto_scaling(text) {
        return Ok(Message::NotOurs { what: cut(what) });
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let event: Event = at_path("", serde_path_to_error::deserialize(&mut json))?;
    let is_follow_up = event.source == follow_up::SOURCE && event.detail_type == follow_up::DETAIL_TYPE;
    if is_follow_up && let Some(notices) = follow_up::parse_many(&event.detail, now)? {
        return Ok(Message::Notices(notices));
    }
    let content = match content(&event)? {
        Content::Other => {
            return Ok(Message::NotOurs {
                what: cut(format!("{} `{}`", event.source, event.detail_type)),
            });
        }
        content => content,
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
    let parsed = match content {
        Content::Notice(parsed) => parsed,
        Content::Advice { about, what, at } => {
            return Ok(Message::Advice(Advice {
                event_id,
                about,
                what,
                at,
                drill: drill.is_some(),
            }));
        }
        Content::Restart { told, instances } => {
            let notice = |(instance, mut restart): (InstanceId, ScheduledRestart)| {
                if restart.change.is_empty() {
                    restart.change.clone_from(&event_id);
                }
                Notice {
                    event_id: event_id.clone(),
                    instance,
                    time,
                    signal: Signal::ScheduledRestart(restart),
                    ends: None,
                    drill,
                }
            };
            let notices = instances.into_iter().map(notice).collect();
            return Ok(match told {
                None => Message::Notices(notices),
                Some((about, what, at)) => Message::Announced {
                    advice: Advice {
                        event_id,
                        about,
                        what,
                        at,
                        drill: drill.is_some(),
                    },
                    notices,
                },
            });
        }
        Content::LaunchFailed { group, message } => {
            return Ok(Message::LaunchFailed(LaunchFailed {
                event_id,
                time,
                group,
                message,
            }));
        }
        Content::Other => return Ok(Message::Notices(vec![])),
    };
    let notice = |instance| Notice {
        event_id: event_id.clone(),
        instance,
        time,
        signal: parsed.signal.clone(),
        ends: parsed.ends,
        drill,
    };
    Ok(Message::Notices(
        parsed.instances.iter().cloned().map(notice).collect(),
    ))
}

/// The name of a notification that Auto Scaling sends to a queue directly, without EventBridge. The first one,
/// `autoscaling:TEST_NOTIFICATION`, comes when the queue is set as the target of a lifecycle hook.
/// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/prepare-for-lifecycle-notifications.html>
fn notification_of_auto_scaling(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Notification {
        event: String,
    }
    let notification: Notification = serde_json::from_str(text).ok()?;
    let is_one = notification.event.starts_with("autoscaling:");
    is_one.then_some(notification.event)
}

pub(super) fn check_event_id(field: &str, id: &str) -> Result<(), NoticeError> {
    if id.is_empty() || id.chars().count() > LONGEST_EVENT_ID {
        let problem = format!("expected 1 to {LONGEST_EVENT_ID} characters");
        return Err(NoticeError::field(field, problem));
    }
    Ok(())
}

/// The content of an event.
pub(super) enum Content {
    /// Something about instances that a function acts on.
    Notice(Parsed),
    /// Something that people have to know.
    Advice {
        about: Vec<String>,
        what: Matter,
        at: Option<Timestamp>,
    },
    /// Restarts: people have to know about them unless they are over, and the functions act at the date.
    Restart {
        told: Option<(Vec<String>, Matter, Option<Timestamp>)>,
        instances: Vec<(InstanceId, ScheduledRestart)>,
    },
    /// A launch failed.
    LaunchFailed { group: String, message: String },
    /// An event that we do not handle.
    Other,
}

/// Finds the reader for the event's source and detail-type.
fn content(event: &Event) -> Result<Content, NoticeError> {
    let of_aws = |service: &str| event.source == service || event.source == DRILL_SOURCE;
    let detail = &event.detail;
    let parsed = match event.detail_type.as_str() {
        interruption_warning::DETAIL_TYPE if of_aws("aws.ec2") => interruption_warning::parse(detail)?,
        capacity_interruption::DETAIL_TYPE if of_aws("aws.ec2") => capacity_interruption::parse(detail)?,
        rebalance_recommendation::DETAIL_TYPE if of_aws("aws.ec2") => {
            rebalance_recommendation::parse(detail)?
        }
        state_change::DETAIL_TYPE if of_aws("aws.ec2") => match state_change::parse(detail)? {
            Some(parsed) => parsed,
            None => return Ok(Content::Other),
        },
        left_warm_pool::DETAIL_TYPE if of_aws("aws.autoscaling") => match left_warm_pool::parse(detail)? {
            Some(parsed) => parsed,
            None => return Ok(Content::Other),
        },
        launch_failed::DETAIL_TYPE if of_aws("aws.autoscaling") => {
            let (group, message) = launch_failed::parse(detail)?;
            return Ok(Content::LaunchFailed { group, message });
        }
        terminate_lifecycle_action::DETAIL_TYPE if of_aws("aws.autoscaling") => {
            terminate_lifecycle_action::parse(detail)?
        }
        follow_up::DETAIL_TYPE if event.source == follow_up::SOURCE => follow_up::parse(detail)?,
        scheduled_change::DETAIL_TYPE if of_aws("aws.health") => return scheduled_change::parse(detail),
        kind if capacity_block::DETAIL_TYPES.contains(&kind) && of_aws("aws.ec2") => {
            return capacity_block::parse(detail);
        }
        _ => return Ok(Content::Other),
    };
    Ok(Content::Notice(parsed))
}
