//! Situations that people report from the field, played on the sample fleet. Each says what must be seen in the end. Those
//! that end wrong today are expected to fail, and turn red when they begin to end right.

mod others_groups;
mod others_messages;
mod replacements;
mod serving;
mod tasks;

use std::time::Duration;

use anyhow::Result;
use end_to_end::scene::Scene;
use spot_handoff::report::{ActionLine, ActionResult};
use testbed::{Options, Pace, State};

/// A world at this pace, with time running fast.
async fn scene(pace: Pace, speed: f64) -> Result<Scene> {
    let options = Options {
        pace,
        seed: 7,
        ..Options::default().speed(speed)
    };
    Scene::start(options).await
}

/// The healthy targets of a target group.
fn healthy(state: &State, arn: &str) -> usize {
    let groups = state.target_groups.iter().filter(|group| group.arn == arn);
    let targets = groups.flat_map(|group| &group.targets);
    targets.filter(|target| target.state == "healthy").count()
}

/// Looks again and again for so many seconds of the world.
async fn watch(scene: &Scene, seconds: i64, mut look: impl FnMut(&State)) -> Result<()> {
    let until = scene.now() + jiff::SignedDuration::from_secs(seconds);
    while scene.now() < until {
        look(&scene.state().await?);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Where an instance is in its lifecycle, if it is in the group.
fn lifecycle<'a>(state: &'a State, group: &str, instance: &str) -> Option<&'a str> {
    let member = state.group(group)?.member(instance)?;
    Some(member.lifecycle.as_str())
}

/// What was done about an instance.
fn done(scene: &Scene, instance: &str) -> Vec<ActionLine> {
    let reports = scene
        .reports()
        .into_iter()
        .filter(|report| report.instance == instance);
    reports
        .flat_map(|report| report.actions)
        .filter(|line| line.result == ActionResult::Done)
        .collect()
}
