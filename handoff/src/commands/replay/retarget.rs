//! Rewrites a sample for the sample fleet: its instances, their zones, and the present time.

use std::collections::BTreeMap;

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// An instance that can replace one in a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandIn {
    /// Its id.
    pub id: String,
    /// Its Availability Zone, if it is known.
    pub zone: Option<String>,
}

/// Replaces instances and times, in the same way in all events of a sample.
#[derive(Debug)]
pub struct Retarget {
    free: Vec<StandIn>,
    replaced: BTreeMap<String, StandIn>,
    /// The new time of the events; `None` keeps theirs.
    now: Option<Timestamp>,
}

impl Retarget {
    /// Uses these instances in this order: one for each instance in the samples.
    pub fn new(mut stand_ins: Vec<StandIn>, now: Option<Timestamp>) -> Self {
        stand_ins.reverse();
        Self {
            free: stand_ins,
            replaced: BTreeMap::new(),
            now,
        }
    }

    /// Rewrites one event.
    pub fn event(&mut self, event: &mut Value) {
        // The detail names the instances of an event; resources only repeat them.
        let mut named = Vec::new();
        collect_instances(&event["detail"], &mut named);
        collect_instances(event, &mut named);
        for id in named {
            if !self.replaced.contains_key(&id)
                && let Some(stand_in) = self.free.pop()
            {
                self.replaced.insert(id, stand_in);
            }
        }
        self.replace(event);
        if let Some(now) = self.now {
            move_to(event, now);
        }
    }

    /// Rewrites a message body, if it is an event.
    pub fn body(&mut self, body: &str) -> String {
        match serde_json::from_str::<Value>(body) {
            Ok(mut event) if event.is_object() => {
                self.event(&mut event);
                event.to_string()
            }
            _ => body.to_owned(),
        }
    }

    /// The instances that were used, in the order of the fleet's ids.
    #[cfg(feature = "local")]
    pub fn instances(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.replaced.values().map(|one| one.id.clone()).collect();
        ids.sort();
        ids
    }

    fn replace(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                for (old, new) in &self.replaced {
                    if text.contains(old.as_str()) {
                        *text = with_zone(text, new.zone.as_deref()).replace(old.as_str(), &new.id);
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.replace(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.replace(value)),
            _ => {}
        }
    }
}

/// The ARN in an interruption warning has a zone in place of the region, and no account.
fn with_zone(text: &str, zone: Option<&str>) -> String {
    match (text.split(':').collect::<Vec<_>>().as_slice(), zone) {
        (["arn", partition, "ec2", _, resource], Some(zone)) => {
            format!("arn:{partition}:ec2:{zone}:{resource}")
        }
        _ => text.to_owned(),
    }
}

fn collect_instances(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let after_separators = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            for word in after_separators.filter(|word| is_instance_id(word)) {
                if !found.iter().any(|id| id == word) {
                    found.push(word.to_owned());
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|v| collect_instances(v, found)),
        Value::Object(fields) => fields.values().for_each(|v| collect_instances(v, found)),
        _ => {}
    }
}

fn is_instance_id(word: &str) -> bool {
    word.strip_prefix("i-")
        .is_some_and(|digits| matches!(digits.len(), 8 | 17) && digits.chars().all(|c| c.is_ascii_hexdigit()))
}

/// Moves the times of an event, and those inside a health event, so that it counts as sent now.
fn move_to(event: &mut Value, now: Timestamp) {
    // Events have whole seconds.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let sent: Option<Timestamp> = event["time"].as_str().and_then(|time| time.parse().ok());
    if event.get("time").is_some() {
        event["time"] = now.to_string().into();
    }
    if let (Some(sent), Some(detail)) = (sent, event.get_mut("detail")) {
        shift_health_times(detail, now.duration_since(sent));
    }
}

/// AWS Health writes times in the format of e-mail: `Mon, 01 Mar 2027 04:00:00 GMT`.
fn shift_health_times(value: &mut Value, by: SignedDuration) {
    match value {
        Value::String(text) => {
            let Ok(time) = rfc2822::parse(text) else {
                return;
            };
            let shifted = time.timestamp().saturating_add(by);
            let shifted = shifted.unwrap_or(Timestamp::MAX);
            if let Ok(new) = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&shifted) {
                *text = new;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|v| shift_health_times(v, by)),
        Value::Object(fields) => fields.values_mut().for_each(|v| shift_health_times(v, by)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
