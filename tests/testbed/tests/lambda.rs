//! How functions run, tested with a function that does as it is told.

// A helper of a test fails the test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::{Clock, Event, FunctionSpec, Journal, Lambda, Outcome};

fn function() -> FunctionSpec {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_function.py");
    let path = std::env::var("PATH").unwrap();
    FunctionSpec {
        name: "fake".to_owned(),
        program: "python3".into(),
        arguments: vec![script.display().to_string()],
        environment: BTreeMap::from([("PATH".to_owned(), path)]),
        arn: "arn:aws:lambda:us-east-1:123456789012:function:fake".to_owned(),
        timeout: Duration::from_secs(10),
        concurrency: 10,
    }
}

fn lambda(function: FunctionSpec) -> (Lambda, Arc<Journal>) {
    let journal = Arc::new(Journal::new(Clock::real()));
    (Lambda::new(vec![function], Arc::clone(&journal)), journal)
}

async fn answer(lambda: &Lambda, event: Value) -> Value {
    match lambda.invoke("fake", event.to_string()).await.unwrap() {
        Outcome::Answer(answer) => serde_json::from_str(&answer).unwrap(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_warm_process_is_used_again() {
    let (lambda, journal) = lambda(function());
    let first = answer(&lambda, json!({})).await;
    let second = answer(&lambda, json!({})).await;
    assert_eq!(first["pid"], second["pid"]);

    let cold: Vec<bool> = journal
        .since(0)
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::Invoked { cold, .. } => Some(cold),
            _ => None,
        })
        .collect();
    assert_eq!(cold, [true, false]);
}

#[tokio::test]
async fn invocations_at_the_same_time_get_processes_of_their_own() {
    let (lambda, _) = lambda(function());
    let (one, other) = tokio::join!(
        answer(&lambda, json!({"sleep": 0.3})),
        answer(&lambda, json!({"sleep": 0.3})),
    );
    assert_ne!(one["pid"], other["pid"]);
    assert_eq!(lambda.idle("fake"), 2);
}

#[tokio::test]
async fn concurrency_is_limited() {
    let (lambda, _) = lambda(FunctionSpec {
        concurrency: 1,
        ..function()
    });
    let (one, other) = tokio::join!(answer(&lambda, json!({})), answer(&lambda, json!({})));
    assert_eq!(one["pid"], other["pid"]);
    assert_eq!(lambda.running(), 0);
}

#[tokio::test]
async fn a_function_sees_only_its_own_environment() {
    let (lambda, _) = lambda(function());
    let answer = answer(&lambda, json!({})).await;
    let seen = answer["environment"].as_array().unwrap();
    assert!(seen.contains(&json!("AWS_LAMBDA_RUNTIME_API")));
    // Cargo sets this one for us; the function's process must not inherit it.
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok());
    assert!(!seen.contains(&json!("CARGO_MANIFEST_DIR")), "{seen:?}");
    assert_eq!(answer["arn"], function().arn);
    let left = answer["deadline"].as_i64().unwrap() - Timestamp::now().as_millisecond();
    assert!((5_000..=10_000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_killed_and_the_next_one_starts_cold() {
    let (lambda, _) = lambda(FunctionSpec {
        timeout: Duration::from_secs(2),
        ..function()
    });
    let late = json!({"sleep": 60}).to_string();
    let outcome = lambda.invoke("fake", late).await.unwrap();
    assert_eq!(outcome, Outcome::TimedOut(Duration::from_secs(2)));
    assert_eq!(lambda.idle("fake"), 0);
    answer(&lambda, json!({})).await;
}

#[tokio::test]
async fn a_function_that_ends_has_failed() {
    let (lambda, _) = lambda(function());
    let crash = json!({"exit": 3}).to_string();
    let outcome = lambda.invoke("fake", crash).await.unwrap();
    assert_eq!(outcome, Outcome::Crashed("exit status: 3".to_owned()));
    assert_eq!(lambda.idle("fake"), 0);
}

#[tokio::test]
async fn an_error_fails_the_invocation_and_keeps_the_process() {
    let (lambda, _) = lambda(function());
    let error = json!({"error": "not today"}).to_string();
    let outcome = lambda.invoke("fake", error).await.unwrap();
    assert_eq!(outcome, Outcome::Error("Oops: not today".to_owned()));
    assert_eq!(lambda.idle("fake"), 1);
}

#[tokio::test]
async fn a_function_that_cannot_start_says_why() {
    let mut broken = function();
    let refuse = ("REFUSE_TO_START".to_owned(), String::new());
    broken.environment.extend([refuse]);
    let (lambda, _) = lambda(broken);
    let outcome = lambda.invoke("fake", "{}".to_owned()).await.unwrap();
    let why = "Configuration: SCOPE is missing".to_owned();
    assert_eq!(outcome, Outcome::NotStarted(why));
}

#[tokio::test]
async fn what_a_function_writes_is_in_the_journal_when_the_invocation_is_over() {
    let (lambda, journal) = lambda(function());
    answer(&lambda, json!({})).await;
    let logged = journal
        .since(0)
        .iter()
        .any(|entry| matches!(&entry.event, Event::Log(line) if line["message"] == "worked"));
    assert!(logged);
}
