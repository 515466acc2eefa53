//! Amazon EventBridge: the rules of the stack, and delivery to its queues.

use serde_json::Value;

use super::account::Account;
use super::sqs;

/// Hands an event to every rule whose pattern it matches; answers their names.
pub(crate) fn put(account: &mut Account, event: &Value) -> Vec<String> {
    let body = event.to_string();
    let mut matched = vec![];
    for rule in account.stack.rules.clone() {
        if !matches(&rule["pattern"], event) {
            continue;
        }
        matched.push(rule["name"].as_str().unwrap_or_default().to_owned());
        for arn in rule["targets"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            let queue = arn.rsplit(':').next().unwrap_or_default();
            sqs::put(account, queue, &body, 0);
        }
    }
    matched
}

/// Patterns of the template are lists of exact values, nested like the event.
fn matches(pattern: &Value, event: &Value) -> bool {
    match pattern {
        Value::Object(members) => members
            .iter()
            .all(|(name, pattern)| matches(pattern, &event[name])),
        Value::Array(values) => values.contains(event),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_part_of_a_pattern_has_to_match() {
        let pattern = json!({ "source": ["aws.ec2", "drill"], "detail": { "state": ["stopping"] } });
        assert!(matches(
            &pattern,
            &json!({ "source": "drill", "detail": { "state": "stopping" }, "id": "1" })
        ));
        assert!(!matches(
            &pattern,
            &json!({ "source": "drill", "detail": { "state": "running" } })
        ));
        assert!(!matches(&pattern, &json!({ "source": "drill" })));
    }
}
