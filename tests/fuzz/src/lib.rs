//! What has to hold, whatever a message says. Each function panics if it does not hold: this tells the fuzzer.

// A panic is the finding.
#![allow(clippy::expect_used, clippy::panic)]

use jiff::Timestamp;
use serde_json::{Value, json};
use spot_handoff::lambda::envelope::Batch;
use spot_handoff::notice::{Cause, FollowUp, Home, Message, Notice, NoticeError, Signal, Step, parse};

/// A line of a log is not the place for a whole message.
const LONGEST_LINE: usize = 2_000;

fn now() -> Timestamp {
    "2027-03-01T04:00:30Z".parse().expect("a time")
}

/// One message body: a valid notice about an instance that it names, or an error that names the field.
pub fn message(text: &str) {
    match parse(text, now()) {
        Ok(Message::Announced { advice, notices }) => {
            assert!(!advice.event_id.is_empty() && !advice.to_string().is_empty());
            notices.iter().for_each(|notice| holds_for(notice, text));
        }
        Ok(Message::Notices(notices)) => notices.iter().for_each(|notice| holds_for(notice, text)),
        Ok(Message::Advice(advice)) => {
            assert!(!advice.event_id.is_empty() && !advice.to_string().is_empty());
        }
        Ok(Message::LaunchFailed(launch)) => {
            assert!(!launch.event_id.is_empty() && !launch.group.is_empty() && launch.time <= now());
            assert!(launch.message.len() <= LONGEST_LINE);
        }
        Ok(Message::NotOurs { what }) => assert!(what.len() <= LONGEST_LINE, "{what}"),
        Err(error) => {
            assert!(error.to_string().len() <= LONGEST_LINE, "{error}");
            match error {
                NoticeError::Field { field, problem } => {
                    assert!(!field.is_empty() && !problem.is_empty(), "`{field}`: `{problem}`");
                }
                NoticeError::NotJson(_) => {
                    assert!(serde_json::from_str::<Value>(text).is_err(), "it is JSON")
                }
            }
        }
    }
}

fn holds_for(notice: &Notice, text: &str) {
    assert!(
        names(text, notice.instance.as_str()),
        "{} is not in the message",
        notice.instance
    );
    assert!(notice.time <= now(), "from the future");
    assert!(!notice.event_id.is_empty());
    let _ = (notice.deadline(), notice.is_stale(now()));
    let follow_up = match &notice.signal {
        Signal::FollowUp(follow_up) => follow_up.clone(),
        _ => FollowUp {
            cause: Cause::Interruption,
            deadline: notice.deadline(),
            step: Step::MoveWork {
                group: notice.event_id.clone(),
                replacement: Some(notice.instance.clone()),
            },
        },
    };
    let expected = Notice {
        signal: Signal::FollowUp(follow_up.clone()),
        // The follow-up has a deadline of its own.
        ends: None,
        ..notice.clone()
    };
    match parse(&follow_up.to_body(notice), now()) {
        Ok(Message::Notices(back)) => assert_eq!(back, [expected], "a follow-up comes back as it was sent"),
        other => panic!("a follow-up cannot be read again: {other:?}"),
    }
}

/// Whether a word stands in any string of the message.
fn names(text: &str, word: &str) -> bool {
    fn within(value: &Value, word: &str) -> bool {
        match value {
            Value::String(text) => text == word,
            Value::Array(values) => values.iter().any(|value| within(value, word)),
            Value::Object(fields) => fields.values().any(|value| within(value, word)),
            _ => false,
        }
    }
    text.contains(word) || serde_json::from_str(text).is_ok_and(|value| within(&value, word))
}

/// A batch, once with each line as the body of a message, and once as the payload itself. There have to be as many
/// outcomes as messages, and each has to be the same as for the message alone.
pub fn batch(text: &str) {
    let _ = Batch::read(text, &Home::default(), now());
    let bodies: Vec<&str> = text.lines().collect();
    let record = |(n, body): (usize, &&str)| json!({ "messageId": n.to_string(), "body": body });
    let records: Vec<Value> = bodies.iter().enumerate().map(record).collect();
    let batch = Batch::read(
        &json!({ "Records": records }).to_string(),
        &Home::default(),
        now(),
    );
    assert!(batch.from_queue);
    assert_eq!(batch.messages.len(), bodies.len(), "an outcome for every message");
    for (n, (body, message)) in bodies.iter().zip(&batch.messages).enumerate() {
        assert_eq!(message.id, n.to_string());
        let alone = format!("{:?}", parse(body, now()));
        assert_eq!(
            format!("{:?}", message.content),
            alone,
            "a neighbour made a difference"
        );
    }
    let failed: Vec<bool> = batch
        .messages
        .iter()
        .map(|message| message.content.is_err())
        .collect();
    let given_back = batch.response(&failed).batch_item_failures.len();
    assert_eq!(given_back, failed.iter().filter(|failed| **failed).count());
}
