use serde_json::{Value, json};

use super::*;

/// A report this many seconds after the notice.
fn report(second: i64, members: Value) -> Report {
    let started =
        "2026-11-24T04:00:00Z".parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(second);
    let mut report = json!({
        "report": "spot-handoff", "function": "drain-tasks", "level": "INFO", "message": "", "event_id": "e",
        "signal": if second == 0 { "interruption-warning" } else { "follow-up" }, "instance": "i-1",
        "notice_time": "2026-11-24T04:00:00Z", "started_at": started,
        "seconds_left_at_start": 120 - second, "seconds_left_at_end": 119 - second,
        "dry_run": false, "outcome": "done", "actions": []
    });
    for (name, value) in members.as_object().expect("members") {
        report[name] = value.clone();
    }
    Report::from_line(&report.to_string()).expect("a report")
}

fn task(id: &str, kind: &str, end: Option<&str>) -> Value {
    let mut task =
        json!({"task": format!("arn:aws:ecs:r:1:task/c/{id}"), "kind": kind, "name": "n", "plan": "p"});
    if let Some(end) = end {
        task["end"] = json!(end);
        task["ended_at"] = json!("2026-11-24T04:01:29Z");
    }
    task
}

fn serving(serving: usize, staying: usize) -> Value {
    let arn = "arn:aws:elasticloadbalancing:r:1:targetgroup/ranker/50dc6c49";
    json!({"targets": [{"target-group": arn, "serving": serving, "staying": staying}]})
}

#[test]
fn what_became_of_tasks_is_counted_by_their_last_report() {
    let first = |tasks: Value| report(0, json!({ "tasks": tasks }));
    let both = json!([
        task("a", "service", None),
        task("b", "service", None),
        task("c", "standalone", None)
    ]);
    let table: [(&str, Value, &[&str], Vec<Loss>); 5] = [
        (
            "nobody has looked",
            json!([]),
            &[
                "2 service tasks: 2 not looked at yet",
                "1 standalone task: 1 not looked at yet",
            ],
            vec![],
        ),
        (
            "all kept",
            json!([
                task("a", "service", Some("moved")),
                task("b", "service", Some("moved")),
                task("c", "standalone", Some("ended"))
            ]),
            &[
                "2 of 2 service tasks moved by ECS, the last of them 31 s before the deadline",
                "1 standalone task: 1 ended by itself",
            ],
            vec![],
        ),
        (
            "stopped",
            json!([
                task("a", "service", Some("moved")),
                task("b", "service", Some("stopped")),
                task("c", "standalone", Some("killed"))
            ]),
            &[
                "1 of 2 service tasks moved by ECS, the last of them 31 s before the deadline",
                "2 service tasks: 1 stopped in order",
                "1 standalone task: 1 killed when its grace was over",
            ],
            vec![],
        ),
        (
            "cut",
            json!([
                task("a", "service", Some("cut")),
                task("b", "service", Some("stopped")),
                task("c", "standalone", Some("cut"))
            ]),
            &[
                "2 service tasks: 1 stopped in order, 1 CUT OFF with the instance",
                "1 standalone task: 1 CUT OFF with the instance",
            ],
            vec![Loss::Cut(2)],
        ),
        (
            "not known",
            json!([
                task("a", "service", Some("running")),
                task("b", "service", Some("stopped")),
                task("c", "standalone", Some("unknown"))
            ]),
            &[
                "2 service tasks: 1 stopped in order, 1 with an unknown end",
                "1 standalone task: 1 with an unknown end",
            ],
            vec![Loss::NoEndKnown(2)],
        ),
    ];
    for (case, ends, sentences, losses) in table {
        let reports = [first(both.clone()), report(130, json!({ "tasks": ends }))];
        let kept = Kept::of(&reports);
        assert_eq!(kept.sentences(), sentences, "{case}");
        assert_eq!(kept.losses(), losses, "{case}");
        assert_eq!(kept.unseen() > 0, case == "nobody has looked");
    }
}

#[test]
fn a_drill_and_a_plan_lose_no_task() {
    let tasks = json!([task("a", "standalone", None)]);
    for (member, running) in [("drill", true), ("dry_run", false)] {
        let mut reports = vec![report(0, json!({ "tasks": tasks, member: true }))];
        if running {
            let ends = json!([task("a", "standalone", Some("running"))]);
            reports.push(report(142, json!({ "tasks": ends, member: true })));
        }
        let kept = Kept::of(&reports);
        assert_eq!((kept.losses(), kept.unseen()), (vec![], 0), "{member}");
    }
}

#[test]
fn a_task_that_runs_again_is_told() {
    let line = json!([{"action": "run-task-again", "resource": "arn:aws:ecs:r:1:task/c/a", "result": "done",
        "finished_at": "2026-11-24T04:01:30Z"}]);
    let tasks = json!([task("a", "standalone", None)]);
    let ends = json!([task("a", "standalone", Some("stopped"))]);
    let reports = [
        report(0, json!({ "tasks": tasks })),
        report(90, json!({ "actions": line })),
        report(130, json!({ "tasks": ends })),
    ];
    let kept = Kept::of(&reports);
    assert_eq!(
        kept.sentences(),
        [
            "1 standalone task: 1 stopped in order",
            "1 task runs again elsewhere"
        ]
    );
}

#[test]
fn the_fewest_targets_that_were_seen_count_and_none_is_a_loss() {
    let no_target = |after_seconds| Loss::NoTarget {
        target_group: "ranker".to_owned(),
        after_seconds,
    };
    let no_successor = Loss::NoSuccessor {
        target_group: "ranker".to_owned(),
    };
    let fewest =
        |number: &str| format!("at least {number} seen to serve in ranker, at looks every ten seconds");
    for (looks, sentence, losses) in [
        (vec![(0, 4, 4), (20, 5, 5)], fewest("4 targets"), vec![]),
        (
            vec![(0, 5, 4), (20, 1, 1), (40, 5, 5)],
            fewest("1 target"),
            vec![],
        ),
        (
            vec![(0, 1, 0), (110, 0, 0), (128, 1, 1)],
            "no target of ranker was healthy at T+110 s".to_owned(),
            vec![no_target(110)],
        ),
        // The last look before the end; nobody has seen what came then.
        (vec![(0, 1, 0)], fewest("1 target"), vec![no_successor]),
        (vec![(0, 1, 0), (60, 2, 1)], fewest("1 target"), vec![]),
        // It never served.
        (
            vec![(0, 0, 0)],
            "no target of ranker was healthy at T+0 s".to_owned(),
            vec![],
        ),
    ] {
        let reports = looks.iter().map(|(second, serves, stays)| {
            report(
                *second,
                json!({"function": "deregister-targets", "work": serving(*serves, *stays)}),
            )
        });
        let reports: Vec<Report> = reports.collect();
        let kept = Kept::of(&reports);
        assert_eq!(kept.sentences(), [sentence], "{looks:?}");
        assert_eq!(kept.losses(), losses, "{looks:?}");
    }
}
