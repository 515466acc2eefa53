//! What happens to messages: the queues of the embedded AWS, with a function that does as it is told.

// A helper of a test fails the test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::{Event, Options, Testbed};

const LIMIT: Duration = Duration::from_secs(60);

async fn bed(options: Options) -> Testbed {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_function.py");
    let stand_in = ("python3".into(), vec![script.display().to_string()]);
    Testbed::start(Options {
        stand_in: Some(stand_in),
        simulate: false,
        ..options
    })
    .await
    .unwrap()
}

/// How often each message was seen by the function, in the order they were first seen.
fn tries(bed: &Testbed) -> Vec<(String, u64)> {
    let mut tries = Vec::<(String, u64)>::new();
    for entry in bed.journal().since(0) {
        let Event::Log(Value::Object(log)) = entry.event else {
            continue;
        };
        let body = log["body"].as_str().unwrap().to_owned();
        let count = log["tries"].as_u64().unwrap();
        match tries.iter_mut().find(|(known, _)| *known == body) {
            Some((_, known)) => *known = count,
            None => tries.push((body, count)),
        }
    }
    tries.sort();
    tries
}

async fn dead_letters(bed: &Testbed) -> Vec<String> {
    let queue = &bed.dead_letter_queue("drain-tasks").unwrap().name;
    let state = bed.world.state().await.unwrap();
    state.queue(queue).unwrap().bodies.clone()
}

#[tokio::test]
async fn an_event_reaches_the_functions_its_rule_names() {
    let bed = bed(Options::default()).await;
    let event = json!({
        "version": "0",
        "id": "1f0c6b5e-3c57-4b0a-9d2e-7a4f1c8e5b60",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": "111122223333",
        "time": "2027-03-01T04:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {"instance-id": "i-0123456789abcdef0", "instance-action": "terminate"}
    });
    let matched = bed.put_event(&event).await.unwrap();
    assert_eq!(matched.len(), 1, "{matched:?}");
    bed.until_settled(LIMIT).await.unwrap();

    let mut invoked: Vec<String> = bed
        .journal()
        .since(0)
        .into_iter()
        .filter(|entry| matches!(entry.event, Event::Invoked { .. }))
        .map(|entry| entry.function)
        .collect();
    invoked.sort();
    let every: Vec<_> = testbed::FUNCTIONS.into_iter().chain([testbed::RUNNER]).collect();
    assert_eq!(invoked, every);
    let body: Value = serde_json::from_str(&tries(&bed)[0].0).unwrap();
    assert_eq!(body, event, "the whole event arrives, and nothing besides");
}

#[tokio::test]
async fn a_message_that_keeps_failing_is_retried_alone_and_ends_in_the_dead_letter_queue() {
    let bed = bed(Options::default().speed(20.0)).await;
    for body in ["fine", "fail", "also fine"] {
        bed.send("drain-tasks", body).await.unwrap();
    }
    bed.until_settled(LIMIT).await.unwrap();

    let (fine, failing) = (1, bed.queue("drain-tasks").unwrap().max_receive_count.unwrap());
    let expected = [("also fine", fine), ("fail", failing), ("fine", fine)];
    assert_eq!(
        tries(&bed),
        expected.map(|(body, tries)| (body.to_owned(), tries))
    );
    assert_eq!(dead_letters(&bed).await, ["fail"]);
}

#[tokio::test]
async fn a_crash_gives_the_whole_batch_back() {
    let bed = bed(Options::default()).await;
    bed.send("drain-tasks", "exit").await.unwrap();
    bed.journal().beyond(0).await;
    let problem = loop {
        let position = bed.journal().len();
        let found = bed
            .journal()
            .since(0)
            .into_iter()
            .find_map(|entry| match entry.event {
                Event::Batch { problem, failed, .. } if failed.len() == 1 => problem,
                _ => None,
            });
        match found {
            Some(problem) => break problem,
            None => bed.journal().beyond(position).await,
        }
    };
    assert!(problem.contains("exit status: 1"), "{problem}");
    let backlog = bed.backlog().await.unwrap();
    assert_eq!(
        backlog.in_flight, 1,
        "hidden until the visibility timeout is over"
    );
}

#[tokio::test]
async fn worlds_do_not_share_their_queues() {
    let (one, other) = tokio::join!(bed(Options::default()), bed(Options::default()));
    one.send("drain-tasks", "for one").await.unwrap();
    one.until_settled(LIMIT).await.unwrap();
    other.until_settled(LIMIT).await.unwrap();
    assert_eq!(tries(&one).len(), 1);
    assert!(tries(&other).is_empty());
}
