//! For a program.

use serde_json::{Value, json};

use super::Diagnosis;
use crate::commands::doctor::rules::Severity;

pub fn say(diagnosis: &Diagnosis<'_>) -> String {
    let unread: Vec<Value> = diagnosis
        .facts
        .unread
        .iter()
        .map(|unread| json!({ "action": unread.action, "of": unread.of, "error": unread.error }))
        .collect();
    let document = json!({
        "region": diagnosis.region,
        "findings": diagnosis.findings,
        "not_read": unread,
        "notes": diagnosis.notes(),
        "summary": {
            "critical": diagnosis.count(Severity::Critical),
            "warning": diagnosis.count(Severity::Warning),
            "info": diagnosis.count(Severity::Info),
        },
    });
    format!("{document:#}\n")
}
