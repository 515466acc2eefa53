//! The ends of Capacity Reservations and Capacity Blocks.

use anyhow::Result;
use end_to_end::events;
use end_to_end::invariants::{launched_for, nothing_else_is_touched};
use end_to_end::scene::{PATIENCE, Scene, is_registered_as, quick, skips};
use jiff::SignedDuration;
use serde_json::{Value, json};
use testbed::Options;

/// A warning that the instance goes at `minutes` from now.
fn ends(scene: &Scene, instance: &str, minutes: i64) -> Result<Value> {
    let ends = scene.now() + SignedDuration::from_mins(minutes);
    events::reservation_ends(instance, ends, scene.now())
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_whose_reservation_ends_are_handed_off_whatever_comes_with_their_warnings() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let doomed = [scene.first_of("inference")?, scene.first_of("hooked")?];
    let late = scene.nth_of("inference", 1)?;
    // Twice, in one batch, with one that comes more than half an hour late.
    let mut too_late = ends(&scene, &late, 2)?;
    let then = scene.now() - SignedDuration::from_mins(40);
    too_late["time"] = json!(then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let [first, second] = [ends(&scene, &doomed[0], 4)?, ends(&scene, &doomed[1], 4)?];
    let batch = [first.clone(), too_late, second.clone(), first, second];
    scene.bed.world.put_events(&batch).await?;
    scene
        .until("both are drained and leave their groups", |state| {
            doomed.iter().all(|instance| {
                is_registered_as(state, instance, "DRAINING") && state.group_of(instance).is_none()
            })
        })
        .await?;
    for function in ["deregister-targets", "drain-tasks", "replace-capacity"] {
        scene
            .reported("one comes too late", |report| {
                report.function == function && report.instance == late && skips(report, "minutes old")
            })
            .await?;
    }
    let detached = scene.calls("DetachInstances").await?;
    assert_eq!(detached.len(), 2, "each once\n{}", scene.story());
    let left: Vec<&str> = doomed.iter().map(String::as_str).collect();
    let after = scene.settled().await?;
    launched_for(&scene, &after, "inference", 1)?;
    launched_for(&scene, &after, "hooked", 1)?;
    nothing_else_is_touched(&scene, &after, &left)
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_capacity_block_ends_is_told_and_touches_nothing() -> Result<()> {
    let options = Options {
        announce: true,
        ..quick()
    };
    let scene = Scene::start(options).await?;
    let event = events::capacity_block_ends(scene.now())?;
    for _ in 0..2 {
        let matched = scene.put(&event).await?;
        assert_eq!(matched.len(), 1, "{matched:?}");
    }
    scene.bed.until_settled(PATIENCE).await?;
    let told = scene.bed.world.notifications().await?;
    let is_told = |subject: &str| subject.contains("Capacity Block ends");
    assert!(
        told.iter().filter_map(|one| one.subject.as_deref()).any(is_told),
        "{told:?}"
    );
    let after = scene.state().await?;
    nothing_else_is_touched(&scene, &after, &[])
}
