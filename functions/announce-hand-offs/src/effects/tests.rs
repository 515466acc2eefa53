//! What goes on the bus, and how the answers are read.

use serde_json::json;
use spot_handoff::notice::{FOLLOW_UP_SOURCE, InstanceAction, Signal};
use spot_handoff::report::ActionResult;
use spot_handoff::runtime::aws::CallCounter;
use testbed::script::{self, Answer, Asked, Script, json_error};

use super::*;
use crate::plan::{DETAIL_TYPE, START_DETAIL_TYPE};

const PUT: &str = "PutEvents";
const CLAIM: &str = "PutItem";

/// The results of two events with these answers, and the calls to the bus. The table accepts writes unless told
/// otherwise.
async fn put(answers: impl IntoIterator<Item = Answer>) -> ([ActionResult; 2], Vec<Asked>) {
    put_with(
        answers,
        [script::json(CLAIM, &json!({})), script::json(CLAIM, &json!({}))],
    )
    .await
}

async fn put_with(
    answers: impl IntoIterator<Item = Answer>,
    claims: impl IntoIterator<Item = Answer>,
) -> ([ActionResult; 2], Vec<Asked>) {
    let written = (0..4).map(|_| script::json("BatchWriteItem", &json!({ "UnprocessedItems": {} })));
    let answers: Vec<Answer> = claims.into_iter().chain(answers).chain(written).collect();
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
    let instance = notice.instance.to_string();
    let actions = [
        Action::PutEvent {
            of: spot_handoff::state::claims::Event::Ended,
            instance: instance.clone(),
            detail: "{}".to_owned(),
        },
        Action::PutStartEvent {
            instance,
            detail: "[]".to_owned(),
        },
    ];
    let asked: Vec<(&Notice, &Action)> = actions.iter().map(|action| (&notice, action)).collect();
    let done = outlets
        .tell(&script::invocation("announce-hand-offs"), &asked)
        .await;
    let asked = script.asked().into_iter();
    let of_bus = asked.filter(|(action, _)| action == PUT).collect();
    (actions.map(|action| done[&action].result), of_bus)
}

/// A refused claim, and the claim that is there instead.
fn claimed_before(put: bool) -> [Answer; 2] {
    let refused = script::json_error(CLAIM, 400, "ConditionalCheckFailedException", "no");
    let there = json!({ "event-id": "event", "instance": "i", "of": "ended", "put": put,
        "since": jiff::Timestamp::now() });
    let item = json!({ "body": { "S": there.to_string() }, "version": { "N": "1" } });
    [refused, script::json("Query", &json!({ "Items": [item] }))]
}

fn detail_types(asked: &[Asked]) -> Vec<String> {
    let entries = asked
        .iter()
        .flat_map(|(_, asked)| asked["Entries"].as_array().cloned());
    let entries = entries.flatten();
    entries
        .map(|entry| entry["DetailType"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn an_event_that_is_claimed_is_put_again_only_where_nobody_puts_it() {
    let taken = json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "1" }, { "EventId": "2" }] });
    let taken = || [script::json(PUT, &taken)];
    let free = || script::json(CLAIM, &json!({}));
    // Put earlier; and put by another invocation just now, which a second look shows.
    for looks in [&[true][..], &[false, false, true]] {
        let mut claims: Vec<Answer> = looks.iter().flat_map(|put| claimed_before(*put)).collect();
        claims.insert(1, free());
        let (results, asked) = put_with(taken(), claims).await;
        assert_eq!(
            results,
            [ActionResult::AlreadyDone, ActionResult::Done],
            "{looks:?}"
        );
        assert_eq!(detail_types(&asked), [START_DETAIL_TYPE], "{looks:?}");
    }
    // The other invocation does not put it.
    let mut claims: Vec<Answer> = (0..40).flat_map(|_| claimed_before(false)).collect();
    claims.insert(1, free());
    let (results, asked) = put_with(taken(), claims).await;
    assert_eq!(results, [ActionResult::Done; 2]);
    assert_eq!(detail_types(&asked), [DETAIL_TYPE, START_DETAIL_TYPE]);
}

#[tokio::test]
async fn without_the_table_an_event_is_put() {
    let taken = json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "1" }, { "EventId": "2" }] });
    let down = || script::json_error(CLAIM, 400, "AccessDeniedException", "no");
    let (results, asked) = put_with([script::json(PUT, &taken)], [down(), down()]).await;
    assert_eq!(results, [ActionResult::Done; 2]);
    assert_eq!(detail_types(&asked), [DETAIL_TYPE, START_DETAIL_TYPE]);
}

#[tokio::test]
async fn events_go_together_and_one_that_the_bus_does_not_take_fails_alone() {
    let answer = json!({ "FailedEntryCount": 1,
        "Entries": [{ "EventId": "1" }, { "ErrorCode": "InternalFailure", "ErrorMessage": "try again" }] });
    let (results, asked) = put([script::json(PUT, &answer)]).await;
    assert_eq!(results, [ActionResult::Done, ActionResult::Failed]);
    let entries = [(DETAIL_TYPE, "{}"), (START_DETAIL_TYPE, "[]")]
        .map(|(kind, detail)| json!({ "Source": FOLLOW_UP_SOURCE, "DetailType": kind, "Detail": detail }));
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
