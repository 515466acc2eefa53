use serde_json::json;
use spot_handoff::report::Report;

use super::*;

fn stories(error: Option<&str>) -> Vec<Story> {
    let action = |at: &str| {
        json!({"action": "stop-task", "resource": "arn:aws:ecs:us-east-1:1:task/c/0123456789abcdef",
            "result": if error.is_some() { "failed" } else { "done" }, "error": error,
            "finished_at": format!("2026-11-24T04:00:{at}Z")})
    };
    let report = json!({
        "report": "spot-handoff", "function": "drain-tasks", "level": "INFO", "message": "it failed",
        "event_id": "e", "signal": "interruption-warning", "instance": "i-1",
        "notice_time": "2026-11-24T04:00:00Z", "started_at": "2026-11-24T04:00:00.500Z",
        "seconds_left_at_start": 119.5, "seconds_left_at_end": 119.0, "dry_run": false, "drill": true,
        "outcome": if error.is_some() { "failed" } else { "done" },
        "actions": [action("00.600"), action("00.650"), action("40.000")],
    });
    Story::of(vec![Report::from_line(&report.to_string()).unwrap()])
}

fn render(stories: &[Story]) -> String {
    let at = |text: &str| text.parse().unwrap();
    page(
        stories,
        "spot-handoff",
        at("2026-11-24T03:00:00Z"),
        at("2026-11-24T05:00:00Z"),
    )
}

#[test]
fn what_happens_in_one_moment_is_one_mark_with_every_action_in_its_tooltip() {
    let page = render(&stories(None));
    assert!(page.contains("stop task ×2"), "{page}");
    assert!(page.contains("in a real interruption AWS would take the instance at"));
    // For a screen and for a phone.
    assert_eq!(page.matches("class=\"label\"").count(), 2 * 2);
    assert!(page.contains("Interruption warning (drill)"));
}

#[test]
fn nothing_of_a_log_becomes_part_of_the_page() {
    let page = render(&stories(Some("<script>alert(1)</script>")));
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("FAILED stop task"));
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn headings_and_contents_say_whose_it_was_and_how_it_ended() {
    let page = render(&[stories(None), stories(Some("refused"))].concat());
    assert_eq!(
        page.matches("aria-label=\"went well\"").count(),
        0,
        "two functions are silent"
    );
    assert_eq!(page.matches("aria-label=\"failed\"").count(), 4, "{page}");
    assert_eq!(page.matches("cluster c").count(), 4, "{page}");
    assert!(
        page.contains("no report from deregister-targets, replace-capacity"),
        "{page}"
    );
}

#[test]
fn where_nothing_was_done_there_is_no_picture() {
    let mut stories = stories(None);
    stories[0].reports[0].actions.clear();
    assert!(!render(&stories).contains("class=\"picture"));
}

#[test]
fn without_a_report_the_page_says_so() {
    assert!(render(&[]).contains("No function reported"));
}

#[test]
fn the_work_is_drawn_above_the_actions() {
    let mut stories = stories(None);
    let seen = json!({"targets": [{"target-group": "arn:aws:elasticloadbalancing:r:1:targetgroup/web/1",
        "serving": 4, "staying": 3}], "tasks": 2});
    stories[0].reports[0].work = serde_json::from_value(seen).unwrap();
    let page = render(&stories);
    // How far down a text is.
    let y = |text: &str| -> f64 {
        let before = &page[..page.find(text).unwrap()];
        let (_, y) = before.rsplit_once(" y=\"").unwrap();
        y.split('"').next().unwrap().parse().unwrap()
    };
    assert!(y("web: serving") < y(">drain-tasks</text>"), "{page}");
    // In the pictures for a screen and for a phone: a line for each number.
    assert_eq!(page.matches("<polyline").count(), 2 * 2);
    assert!(page.contains("at least 4 targets seen to serve in web"), "{page}");
}
