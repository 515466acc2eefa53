//! `Spot Handoff Follow-up`: a message from one of our functions to itself or to another, usually a delayed one.
//!
//! No function sleeps. What has to happen later travels as a delayed SQS message. It looks like any other EventBridge
//! event, keeps the id and the time of its notice, and carries all the state that it needs.

use jiff::{SignedDuration, Timestamp};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::rerun_order::RerunOrder;
use super::{
    Drill, InstanceAction, InstanceId, LifecycleAction, Notice, NoticeError, Parsed, Signal, check_event_id,
    detail,
};

pub const DETAIL_TYPE: &str = "Spot Handoff Follow-up";
/// The source of follow-ups. No rule matches it: they go straight to the queues.
pub const SOURCE: &str = "spot-handoff";

/// A step that one function asks of itself or of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FollowUp {
    /// Why the instance is handed off.
    pub cause: Cause,
    /// When the hand-off has to be over. No follow-up is sent for a later moment.
    pub deadline: Option<Timestamp>,
    /// What to do now.
    #[serde(flatten)]
    pub step: Step,
}

/// Why an instance is handed off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// An interruption warning.
    Interruption,
    /// A state change, with or without a warning before it.
    StateChange,
    /// A rebalance recommendation.
    Rebalance,
    /// A scheduled retirement.
    Retirement,
    /// A termination by Auto Scaling.
    Termination,
    /// A restart by AWS.
    Restart,
}

/// What a follow-up asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Step {
    /// replace-capacity to the other two: move the work off this instance now.
    MoveWork {
        /// The Auto Scaling group the instance is, or was, in.
        group: String,
        /// The replacement, if there is one. drain-tasks waits until it is registered in the cluster.
        replacement: Option<InstanceId>,
    },
    /// drain-tasks to itself: the latest safe moment of these tasks has come. Stop those that still run, and run those
    /// again that ask for it.
    StopTasks {
        /// The cluster.
        cluster: String,
        /// ARN of the container instance the tasks were on.
        container_instance: String,
        /// ARNs of the tasks.
        tasks: Vec<String>,
        /// The later moment for tasks that are the last of their services by then: nothing else serves their requests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        as_last: Option<Timestamp>,
        /// Re-runs of these tasks that may be missing in the table, because it did not answer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reruns: Vec<RerunOrder>,
    },
    /// drain-tasks to itself: the instance is gone by now. See how its tasks ended.
    SeeEnds {
        /// The cluster.
        cluster: String,
        /// ARNs of the tasks.
        tasks: Vec<String>,
    },
    /// drain-tasks to itself: see whether the tasks are gone.
    AwaitTasks {
        /// What to do when they are.
        then: Then,
        /// The time of the first of the latest looks at which the ECS agent was disconnected. `None` if it was
        /// connected at the last look.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        silent_since: Option<Timestamp>,
    },
    /// Each function to itself: look for anything that came back, came late, or may leave by now.
    Look {
        /// The Auto Scaling group that the instance was in. It may have left the group since.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// Where the instance was registered at the last look.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        registered: Vec<Registered>,
        /// deregister-targets: what it saw at the last look in the target groups of the instance.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        seen: Vec<Serving>,
    },
    /// replace-capacity to itself: see whether the replacement is in service.
    AwaitReplacement {
        /// The Auto Scaling group.
        group: String,
    },
    /// replace-capacity to itself: see whether the group is whole again. It carries the instance whose interruption
    /// began the watch over the group, or whose interruption joins it.
    WatchGroup {
        /// The Auto Scaling group.
        group: String,
        /// The number of the look: 0 asks to begin the watch or to join it.
        look: u32,
    },
    /// drain-tasks to replace-capacity: the work cannot move to the replacement, so let the old instance serve on.
    GiveUp {
        /// The Auto Scaling group.
        group: String,
    },
    /// drain-tasks to replace-capacity: the work has moved, terminate the old instance.
    Retire {
        /// The Auto Scaling group.
        group: String,
    },
    /// run-commands to itself: see whether the stop script has ended.
    AwaitScript {
        /// The Auto Scaling group.
        group: String,
        /// Id of the command that runs the script.
        command: String,
        /// The document.
        document: String,
        /// When the command was sent.
        sent: Timestamp,
        /// When run-commands stops waiting for it.
        until: Timestamp,
    },
    /// drain-tasks to itself: see whether a restart is near or over.
    AwaitRestart {
        /// The change that it belongs to: see [`super::ScheduledRestart`].
        change: String,
        /// The time of this look. The table says which look counts.
        turn: Timestamp,
    },
    /// drain-tasks to itself and to deregister-targets: the instance restarts at the deadline. Move its work away until
    /// then.
    StepAside {
        /// The Auto Scaling group, if the instance is in one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// To the same two: the restart is over, so give back what was taken.
    StepBack,
    /// announce-hand-offs to itself: publish everything that has gathered, in one message.
    Tell,
    /// announce-hand-offs to itself: see whether a function has begun the hand-off, and announce that.
    AwaitStart {
        /// What EC2 does to the instance.
        action: InstanceAction,
    },
    /// announce-hand-offs to itself: see whether the hand-off is over, and announce that.
    AwaitEnd {
        /// What EC2 does to the instance; `None` if no interruption warning has come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<InstanceAction>,
    },
    /// announce-hand-offs to itself: see whether an instance that left its group has ended. Announce it if not.
    AwaitGone {
        /// What EC2 was to do to the instance.
        action: InstanceAction,
    },
    /// announce-hand-offs to itself: it has announced that the group is not whole. See whether it is whole again.
    AwaitWhole {
        /// What EC2 did to the instance.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<InstanceAction>,
    },
}

/// The time between two looks at an instance.
const BETWEEN_LOOKS: SignedDuration = SignedDuration::from_secs(10);
/// How many instances the looks may cover a second. For a hundred instances, each function makes some six reads of ECS.
/// AWS admits twenty such reads a second in all, and looks use half of them.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>
const LOOKED_AT_A_SECOND: i64 = 80;

/// Even in the largest storm, latecomers are noticed within half a minute.
const BETWEEN_LOOKS_AT_MOST: SignedDuration = SignedDuration::from_secs(30);

/// The time until the next look at an instance, if this many are looked at together.
pub fn between_looks(together: usize) -> SignedDuration {
    let together = i64::try_from(together).unwrap_or(i64::MAX);
    SignedDuration::from_secs(together / LOOKED_AT_A_SECOND).clamp(BETWEEN_LOOKS, BETWEEN_LOOKS_AT_MOST)
}

/// When to look next at an instance that goes at `ends`: after `every`, or ten seconds before the end if that comes
/// first. Never sooner than in ten seconds.
pub fn next_look(now: Timestamp, ends: Timestamp, every: SignedDuration) -> Timestamp {
    let soonest = now.saturating_add(BETWEEN_LOOKS).unwrap_or(now);
    let last = ends.saturating_sub(BETWEEN_LOOKS).unwrap_or(ends).max(soonest);
    now.saturating_add(every).unwrap_or(now).min(last)
}

/// How many targets of a target group were seen to serve.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Serving {
    /// ARN of the target group.
    pub target_group: String,
    /// How many served.
    pub serving: usize,
    /// How many of these are not under notice.
    pub staying: usize,
}

/// Where an instance was registered. The next look asks there, and does not search all clusters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Registered {
    /// The cluster.
    pub cluster: String,
    /// The id of the container instance, the last part of its ARN.
    pub container_instance: String,
    /// drain-tasks: how many tasks ECS wanted running on it when it was `DRAINING` and its tasks were handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining_with: Option<usize>,
}

/// What happens when the tasks of an instance are gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// Auto Scaling may go on with the termination.
    CompleteLifecycleAction(LifecycleAction),
    /// replace-capacity may terminate the instance.
    Retire {
        /// The Auto Scaling group.
        group: String,
    },
}

/// A follow-up to one notice. The event itself carries it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "an object")]
struct Detail {
    instance_id: InstanceId,
    #[serde(flatten)]
    follow_up: FollowUp,
}

/// Follow-ups to many notices in one message, so that a look at a storm does not take a thousand messages.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "an object")]
struct Many {
    notices: Vec<One>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "an object")]
struct One {
    event_id: String,
    time: Timestamp,
    instance_id: InstanceId,
    #[serde(default)]
    drill: bool,
    #[serde(default)]
    for_real: bool,
    #[serde(flatten)]
    follow_up: FollowUp,
}

pub fn parse(value: &RawValue) -> Result<Parsed, NoticeError> {
    let Detail {
        instance_id,
        follow_up,
    } = detail(value)?;
    Ok(Parsed::one(instance_id, Signal::FollowUp(follow_up)))
}

/// The notices of a message about many; `None` if it is about one.
pub fn parse_many(value: &RawValue, now: Timestamp) -> Result<Option<Vec<Notice>>, NoticeError> {
    #[derive(Deserialize)]
    #[serde(expecting = "an object")]
    struct Kind {
        #[serde(default)]
        notices: Option<IgnoredAny>,
    }
    let kind: Kind = detail(value)?;
    if kind.notices.is_none() {
        return Ok(None);
    }
    let Many { notices } = detail(value)?;
    let notice = |(index, one): (usize, One)| {
        check_event_id(&format!("detail.notices[{index}].event-id"), &one.event_id)?;
        Ok(Notice {
            event_id: one.event_id,
            instance: one.instance_id,
            time: one.time.min(now),
            signal: Signal::FollowUp(one.follow_up),
            ends: None,
            drill: one.drill.then_some(Drill {
                for_real: one.for_real,
            }),
        })
    };
    let notices: Result<Vec<Notice>, NoticeError> = notices.into_iter().enumerate().map(notice).collect();
    notices.map(Some)
}

impl Step {
    /// The Auto Scaling group that it names. The instance may have left it.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::MoveWork { group, .. }
            | Self::Look {
                group: Some(group), ..
            }
            | Self::StepAside { group: Some(group) }
            | Self::AwaitReplacement { group }
            | Self::WatchGroup { group, .. }
            | Self::GiveUp { group }
            | Self::AwaitScript { group, .. }
            | Self::Retire { group }
            | Self::AwaitTasks {
                then: Then::Retire { group },
                ..
            } => Some(group),
            Self::AwaitTasks {
                then: Then::CompleteLifecycleAction(action),
                ..
            } => Some(&action.group),
            Self::Look { group: None, .. }
            | Self::StepAside { group: None }
            | Self::AwaitRestart { .. }
            | Self::StepBack
            | Self::StopTasks { .. }
            | Self::SeeEnds { .. }
            | Self::Tell
            | Self::AwaitStart { .. }
            | Self::AwaitEnd { .. }
            | Self::AwaitGone { .. }
            | Self::AwaitWhole { .. } => None,
        }
    }
}

impl FollowUp {
    /// The message body: the follow-up to `notice` as an EventBridge event.
    pub fn to_body(&self, notice: &Notice) -> String {
        event(notice, self.to_detail(notice))
    }

    /// The body of one message with follow-ups to many notices. The rest of it is an event about the first of them.
    pub fn many_to_body(follow_ups: &[(&Notice, &Self)]) -> Option<String> {
        let (first, _) = follow_ups.first()?;
        let one = |(notice, follow_up): &(&Notice, &Self)| {
            let mut detail = follow_up.to_detail(notice);
            detail["event-id"] = json!(notice.event_id);
            detail["time"] = json!(notice.time);
            detail
        };
        let notices: Vec<Value> = follow_ups.iter().map(one).collect();
        Some(event(first, json!({ "notices": notices })))
    }

    fn to_detail(&self, notice: &Notice) -> Value {
        let mut detail = json!(self);
        detail["instance-id"] = json!(notice.instance);
        if let Some(drill) = notice.drill {
            detail["drill"] = json!(true);
            detail["for-real"] = json!(drill.for_real);
        }
        detail
    }
}

fn event(notice: &Notice, detail: Value) -> String {
    json!({
        "version": "0",
        "id": notice.event_id,
        "detail-type": DETAIL_TYPE,
        "source": SOURCE,
        "time": notice.time,
        "resources": [],
        "detail": detail,
    })
    .to_string()
}
