//! `AWS Health Event` about a scheduled change of EC2.
//!
//! Some changes take the instance away; these become [`Signal::ScheduledRetirement`]. The instance survives others, or
//! they do not touch it at all; people are told about these. Each affected entity is read by itself. So an entity that
//! is over or cannot be read does not affect the others.
//! <https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html>

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::scheduled_restart::ScheduledRestart;
use super::{Content, Event, Home, InstanceId, Matter, NoticeError, Parsed, Signal, cut, detail};

pub const DETAIL_TYPE: &str = "AWS Health Event";

/// All type codes of EC2 begin with this.
const OF_EC2: &str = "AWS_EC2";
/// AWS adds type codes, and composes them of words. A change with one of these words takes the instance away, for
/// example `AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_EXPEDITED` or `AWS_EC2_INSTANCE_STOP_SCHEDULED`. The template's
/// rules look for the same words, in the middle of a code and at its end.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instances-status-check_sched.html>
const TAKE_AWAY: [&str; 3] = ["_RETIREMENT_", "_STOP_", "_TERMINATION_"];
/// A change with one of these words restarts the instance, for example `AWS_EC2_INSTANCE_POWER_MAINTENANCE_SCHEDULED`.
/// System maintenance is not among them: it concerns the power or the network, and nothing restarts after network
/// maintenance.
const RESTART: [&str; 2] = ["_REBOOT_", "_POWER_MAINTENANCE_"];
/// In this state of an entity, the change does not come any more.
const RESOLVED: &str = "RESOLVED";
/// The part of an ARN that is kept: enough to tell ARNs apart. It goes into a key of the table.
const LONGEST_ARN: usize = 400;
/// The part of a description that people get; AWS writes several paragraphs at times.
const LONGEST_DESCRIPTION: usize = 2000;
/// In these states of an entity, the change is still to come.
const TO_COME: [&str; 3] = ["PENDING", "IMPAIRED", ""];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct Kind {
    #[serde(default)]
    service: String,
    #[serde(default)]
    event_type_category: String,
    #[serde(default)]
    event_type_code: String,
    #[serde(default)]
    status_code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct Detail {
    start_time: String,
    affected_entities: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct MilderDetail {
    #[serde(default)]
    event_arn: String,
    start_time: Option<String>,
    end_time: Option<String>,
    #[serde(default)]
    affected_entities: Vec<Value>,
    #[serde(default)]
    event_description: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct Entity {
    entity_value: String,
    #[serde(default, alias = "statusCode")]
    status: String,
}

/// Where the instance is: AWS Health can deliver the event elsewhere. Empty for events of other kinds.
pub fn place(event: &Event) -> Result<Home, NoticeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", expecting = "an object")]
    struct Place {
        affected_account: Option<String>,
        event_region: Option<String>,
    }
    if event.detail_type != DETAIL_TYPE {
        return Ok(Home::default());
    }
    let place: Place = detail(&event.detail)?;
    Ok(Home {
        account: place.affected_account,
        region: place.event_region,
    })
}

/// Reads a health event. One change may name several instances.
pub fn parse(value: &RawValue) -> Result<Content, NoticeError> {
    let kind: Kind = detail(value)?;
    if kind.service != "EC2" || kind.event_type_category != "scheduledChange" {
        return Ok(Content::Other);
    }
    // AWS Health sends the event again when it is over: the instance was moved, or the change was cancelled.
    let is_closed = kind.status_code == "closed";
    let code = kind.event_type_code;
    let words = code.strip_prefix(OF_EC2).map(|words| format!("{words}_"));
    let says = |wanted: &[&str]| {
        let is_said = |words: &String| wanted.iter().any(|word| words.contains(word));
        words.as_ref().is_some_and(is_said)
    };
    if is_closed && (says(&TAKE_AWAY) || !says(&RESTART)) {
        return Ok(Content::Other);
    }
    if says(&TAKE_AWAY) {
        return taking_away(value, code);
    }
    let milder: MilderDetail = detail(value)?;
    let entities: Vec<Entity> = entities(&milder.affected_entities)
        .into_iter()
        .flatten()
        .collect();
    let to_come = entities.iter().filter(|one| one.is_to_come() && !is_closed);
    let about: Vec<String> = to_come.map(|entity| cut(entity.id().to_owned())).collect();
    let nobody = about.is_empty() && !milder.affected_entities.is_empty();
    let at = milder.start_time.as_deref().and_then(health_time);
    if !says(&RESTART) {
        let description = description(&milder.event_description);
        let what = Matter::OtherChange {
            code: cut(code),
            description,
        };
        return Ok(match nobody {
            true => Content::Other,
            false => Content::Advice { about, what, at },
        });
    }
    let instances = at.map_or(vec![], |starts| restarts(&milder, &entities, starts, is_closed));
    let what = Matter::Restart { code: cut(code) };
    Ok(match (nobody, instances.is_empty()) {
        (true, true) => Content::Other,
        (false, true) => Content::Advice { about, what, at },
        (_, false) => Content::Restart {
            told: (!nobody).then_some((about, what, at)),
            instances,
        },
    })
}

/// The restarts that the event names: still to come, or over. Nothing is known about other instances.
fn restarts(
    told: &MilderDetail,
    entities: &[Entity],
    starts: Timestamp,
    is_closed: bool,
) -> Vec<(InstanceId, ScheduledRestart)> {
    let ends = told.end_time.as_deref().and_then(health_time);
    let mut instances: Vec<(InstanceId, ScheduledRestart)> = vec![];
    for entity in entities {
        let over = is_closed || entity.status == RESOLVED;
        let Ok(instance) = entity.instance() else { continue };
        if (over || entity.is_to_come()) && !instances.iter().any(|(known, _)| *known == instance) {
            let restart = ScheduledRestart {
                change: told.event_arn.chars().take(LONGEST_ARN).collect(),
                starts,
                ends: ends.filter(|ends| *ends >= starts),
                over,
            };
            instances.push((instance, restart));
        }
    }
    instances
}

fn taking_away(value: &RawValue, code: String) -> Result<Content, NoticeError> {
    let Detail {
        start_time,
        affected_entities,
    } = detail(value)?;
    let starts = health_time(&start_time).ok_or_else(|| {
        NoticeError::field("detail.startTime", format!("not a date and time: `{start_time}`"))
    })?;
    let (mut instances, mut others, mut unreadable) = (vec![], vec![], None);
    for entity in entities(&affected_entities) {
        match entity.map(|entity| (entity.is_to_come(), entity.instance(), entity)) {
            Ok((false, _, entity)) => {
                tracing::info!(
                    "{}: {} is `{}`, left alone",
                    code,
                    cut(entity.entity_value),
                    cut(entity.status)
                );
            }
            Ok((true, Ok(instance), _)) if instances.contains(&instance) => {}
            Ok((true, Ok(instance), _)) => instances.push(instance),
            Ok((true, Err(error), entity)) if !entity.is_another_resource() => {
                tracing::warn!("{code}: {error}");
                unreadable = unreadable.or(Some(error));
            }
            Ok((true, Err(_), entity)) => others.push(cut(entity.entity_value)),
            Err(error) => {
                tracing::warn!("{code}: {error}");
                unreadable = unreadable.or(Some(error));
            }
        }
    }
    match (instances.is_empty(), unreadable) {
        (false, _) => Ok(Content::Notice(Parsed {
            instances,
            signal: Signal::ScheduledRetirement { starts },
            ends: None,
        })),
        // There was nothing beside it to hand off.
        (true, Some(error)) => Err(error),
        // The host of a dedicated instance, for example.
        (true, None) if !others.is_empty() => {
            let what = Matter::OtherChange {
                code: cut(code),
                description: None,
            };
            Ok(Content::Advice {
                about: others,
                what,
                at: Some(starts),
            })
        }
        (true, None) => Ok(Content::Other),
    }
}

/// Each entity, or why it cannot be read.
fn entities(values: &[Value]) -> Vec<Result<Entity, NoticeError>> {
    let entity = |(index, value): (usize, &Value)| {
        let path = |field: &str| format!("detail.affectedEntities[{index}]{field}");
        Entity::deserialize(value).map_err(|error| match value.get("entityValue") {
            None if value.is_object() => NoticeError::field(path(".entityValue"), "missing"),
            Some(_) => NoticeError::field(path(".entityValue"), error.to_string()),
            None => NoticeError::field(path(""), error.to_string()),
        })
    };
    values.iter().enumerate().map(entity).collect()
}

impl Entity {
    fn is_to_come(&self) -> bool {
        TO_COME.contains(&self.status.as_str())
    }

    /// The id. It may be the end of an ARN.
    fn id(&self) -> &str {
        match self.entity_value.starts_with("arn:") {
            true => self.entity_value.rsplit(['/', ':']).next().unwrap_or_default(),
            false => &self.entity_value,
        }
    }

    fn instance(&self) -> Result<InstanceId, NoticeError> {
        let id: Result<InstanceId, _> = self.id().parse();
        id.map_err(|problem| NoticeError::field("detail.affectedEntities.entityValue", problem))
    }

    /// Whether it is the id of another resource, for example `h-0123456789abcdef0`, the host of a dedicated instance.
    fn is_another_resource(&self) -> bool {
        self.id().rsplit_once('-').is_some_and(|(kind, digits)| {
            kind != "i"
                && !kind.is_empty()
                && matches!(digits.len(), 8 | 17)
                && digits.bytes().all(|b| b.is_ascii_hexdigit())
        })
    }
}

/// AWS's own description of the change; the English one if there are several languages.
fn description(told: &Value) -> Option<String> {
    let all = told.as_array()?;
    let is_english = |one: &&Value| one["language"].as_str().is_some_and(|it| it.starts_with("en"));
    let one = all.iter().find(is_english).or(all.first())?;
    let text = one["latestDescription"].as_str()?.trim();
    (!text.is_empty()).then(|| text.chars().take(LONGEST_DESCRIPTION).collect())
}

/// AWS Health writes `Sat, 05 Jun 2027 15:10:09 GMT`. A weekday that does not match the date is accepted.
fn health_time(text: &str) -> Option<Timestamp> {
    const PARSER: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    let http_date = PARSER.parse_timestamp(text).ok();
    http_date.or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GOOD: &str = "i-1234567890abcdef0";
    const OTHER: &str = "i-1234567890abcdef1";
    const RETIREMENT: &str = "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED";

    /// The result for a change: the instances to hand off, the announcement, or the error.
    fn read(code: &str, entities: Value) -> String {
        let value = json!({
            "service": "EC2", "eventTypeCategory": "scheduledChange", "eventTypeCode": code,
            // It is a Saturday.
            "startTime": "Mon, 05 Dec 2026 15:10:09 GMT", "affectedEntities": entities,
        });
        let value = serde_json::value::to_raw_value(&value).expect("JSON");
        let ids = |ids: Vec<String>| ids.join(" ");
        match parse(&value) {
            Ok(Content::Notice(parsed)) => ids(parsed.instances.iter().map(ToString::to_string).collect()),
            Ok(Content::Advice { at: None, .. }) => "without a time".to_owned(),
            Ok(Content::Advice {
                about,
                what: Matter::Restart { .. },
                ..
            }) => format!("only told: {}", ids(about)),
            Ok(Content::Advice { about, .. }) => format!("told: {}", ids(about)),
            Ok(Content::Restart { instances, .. }) => {
                let word = |(id, restart): &(InstanceId, ScheduledRestart)| match restart.over {
                    true => format!("{id} is over"),
                    false => id.to_string(),
                };
                format!("restart: {}", ids(instances.iter().map(word).collect()))
            }
            Ok(Content::Other | Content::LaunchFailed { .. }) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_words_of_a_type_code_say_what_becomes_of_the_instance() {
        let table = [
            ("AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED", GOOD.to_owned()),
            (RETIREMENT, GOOD.to_owned()),
            ("AWS_EC2_INSTANCE_RETIREMENT_EXPEDITED", GOOD.to_owned()),
            (
                "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_EXPEDITED",
                GOOD.to_owned(),
            ),
            ("AWS_EC2_INSTANCE_STOP_SCHEDULED", GOOD.to_owned()),
            ("AWS_EC2_INSTANCE_TERMINATION_SCHEDULED", GOOD.to_owned()),
            (
                "AWS_EC2_INSTANCE_REBOOT_FLEXIBLE_MAINTENANCE_SCHEDULED",
                format!("restart: {GOOD}"),
            ),
            (
                "AWS_EC2_SYSTEM_REBOOT_MAINTENANCE_SCHEDULED",
                format!("restart: {GOOD}"),
            ),
            (
                "AWS_EC2_PERSISTENT_INSTANCE_POWER_MAINTENANCE_SCHEDULED",
                format!("restart: {GOOD}"),
            ),
            (
                "AWS_EC2_INSTANCE_NETWORK_MAINTENANCE_SCHEDULED",
                format!("told: {GOOD}"),
            ),
            ("AWS_EC2_SYSTEM_MAINTENANCE_EVENT", format!("told: {GOOD}")),
            ("AWS_EC2_SOMETHING_NEW", format!("told: {GOOD}")),
            ("AWS_EC2_INSTANCE_RETIREMENT", GOOD.to_owned()),
            ("AWS_EC2_INSTANCE_STOP", GOOD.to_owned()),
            ("AWS_EC2_TERMINATION", GOOD.to_owned()),
            ("AWS_EC2_INSTANCE_REBOOT", format!("restart: {GOOD}")),
            ("AWS_EC2_INSTANCE_STOPPAGE_SCHEDULED", format!("told: {GOOD}")),
            ("AWS_OTHER_RETIREMENT_SCHEDULED", format!("told: {GOOD}")),
        ];
        for (code, expected) in table {
            assert_eq!(read(code, json!([{ "entityValue": GOOD }])), expected, "{code}");
        }
    }

    #[test]
    fn a_restart_is_over_for_each_instance_by_itself() {
        const REBOOT: &str = "AWS_EC2_SYSTEM_REBOOT_MAINTENANCE_SCHEDULED";
        let of = |status: &str| json!({ "entityValue": GOOD, "status": status });
        let table = [
            (json!([of("PENDING")]), format!("restart: {GOOD}")),
            (json!([of("RESOLVED")]), format!("restart: {GOOD} is over")),
            (json!([of("UNKNOWN")]), "nothing".to_owned()),
            (
                json!([{ "entityValue": OTHER }, of("RESOLVED"), of("PENDING")]),
                format!("restart: {OTHER} {GOOD} is over"),
            ),
            (
                json!([{ "entityValue": "h-0123456789abcdef0" }]),
                "only told: h-0123456789abcdef0".to_owned(),
            ),
            (json!([]), "only told: ".to_owned()),
        ];
        for (entities, expected) in table {
            assert_eq!(read(REBOOT, entities.clone()), expected, "{entities}");
        }
    }

    #[test]
    fn what_aws_says_of_a_change_is_told_in_english_where_it_can_be() {
        let table = [
            (json!(null), None),
            (json!([]), None),
            (json!([{ "language": "en_US" }]), None),
            (
                json!([{ "language": "ja_JP", "latestDescription": "X" }]),
                Some("X"),
            ),
            (
                json!([
                    { "language": "ja_JP", "latestDescription": "X" },
                    { "language": "en_US", "latestDescription": " It is moved. " },
                ]),
                Some("It is moved."),
            ),
        ];
        for (told, expected) in table {
            assert_eq!(description(&told).as_deref(), expected, "{told}");
        }
    }

    #[test]
    fn each_entity_is_read_by_itself() {
        let good = json!({ "entityValue": GOOD, "status": "PENDING" });
        let arn = format!("arn:aws:ec2:us-east-1:123456789012:instance/{OTHER}");
        let table = [
            (json!([good, { "entityValue": OTHER, "status": "RESOLVED" }]), GOOD.to_owned()),
            (json!([{ "entityValue": OTHER, "status": "UNKNOWN" }, good]), GOOD.to_owned()),
            (json!([good, { "entityValue": OTHER, "statusCode": "UNIMPAIRED" }]), GOOD.to_owned()),
            (json!([good, { "entityValue": "vol-0123456789abcdef0" }]), GOOD.to_owned()),
            (json!([good, { "entityValue": 7 }, 7, {}]), GOOD.to_owned()),
            (json!([good, { "entityValue": arn, "status": "IMPAIRED" }]), format!("{GOOD} {OTHER}")),
            (json!([good, good]), GOOD.to_owned()),
            (json!([{ "entityValue": GOOD, "status": "RESOLVED" }]), "nothing".to_owned()),
            (json!([{ "entityValue": "h-0123456789abcdef0" }]), "told: h-0123456789abcdef0".to_owned()),
            (
                json!([{ "status": "PENDING" }]),
                "field `detail.affectedEntities[0].entityValue`: missing".to_owned(),
            ),
            (
                json!([{ "entityValue": "anything" }]),
                "field `detail.affectedEntities.entityValue`: expected `i-` and 8 or 17 hexadecimal digits, found `anything`"
                    .to_owned(),
            ),
        ];
        for (entities, expected) in table {
            assert_eq!(read(RETIREMENT, entities.clone()), expected, "{entities}");
        }
    }
}
