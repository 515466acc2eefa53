//! The event on the bus: the same account for programs. Its schema is `docs/hand-off-event.schema.json`.

use serde::Serialize;
use serde_json::json;
use spot_handoff::notice::InstanceAction;
use spot_handoff::report::ScriptLine;

use super::Message;
use super::account::{HandOff, Line, State};
use super::text::next_steps;

/// The event's detail-type; its source is [`spot_handoff::notice::FOLLOW_UP_SOURCE`].
pub const DETAIL_TYPE: &str = "Spot Instance Handed Off";

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Detail<'a> {
    instance_id: &'a str,
    instance_action: Option<&'static str>,
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

fn is_empty(scripts: &&[ScriptLine]) -> bool {
    scripts.is_empty()
}

/// The event's detail as JSON.
pub fn detail(hand_off: &HandOff<'_>, message: &Message) -> String {
    let detail = Detail {
        instance_id: hand_off.notice.instance.as_str(),
        instance_action: hand_off.action.map(|action| match action {
            InstanceAction::Terminate => "terminate",
            InstanceAction::Stop => "stop",
            InstanceAction::Hibernate => "hibernate",
        }),
        outcome: hand_off.outcome.name(),
        auto_scaling_group: hand_off.group.as_deref(),
        pool: hand_off.pool.as_ref().map(|pool| Pool {
            instance_type: pool.instance_type.as_deref(),
            zone: pool.zone.as_deref(),
            zone_id: pool.zone_id.as_deref(),
        }),
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
        next_steps: next_steps(hand_off),
        subject: &message.subject,
        text: &message.text,
    };
    json!(detail).to_string()
}
