//! What is put on the bus, and how the answers are read.

use serde_json::json;
use spot_handoff::notice::{FOLLOW_UP_SOURCE, InstanceAction, Signal};
use spot_handoff::report::ActionResult;
use spot_handoff::runtime::aws::CallCounter;
use testbed::script::{self, Answer, Asked, Script, json_error};

use super::*;
use crate::plan::DETAIL_TYPE;

const PUT: &str = "PutEvents";

/// How two events fare with these answers, and what was asked.
async fn put(answers: impl IntoIterator<Item = Answer>) -> ([ActionResult; 2], Vec<Asked>) {
    let script = Script::of(answers);
    let sdk = script.sdk();
    let outlets = Outlets {
        topic_arn: "topic".to_owned(),
        own_queue_url: "own".to_owned(),
        sns: aws_sdk_sns::Client::new(&sdk),
        sqs: aws_sdk_sqs::Client::new(&sdk),
        eventbridge: aws_sdk_eventbridge::Client::new(&sdk),
        table: Table::new(&script::env(), &sdk, CallCounter::default()).expect("a table"),
    };
    let notice = Notice {
        event_id: "event".to_owned(),
        instance: "i-1234567890abcdef0".parse().expect("an id"),
        time: "2026-11-24T04:00:00Z".parse().expect("a time"),
        signal: Signal::InterruptionWarning {
            action: InstanceAction::Terminate,
        },
        ends: None,
        drill: None,
    };
    let actions = ["{}", "[]"].map(|detail| Action::PutEvent {
        instance: notice.instance.to_string(),
        detail: detail.to_owned(),
    });
    let asked: Vec<(&Notice, &Action)> = actions.iter().map(|action| (&notice, action)).collect();
    let done = outlets
        .tell(&script::invocation("announce-hand-offs"), &asked)
        .await;
    (actions.map(|action| done[&action].result), script.asked())
}

#[tokio::test]
async fn events_go_together_and_one_that_the_bus_does_not_take_fails_alone() {
    let answer = json!({ "FailedEntryCount": 1,
        "Entries": [{ "EventId": "1" }, { "ErrorCode": "InternalFailure", "ErrorMessage": "try again" }] });
    let (results, asked) = put([script::json(PUT, &answer)]).await;
    assert_eq!(results, [ActionResult::Done, ActionResult::Failed]);
    let entries = ["{}", "[]"]
        .map(|detail| json!({ "Source": FOLLOW_UP_SOURCE, "DetailType": DETAIL_TYPE, "Detail": detail }));
    assert_eq!(asked, [(PUT.to_owned(), json!({ "Entries": entries }))]);
}

#[tokio::test]
async fn a_call_that_is_throttled_is_made_again_and_one_that_is_denied_is_not() {
    let throttled = json_error(PUT, 400, "ThrottlingException", "Rate exceeded");
    let taken = json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "1" }, { "EventId": "2" }] });
    let (results, asked) = put([throttled, script::json(PUT, &taken)]).await;
    assert_eq!((results, asked.len()), ([ActionResult::Done; 2], 2));
    let denied = json_error(PUT, 400, "AccessDeniedException", "no");
    let (results, asked) = put([denied]).await;
    assert_eq!((results, asked.len()), ([ActionResult::Failed; 2], 1));
}
