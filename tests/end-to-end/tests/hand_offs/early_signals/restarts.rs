//! Restarts by AWS: an instance is drained shortly before, and takes work again when it is back.

use anyhow::Result;
use end_to_end::events;
use end_to_end::invariants::nothing_else_is_touched;
use end_to_end::scene::{PATIENCE, Scene, acts, is_registered_as, quick, skips};
use jiff::SignedDuration;
use serde_json::json;
use testbed::State;

/// From the announcement to the restart: a minute more than the time between drain and restart.
const AHEAD: SignedDuration = SignedDuration::from_mins(11);

/// The targets on an instance that belong to the group itself. Targets of services come back with their tasks.
fn targets(state: &State, instance: &str) -> usize {
    let group = state.target_group("inference");
    let targets = group.map(|group| group.targets.as_slice()).unwrap_or_default();
    let serving = targets
        .iter()
        .filter(|target| target.id == instance && target.state != "draining");
    serving.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_drained_before_a_reboot_and_serves_again_after_it() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let instance = scene.first_of("inference")?;
    let starts = scene.now() + AHEAD;
    let event = events::reboot(&instance, starts, scene.now())?;
    for _ in 0..3 {
        scene.put(&event).await?;
    }
    scene
        .reported("it is looked for", |report| acts(report, "await-restart"))
        .await?;
    let early = scene.state().await?;
    assert!(is_registered_as(&early, &instance, "ACTIVE"), "{}", scene.story());

    scene
        .until("it is drained, and its target is out", |state| {
            is_registered_as(state, &instance, "DRAINING") && targets(state, &instance) == 0
        })
        .await?;
    assert!(scene.now() < starts, "before the restart");
    // A copy that comes late changes nothing.
    scene.put(&event).await?;
    let left = starts.duration_since(scene.now()).as_secs();
    scene.pass(u64::try_from(left)? + 30).await;
    let restarts = scene.state().await?;
    assert!(
        is_registered_as(&restarts, &instance, "DRAINING"),
        "{}",
        scene.story()
    );
    scene
        .happen(json!({ "kind": "reboot", "instance": instance, "seconds": 90 }))
        .await?;

    let serves_again =
        |state: &State| is_registered_as(state, &instance, "ACTIVE") && targets(state, &instance) > 0;
    scene.until("it serves again", serves_again).await?;
    scene.bed.until_settled(PATIENCE).await?;
    let after = scene.state().await?;
    assert!(serves_again(&after), "{}", scene.story());
    assert_eq!(targets(&after, &instance), targets(&scene.before, &instance));
    assert_eq!(after.group("inference"), scene.before.group("inference"));
    assert!(
        scene.new_instances(&after).is_empty(),
        "nothing is launched for it"
    );
    // Copies may look at the same moment, and on a busy machine they do. Then each call does what has already been
    // done.
    for action in ["drain-container-instance", "activate-container-instance"] {
        let reports = scene.reports_of("drain-tasks");
        let times = reports.iter().filter(|report| acts(report, action)).count();
        assert!((1..=3).contains(&times), "{action}: {times}\n{}", scene.story());
    }
    nothing_else_is_touched(&scene, &after, &[&instance])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_that_is_called_off_or_over_already_takes_nothing_away() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let [called_off, resolved] = [scene.first_of("inference")?, scene.nth_of("inference", 1)?];
    let starts = scene.now() + AHEAD;
    // One event names both, of which one is not affected any more.
    let mut event = events::reboot(&called_off, starts, scene.now())?;
    let entities = json!([
        { "entityValue": called_off, "status": "PENDING" },
        { "entityValue": resolved, "status": "RESOLVED" },
    ]);
    event["detail"]["affectedEntities"] = entities;
    scene.put(&event).await?;
    scene
        .reported("one is looked for", |report| {
            acts(report, "await-restart") && report.instance == called_off
        })
        .await?;
    scene
        .reported("the other is not", |report| {
            report.instance == resolved && skips(report, "nothing is left to be done")
        })
        .await?;
    let mut closed = events::reboot(&called_off, starts, scene.now() + SignedDuration::from_secs(1))?;
    closed["detail"]["statusCode"] = json!("closed");
    scene.pass(2).await;
    for _ in 0..2 {
        scene.put(&closed).await?;
    }
    scene
        .reported("it is called off", |report| {
            json!(report.event_id) == closed["id"] && skips(report, "nothing is left to be done")
        })
        .await?;
    // The first word of it, late and once more.
    scene.put(&event).await?;
    scene
        .reported("it is old", |report| {
            skips(report, "newer information about this restart")
        })
        .await?;
    scene.bed.until_settled(PATIENCE).await?;
    let after = scene.state().await?;
    for instance in [&called_off, &resolved] {
        assert!(is_registered_as(&after, instance, "ACTIVE"), "{}", scene.story());
    }
    nothing_else_is_touched(&scene, &after, &[])
}
