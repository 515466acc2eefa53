use serde_json::json;

use super::*;
use spot_handoff::report::Report;

const ZERO: &str = "2026-11-24T04:00:00Z";

fn zero() -> Timestamp {
    ZERO.parse().unwrap()
}

fn report(changes: serde_json::Value) -> Report {
    let mut report = json!({
        "report": "spot-handoff",
        "function": "deregister-targets",
        "level": "INFO",
        "message": "",
        "event_id": "1f0c6b5e",
        "signal": "interruption-warning",
        "instance": "i-0123456789abcdef0",
        "notice_time": ZERO,
        "started_at": "2026-11-24T04:00:00.210Z",
        "seconds_left_at_start": 119.79,
        "seconds_left_at_end": 119.5,
        "dry_run": false,
        "outcome": "done",
        "actions": []
    });
    for (name, value) in changes.as_object().unwrap() {
        report[name] = value.clone();
    }
    serde_json::from_value(report).unwrap()
}

fn render(reports: &[Report]) -> String {
    let lines = reports.iter().flat_map(lines);
    let text: Vec<String> = lines.map(|line| line.render(zero())).collect();
    anstream::adapter::strip_str(&text.join("\n")).to_string()
}

#[test]
fn a_handoff_reads_from_top_to_bottom() {
    let deregister = report(json!({
        "actions": [
            {
                "action": "deregister-target",
                "resource": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/classifier/50dc6c495c0c9188",
                "detail": "i-0123456789abcdef0:32768, i-0123456789abcdef0:32769",
                "result": "done",
                "finished_at": "2026-11-24T04:00:00.481Z"
            },
            {
                "action": "deregister-target",
                "resource": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/inference/73e2d6bc24d8a067",
                "detail": "i-0123456789abcdef0:80",
                "result": "already-done",
                "finished_at": "2026-11-24T04:00:00.412Z"
            }
        ],
        "warnings": [
            "target group arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/inference/73e2d6bc24d8a067: deregistration_delay.timeout_seconds is 300; set it below 120"
        ]
    }));
    let drain = report(json!({
        "function": "drain-tasks",
        "actions": [
            {
                "action": "drain-container-instance",
                "resource": "arn:aws:ecs:us-east-1:123456789012:container-instance/inference/aa11bb22cc33dd44",
                "result": "done",
                "finished_at": "2026-11-24T04:00:00.390Z"
            },
            {
                "action": "stop-task",
                "resource": "arn:aws:ecs:us-east-1:123456789012:task/inference/3f2a1b0c9d8e7f60",
                "detail": "at T+55 s",
                "result": "later",
                "finished_at": "2026-11-24T04:00:00.455Z"
            }
        ],
        "skipped": [{
            "what": "arn:aws:ecs:us-east-1:123456789012:task/inference/77aa88bb99cc00dd",
            "reason": "belongs to the service classifier: ECS replaces it"
        }],
        "tasks": [{
            "task": "arn:aws:ecs:us-east-1:123456789012:task/inference/3f2a1b0c9d8e7f60",
            "kind": "standalone",
            "name": "batch-score",
            "accelerators": ["elastic-inference:eia2.large"],
            "plan": "stop at T+55 s"
        }]
    }));
    let text = render(&[deregister, drain]);
    insta::assert_snapshot!(text);
}

#[test]
fn a_dry_run_says_what_would_be_done() {
    let report = report(json!({
        "function": "replace-capacity",
        "dry_run": true,
        "outcome": "planned",
        "actions": [{
            "action": "detach-instance",
            "resource": "inference",
            "detail": "without decrement",
            "result": "planned",
            "finished_at": "2026-11-24T04:00:00.390Z"
        }]
    }));
    let text = render(&[report]);
    insta::assert_snapshot!(text);
}

#[test]
fn failures_are_told_with_their_errors() {
    let report = report(json!({
        "function": "replace-capacity",
        "level": "ERROR",
        "outcome": "failed",
        "actions": [{
            "action": "detach-instance",
            "resource": "inference",
            "result": "failed",
            "error": "DetachInstances: AccessDenied: not allowed",
            "finished_at": "2026-11-24T04:01:15.390Z"
        }],
        "problems": ["DescribeAutoScalingGroups: no answer in time"]
    }));
    let text = render(&[report]);
    insta::assert_snapshot!(text);
}

#[test]
fn nothing_to_do_is_said_too() {
    let nothing = report(json!({"outcome": "nothing-to-do"}));
    let text = render(&[nothing]);
    insta::assert_snapshot!(text);
}

#[test]
fn a_function_that_waits_does_not_repeat_itself() {
    let look = |at: &str| {
        report(json!({
            "function": "drain-tasks",
            "signal": "follow-up",
            "actions": [{
                "action": "await-tasks",
                "resource": "i-0123456789abcdef0",
                "detail": format!("look again after {at}"),
                "result": "later",
                "finished_at": at
            }],
            "skipped": [{"what": "inference", "reason": "already DRAINING"}]
        }))
    };
    let mut told = Told::default();
    let mut count = |report| told.filter(lines(&report)).len();
    assert_eq!(count(look("2026-11-24T04:00:10Z")), 2);
    assert_eq!(count(look("2026-11-24T04:00:20Z")), 0);
    let failed = report(json!({"function": "drain-tasks", "problems": ["no answer"]}));
    assert_eq!(count(failed.clone()), 1);
    assert_eq!(count(failed), 1, "a failure is told every time");
}

fn verdict(reports: Vec<Report>, minutes: i64, is_cut: bool) -> crate::verdict::State {
    let mut story = story::Story::of(reports).remove(0);
    story.is_cut = is_cut;
    story
        .verdict(zero() + jiff::SignedDuration::from_mins(minutes))
        .state()
}

#[test]
fn a_tick_waits_for_every_function_every_later_step_and_the_beginning() {
    use crate::verdict::State;

    let all = |later: bool| {
        let result = if later { "later" } else { "done" };
        ["deregister-targets", "drain-tasks", "replace-capacity"].map(|function| {
            report(
                json!({"function": function, "actions": [{"action": "look", "resource": "it",
                "result": result, "finished_at": ZERO}]}),
            )
        })
    };
    assert_eq!(verdict(all(false).to_vec(), 1, false), State::Good);
    assert_eq!(
        verdict(all(false)[..2].to_vec(), 1, false),
        State::Open,
        "it may still report"
    );
    assert_eq!(verdict(all(false)[..2].to_vec(), 3, false), State::Bad);
    assert_eq!(verdict(all(true).to_vec(), 5, false), State::Open);
    assert_eq!(verdict(all(true).to_vec(), 60, false), State::Bad);
    assert_eq!(verdict(all(false).to_vec(), 60, true), State::Open, "it is cut");
}

#[test]
fn what_was_told_of_instances_that_began_or_ended_is_left_out_where_nobody_had_to_do_anything() {
    let is_idle = |signal: &str, outcomes: &[&str]| {
        let of = |outcome: &&str| report(json!({"signal": signal, "outcome": outcome}));
        story::Story::of(outcomes.iter().map(of).collect())[0].is_idle()
    };
    assert!(is_idle("returned", &["nothing-to-do"]));
    assert!(is_idle("state-change", &["nothing-to-do", "nothing-to-do"]));
    assert!(!is_idle("state-change", &["nothing-to-do", "done"]));
    assert!(!is_idle("state-change", &["failed"]));
    assert!(!is_idle("interruption-warning", &["nothing-to-do"]));
}
