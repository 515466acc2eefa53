//! The watch over a group: begun, joined, told, and not lost.

use anyhow::{Context, Result};
use end_to_end::scene::{Scene, quick, watched};
use end_to_end::{GROUP, event, warning};
use serde_json::{Value, json};
use spot_handoff::report::{GroupLine, GroupStanding, Report};

/// What the table says of the watch over the group.
async fn watch(scene: &Scene) -> Result<Value> {
    let items = scene.bed.world.items("watch").await?;
    let mut of_group = items.into_iter().filter(|item| item["group"] == GROUP);
    of_group.next().context("nobody watches the group")
}

/// What was told of groups, with the reports.
fn told(scene: &Scene) -> Vec<(Report, GroupLine)> {
    let reports = scene.reports_of("replace-capacity").into_iter();
    let lines = reports.flat_map(|report| {
        let lines = report.groups.clone();
        lines.into_iter().map(move |line| (report.clone(), line))
    });
    lines.collect()
}

/// Waits until it is told what has become of the group.
async fn until_told(scene: &Scene) -> Result<Report> {
    let is_told = |report: &Report| !report.groups.is_empty();
    scene.reported("what has become of the group", is_told).await
}

/// An interruption warning with an event id of its own.
fn numbered(scene: &Scene, index: usize) -> Result<Value> {
    let mut warning = warning(&scene.bed, &scene.nth_of(GROUP, index)?);
    warning["id"] = json!(format!("event-{index}"));
    Ok(warning)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_followed_until_it_is_whole_and_the_report_says_how_long_it_took() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    scene.put(&numbered(&scene, 0)?).await?;
    scene.settled().await?;
    let told = told(&scene);
    let [(report, line)] = &told[..] else {
        panic!("{}", scene.story());
    };
    assert_eq!(
        (line.standing, line.group.as_str()),
        (GroupStanding::Whole, GROUP)
    );
    assert_eq!(report.event_id, "event-0");
    assert!(
        report.message.contains("was whole again within"),
        "{}",
        report.message
    );
    let seconds = line.after_seconds.context("it says after how long")?;
    assert!((20..200).contains(&seconds), "{seconds} s");
    let watch = watch(&scene).await?;
    assert_eq!(
        watch["standing"],
        json!({ "is": "whole", "after-seconds": seconds })
    );
    assert_eq!(watch["interruptions"][0]["event-id"], "event-0");
    // A late copy of the notice finds the group whole and the watch over.
    scene.put(&numbered(&scene, 0)?).await?;
    scene.settled().await?;
    assert_eq!(self::told(&scene).len(), 1, "{}", scene.story());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_spot_stays_dry_it_is_told_after_half_an_hour_how_short_the_group_is_and_why() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    scene
        .happen(json!({ "kind": "no-spot-capacity", "seconds": 7200 }))
        .await?;
    // The second one joins the watch that the first one has begun.
    scene.put(&numbered(&scene, 0)?).await?;
    scene.pass(30).await;
    scene.put(&numbered(&scene, 1)?).await?;
    let over = scene.now().as_millisecond() as f64 + 1_900_000.0;
    scene.bed.play_until(over).await?;
    let report = until_told(&scene).await?;
    let line = &report.groups[0];
    assert_eq!(
        (line.standing, line.short_of),
        (GroupStanding::Short, Some(2)),
        "{}",
        scene.story()
    );
    assert!(
        line.after_seconds.is_some_and(|seconds| seconds >= 1798),
        "{line}"
    );
    assert!(
        line.detail
            .contains("Spot has no capacity for what the group asks for (Could not launch Spot Instances."),
        "{line}"
    );
    assert!(
        line.detail
            .contains("give the group more instance types and zones"),
        "{line}"
    );
    let watch = watch(&scene).await?;
    assert_eq!(watch["interruptions"].as_array().map(Vec::len), Some(2));
    assert_eq!(watch["standing"]["failure"]["trouble"], "no-spot-capacity");
    scene.bed.until_settled(end_to_end::scene::PATIENCE).await?;
    assert_eq!(told(&scene).len(), 1, "{}", scene.story());
    // It backs off: there are far fewer looks than failed launches.
    let looks = watch["look"].as_u64().context("a number")?;
    assert!((8..50).contains(&looks), "{looks} looks");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_launch_does_nothing_for_a_group_that_nobody_watches() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let detail = json!({
        "AutoScalingGroupName": GROUP,
        "StatusCode": "Failed",
        "StatusMessage": "Could not launch Spot Instances.",
        "EC2InstanceId": "",
        "Cause": "",
        "Details": {},
    });
    let failed = event(
        "aws.autoscaling",
        "EC2 Instance Launch Unsuccessful",
        scene.now(),
        detail,
    );
    let rules = scene.put(&failed).await?;
    assert_eq!(rules.len(), 1, "{rules:?}");
    scene.bed.until_settled(end_to_end::scene::PATIENCE).await?;
    assert!(scene.reports().is_empty(), "{}", scene.story());
    assert!(scene.calls("SendMessageBatch").await?.is_empty());
    assert!(scene.bed.world.items("watch").await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_table_the_hand_off_is_done_and_the_group_is_followed_all_the_same() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    for action in ["GetItem", "PutItem", "BatchGetItem", "BatchWriteItem"] {
        scene.fault(action, None, json!({ "kind": "denied" })).await?;
    }
    scene.put(&numbered(&scene, 0)?).await?;
    until_told(&scene).await?;
    let told = told(&scene);
    let [(report, line)] = &told[..] else {
        panic!("{}", scene.story());
    };
    assert_eq!(line.standing, GroupStanding::Whole);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("the table did not tell how far the watch")),
        "{report:?}"
    );
    assert_eq!(scene.calls("DetachInstances").await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_killed_at_any_call_of_a_look_does_not_lose_the_watch() -> Result<()> {
    let deaths = [
        ("SendMessageBatch", 0, false),
        ("DetachInstances", 0, true),
        ("BatchGetItem", 0, false),
        ("SendMessageBatch", 1, true),
        ("PutItem", 0, false),
        ("PutItem", 0, true),
        ("DescribeScalingActivities", 0, false),
    ];
    let plays = deaths.map(|(action, skip, carried_out)| async move {
        // Slower, so that a message that comes back after a kill still finds the instance.
        let scene = Scene::start(watched()).await?;
        // Not whole at the first look.
        scene
            .happen(json!({ "kind": "no-spot-capacity", "seconds": 70 }))
            .await?;
        let order = json!([{
            "caller": "replace-capacity",
            "action": action,
            "skip": skip,
            "times": 1,
            "fault": { "kind": "hang", "ms": 60_000, "carried_out": carried_out },
        }]);
        scene.bed.world.faults(&order).await?;
        let before = scene.bed.world.faults_struck().await?;
        scene.put(&numbered(&scene, 0)?).await?;
        let struck = async {
            while scene.bed.world.faults_struck().await? <= before {
                tokio::time::sleep(std::time::Duration::from_millis(15)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(end_to_end::PATIENCE, struck)
            .await
            .with_context(|| format!("{action} never came\n{}", scene.story()))??;
        scene.bed.kill("replace-capacity");
        until_told(&scene).await?;
        let watch = watch(&scene).await;
        let watch = watch.with_context(|| format!("killed at {action}\n{}", scene.story()))?;
        let standing = watch["standing"]["is"].clone();
        assert_eq!(standing, "whole", "killed at {action}\n{}", scene.story());
        anyhow::Ok(())
    });
    for play in futures::future::join_all(plays).await {
        play?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_message_that_begins_the_watch_cannot_be_sent_the_hand_off_is_done_and_says_so()
-> Result<()> {
    let scene = Scene::start(quick()).await?;
    let order = json!([{
        "caller": "replace-capacity",
        "action": "SendMessageBatch",
        "fault": { "kind": "denied" },
    }]);
    scene.bed.world.faults(&order).await?;
    scene.put(&numbered(&scene, 0)?).await?;
    let failed = |report: &Report| report.function == "replace-capacity" && !report.problems.is_empty();
    let report = scene.reported("the group is not watched", failed).await?;
    assert!(
        report.problems[0]
            .starts_with("its group is not watched until it is whole: SendMessageBatch refused"),
        "{report:?}"
    );
    scene.settled().await?;
    assert_eq!(scene.calls("DetachInstances").await?.len(), 1);
    Ok(())
}
