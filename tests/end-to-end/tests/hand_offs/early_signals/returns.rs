//! Instances that come back under the same id: spot-handoff gives back what it took from them.

use anyhow::Result;
use end_to_end::events;
use end_to_end::scene::{Scene, acts, is_registered_as, quick, skips, watched};
use jiff::SignedDuration;
use serde_json::json;
use testbed::{Options, State};

/// More than the two minutes of a notice. After that, no function looks at the instance any more.
const OVER: u64 = 130;

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
async fn an_instance_that_was_stopped_by_an_interruption_serves_again_when_it_is_back() -> Result<()> {
    comes_back_from("stop").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_hibernated_serves_again_when_it_is_back() -> Result<()> {
    comes_back_from("hibernate").await
}

async fn comes_back_from(action: &str) -> Result<()> {
    // Only the events here stop and start the instance.
    let scene = Scene::start(Options {
        simulate: false,
        ..quick()
    })
    .await?;
    let instance = scene.first_of("inference")?;
    assert!(targets(&scene.before, &instance) > 0);
    let mut warning = events::interruption(&instance, scene.now())?;
    warning["detail"]["instance-action"] = json!(action);
    for _ in 0..2 {
        scene.put(&warning).await?;
    }
    scene
        .until("it is drained and deregistered", |state| {
            is_registered_as(state, &instance, "DRAINING") && targets(state, &instance) == 0
        })
        .await?;
    scene.pass(OVER).await;

    let running = events::state_change(&instance, "running", scene.now())?;
    for _ in 0..3 {
        scene.put(&running).await?;
    }
    let serves_again =
        |state: &State| is_registered_as(state, &instance, "ACTIVE") && targets(state, &instance) > 0;
    scene.until("it serves again", serves_again).await?;
    scene.bed.until_settled(end_to_end::scene::PATIENCE).await?;
    let after = scene.state().await?;
    assert!(serves_again(&after), "{}", scene.story());
    assert_eq!(
        targets(&after, &instance),
        targets(&scene.before, &instance),
        "{}",
        scene.story()
    );

    // What was given back is not given back again: somebody may have drained the instance since.
    let again = events::state_change(&instance, "running", scene.now())?;
    scene.put(&again).await?;
    for function in ["deregister-targets", "drain-tasks"] {
        scene
            .reported("nothing more is given back", |report| {
                report.function == function
                    && json!(report.event_id) == again["id"]
                    && skips(report, "it runs, and was not")
            })
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_leaves_a_warm_pool_takes_tasks_again() -> Result<()> {
    let scene = Scene::start(Options {
        simulate: false,
        ..watched()
    })
    .await?;
    let instance = scene.first_of("hooked")?;
    let mut leaves = events::terminating(&instance, "hooked", "spot-handoff-drain", scene.now())?;
    leaves["detail"]["Destination"] = json!("WarmPool");
    for _ in 0..2 {
        scene.put(&leaves).await?;
    }
    scene
        .until("it is drained", |state| {
            is_registered_as(state, &instance, "DRAINING")
        })
        .await?;
    let back = events::left_warm_pool(&instance, "hooked", scene.now())?;
    let late = scene.now() - SignedDuration::from_mins(40);
    let too_late = events::left_warm_pool(&instance, "hooked", late)?;
    // In one batch with a copy of itself, and with an event about an instance from which nothing was taken.
    let other = events::left_warm_pool(&scene.nth_of("hooked", 1)?, "hooked", scene.now())?;
    let batch = [too_late, back.clone(), other, back];
    scene.bed.world.put_events(&batch).await?;
    scene
        .reported("it is back", |report| acts(report, "activate-container-instance"))
        .await?;
    scene
        .until("it takes tasks again", |state| {
            is_registered_as(state, &instance, "ACTIVE")
        })
        .await?;
    Ok(())
}
