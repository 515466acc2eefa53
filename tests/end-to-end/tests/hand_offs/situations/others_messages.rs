//! Events as AWS Health sends them; many events at once, and what they cost others.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use end_to_end::clients::Clients;
use end_to_end::expectation::judge;
use end_to_end::scene::Scene;
use end_to_end::{dead_letters, events};
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::{Notification, Options, Pace};

use super::{done, scene};

/// A retirement in a week, with these entities: the id of each, and its status.
fn retirement(entities: &[(&str, &str)], now: Timestamp) -> Result<Value> {
    let mut event = events::retirement("i-00000000", now + SignedDuration::from_hours(7 * 24), now)?;
    let listed = entities
        .iter()
        .map(|(id, status)| json!({ "entityValue": id, "status": status }));
    event["detail"]["affectedEntities"] = listed.collect();
    event["resources"] = entities.iter().map(|(id, _)| json!(id)).collect();
    Ok(event)
}

async fn entities_of_health() -> Result<()> {
    let scene = scene(Pace::Quick, 10.0).await?;
    let (moved, good) = (scene.first_of("web")?, scene.first_of("inference")?);
    scene
        .put(&retirement(&[(&moved, "RESOLVED")], scene.now())?)
        .await?;
    let both = [(good.as_str(), "PENDING"), ("vol-0123456789abcdef0", "PENDING")];
    scene.put(&retirement(&both, scene.now())?).await?;
    // Five tries of a message that fails, and more.
    scene.pass(400).await;
    let touched = done(&scene, &moved);
    let handled = scene.reports().iter().any(|report| report.instance == good);
    let dead = dead_letters(&scene.state().await?);
    judge(
        touched.is_empty() && handled && dead.is_empty(),
        format!(
            "of the resolved one: {touched:?}; the good one was handled: {handled}; dead letters: {dead:?}"
        ),
    )
}

/// An instance of nobody, in an account with 300 target groups and the documented request rates.
async fn an_instance_of_nobody() -> Result<()> {
    let scene = scene(Pace::Quick, 10.0).await?;
    let aws = Clients::of(&scene.bed)?;
    for hundred in 0..3 {
        let names: Vec<String> = (0..100)
            .map(|number| format!("theirs-{hundred}-{number}"))
            .collect();
        try_join_all(
            names
                .iter()
                .map(|name| super::serving::target_group(&aws, name, 80)),
        )
        .await?;
    }
    let rates: Value = serde_json::from_str(include_str!("../../../../embedded-aws/request-rates.json"))?;
    scene.bed.world.limits(&rates).await?;
    scene.bed.world.clear_calls().await?;
    let nobodys = "i-0fedcba9876543210";
    scene.put(&events::interruption(nobodys, scene.now())?).await?;
    scene.pass(130).await;
    let calls = scene.bed.world.calls().await?;
    let asked = calls
        .iter()
        .filter(|call| call.action == "DescribeTargetHealth")
        .filter(|call| call.caller.as_deref() == Some("deregister-targets"))
        .count();
    let dead = dead_letters(&scene.state().await?);
    judge(
        asked <= 100 && dead.is_empty(),
        format!("{asked} calls of DescribeTargetHealth; dead letters: {dead:?}"),
    )
}

/// The most messages on one topic.
fn most_on_a_topic(told: &[Notification]) -> usize {
    let mut by_topic = BTreeMap::<&str, usize>::new();
    for one in told {
        *by_topic.entry(one.topic.as_str()).or_default() += 1;
    }
    by_topic.into_values().max().unwrap_or_default()
}

async fn mails_of_a_storm() -> Result<()> {
    let scene = Scene::start(Options {
        announce: true,
        ..Options::default().speed(20.0).parameter("Announcements", "all")
    })
    .await?;
    let groups = ["inference", "web", "mixed", "hooked", "legacy"];
    let members = groups
        .iter()
        .filter_map(|name| scene.before.group(name))
        .flat_map(|group| &group.instances);
    let warned: Vec<_> = members.collect();
    ensure!(warned.len() >= 15, "a small storm: {}", warned.len());
    let warnings: Result<Vec<Value>> = warned
        .iter()
        .map(|member| events::interruption(&member.id, scene.now()))
        .collect();
    scene.bed.world.put_events(&warnings?).await?;
    scene.pass(300).await;
    let told = scene.bed.world.notifications().await?;
    ensure!(!told.is_empty(), "nothing was told\n{}", scene.story());
    let most = most_on_a_topic(&told);
    judge(
        most <= 3,
        format!(
            "{} warnings in a second made {} messages",
            warned.len(),
            told.len()
        ),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_is_resolved_or_no_instance_hinders_nobody() -> Result<()> {
    entities_of_health().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_nobody_does_not_use_up_the_request_rate_of_the_account() -> Result<()> {
    an_instance_of_nobody().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_warnings_makes_three_mails_at_most() -> Result<()> {
    mails_of_a_storm().await
}
