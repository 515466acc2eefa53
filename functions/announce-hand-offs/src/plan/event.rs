//! The event on the bus: the same account for programs. Its schema is `docs/hand-off-event.schema.json`.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use spot_handoff::notice::{InstanceAction, Notice};
use spot_handoff::report::kept::Kept;
use spot_handoff::report::{Pool as ReportedPool, Report, ScriptLine};
use spot_handoff::state::group_watch::Standing;

use super::Message;
use super::account::{HandOff, Line, State};
use super::text::{next_steps, work};
use super::watch::Subject;

/// The event's detail-type; its source is [`spot_handoff::notice::FOLLOW_UP_SOURCE`].
pub const DETAIL_TYPE: &str = "Spot Instance Handed Off";
/// The detail-type of the event that says that a hand-off has begun.
pub const START_DETAIL_TYPE: &str = "Spot Instance Hand-off Started";

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Detail<'a> {
    instance_id: &'a str,
    instance_action: Option<&'static str>,
    signal: &'static str,
    outcome: &'static str,
    auto_scaling_group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<Pool<'a>>,
    warning_id: &'a str,
    warning_time: String,
    seconds_left: Option<f64>,
    drill: bool,
    dry_run: bool,
    functions: Vec<Function<'a>>,
    #[serde(skip_serializing_if = "is_empty")]
    stop_scripts: &'a [ScriptLine],
    work: Work<'a>,
    next_steps: Vec<String>,
    subject: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Pool<'a> {
    instance_type: Option<&'a str>,
    zone: Option<&'a str>,
    zone_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Function<'a> {
    function: &'a str,
    outcome: State,
    seconds_left: Option<f64>,
    lines: &'a [Line],
}

/// What became of the work.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Work<'a> {
    #[serde(flatten)]
    kept: &'a Kept,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a Standing>,
    losses: Vec<String>,
    in_words: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StartDetail<'a> {
    instance_id: &'a str,
    instance_action: Option<&'static str>,
    auto_scaling_group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<Pool<'a>>,
    warning_id: &'a str,
    warning_time: String,
    deadline: Option<String>,
    seconds_left: Option<i64>,
    drill: bool,
    dry_run: bool,
    begun_by: &'a [&'static str],
}

impl<'a> Pool<'a> {
    fn of(pool: &'a ReportedPool) -> Self {
        Self {
            instance_type: pool.instance_type.as_deref(),
            zone: pool.zone.as_deref(),
            zone_id: pool.zone_id.as_deref(),
        }
    }
}

/// The name of EC2's action, as in its warning.
fn name_of(action: InstanceAction) -> &'static str {
    match action {
        InstanceAction::Terminate => "terminate",
        InstanceAction::Stop => "stop",
        InstanceAction::Hibernate => "hibernate",
    }
}

/// The detail of the event that says that a hand-off has begun, as JSON.
pub fn start_detail(
    notice: &Notice,
    subject: &Subject,
    begun_by: &[&'static str],
    reports: &[Report],
    now: Timestamp,
) -> String {
    let left = |deadline: Timestamp| deadline.duration_since(now).as_secs().max(0);
    let pool = reports.iter().find_map(|report| report.pool.as_ref());
    let detail = StartDetail {
        instance_id: notice.instance.as_str(),
        instance_action: subject.action.map(name_of),
        auto_scaling_group: reports.iter().find_map(|report| report.group.as_deref()),
        pool: pool.map(Pool::of),
        warning_id: &notice.event_id,
        warning_time: notice.time.to_string(),
        deadline: subject.deadline.map(|deadline| deadline.to_string()),
        seconds_left: subject.deadline.map(left),
        drill: notice.drill.is_some(),
        dry_run: reports.iter().any(|report| report.dry_run),
        begun_by,
    };
    json!(detail).to_string()
}

fn is_empty(scripts: &&[ScriptLine]) -> bool {
    scripts.is_empty()
}

/// The event's detail as JSON.
pub fn detail(hand_off: &HandOff<'_>, message: &Message) -> String {
    let detail = Detail {
        instance_id: hand_off.notice.instance.as_str(),
        instance_action: hand_off.action.map(name_of),
        signal: hand_off.signal,
        outcome: hand_off.outcome.name(),
        auto_scaling_group: hand_off.group.as_deref(),
        pool: hand_off.pool.as_ref().map(Pool::of),
        warning_id: &hand_off.notice.event_id,
        warning_time: hand_off.notice.time.to_string(),
        seconds_left: hand_off.seconds_left,
        drill: hand_off.notice.drill.is_some(),
        dry_run: hand_off.dry_run,
        functions: hand_off
            .parts
            .iter()
            .map(|part| Function {
                function: part.function,
                outcome: part.state,
                seconds_left: part.seconds_left,
                lines: &part.lines,
            })
            .collect(),
        stop_scripts: &hand_off.scripts,
        work: Work {
            kept: &hand_off.kept,
            group: hand_off.standing.as_ref(),
            losses: hand_off.losses.iter().map(ToString::to_string).collect(),
            in_words: work(hand_off),
        },
        next_steps: next_steps(hand_off),
        subject: &message.subject,
        text: &message.text,
    };
    json!(detail).to_string()
}
