//! A rebalance recommendation: the replacement comes before the instance goes.

use anyhow::Result;
use serde_json::json;
use spot_handoff::report::Outcome;
use testbed::State;

use end_to_end::dead_letters;
use end_to_end::events;
use end_to_end::invariants::{launched_for, nobody_runs_outside_a_group, nothing_else_is_touched};
use end_to_end::scene::{Scene, acts, quick, serving, skips, watched};

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
    assert_eq!(scene.calls("SetDesiredCapacity").await?.len(), 1);
    assert!(scene.under_way().await?.is_empty(), "{}", scene.story());
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

/// AWS retires both, so both go. With recommendations, a group of so few exchanges one at a time.
async fn two_are_retired(group: &str) -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let (one, other) = (scene.nth_of(group, 0)?, scene.nth_of(group, 1)?);
    let starts = scene.now() + jiff::SignedDuration::from_hours(48);
    for instance in [&one, &other] {
        scene
            .put(&events::retirement(instance, starts, scene.now())?)
            .await?;
    }
    let after = scene.settled().await?;
    launched_for(&scene, &after, group, 2)?;
    nobody_runs_outside_a_group(&scene, &after)?;
    assert!(scene.under_way().await?.is_empty(), "{}", scene.story());
    nothing_else_is_touched(&scene, &after, &[&one, &other])
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_of_a_group_are_exchanged_at_the_same_time() -> Result<()> {
    two_are_retired("inference").await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_of_a_mixed_group_raise_its_desired_capacity_by_two() -> Result<()> {
    two_are_retired("mixed").await
}

async fn in_any_group(group: &str) -> Result<()> {
    let scene = Scene::start(quick()).await?;
    scene
        .bed
        .world
        .tag_group(group, "spot-handoff:rebalance", "launch-first")
        .await?;
    let mut scene = scene;
    scene.before = scene.state().await?;
    let old = scene.first_of(group)?;
    let event = events::rebalance(&old, scene.now())?;
    scene.put(&event).await?;
    scene.put(&event).await?;
    let after = scene.settled().await?;
    exchanged(&scene, &after, group, &old)?;
    assert!(!scene.calls("SetDesiredCapacity").await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tagged_group_that_mixes_on_demand_and_spot_is_exchanged_without_a_cluster() -> Result<()> {
    in_any_group("mixed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tagged_group_with_a_launch_configuration_is_exchanged_without_a_cluster() -> Result<()> {
    in_any_group("legacy").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recommendation_for_an_instance_in_no_cluster_is_reported() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("mixed")?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    let report = scene
        .reported("an answer", |report| report.function == "replace-capacity")
        .await?;
    let after = scene.settled().await?;
    unchanged(&scene, &after, "mixed")?;
    assert!(skips(&report, "instances in an ECS cluster"), "{report:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn recommendations_do_not_churn() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let (one, other) = (scene.nth_of("inference", 0)?, scene.nth_of("inference", 1)?);
    scene.put(&events::rebalance(&one, scene.now())?).await?;
    scene
        .until("the exchange has begun", |state| {
            !scene.new_instances(state).is_empty()
        })
        .await?;
    scene.put(&events::rebalance(&other, scene.now())?).await?;
    scene
        .reported("one at a time", |report| skips(report, "a tenth of a group"))
        .await?;
    let after = scene.settled().await?;
    let new = scene.new_instances(&after)[0].id.clone();
    scene.put(&events::rebalance(&other, scene.now())?).await?;
    scene
        .reported("no warning followed", |report| {
            skips(report, "no interruption warning followed")
        })
        .await?;
    scene.put(&events::rebalance(&new, scene.now())?).await?;
    scene
        .reported("it is young", |report| skips(report, "younger than 30 minutes"))
        .await?;
    let after = scene.settled().await?;
    exchanged(&scene, &after, "inference", &one)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sets_the_desired_capacity_meanwhile_is_obeyed() -> Result<()> {
    let scene = Scene::start(watched()).await?;
    let old = scene.first_of("inference")?;
    let desired = scene.before.group("inference").expect("a group").desired;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    scene.drained_after_its_replacement(&old).await?;
    scene
        .happen(json!({ "kind": "set-desired", "group": "inference", "desired": desired + 3 }))
        .await?;
    scene
        .until("it has left its group", |state| state.group_of(&old).is_none())
        .await?;
    let after = scene.settled().await?;
    let group = after.group("inference").expect("a group");
    assert_eq!(group.desired, desired + 3, "{}", scene.story());
    assert!(scene.under_way().await?.is_empty(), "{}", scene.story());
    launched_for(&scene, &after, "inference", 4)
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
async fn where_nothing_comes_the_old_instance_goes_on_serving() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    scene
        .happen(json!({ "kind": "no-spot-capacity", "seconds": 1200 }))
        .await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    scene
        .reported("it is given up", |report| {
            skips(report, "no replacement came into service in time")
        })
        .await?;
    let after = scene.settled().await?;
    unchanged(&scene, &after, "inference")?;
    assert!(scene.under_way().await?.is_empty(), "{}", scene.story());
    Ok(())
}

/// Makes what the group launches useless, and asks for an exchange. It ends as if there had been no exchange.
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
    exchanged_in_vain(&scene, &old, "agent", "did not become healthy").await?;
    let working = json!({ "kind": "new-instances-fail", "group": "inference", "what": null });
    scene.happen(working).await?;
    // A recommendation would be held back for half an hour.
    let starts = scene.now() + jiff::SignedDuration::from_hours(48);
    scene.put(&events::retirement(&old, starts, scene.now())?).await?;
    scene
        .until("another replacement", |state| {
            let mut new = scene.new_instances(state).into_iter();
            new.any(|one| one.state == "running")
        })
        .await?;
    let after = scene.settled().await?;
    assert_eq!(scene.new_instances(&after).len(), 2, "{}", scene.story());
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
        .fault(
            "TerminateInstanceInAutoScalingGroup",
            Some(2),
            json!({ "kind": "lost-answer" }),
        )
        .await?;
    exchanged_in_vain(&scene, &old, "agent", "did not become healthy").await?;
    assert_eq!(
        scene.calls("SetDesiredCapacity").await?.len(),
        1,
        "{}",
        scene.story()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_does_not_wait_for_a_raise_that_is_refused() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    scene
        .fault("SetDesiredCapacity", None, json!({ "kind": "denied" }))
        .await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    scene
        .reported("the raise is refused", |report| {
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
    nothing_else_is_touched(&scene, &after, &[&old])
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_requests_reach_the_replacement_the_old_instance_serves_on() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    exchanged_in_vain(&scene, &old, "targets", "did not become healthy").await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_answer_of_the_raise_is_lost_it_is_not_raised_twice() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    scene
        .fault("SetDesiredCapacity", Some(1), json!({ "kind": "lost-answer" }))
        .await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    scene
        .until("a replacement", |state| !scene.new_instances(state).is_empty())
        .await?;
    let after = scene.settled().await?;
    exchanged(&scene, &after, "inference", &old)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_group_is_read_before_its_desired_capacity_is_set_again() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    let busy = json!({ "kind": "error", "code": "ResourceContention", "status": 500 });
    scene.fault("SetDesiredCapacity", Some(2), busy).await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    let after = scene.settled().await?;
    exchanged(&scene, &after, "inference", &old)?;
    let calls = scene.bed.world.calls().await?;
    let of_group: Vec<&str> = calls
        .iter()
        .filter(|call| call.caller.as_deref() == Some("replace-capacity"))
        .map(|call| call.action.as_str())
        .filter(|action| ["SetDesiredCapacity", "DescribeAutoScalingGroups"].contains(action))
        .collect();
    let again = of_group.windows(2).any(|two| two == ["SetDesiredCapacity"; 2]);
    assert!(!again, "{of_group:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_cannot_be_retired_is_tried_again_and_not_exchanged_anew() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    let denied = json!({ "kind": "error", "code": "AccessDenied", "status": 403 });
    scene
        .fault("TerminateInstanceInAutoScalingGroup", None, denied)
        .await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    let after = scene.settled().await?;
    launched_for(&scene, &after, "inference", 1)?;
    assert!(!dead_letters(&after).is_empty(), "{}", scene.story());
    let reports = scene.reports_of("replace-capacity");
    let tries = reports.iter().filter(|report| acts(report, "retire-instance"));
    assert!(tries.count() >= 5, "{}", scene.story());
    assert_eq!(scene.under_way().await?, [old].into(), "it waits for its redrive");
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
