//! What happens with every kind of bad input, as documented in docs/bad-input.md. This test makes each row of the
//! page's table from the code's answers, and the page must have exactly these rows.

// Clippy recognises the tests of a file, but not the functions that they share.
#![allow(clippy::expect_used)]

use jiff::Timestamp;
use serde_json::{Value, json};
use spot_handoff::lambda::envelope::{Batch, QueueMessage};
use spot_handoff::notice::{Home, Message};

const PAGE: &str = include_str!("../../docs/bad-input.md");
const INSTANCE: &str = "i-1234567890abcdef0";

fn now() -> Timestamp {
    "2026-11-24T04:00:30Z".parse().expect("a time")
}

fn home() -> Home {
    Home::of_arn("arn:aws:lambda:us-east-1:123456789012:function:spot-handoff-drain-tasks")
}

fn warning() -> Value {
    json!({
        "id": "e", "detail-type": "EC2 Spot Instance Interruption Warning", "source": "aws.ec2",
        "account": "123456789012", "region": "us-east-1", "time": "2026-11-24T04:00:00Z", "resources": [],
        "detail": { "instance-id": INSTANCE, "instance-action": "terminate" },
    })
}

/// A warning with another value at a JSON pointer.
fn with(pointer: &str, value: Value) -> String {
    let mut event = warning();
    *event.pointer_mut(pointer).expect("a field of the warning") = value;
    event.to_string()
}

fn without(parent: &str, field: &str) -> String {
    let mut event = warning();
    let parent = event.pointer_mut(parent).and_then(Value::as_object_mut);
    parent
        .expect("an object")
        .remove(field)
        .expect("a field of the warning");
    event.to_string()
}

/// A warning with a repeated field.
fn with_twice(field: &str, first: &str, second: &str) -> String {
    let once = format!("\"{field}\":\"{second}\"");
    let twice = format!("\"{field}\":\"{first}\",{once}");
    let text = warning().to_string();
    assert!(text.contains(&once), "{text}");
    text.replace(&once, &twice)
}

fn retirement(region: &str) -> String {
    json!({
        "id": "e", "detail-type": "AWS Health Event", "source": "aws.health", "account": "123456789012",
        "region": "us-east-1", "time": "2026-11-24T04:00:00Z",
        "detail": {
            "service": "EC2", "eventTypeCategory": "scheduledChange",
            "eventTypeCode": "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED", "eventRegion": region,
            "startTime": "Sat, 05 Dec 2026 15:10:09 GMT", "affectedEntities": [{ "entityValue": INSTANCE }],
        },
    })
    .to_string()
}

/// Bodies of messages, by what is wrong with them.
fn bodies() -> Vec<(&'static str, String)> {
    let follow_up = |step: Value| {
        let mut detail = json!({ "instance-id": INSTANCE, "cause": "rebalance", "deadline": null });
        detail
            .as_object_mut()
            .expect("an object")
            .extend(step.as_object().expect("an object").clone());
        json!({ "id": "e", "detail-type": "Spot Handoff Follow-up", "source": "spot-handoff",
            "time": "2026-11-24T04:00:00Z", "detail": detail })
        .to_string()
    };
    vec![
        ("empty text", String::new()),
        (
            "text that is not JSON",
            "EC2 Spot Instance Interruption Warning".to_owned(),
        ),
        ("JSON that is cut off", warning().to_string()[..60].to_owned()),
        ("JSON that is not an object", "7".to_owned()),
        ("an object of something else", "{}".to_owned()),
        (
            "half a character (`\\ud800`)",
            warning().to_string().replace(INSTANCE, "\\ud800"),
        ),
        ("no `detail`", without("", "detail")),
        ("`detail` is `null`", with("/detail", Value::Null)),
        (
            "`detail` is a list",
            with("/detail", json!([INSTANCE, "terminate"])),
        ),
        ("no instance id", without("/detail", "instance-id")),
        (
            "an instance id that is `null`",
            with("/detail/instance-id", Value::Null),
        ),
        (
            "an instance id that is a number",
            with("/detail/instance-id", json!(7)),
        ),
        (
            "an instance id that is no id",
            with("/detail/instance-id", json!("i-0123; rm")),
        ),
        (
            "the id of something else",
            with("/detail/instance-id", json!("vol-1234567890abcdef0")),
        ),
        (
            "an instance id with capital letters",
            with("/detail/instance-id", json!("i-1234567890ABCDEF0")),
        ),
        (
            "an instance id of a megabyte",
            with("/detail/instance-id", json!("i".repeat(1 << 20))),
        ),
        (
            "the instance id stands twice",
            with_twice("instance-id", "i-00000000000000000", INSTANCE),
        ),
        (
            "the source stands twice",
            with_twice("source", "spot-handoff", "aws.ec2"),
        ),
        (
            "an action that EC2 does not know",
            with("/detail/instance-action", json!("explode")),
        ),
        ("no event id", without("", "id")),
        (
            "an event id of a megabyte",
            with("/id", json!("e".repeat(1 << 20))),
        ),
        ("no time", without("", "time")),
        ("a time that is a number", with("/time", json!(1_800_000_000))),
        ("a time that is no time", with("/time", json!("yesterday"))),
        ("a follow-up without a step", follow_up(json!({}))),
        (
            "a follow-up with an unknown step",
            follow_up(json!({ "step": "celebrate" })),
        ),
        (
            "a follow-up without what its step needs",
            follow_up(json!({ "step": "retire" })),
        ),
        (
            "a time in the future",
            with("/time", json!("2027-01-01T00:00:00Z")),
        ),
        (
            "a time two hours ago",
            with("/time", json!("2026-11-24T02:00:00Z")),
        ),
        (
            "a megabyte more than is needed",
            with("/resources", json!(["x".repeat(1 << 20)])),
        ),
        ("a field nested 100,000 deep that is not needed", {
            let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            warning()
                .to_string()
                .replace("\"detail\":{", &format!("\"detail\":{{\"deep\":{deep},"))
        }),
        (
            "an instance of nobody",
            with("/detail/instance-id", json!("i-00000000000000000")),
        ),
        (
            "an event of another account",
            with("/account", json!("999999999999")),
        ),
        (
            "an event of another region",
            with("/region", json!("eu-central-1")),
        ),
        ("a health event about another region", retirement("eu-central-1")),
        (
            "a source that is not AWS's or ours",
            with("/source", json!("somebody.else")),
        ),
        (
            "an event of another kind",
            with("/detail-type", json!("EBS Volume Notification")),
        ),
    ]
}

/// The answer to a message, in the words of the page.
fn answer(message: &QueueMessage) -> String {
    match &message.content {
        Ok(Message::Notices(notices)) => {
            let of = &notices[0];
            let when = if of.is_stale(now()) {
                "reported and left alone: too old"
            } else if of.time == now() {
                "handed off, as if sent now"
            } else {
                "handed off"
            };
            when.to_owned()
        }
        Ok(Message::Advice(advice) | Message::Announced { advice, .. }) => {
            format!("told: {}", advice.subject())
        }
        Ok(Message::LaunchFailed(launch)) => format!("noted: a launch of group {} failed", launch.group),
        Ok(Message::NotOurs { what }) => format!("left alone: {what}"),
        Err(error) => {
            let text = error.to_string();
            assert!(
                text.len() < 1_000,
                "a line of a log, and not the message: {} bytes",
                text.len()
            );
            format!("given back: {text}")
        }
    }
}

fn read(payload: &Value) -> Batch {
    Batch::read(&payload.to_string(), &home(), now())
}

fn record(id: usize, body: &str) -> Value {
    json!({ "messageId": id.to_string(), "body": body })
}

#[test]
fn the_page_says_what_becomes_of_every_kind_of_bad_message() {
    let bodies = bodies();
    let records: Vec<Value> = bodies
        .iter()
        .enumerate()
        .map(|(n, (_, body))| record(n, body))
        .collect();
    let batch = read(&json!({ "Records": records }));
    assert_eq!(batch.messages.len(), bodies.len());
    let row = |((what, _), message): (&(&str, String), &QueueMessage)| {
        format!("| {what} | {} |", answer(message).replace('|', "\\|"))
    };
    let rows: Vec<String> = bodies.iter().zip(&batch.messages).map(row).collect();
    let table = PAGE
        .split("## Messages")
        .nth(1)
        .and_then(|rest| rest.split("## ").next());
    let table = table.expect("the section of messages").lines();
    let written: Vec<&str> = table.filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(
        written,
        rows,
        "docs/bad-input.md has to read:\n{}",
        rows.join("\n")
    );
}

#[test]
fn a_bad_message_changes_nothing_for_its_neighbours() {
    let good = warning().to_string();
    for (what, body) in bodies() {
        let batch = read(&json!({ "Records": [record(0, &good), record(1, &body), record(2, &good)] }));
        let failed: Vec<bool> = batch
            .messages
            .iter()
            .map(|message| message.content.is_err())
            .collect();
        assert_eq!((failed[0], failed[2]), (false, false), "{what}");
        assert!(
            batch.notices().iter().filter(|(index, _)| *index != 1).count() == 2,
            "{what}"
        );
        let given_back = json!(batch.response(&failed))["batchItemFailures"].clone();
        let expected = if failed[1] {
            json!([{ "itemIdentifier": "1" }])
        } else {
            json!([])
        };
        assert_eq!(given_back, expected, "{what}");
    }
}

#[test]
fn the_envelope_fails_message_by_message_too() {
    let errors = |payload: Value| -> Vec<(String, String)> {
        let batch = read(&payload);
        let failed = batch.messages.iter().filter_map(|message| {
            let error = message.content.as_ref().err()?;
            Some((message.id.clone(), error.to_string()))
        });
        failed.collect()
    };
    let one = |id: &str, error: &str| vec![(id.to_owned(), error.to_owned())];
    let good = warning().to_string();
    assert!(read(&json!({ "Records": [] })).messages.is_empty());
    assert_eq!(
        errors(json!({ "Records": [{ "messageId": "1" }, record(2, &good)] })),
        one("1", "field `body`: missing or not text")
    );
    assert_eq!(
        errors(json!({ "Records": [{ "messageId": "1", "body": { "a": 1 } }, record(2, &good)] })),
        one("1", "field `body`: missing or not text")
    );
    // Lambda knows a message only by its id: an empty id brings the whole batch back.
    let (id, error) = errors(json!({ "Records": [7, record(2, &good)] })).remove(0);
    assert_eq!(id, "");
    assert!(error.starts_with("field `Records`: "), "{error}");
    assert_eq!(
        errors(json!({ "Records": "none" })),
        one("event", "field `Records`: expected a list of SQS messages")
    );
}

#[test]
fn who_sends_a_bare_event_knows_where() {
    let batch = read(&serde_json::from_str(&with("/account", json!("999999999999"))).expect("JSON"));
    assert_eq!(batch.notices().len(), 1);
}
