use serde_json::{Value, json};
use spot_handoff::notice::{Cause, Drill, InstanceAction};
use spot_handoff::runtime::aws::CallError;

use super::*;

const INSTANCE: &str = "i-0123456789abcdef0";
const EVENT: &str = "1f0c6b5e-3c57-4b0a-9d2e-7a4f1c8e5b60";
const CONTAINER_INSTANCE: &str =
    "arn:aws:ecs:us-east-1:1:container-instance/inference/ce2f3b4d9d8e4f608a1b2c3d4e5f6a7b";
const TASK: &str = "arn:aws:ecs:us-east-1:1:task/inference/183827839d8e4f608a1b2c3d4e5f6a7b";
const TARGETS: &str = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/ranker/50dc6c49";

fn warning() -> Notice {
    Notice {
        event_id: EVENT.to_owned(),
        instance: INSTANCE.parse().expect("an id"),
        time: "2026-11-24T04:00:00Z".parse().expect("a time"),
        signal: Signal::InterruptionWarning {
            action: InstanceAction::Terminate,
        },
        ends: None,
        drill: None,
    }
}

fn action(name: &str, resource: &str, result: &str) -> Value {
    json!({"action": name, "resource": resource, "result": result, "finished_at": "2026-11-24T04:00:01Z"})
}

/// A report with these members in place of the defaults.
fn report(function: &str, second: u32, members: Value) -> Report {
    let mut report = json!({
        "report": "spot-handoff", "function": function, "level": "INFO", "message": "", "event_id": EVENT,
        "signal": "interruption-warning", "instance": INSTANCE, "notice_time": "2026-11-24T04:00:00Z",
        "started_at": format!("2026-11-24T04:{:02}:{:02}Z", second / 60, second % 60),
        "seconds_left_at_start": 120.0 - f64::from(second), "seconds_left_at_end": 119.5 - f64::from(second),
        "dry_run": false, "outcome": "done", "actions": []
    });
    if function == "replace-capacity" {
        report["group"] = json!("inference");
    }
    for (name, value) in members.as_object().expect("members") {
        report[name] = value.clone();
    }
    Report::from_line(&report.to_string()).expect("a report")
}

fn deregistered() -> Report {
    let mut line = action("deregister-target", TARGETS, "done");
    line["detail"] = json!("10.0.11.108:8080 (arn:aws:ecs:us-east-1:1:task/inference/104ebfe4)");
    report(
        "deregister-targets",
        0,
        json!({"actions": [line], "warnings": ["ranker: deregistration delay is 300 s: set it to 60 or less"],
            "work": {"targets": [{"target-group": TARGETS, "serving": 4, "staying": 4}]}}),
    )
}

fn drained() -> Report {
    let actions = [
        action("drain-container-instance", CONTAINER_INSTANCE, "done"),
        action("stop-tasks-later", CONTAINER_INSTANCE, "later"),
    ];
    let task = json!({"task": TASK, "kind": "standalone", "name": "report", "plan": "stop at T+80 s"});
    report("drain-tasks", 0, json!({"actions": actions, "tasks": [task]}))
}

fn stopped() -> Report {
    let task = json!({"task": TASK, "kind": "standalone", "name": "report", "plan": "stop now",
        "end": "stopped", "ended_at": "2026-11-24T04:01:25Z"});
    let actions = [action("stop-task", TASK, "done")];
    report(
        "drain-tasks",
        80,
        json!({"signal": "follow-up", "actions": actions, "tasks": [task]}),
    )
}

fn replaced() -> Report {
    let mut line = action("detach-instance", "inference", "done");
    line["detail"] = json!(format!("{INSTANCE}: the group launches its replacement"));
    report("replace-capacity", 0, json!({"actions": [line]}))
}

fn left_alone(function: &str) -> Report {
    let skipped = json!([{"what": INSTANCE, "reason": "its group is tagged spot-handoff:ignore"}]);
    report(
        function,
        0,
        json!({"outcome": "nothing-to-do", "skipped": skipped}),
    )
}

fn reporters() -> Vec<Reporter> {
    [
        "deregister-targets",
        "drain-tasks",
        "replace-capacity",
        "run-commands",
    ]
    .map(|function| Reporter {
        function,
        log_group: format!("/aws/lambda/spot-handoff-{function}"),
    })
    .into()
}

fn after(seconds: i64) -> Timestamp {
    let sent: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
    sent + jiff::SignedDuration::from_secs(seconds)
}

fn plan_at(notice: &Notice, reports: &[Report], announcements: Announcements, seconds: i64) -> Plan {
    let reports = Ok(Told {
        reports: reports.to_vec(),
        ..Told::default()
    });
    plan(
        notice,
        &reporters(),
        Some(&reports),
        announcements,
        after(seconds),
    )
}

fn plan_for(notice: &Notice, reports: &[Report], announcements: Announcements) -> Plan {
    plan_at(notice, reports, announcements, 150)
}

fn message(notice: &Notice, reports: &[Report]) -> Message {
    let plan = plan_for(notice, reports, Announcements::All);
    let message = plan.actions.iter().find_map(|action| match action {
        Action::Publish(message) => Some(message.clone()),
        _ => None,
    });
    message.expect("a message")
}

fn subject(reports: &[Report]) -> String {
    message(&warning(), reports).subject
}

fn event(notice: &Notice, reports: &[Report]) -> Value {
    let plan = plan_for(notice, reports, Announcements::None);
    let detail = plan.actions.iter().find_map(|action| match action {
        Action::PutEvent { detail, .. } => Some(detail.clone()),
        _ => None,
    });
    let detail: Value = serde_json::from_str(&detail.expect("an event")).expect("JSON");
    json!({"source": "spot-handoff", "detail-type": DETAIL_TYPE, "detail": detail})
}

fn script_begun() -> Report {
    let actions = [action("run-stop-script", "checkpoint", "done")];
    report(
        "run-commands",
        50,
        json!({"signal": "follow-up", "actions": actions}),
    )
}

fn script_ended(saved: bool) -> Report {
    let (result, status) = if saved {
        ("done", "Success")
    } else {
        ("lost", "Failed")
    };
    let mut line = action("end-stop-script", "checkpoint", result);
    line["detail"] = json!(format!("{status}, exit code 7: no space left"));
    let script = json!({"document": "checkpoint", "status": status, "saved": saved, "exit-code": 7});
    report(
        "run-commands",
        70,
        json!({"signal": "follow-up", "actions": [line], "scripts": [script]}),
    )
}

#[test]
fn a_stop_script_that_is_lost_makes_the_hand_off_fail_and_one_of_no_end_too() {
    let others = || vec![deregistered(), drained(), stopped(), replaced()];
    let with = |more: Vec<Report>| [others(), more].concat();
    let outcome = |reports: &[Report]| event(&warning(), reports)["detail"]["outcome"].clone();
    assert_eq!(outcome(&others()), "handed-off", "nobody asked for a script");
    let saved = with(vec![script_begun(), script_ended(true)]);
    assert_eq!(outcome(&saved), "handed-off");
    let told = event(&warning(), &saved);
    assert_eq!(told["detail"]["stop-scripts"][0]["status"], "Success");
    assert_eq!(told["detail"]["seconds-left"], 119.5, "a script is late by plan");
    let lost = with(vec![script_begun(), script_ended(false)]);
    assert_eq!(outcome(&lost), "failed");
    let text = message(&warning(), &lost).text;
    assert!(text.contains("LOST") && text.contains("no space left"), "{text}");
    assert_eq!(outcome(&with(vec![script_begun()])), "failed");
    let later = [action("run-stop-script-later", "checkpoint", "later")];
    let never_begun = report("run-commands", 0, json!({"actions": later}));
    assert_eq!(outcome(&with(vec![never_begun.clone()])), "failed");
    let ended = with(vec![never_begun, script_begun(), script_ended(true)]);
    assert_eq!(outcome(&ended), "handed-off");
    let asked = report(
        "replace-capacity",
        0,
        json!({"actions": [action("ask-to-run-stop-script", INSTANCE, "done")]}),
    );
    assert_eq!(
        outcome(&with(vec![asked])),
        "failed",
        "asked for, and not heard of"
    );
}

#[test]
fn a_hand_off_reads_from_top_to_bottom() {
    let message = message(&warning(), &[deregistered(), drained(), stopped(), replaced()]);
    let mail = format!("Subject: {}\n\n{}", message.subject, message.text);
    insta::assert_snapshot!(mail);
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/observability.md");
    let page = std::fs::read_to_string(page).expect("docs/observability.md");
    assert!(
        page.contains(mail.trim_end()),
        "docs/observability.md shows this message"
    );
}

#[test]
fn a_failure_says_what_failed_and_what_to_do_next() {
    let mut denied = action("detach-instance", "inference", "failed");
    denied["error"] = json!("DetachInstances refused: AccessDenied: not allowed");
    let failed = report(
        "replace-capacity",
        40,
        json!({"outcome": "failed", "actions": [denied]}),
    );
    let message = message(&warning(), &[drained(), stopped(), failed]);
    insta::assert_snapshot!(format!("Subject: {}\n\n{}", message.subject, message.text));
}

#[test]
fn the_subject_says_how_it_went() {
    let failed_drain = report(
        "drain-tasks",
        0,
        json!({"outcome": "failed", "actions": [action("drain-container-instance", CONTAINER_INSTANCE, "failed")]}),
    );
    let unreadable = report(
        "drain-tasks",
        0,
        json!({"outcome": "failed", "problems": ["ListClusters did not succeed in the time the function has"]}),
    );
    let second_try = report(
        "drain-tasks",
        20,
        json!({"outcome": "nothing-to-do",
            "skipped": [{"what": CONTAINER_INSTANCE, "reason": "already DRAINING"}]}),
    );
    let no_capacity = report(
        "replace-capacity",
        0,
        json!({"actions": [action("detach-instance", "inference", "not-possible")]}),
    );
    let lost_stop = report(
        "drain-tasks",
        80,
        json!({"signal": "follow-up", "outcome": "failed", "actions": [action("stop-task", TASK, "failed")]}),
    );
    let stop_again = report(
        "drain-tasks",
        100,
        json!({"signal": "follow-up", "outcome": "nothing-to-do",
            "skipped": [{"what": TASK, "reason": "is stopping already"}]}),
    );
    let (d, s, r) = (deregistered, stopped, replaced);
    let table: [(&str, Vec<Report>, &str); 9] = [
        (
            "all done",
            vec![d(), drained(), s(), r()],
            "Handed off: {i} in inference, 119.5 s left",
        ),
        (
            "no report",
            vec![d(), r()],
            "FAILED: {i} in inference: drain-tasks did not report",
        ),
        (
            "failed",
            vec![d(), failed_drain.clone(), r()],
            "FAILED: {i} in inference: drain-tasks failed",
        ),
        (
            "done at the second try",
            vec![d(), failed_drain, second_try.clone(), r()],
            "Handed off: {i} in inference, 99.5 s left",
        ),
        (
            "read at the second try",
            vec![d(), unreadable.clone(), second_try, r()],
            "Handed off: {i} in inference, 99.5 s left",
        ),
        (
            "not readable",
            vec![d(), unreadable, r()],
            "FAILED: {i} in inference: drain-tasks failed",
        ),
        (
            "a late stop that never came",
            vec![d(), drained(), r()],
            "FAILED: {i} in inference: drain-tasks did not finish",
        ),
        (
            "a late stop that failed",
            vec![d(), drained(), lost_stop.clone(), r()],
            "FAILED: {i} in inference: drain-tasks failed",
        ),
        (
            "no capacity",
            vec![d(), drained(), lost_stop, stop_again, no_capacity],
            "FAILED: {i} in inference: replace-capacity failed",
        ),
    ];
    for (case, reports, expected) in table {
        assert_eq!(subject(&reports), expected.replace("{i}", INSTANCE), "{case}");
    }
}

#[test]
fn a_drill_that_failed_is_not_told_as_a_lost_instance() {
    let drill = Notice {
        drill: Some(Drill { for_real: true }),
        ..warning()
    };
    let told = message(&drill, &[deregistered(), replaced()]);
    assert!(told.subject.starts_with("Drill: FAILED: "), "{}", told.subject);
    assert!(
        told.text
            .contains(&format!("This was a drill: AWS does not take {INSTANCE}.")),
        "{}",
        told.text
    );
}

#[test]
fn a_drill_and_a_dry_run_are_told_as_what_they_are() {
    let drill = Notice {
        drill: Some(Drill { for_real: true }),
        ..warning()
    };
    let reports = [deregistered(), drained(), stopped(), replaced()];
    let told = message(&drill, &reports);
    assert_eq!(
        told.subject,
        format!("Drill: Handed off: {INSTANCE} in inference, 119.5 s left")
    );
    assert!(
        told.text
            .contains(&format!("Terminate {INSTANCE} when the drill is over")),
        "{}",
        told.text
    );

    let planned = |report: Report| {
        let mut report = json!(report);
        report["dry_run"] = json!(true);
        report["outcome"] = json!("planned");
        for action in report["actions"].as_array_mut().expect("actions") {
            action["result"] = json!("planned");
        }
        Report::from_line(&report.to_string()).expect("a report")
    };
    let reports = [deregistered(), drained(), replaced()].map(planned);
    assert_eq!(
        subject(&reports),
        format!("Dry run: {INSTANCE} in inference would be handed off")
    );
    assert_eq!(event(&warning(), &reports)["detail"]["outcome"], "planned");
}

#[test]
fn what_was_left_alone_by_all_is_not_announced() {
    let reports = ["deregister-targets", "drain-tasks", "replace-capacity"].map(left_alone);
    let plan = plan_for(&warning(), &reports, Announcements::All);
    assert!(plan.actions.is_empty());
    assert_eq!(plan.skipped[0].reason, Skip::NothingHandedOff);

    // One function with something to do makes it a hand-off.
    let reports = [
        left_alone("deregister-targets"),
        left_alone("drain-tasks"),
        replaced(),
    ];
    assert_eq!(
        subject(&reports),
        format!("Handed off: {INSTANCE} in inference, 119.5 s left")
    );
}

#[test]
fn announcements_choose_messages_and_never_events() {
    let good = [deregistered(), drained(), stopped(), replaced()];
    let bad = [deregistered(), replaced()];
    for (announcements, reports, messages) in [
        (Announcements::All, &good[..], 1),
        (Announcements::Failures, &good, 0),
        (Announcements::Failures, &bad, 1),
        (Announcements::None, &bad, 0),
    ] {
        let plan = plan_for(&warning(), reports, announcements);
        let count = |kind| {
            let kinds = plan
                .actions
                .iter()
                .map(|action| shared_plan::Action::describe(action).0);
            kinds.filter(|one| *one == kind).count()
        };
        assert_eq!(
            (count(ActionKind::PublishMessage), count(ActionKind::PutEvent)),
            (messages, 1),
            "{announcements:?}"
        );
    }
}

#[test]
fn reports_that_cannot_be_read_are_asked_for_again() {
    let error = CallError::Refused {
        action: "Query",
        code: "ThrottlingException".to_owned(),
        message: "Rate exceeded".to_owned(),
    };
    let plan = plan(
        &warning(),
        &reporters(),
        Some(&Err(error)),
        Announcements::All,
        after(150),
    );
    assert!(plan.actions.is_empty());
    assert_eq!(
        plan.problems,
        ["Query refused: ThrottlingException: Rate exceeded"]
    );
}

#[test]
fn the_message_that_messages_have_gathered_for_publishes_them() {
    let tell = Notice {
        signal: Signal::FollowUp(FollowUp {
            cause: Cause::Interruption,
            deadline: None,
            step: Step::Tell,
        }),
        ..warning()
    };
    for announcements in [Announcements::Failures, Announcements::None] {
        let plan = plan_for(&tell, &[], announcements);
        assert_eq!(plan.actions, [Action::PublishPending]);
    }
}

#[test]
fn what_an_earlier_try_has_told_is_not_told_again() {
    let earlier = |put: &str, published: &str| {
        let actions = [
            action("put-event", INSTANCE, put),
            action("publish-message", "Handed off", published),
        ];
        report(
            "announce-hand-offs",
            100,
            json!({"outcome": "failed", "actions": actions}),
        )
    };
    let told = |tries: &[Report]| -> Vec<ActionKind> {
        let mut reports = vec![deregistered(), drained(), stopped(), replaced()];
        reports.extend_from_slice(tries);
        let plan = plan_for(&warning(), &reports, Announcements::All);
        let actions = plan.actions.iter();
        actions
            .map(|action| shared_plan::Action::describe(action).0)
            .filter(|kind| *kind != ActionKind::AwaitGone)
            .collect()
    };
    for (tries, expected) in [
        (vec![], vec![ActionKind::PutEvent, ActionKind::PublishMessage]),
        (
            vec![earlier("failed", "failed")],
            vec![ActionKind::PutEvent, ActionKind::PublishMessage],
        ),
        (vec![earlier("done", "failed")], vec![ActionKind::PublishMessage]),
        (vec![earlier("failed", "done")], vec![ActionKind::PutEvent]),
        (
            vec![
                earlier("done", "failed"),
                report("announce-hand-offs", 110, json!({})),
            ],
            vec![ActionKind::PublishMessage],
        ),
        (vec![earlier("done", "done")], vec![]),
        (vec![earlier("done", "later")], vec![]),
    ] {
        assert_eq!(told(&tries), expected, "{tries:?}");
    }
}

#[test]
fn that_it_has_begun_is_told_as_soon_as_somebody_has_and_how_it_went_when_it_is_over() {
    let idle = || {
        ["deregister-targets", "drain-tasks", "replace-capacity"]
            .map(left_alone)
            .to_vec()
    };
    let unreadable = report(
        "drain-tasks",
        0,
        json!({"outcome": "failed", "problems": ["ListClusters did not succeed"]}),
    );
    let planned = |notice: &Notice, reports: &[Report], seconds| -> Vec<(ActionKind, Option<i64>)> {
        let plan = plan_at(notice, reports, Announcements::All, seconds);
        let actions = plan.actions.iter();
        actions
            .map(|action| {
                let at = match action {
                    Action::Await { at, .. } => Some(at.duration_since(after(0)).as_secs()),
                    _ => None,
                };
                (shared_plan::Action::describe(action).0, at)
            })
            .collect()
    };
    use ActionKind::{AwaitEnd, AwaitGone, AwaitStart, PublishMessage, PutEvent, PutStartEvent};
    let start = follow_up(Step::AwaitStart {
        action: InstanceAction::Terminate,
    });
    let end = follow_up(Step::AwaitEnd {
        action: Some(InstanceAction::Terminate),
    });
    let told = || vec![(PutEvent, None), (AwaitGone, Some(750)), (PublishMessage, None)];
    for (case, notice, reports, seconds, expected) in [
        (
            "nobody yet",
            warning(),
            vec![],
            2,
            vec![(AwaitStart, Some(5)), (AwaitEnd, Some(150))],
        ),
        (
            "one has",
            warning(),
            vec![replaced()],
            2,
            vec![(PutStartEvent, None), (AwaitEnd, Some(150))],
        ),
        ("not ours", warning(), idle(), 2, vec![(AwaitEnd, Some(150))]),
        (
            "not ours, or not known",
            warning(),
            idle()[..2].to_vec(),
            2,
            vec![(AwaitStart, Some(5)), (AwaitEnd, Some(150))],
        ),
        (
            "nobody can read",
            warning(),
            vec![unreadable],
            2,
            vec![(AwaitStart, Some(5)), (AwaitEnd, Some(150))],
        ),
        (
            "at the next look",
            start.clone(),
            vec![drained()],
            5,
            vec![(PutStartEvent, None)],
        ),
        (
            "ever more seldom",
            start.clone(),
            vec![],
            40,
            vec![(AwaitStart, Some(60))],
        ),
        ("too late for anybody", start, vec![], 90, vec![]),
        (
            "over",
            end,
            vec![deregistered(), drained(), stopped(), replaced()],
            150,
            told(),
        ),
        (
            "over, by a warning that comes late",
            warning(),
            vec![deregistered(), drained(), stopped(), replaced()],
            151,
            told(),
        ),
    ] {
        assert_eq!(planned(&notice, &reports, seconds), expected, "{case}");
    }
}

#[test]
fn that_it_has_begun_is_told_also_where_nobody_can_say_who_has() {
    let error = CallError::OutOfTime {
        action: "Query",
        last: None,
    };
    let plan = plan(
        &warning(),
        &reporters(),
        Some(&Err(error)),
        Announcements::None,
        after(2),
    );
    assert!(matches!(
        plan.actions[..],
        [Action::PutStartEvent { .. }, Action::Await { .. }]
    ));
    assert!(plan.problems.is_empty(), "the end is asked for all the same");
}

#[test]
fn the_documented_start_event_is_what_the_code_makes() {
    let mut replaced = json!(replaced());
    replaced["pool"] = json!({"instance_type": "m5.large", "zone": "us-east-1a", "zone_id": "use1-az4"});
    let replaced = Report::from_line(&replaced.to_string()).expect("a report");
    let plan = plan_at(&warning(), &[drained(), replaced], Announcements::None, 2);
    let Some(Action::PutStartEvent { detail, .. }) = plan.actions.first() else {
        panic!("{plan:?}");
    };
    let made: Value = serde_json::from_str(detail).expect("JSON");
    let sample = document("hand-off-started-event.json");
    assert_eq!(sample["detail-type"], START_DETAIL_TYPE);
    assert_eq!(sample["detail"], made, "{made:#}");
}

fn with_end(end: &str) -> Report {
    let task = json!({"task": TASK, "kind": "standalone", "name": "report", "plan": end, "end": end});
    report(
        "drain-tasks",
        130,
        json!({"signal": "follow-up", "tasks": [task]}),
    )
}

fn served(second: u32, serving: usize, staying: usize) -> Report {
    let seen = json!([{"target-group": TARGETS, "serving": serving, "staying": staying}]);
    let signal = if second == 0 {
        "interruption-warning"
    } else {
        "follow-up"
    };
    report(
        "deregister-targets",
        second,
        json!({"signal": signal, "work": {"targets": seen}}),
    )
}

#[test]
fn what_was_lost_is_told_as_lost_and_what_nobody_has_seen_is_no_tick() {
    let stop = || {
        let actions = [action("stop-task", TASK, "done")];
        report(
            "drain-tasks",
            80,
            json!({"signal": "follow-up", "actions": actions}),
        )
    };
    let with = |more: Vec<Report>| [vec![deregistered(), drained(), stop(), replaced()], more].concat();
    let outcome = |reports: &[Report], seconds| -> Option<(String, String)> {
        let plan = plan_at(&warning(), reports, Announcements::Failures, seconds);
        let detail = plan.actions.iter().find_map(|action| match action {
            Action::PutEvent { detail, .. } => Some(detail.clone()),
            _ => None,
        })?;
        let detail: Value = serde_json::from_str(&detail).expect("JSON");
        let lost = detail["work"]["losses"][0]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let told = detail["outcome"].as_str().expect("an outcome").to_owned();
        let mailed = plan
            .actions
            .iter()
            .any(|action| matches!(action, Action::Publish(_)));
        assert_eq!(mailed, told != "handed-off", "{told}");
        Some((told, lost))
    };
    let (well, lossy) = ("handed-off", "handed-off-with-losses");
    for (case, reports, seconds, expected) in [
        ("in order", with(vec![with_end("stopped")]), 150, Some((well, ""))),
        (
            "cut",
            with(vec![with_end("cut")]),
            150,
            Some((lossy, "1 task was cut off with the instance")),
        ),
        (
            "no end",
            with(vec![with_end("running")]),
            150,
            Some((lossy, "ECS does not tell how 1 task ended")),
        ),
        ("nobody has looked", with(vec![]), 150, None),
        (
            "nobody ever did",
            with(vec![]),
            330,
            Some((lossy, "what became of 1 task was not reported")),
        ),
        (
            "a dark target group",
            with(vec![
                with_end("stopped"),
                served(0, 1, 0),
                served(110, 0, 0),
                served(128, 2, 2),
            ]),
            150,
            Some((
                lossy,
                "no target of ranker was healthy when it was looked at T+110 s",
            )),
        ),
        (
            "served all the time",
            with(vec![with_end("stopped"), served(0, 1, 0), served(60, 2, 1)]),
            150,
            Some((well, "")),
        ),
    ] {
        let expected = expected.map(|(outcome, lost)| (outcome.to_owned(), lost.to_owned()));
        assert_eq!(outcome(&reports, seconds), expected, "{case}");
    }
}

#[test]
fn an_instance_that_left_its_group_and_has_not_ended_ten_minutes_later_is_told() {
    let look = || {
        follow_up(Step::AwaitGone {
            action: InstanceAction::Terminate,
        })
    };
    let (all, failures, none) = (Announcements::All, Announcements::Failures, Announcements::None);
    let ran_on = format!("RUNS ON: {INSTANCE}, which left inference");
    let looks = "look again at 04:12:30".to_owned();
    let ended = "the instance has ended".to_owned();
    let left_out = Skip::LeftOut.to_string();
    for (case, ended_at, seconds, announcements, expected) in [
        ("no end", None, 750, failures, &ran_on),
        ("no end, all are told", None, 750, all, &ran_on),
        ("nobody is told", None, 750, none, &left_out),
        ("it has ended", Some(after(121)), 750, failures, &ended),
        ("it had ended early", Some(after(0)), 750, failures, &ended),
        (
            "it was stopped before, and started",
            Some(after(0) - jiff::SignedDuration::from_secs(60)),
            750,
            failures,
            &ran_on,
        ),
        (
            "too early, since a message waits a quarter of an hour",
            None,
            700,
            failures,
            &looks,
        ),
    ] {
        let mut line = action("detach-instance", "inference", "done");
        line["detail"] = json!(INSTANCE);
        let left = report(
            "replace-capacity",
            0,
            json!({"actions": [line], "group": "inference"}),
        );
        let told = Told {
            reports: vec![deregistered(), drained(), left],
            ended: ended_at,
            ..Told::default()
        };
        let plan = plan(
            &look(),
            &reporters(),
            Some(&Ok(told)),
            announcements,
            after(seconds),
        );
        let actions = plan.actions.iter().map(|action| match action {
            Action::Publish(message) => message.subject.clone(),
            action => shared_plan::Action::describe(action).2,
        });
        let skipped = plan.skipped.iter().map(|one| one.reason.to_string());
        let said: Vec<String> = actions.chain(skipped).collect();
        assert_eq!(said, *std::slice::from_ref(expected), "{case}");
    }
}

#[test]
fn a_group_that_is_short_is_told_again_when_it_is_whole_or_given_up() {
    use ActionKind::{AwaitWhole, PublishMessage, PutEvent};
    let looking = Standing::Looking { short_of: Some(1) };
    let whole = Standing::Whole { after_seconds: 240 };
    let short = Standing::Short {
        short_of: 1,
        after_seconds: 1800,
        failure: None,
        advice: "raise MaxSize".to_owned(),
    };
    let planned = |step: Step, standing: &Standing, launches_fail, announcements, seconds| {
        let told = Told {
            reports: vec![deregistered(), drained(), stopped(), replaced()],
            standing: Some(standing.clone()),
            launches_fail,
            ended: None,
        };
        let plan = plan(
            &follow_up(step),
            &reporters(),
            Some(&Ok(told)),
            announcements,
            after(seconds),
        );
        let outcome = plan.actions.iter().find_map(|action| match action {
            Action::PutEvent { detail, .. } => {
                let detail: Value = serde_json::from_str(detail).expect("JSON");
                Some(detail["outcome"].as_str().expect("an outcome").to_owned())
            }
            _ => None,
        });
        let kinds: Vec<ActionKind> = plan
            .actions
            .iter()
            .map(|action| shared_plan::Action::describe(action).0)
            .filter(|kind| *kind != ActionKind::AwaitGone)
            .collect();
        (kinds, outcome.unwrap_or_default())
    };
    let action = Some(InstanceAction::Terminate);
    let end = || Step::AwaitEnd { action };
    let later = || Step::AwaitWhole { action };
    let (all, failures) = (Announcements::All, Announcements::Failures);
    for (case, step, standing, fails, announcements, seconds, kinds, outcome) in [
        (
            "a launch takes a while",
            end(),
            &looking,
            false,
            failures,
            150,
            vec![AwaitWhole, PutEvent],
            "still-short",
        ),
        (
            "nobody is told twice",
            end(),
            &looking,
            false,
            all,
            150,
            vec![AwaitWhole, PutEvent],
            "still-short",
        ),
        (
            "launches fail",
            end(),
            &looking,
            true,
            failures,
            150,
            vec![AwaitWhole, PutEvent, PublishMessage],
            "still-short",
        ),
        (
            "whole in time",
            end(),
            &whole,
            false,
            failures,
            150,
            vec![PutEvent],
            "handed-off",
        ),
        (
            "not yet",
            later(),
            &looking,
            false,
            failures,
            300,
            vec![AwaitWhole],
            "",
        ),
        (
            "whole",
            later(),
            &whole,
            false,
            failures,
            300,
            vec![PutEvent],
            "handed-off",
        ),
        (
            "whole, for who wants all",
            later(),
            &whole,
            false,
            all,
            300,
            vec![PutEvent, PublishMessage],
            "handed-off",
        ),
        (
            "given up",
            later(),
            &short,
            false,
            failures,
            1900,
            vec![PutEvent, PublishMessage],
            "still-short",
        ),
        (
            "the watch never ends",
            later(),
            &looking,
            false,
            failures,
            2700,
            vec![PutEvent, PublishMessage],
            "still-short",
        ),
    ] {
        let expected = (kinds, outcome.to_owned());
        assert_eq!(
            planned(step, standing, fails, announcements, seconds),
            expected,
            "{case}"
        );
    }
}

fn document(name: &str) -> Value {
    let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
}

fn follow_up(step: Step) -> Notice {
    Notice {
        signal: Signal::FollowUp(FollowUp {
            cause: Cause::Interruption,
            deadline: Some(after(120)),
            step,
        }),
        ..warning()
    }
}

#[test]
fn what_takes_nothing_away_is_not_announced() {
    let of = |signal| Notice { signal, ..warning() };
    assert_eq!(is_announced(&of(Signal::Returned)), Err(Skip::NotAnnounced));
    assert_eq!(is_announced(&of(Signal::RebalanceRecommendation)), Ok(()));
    assert_eq!(is_announced(&warning()), Ok(()));
}

/// A report about a signal other than an interruption.
fn of_signal(function: &str, signal: &str, second: u32, members: Value) -> Report {
    let mut report = json!(report(function, second, members));
    report["signal"] = json!(signal);
    report["seconds_left_at_start"] = Value::Null;
    report["seconds_left_at_end"] = Value::Null;
    Report::from_line(&report.to_string()).expect("a report")
}

#[test]
fn exchanges_and_hooks_are_told_when_they_end() {
    let hook = spot_handoff::notice::LifecycleAction {
        hook: "drain".to_owned(),
        group: "inference".to_owned(),
        token: "token".to_owned(),
        to_warm_pool: false,
    };
    let recommended = || Signal::RebalanceRecommendation;
    let hooked = || Signal::TerminateLifecycleAction(hook.clone());
    let retired = |hours: i64| Signal::ScheduledRetirement {
        starts: after(hours * 3600),
    };
    let (rebalance, lifecycle, retirement) = (
        "rebalance-recommendation",
        "terminate-lifecycle-action",
        "scheduled-retirement",
    );
    let begun = |signal: &str| {
        let actions = [action("raise-desired-capacity", "inference", "done")];
        of_signal("replace-capacity", signal, 0, json!({"actions": actions}))
    };
    let ended = |how: &str| {
        of_signal(
            "replace-capacity",
            "follow-up",
            300,
            json!({"ending": how, "outcome": "nothing-to-do"}),
        )
    };
    let idle =
        |function: &str, signal: &str| of_signal(function, signal, 0, json!({"outcome": "nothing-to-do"}));
    let moved = |signal: &str| {
        vec![
            begun(signal),
            idle("drain-tasks", signal),
            idle("deregister-targets", signal),
        ]
    };
    let hook_work = |kind: &str| {
        let actions = [action(kind, "inference", "done")];
        let drains = of_signal("drain-tasks", lifecycle, 60, json!({"actions": actions}));
        vec![
            of_signal(
                "deregister-targets",
                lifecycle,
                0,
                json!({"actions": [action("deregister-target", TARGETS, "done")]}),
            ),
            drains,
        ]
    };
    let told = |signal: Signal, reports: &[Report], seconds| -> String {
        let notice = Notice { signal, ..warning() };
        let plan = plan_at(&notice, reports, Announcements::Failures, seconds);
        let one = |action: &Action| match action {
            Action::Await { at, .. } => format!("again at {}", at.duration_since(after(0)).as_secs()),
            Action::PutEvent { detail, .. } => {
                let detail: Value = serde_json::from_str(detail).expect("JSON");
                format!(
                    "{} {}",
                    detail["signal"].as_str().expect("a signal"),
                    detail["outcome"].as_str().expect("an outcome")
                )
            }
            Action::Publish(message) => message.subject.clone(),
            other => panic!("{other:?}"),
        };
        plan.actions.iter().map(one).collect::<Vec<_>>().join("; ")
    };
    let with = |mut reports: Vec<Report>, more: Report| {
        reports.push(more);
        reports
    };
    for (case, signal, reports, seconds, expected) in [
        (
            "nobody has reported",
            recommended(),
            vec![],
            2,
            "again at 32".to_owned(),
        ),
        (
            "it is not ours",
            recommended(),
            vec![idle("replace-capacity", rebalance)],
            2,
            String::new(),
        ),
        (
            "it is under way",
            recommended(),
            vec![begun(rebalance)],
            240,
            "again at 300".to_owned(),
        ),
        (
            "exchanged",
            recommended(),
            vec![begun(rebalance), ended("exchanged")],
            330,
            format!("{rebalance} handed-off"),
        ),
        (
            "interrupted meanwhile",
            recommended(),
            vec![begun(rebalance), ended("left-meanwhile")],
            330,
            String::new(),
        ),
        (
            "called off",
            recommended(),
            vec![begun(rebalance), ended("called-off")],
            330,
            format!("{rebalance} called-off"),
        ),
        (
            "in vain",
            recommended(),
            vec![begun(rebalance), ended("never-came")],
            930,
            format!(
                "{rebalance} failed; FAILED: {INSTANCE} in inference (rebalance recommendation): no replacement came into ser..."
            ),
        ),
        (
            "nobody reports its end",
            recommended(),
            vec![begun(rebalance)],
            3700,
            format!(
                "{rebalance} failed; FAILED: {INSTANCE} in inference (rebalance recommendation): nobody reported its end"
            ),
        ),
        (
            "a retirement that is exchanged",
            retired(72),
            with(moved(retirement), ended("exchanged")),
            330,
            format!("{retirement} handed-off"),
        ),
        (
            "a retirement in days, nothing exchanged",
            retired(72),
            vec![idle("replace-capacity", retirement), drained(), deregistered()],
            60,
            String::new(),
        ),
        (
            "a hook that waits",
            hooked(),
            hook_work("record-heartbeat"),
            60,
            "again at 90".to_owned(),
        ),
        (
            "a hook that is let go",
            hooked(),
            hook_work("complete-lifecycle-action"),
            90,
            format!("{lifecycle} handed-off"),
        ),
        (
            "somebody else's hook",
            hooked(),
            vec![
                idle("drain-tasks", lifecycle),
                idle("deregister-targets", lifecycle),
            ],
            30,
            String::new(),
        ),
    ] {
        assert_eq!(told(signal, &reports, seconds), expected, "{case}");
    }
}

#[test]
fn a_subject_is_what_sns_takes() {
    let mut report = json!(replaced());
    report["group"] = json!("gr\u{fc}n-".repeat(40));
    let replaced = Report::from_line(&report.to_string()).expect("a report");
    let subject = subject(&[deregistered(), replaced]);
    assert_eq!(subject.len(), 100);
    assert!(
        subject.starts_with("FAILED: i-0123456789abcdef0 in gr?n-gr?n-"),
        "{subject}"
    );
    assert!(subject.ends_with("..."), "{subject}");
}

#[test]
fn many_lines_are_cut_short_but_no_failure_is() {
    let mut actions: Vec<Value> = (0..50)
        .map(|n| action("deregister-target", &format!("target-{n}"), "done"))
        .collect();
    actions.push(action("deregister-target", "the-last", "failed"));
    let many = report(
        "deregister-targets",
        0,
        json!({"outcome": "failed", "actions": actions}),
    );
    let text = message(&warning(), &[many, drained(), stopped(), replaced()]).text;
    assert!(
        text.contains("FAILED        deregister target the-last"),
        "{text}"
    );
    assert!(text.contains("and 31 more in the log"), "{text}");
}

#[test]
fn the_documented_events_are_what_the_code_makes() {
    for (sample, reports) in [
        (
            "hand-off-event.json",
            vec![deregistered(), drained(), stopped(), replaced()],
        ),
        ("hand-off-event-failed.json", vec![deregistered(), replaced()]),
    ] {
        let (sample, made) = (document(sample), event(&warning(), &reports));
        for member in ["source", "detail-type", "detail"] {
            assert_eq!(sample[member], made[member], "{made:#}");
        }
    }
}
