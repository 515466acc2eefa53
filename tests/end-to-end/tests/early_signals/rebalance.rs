//! A rebalance recommendation: the replacement is there before the instance goes.

use anyhow::Result;
use serde_json::json;
use spot_handoff::report::{ActionResult, Outcome};
use testbed::State;

use end_to_end::dead_letters;
use end_to_end::events;
use end_to_end::invariants::{launched_for, nobody_runs_outside_a_group, nothing_else_is_touched};
use end_to_end::scene::{Scene, acts, exchange_tags, quick, serving, skips, watched};

/// Everything as at the start, but for the instance and its one replacement.
fn exchanged(scene: &Scene, after: &State, group: &str, old: &str) -> Result<()> {
    assert!(
        after.group_of(old).is_none(),
        "it is still in its group\n{}",
        scene.story()
    );
    assert_eq!(
        after.instance(old).map(|one| one.state.as_str()),
        Some("terminated")
    );
    launched_for(scene, after, group, 1)?;
    nobody_runs_outside_a_group(scene, after)?;
    nothing_else_is_touched(scene, after, &[old])
}

/// The instance serves as before, and nothing was launched.
fn unchanged(scene: &Scene, after: &State, group: &str) -> Result<()> {
    assert_eq!(after.group(group), scene.before.group(group), "{}", scene.story());
    launched_for(scene, after, group, 0)?;
    nothing_else_is_touched(scene, after, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_instance_is_drained_when_its_replacement_is_in_the_cluster_and_then_terminated() -> Result<()>
{
    let scene = Scene::start(watched()).await?;
    let old = scene.first_of("inference")?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;

    let (draining, new) = scene.drained_after_its_replacement(&old).await?;
    let group = draining.group("inference").expect("a group");
    assert!(serving(group).contains(&new.as_str()), "{group:?}");
    assert!(
        serving(group).contains(&old.as_str()),
        "it left before its tasks did: {group:?}"
    );

    let after = scene.settled().await?;
    exchanged(&scene, &after, "inference", &old)?;
    assert_eq!(scene.calls("LaunchInstances").await?.len(), 1);
    assert!(scene.calls("SetDesiredCapacity").await?.is_empty());
    assert!(scene.calls("DetachInstances").await?.is_empty());
    assert!(!acts(&scene.reports_of("replace-capacity")[0], "detach-instance"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recommendation_that_comes_three_times_has_one_replacement_launched() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    let event = events::rebalance(&old, scene.now())?;
    scene.put(&event).await?;
    scene.put(&event).await?;
    scene.pass(9).await;
    scene.put(&event).await?;
    let after = scene.settled().await?;
    exchanged(&scene, &after, "inference", &old)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_of_a_group_are_exchanged_at_the_same_time() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let (one, other) = (scene.nth_of("inference", 0)?, scene.nth_of("inference", 1)?);
    scene.put(&events::rebalance(&one, scene.now())?).await?;
    scene.put(&events::rebalance(&other, scene.now())?).await?;
    let after = scene.settled().await?;
    launched_for(&scene, &after, "inference", 2)?;
    nobody_runs_outside_a_group(&scene, &after)?;
    nothing_else_is_touched(&scene, &after, &[&one, &other])
}

async fn by_raising_the_desired_capacity(group: &str) -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of(group)?;
    let event = events::rebalance(&old, scene.now())?;
    scene.put(&event).await?;
    scene.put(&event).await?;
    let after = scene.settled().await?;
    exchanged(&scene, &after, group, &old)?;
    assert!(!scene.calls("SetDesiredCapacity").await?.is_empty());
    assert!(scene.calls("LaunchInstances").await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_mixes_on_demand_and_spot_has_its_desired_capacity_raised() -> Result<()> {
    by_raising_the_desired_capacity("mixed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_a_launch_configuration_has_its_desired_capacity_raised() -> Result<()> {
    by_raising_the_desired_capacity("legacy").await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_of_a_mixed_group_raise_its_desired_capacity_by_two() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let (one, other) = (scene.nth_of("mixed", 0)?, scene.nth_of("mixed", 1)?);
    scene.put(&events::rebalance(&one, scene.now())?).await?;
    scene.put(&events::rebalance(&other, scene.now())?).await?;
    let after = scene.settled().await?;
    launched_for(&scene, &after, "mixed", 2)?;
    nobody_runs_outside_a_group(&scene, &after)?;
    nothing_else_is_touched(&scene, &after, &[&one, &other])
}

#[tokio::test(flavor = "multi_thread")]
async fn with_capacity_rebalancing_the_launch_is_left_to_auto_scaling() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("rebalancing")?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    scene
        .until("Auto Scaling has exchanged it", |state| {
            state.group_of(&old).is_none()
        })
        .await?;
    let after = scene.settled().await?;
    exchanged(&scene, &after, "rebalancing", &old)?;
    let report = &scene.reports_of("replace-capacity")[0];
    assert!(skips(report, "Capacity Rebalancing is on"), "{report:?}");
    assert!(report.actions.is_empty(), "{report:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_zone_has_capacity_the_old_instance_goes_on_serving() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    scene
        .fault("LaunchInstances", None, json!({ "kind": "no-capacity" }))
        .await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    scene
        .reported("an answer", |report| report.function == "replace-capacity")
        .await?;
    let after = scene.settled().await?;
    unchanged(&scene, &after, "inference")?;
    let report = &scene.reports_of("replace-capacity")[0];
    assert_eq!(report.actions[0].result, ActionResult::NotPossible, "{report:?}");
    let remark = report.actions[0].error.as_deref().unwrap_or_default();
    assert!(
        remark.contains("InsufficientInstanceCapacity") && remark.contains("goes on serving"),
        "{remark}"
    );
    assert_eq!(
        scene.calls("LaunchInstances").await?.len(),
        3,
        "each zone is tried"
    );
    Ok(())
}

/// Has what the group launches be of no use, and asks for an exchange; it ends as if there had been none.
async fn exchanged_in_vain(scene: &Scene, old: &str, what_fails: &str, why: &str) -> Result<()> {
    let failing = json!({ "kind": "new-instances-fail", "group": "inference", "what": what_fails });
    scene.happen(failing).await?;
    scene.put(&events::rebalance(old, scene.now())?).await?;
    scene
        .until("a replacement", |state| !scene.new_instances(state).is_empty())
        .await?;
    let after = scene.settled().await?;
    assert_eq!(
        after.group("inference"),
        scene.before.group("inference"),
        "{}",
        scene.story()
    );
    // Its targets as well: it goes on serving.
    nothing_else_is_touched(scene, &after, &[])?;
    nobody_runs_outside_a_group(scene, &after)?;
    let reports = scene.reports_of("replace-capacity");
    assert!(
        reports.iter().any(|report| skips(report, why)),
        "{}",
        scene.story()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_work_cannot_move_the_old_instance_serves_on_and_can_be_exchanged_again() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    exchanged_in_vain(&scene, &old, "agent", "its work cannot move").await?;
    // LaunchInstances answers with the first replacement for as long as it knows the token of it.
    let working = json!({ "kind": "new-instances-fail", "group": "inference", "what": null });
    scene.happen(working).await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    scene
        .until("another replacement", |state| {
            let mut new = scene.new_instances(state).into_iter();
            new.any(|one| one.state == "running")
        })
        .await?;
    let after = scene.settled().await?;
    let calls = scene.calls("LaunchInstances").await?;
    assert_eq!(calls.len(), 2, "{}", scene.story());
    assert!(after.group_of(&old).is_none(), "{}", scene.story());
    let group = after.group("inference").expect("a group");
    let before = scene.before.group("inference").expect("a group");
    assert_eq!(
        (group.desired, serving(group).len()),
        (before.desired, serving(before).len())
    );
    nobody_runs_outside_a_group(&scene, &after)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_is_given_back_once_although_its_message_comes_again() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    scene
        .fault("DeleteTags", Some(2), json!({ "kind": "denied" }))
        .await?;
    exchanged_in_vain(&scene, &old, "agent", "its work cannot move").await?;
    let given_back = scene.calls("TerminateInstanceInAutoScalingGroup").await?;
    assert_eq!(given_back.len(), 1, "{}", scene.story());
    assert!(
        scene.calls("SetDesiredCapacity").await?.is_empty(),
        "{}",
        scene.story()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_does_not_wait_for_a_launch_that_is_refused() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    scene
        .fault("LaunchInstances", None, json!({ "kind": "denied" }))
        .await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    scene
        .reported("the launch is refused", |report| {
            report.function == "replace-capacity" && report.outcome == Outcome::Failed
        })
        .await?;
    scene.put(&events::interruption(&old, scene.now())?).await?;
    let left = scene
        .reported("it leaves", |report| {
            report.function == "replace-capacity" && report.signal == "interruption-warning"
        })
        .await?;
    assert_eq!(left.outcome, Outcome::Done, "{}", scene.story());
    let after = scene.settled().await?;
    launched_for(&scene, &after, "inference", 1)?;
    assert!(exchange_tags(&after).is_empty(), "{}", scene.story());
    nothing_else_is_touched(&scene, &after, &[&old])
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_requests_reach_the_replacement_the_old_instance_serves_on() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    exchanged_in_vain(&scene, &old, "targets", "did not become healthy").await
}

/// A group with a warm pool, for example: Auto Scaling answers so to any launch there, in whatever zone.
#[tokio::test(flavor = "multi_thread")]
async fn where_launch_instances_is_not_supported_the_old_instance_goes_on_serving() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    let unsupported = json!({ "kind": "error", "code": "UnsupportedOperation", "status": 400 });
    scene.fault("LaunchInstances", None, unsupported).await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    let report = scene
        .reported("an answer", |report| report.function == "replace-capacity")
        .await?;
    assert_eq!(report.actions[0].result, ActionResult::NotPossible, "{report:?}");
    let after = scene.settled().await?;
    unchanged(&scene, &after, "inference")?;
    assert!(dead_letters(&after).is_empty(), "{}", scene.story());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_best_zone_has_no_capacity_the_next_one_is_tried() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    scene
        .fault("LaunchInstances", Some(1), json!({ "kind": "no-capacity" }))
        .await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    scene
        .until("a replacement", |state| !scene.new_instances(state).is_empty())
        .await?;
    let after = scene.settled().await?;
    exchanged(&scene, &after, "inference", &old)
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_answer_of_the_launch_is_lost_it_is_not_launched_twice() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    scene
        .fault("LaunchInstances", Some(1), json!({ "kind": "lost-answer" }))
        .await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    scene
        .until("a replacement", |state| !scene.new_instances(state).is_empty())
        .await?;
    let after = scene.settled().await?;
    exchanged(&scene, &after, "inference", &old)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_cannot_be_retired_is_tried_five_times_and_not_exchanged_anew() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    let denied = json!({ "kind": "error", "code": "AccessDenied", "status": 403 });
    scene
        .fault("TerminateInstanceInAutoScalingGroup", None, denied)
        .await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    let after = scene.settled().await?;
    launched_for(&scene, &after, "inference", 1)?;
    assert_eq!(dead_letters(&after).len(), 1, "{}", scene.story());
    let reports = scene.reports_of("replace-capacity");
    let tries = reports.iter().filter(|report| acts(report, "retire-instance"));
    assert_eq!(tries.count(), 5, "{}", scene.story());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_max_size_leaves_no_room_nothing_is_changed() -> Result<()> {
    let mut scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    scene
        .happen(json!({ "kind": "limit-size", "group": "inference", "max": 6 }))
        .await?;
    scene.before = scene.state().await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    let report = scene
        .reported("an answer", |report| report.function == "replace-capacity")
        .await?;
    let after = scene.settled().await?;
    unchanged(&scene, &after, "inference")?;
    assert!(skips(&report, "MaxSize 6 leaves no room"), "{report:?}");
    assert!(dead_letters(&after).is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_rebalance_action_ignore_nothing_is_done() -> Result<()> {
    let scene = Scene::start(quick().parameter("RebalanceAction", "ignore")).await?;
    let old = scene.first_of("inference")?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    let report = scene
        .reported("an answer", |report| report.function == "replace-capacity")
        .await?;
    let after = scene.settled().await?;
    unchanged(&scene, &after, "inference")?;
    assert!(skips(&report, "RebalanceAction is `ignore`"), "{report:?}");
    Ok(())
}
