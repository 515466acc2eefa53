use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::{Backlog, Entry, Event};

use super::*;

fn report(function: &str, changes: &Value) -> Entry {
    let mut report = json!({
        "report": "spot-handoff",
        "function": function,
        "level": "INFO",
        "message": format!("{function} says what happened"),
        "event_id": "1f0c6b5e",
        "signal": "interruption-warning",
        "instance": "i-0123456789abcdef0",
        "notice_time": "2026-11-24T04:00:00Z",
        "started_at": "2026-11-24T04:00:00.210Z",
        "seconds_left_at_start": 119.79,
        "seconds_left_at_end": 119.2,
        "dry_run": false,
        "outcome": "done",
        "actions": [{
            "action": "act", "resource": "it", "result": "done",
            "finished_at": "2026-11-24T04:00:00.3Z"
        }]
    });
    for (name, value) in changes.as_object().unwrap() {
        report[name] = value.clone();
    }
    let report = serde_json::from_value(report).unwrap();
    entry(function, Event::Report(Box::new(report)))
}

fn entry(function: &str, event: Event) -> Entry {
    Entry {
        at: Timestamp::UNIX_EPOCH,
        function: function.to_owned(),
        event,
    }
}

fn ended(outcome: testbed::Outcome) -> Entry {
    let event = Event::Ended {
        request_id: String::new(),
        took: std::time::Duration::ZERO,
        outcome,
    };
    entry("drain-tasks", event)
}

fn render(verdict: &Verdict) -> String {
    anstream::adapter::strip_str(&verdict.render()).to_string()
}

#[test]
fn a_replay_that_went_well_is_summed_up_by_function() {
    let follow_up = json!({"signal": "follow-up", "seconds_left_at_end": 44.0});
    let entries = [
        report("deregister-targets", &json!({})),
        report("drain-tasks", &json!({"seconds_left_at_end": 118.5})),
        report("drain-tasks", &follow_up),
        report("drain-tasks", &follow_up),
        report(
            "replace-capacity",
            &json!({"outcome": "nothing-to-do", "actions": [], "skipped": [{
                "what": "inference", "reason": "left to Auto Scaling"
            }]}),
        ),
    ];
    let verdict = Verdict::on_replay(&entries, &Leftovers::default());
    assert!(verdict.is_good());
    let text = render(&verdict);
    insta::assert_snapshot!(text);
}

#[test]
fn a_failure_that_a_retry_made_good_does_not_count() {
    let entries = [
        report("drain-tasks", &json!({"outcome": "failed"})),
        report("drain-tasks", &json!({})),
    ];
    assert!(Verdict::on_replay(&entries, &Leftovers::default()).is_good());
    assert!(!Verdict::on_replay(&entries[..1], &Leftovers::default()).is_good());
}

#[test]
fn a_crash_counts_until_the_function_has_answered_again() {
    let crash = ended(testbed::Outcome::Crashed("exit status: 1".to_owned()));
    let answer = ended(testbed::Outcome::Answer("{}".to_owned()));
    let entries = [crash, answer];
    assert!(!Verdict::on_replay(&entries[..1], &Leftovers::default()).is_good());
    assert!(Verdict::on_replay(&entries, &Leftovers::default()).is_good());
}

#[test]
fn a_message_in_a_dead_letter_queue_is_a_failure() {
    let letters = vec!["x".repeat(500)];
    let leftovers = Leftovers {
        dead_letters: BTreeMap::from([("drain-tasks".to_owned(), letters)]),
        backlog: None,
    };
    let verdict = Verdict::on_replay(&[report("drain-tasks", &json!({}))], &leftovers);
    assert!(!verdict.is_good());
    assert!(verdict.problems()[0].len() < 200, "{:?}", verdict.problems());
}

#[test]
fn delayed_messages_may_be_left_but_work_may_not() {
    let with = |backlog| {
        let backlog = Some(backlog);
        let dead_letters = BTreeMap::new();
        Verdict::on_replay(
            &[],
            &Leftovers {
                dead_letters,
                backlog,
            },
        )
        .is_good()
    };
    let delayed = Backlog {
        delayed: 2,
        ..Backlog::default()
    };
    assert!(with(delayed));
    assert!(!with(Backlog {
        in_flight: 1,
        ..delayed
    }));
}

#[test]
fn a_repeated_notice_does_not_count_as_late() {
    let entries = [
        report("drain-tasks", &json!({"seconds_left_at_end": 118.0})),
        report("drain-tasks", &json!({"seconds_left_at_end": 40.0})),
    ];
    let text = render(&Verdict::on_replay(&entries, &Leftovers::default()));
    assert!(text.contains("at least 118.0 s"), "{text}");
}
