//! `AWS Health Event` for a scheduled retirement: AWS will stop the instance because its hardware fails.
//! <https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html>

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Event, Home, InstanceId, NoticeError, Signal, detail};

pub const DETAIL_TYPE: &str = "AWS Health Event";

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
    affected_entities: Vec<Entity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct Entity {
    entity_value: InstanceId,
}

/// Where the instance is: a health event can be delivered elsewhere. Empty for events of other kinds.
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

/// `None` for any other health event; one retirement may name several instances.
pub fn parse(value: &RawValue) -> Result<Option<(Vec<InstanceId>, Signal)>, NoticeError> {
    let kind: Kind = detail(value)?;
    // AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED and AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED.
    let is_retirement = kind.service == "EC2"
        && kind.event_type_category == "scheduledChange"
        && kind.event_type_code.ends_with("INSTANCE_RETIREMENT_SCHEDULED")
        // AWS Health sends the event again when it is over: the instance was moved, or the retirement called off.
        && kind.status_code != "closed";
    if !is_retirement {
        return Ok(None);
    }
    let Detail {
        start_time,
        affected_entities,
    } = detail(value)?;
    let starts = health_time(&start_time).ok_or_else(|| {
        NoticeError::field("detail.startTime", format!("not a date and time: `{start_time}`"))
    })?;
    let instances = affected_entities
        .into_iter()
        .map(|entity| entity.entity_value)
        .collect();
    Ok(Some((instances, Signal::ScheduledRetirement { starts })))
}

/// AWS Health writes `Sat, 05 Jun 2027 15:10:09 GMT`.
fn health_time(text: &str) -> Option<Timestamp> {
    let http_date = rfc2822::parse(text).ok().map(|time| time.timestamp());
    http_date.or_else(|| text.parse().ok())
}
