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
        ..Leftovers::default()
    };
    let verdict = Verdict::on_replay(&[report("drain-tasks", &json!({}))], &leftovers);
    assert!(!verdict.is_good());
    assert!(verdict.problems()[0].len() < 200, "{:?}", verdict.problems());
}

#[test]
fn delayed_messages_may_be_left_but_work_may_not() {
    let with = |backlog| {
        let leftovers = Leftovers {
            backlog: Some(backlog),
            ..Leftovers::default()
        };
        Verdict::on_replay(&[], &leftovers).is_good()
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
fn a_group_that_lacks_instances_at_the_end_is_no_success_yet() {
    let leftovers = Leftovers {
        short: BTreeMap::from([("inference".to_owned(), 1)]),
        ..Leftovers::default()
    };
    let verdict = Verdict::on_replay(&[report("drain-tasks", &json!({}))], &leftovers);
    assert_eq!(verdict.state(), State::Open);
    let note = "inference is still short of 1 instance that it asks for";
    assert_eq!(verdict.notes(), [note]);
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

fn state(reports: &[Entry]) -> State {
    let reports = reports.iter().filter_map(|entry| match &entry.event {
        Event::Report(report) => Some(&**report),
        _ => None,
    });
    Verdict::on(reports).state()
}

fn action(result: &str, resource: &str) -> Value {
    json!({"action": "stop-task", "resource": resource, "result": result,
        "finished_at": "2026-11-24T04:00:00.3Z"})
}

#[test]
fn what_is_done_too_late_gets_no_tick() {
    let late = |seconds: f64| state(&[report("drain-tasks", &json!({"seconds_left_at_end": seconds}))]);
    assert_eq!(late(0.5), State::Good);
    assert_eq!(late(-5.0), State::Bad);
    // An old event that somebody replays.
    assert_eq!(late(-7200.0), State::Open);
    let nothing_to_do = json!({"seconds_left_at_end": -5.0, "outcome": "nothing-to-do", "actions": []});
    assert_eq!(state(&[report("drain-tasks", &nothing_to_do)]), State::Good);
}

#[test]
fn what_aws_could_not_do_gets_no_tick_unless_it_was_made_good() {
    let cannot = report("drain-tasks", &json!({"actions": [action("not-possible", "t")]}));
    let again = |resource: &str| {
        let changes = json!({"signal": "follow-up", "actions": [action("done", resource)]});
        report("drain-tasks", &changes)
    };
    let entries = |resource: &str| {
        let changes = json!({"actions": [action("not-possible", "t")]});
        [report("drain-tasks", &changes), again(resource)]
    };
    assert_eq!(state(&[cannot]), State::Bad);
    assert_eq!(state(&entries("another")), State::Bad);
    assert_eq!(state(&entries("t")), State::Good);
}

#[test]
fn what_follows_counts_down_and_is_never_late() {
    let first = json!({"actions": [action("later", "a"), action("later", "b")]});
    let follow_up = json!({"signal": "follow-up", "seconds_left_at_end": -0.04});
    let entries = [
        report("drain-tasks", &first),
        report("drain-tasks", &follow_up),
        report("drain-tasks", &follow_up),
    ];
    let after = |count: usize| {
        let reports = entries[..count].iter().filter_map(|entry| match &entry.event {
            Event::Report(report) => Some(&**report),
            _ => None,
        });
        let verdict = Verdict::on(reports);
        (verdict.to_follow(), render(&verdict))
    };
    for (reports, to_follow) in [(1, 2), (2, 1), (3, 0)] {
        let (found, text) = after(reports);
        assert_eq!(found, to_follow);
        assert_eq!(
            text.contains(&format!("{to_follow} to follow")),
            to_follow > 0,
            "{text}"
        );
    }
    assert!(!after(3).1.contains("late"), "{}", after(3).1);
}

#[test]
fn a_group_that_stays_short_is_no_success_until_a_later_watch_finds_it_whole() {
    let at = |time: &str, standing: &str, detail: &str| {
        report(
            "replace-capacity",
            &json!({
                "signal": "follow-up",
                "started_at": time,
                "groups": [{ "group": "g", "standing": standing, "detail": detail }],
            }),
        )
    };
    let short = at(
        "2026-11-24T04:30:00Z",
        "short",
        "was still short of 1 after 30 minutes",
    );
    let whole = at(
        "2026-11-24T04:50:00Z",
        "whole",
        "was whole again within 80 s of the first notice",
    );
    let unchanged = at("2026-11-24T04:10:00Z", "not-changed", "did not take it");
    let filled = at(
        "2026-11-24T04:05:00Z",
        "filled-on-demand",
        "gets 1 from On-Demand",
    );
    let still_short = "group g was still short of 1 after 30 minutes";
    let is_whole = "group g was whole again within 80 s of the first notice";
    type Case<'a> = (&'a [&'a Entry], State, &'a [&'a str], &'a [&'a str]);
    let table: [Case<'_>; 5] = [
        (&[&short], State::Bad, &[still_short], &[]),
        (&[&short, &short], State::Bad, &[still_short], &[]),
        (&[&whole], State::Good, &[], &[is_whole]),
        // Reports come in any order.
        (&[&whole, &short], State::Good, &[], &[is_whole]),
        (
            &[&unchanged, &filled],
            State::Bad,
            &["group g did not take it"],
            &["group g gets 1 from On-Demand"],
        ),
    ];
    for (entries, state, problems, work) in table {
        let reports = entries.iter().filter_map(|entry| match &entry.event {
            Event::Report(report) => Some(report.as_ref()),
            _ => None,
        });
        let verdict = Verdict::on(reports);
        assert_eq!(verdict.state(), state, "{problems:?}");
        assert_eq!(verdict.problems(), problems);
        assert_eq!(verdict.work(), work);
    }
}
