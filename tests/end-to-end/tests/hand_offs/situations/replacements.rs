//! Recommendations: a healthy instance is only exchanged for a healthy one, and not again and again.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use aws_sdk_autoscaling::types::Tag;
use end_to_end::clients::Clients;
use end_to_end::events;
use end_to_end::expectation::judge;
use serde_json::json;
use testbed::{Pace, State};

use super::serving::target_group;
use super::{healthy, lifecycle, scene};

/// A group that mixes On-Demand and Spot, three instances behind a target group.
async fn mixed_and_serving(aws: &Clients) -> Result<String> {
    let known = aws
        .autoscaling
        .describe_auto_scaling_groups()
        .auto_scaling_group_names("mixed")
        .send()
        .await?;
    let like = known.auto_scaling_groups().first().context("the group mixed")?;
    let mut policy = like.mixed_instances_policy().context("its policy")?.clone();
    // By its name alone: a request takes one of the two.
    if let Some(template) = policy
        .launch_template
        .as_mut()
        .and_then(|one| one.launch_template_specification.as_mut())
    {
        template.launch_template_id = None;
    }
    let targets = target_group(aws, "mixed-web", 80).await?;
    aws.autoscaling
        .create_auto_scaling_group()
        .auto_scaling_group_name("mixed-web")
        .min_size(1)
        .max_size(6)
        .desired_capacity(3)
        .set_vpc_zone_identifier(like.vpc_zone_identifier().map(str::to_owned))
        .mixed_instances_policy(policy)
        .target_group_arns(&targets)
        .send()
        .await?;
    Ok(targets)
}

/// New targets never become healthy.
async fn a_replacement_of_no_use(pace: Pace) -> Result<()> {
    let scene = scene(pace, 60.0).await?;
    let targets = mixed_and_serving(&Clients::of(&scene.bed)?).await?;
    let state = scene
        .until("three serve", |state| healthy(state, &targets) == 3)
        .await?;
    scene
        .happen(json!({ "kind": "new-instances-fail", "group": "mixed-web", "what": "targets" }))
        .await?;
    // Its instances are in no cluster. Outside a cluster, only a group that asks for it is exchanged.
    scene
        .bed
        .world
        .tag_group("mixed-web", "spot-handoff:rebalance", "launch-first")
        .await?;
    let old = state.group("mixed-web").context("mixed-web")?.instances[0]
        .id
        .clone();
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    scene.pass(1200).await;
    let after = scene.state().await?;
    let (serve, there) = (healthy(&after, &targets), lifecycle(&after, "mixed-web", &old));
    judge(
        serve == 3 && there == Some("InService"),
        format!(
            "{serve} healthy targets of 3; the old instance is {there:?}\n{}",
            scene.story()
        ),
    )
}

/// A recommendation three minutes after every launch, and never a warning.
async fn recommendations_without_end(pace: Pace) -> Result<()> {
    let scene = scene(pace, 60.0).await?;
    let members = |state: &State| -> Vec<String> {
        let group = state.group("inference").map(|group| group.instances.clone());
        group
            .unwrap_or_default()
            .into_iter()
            .map(|member| member.id)
            .collect()
    };
    let mut known: BTreeSet<String> = members(&scene.before).into_iter().collect();
    let mut at_risk = scene.first_of("inference")?;
    let mut launched = 0;
    for _ in 0..10 {
        scene.put(&events::rebalance(&at_risk, scene.now())?).await?;
        scene.pass(180).await;
        let state = scene.state().await?;
        let new: Vec<String> = members(&state)
            .into_iter()
            .filter(|one| known.insert(one.clone()))
            .collect();
        launched += new.len();
        at_risk = new.into_iter().next().unwrap_or(at_risk);
    }
    judge(
        launched <= 1,
        format!(
            "{launched} instances launched in half an hour, and none was ever interrupted\n{}",
            scene.story()
        ),
    )
}

/// In the middle of an exchange, Terraform removes every tag that it did not write itself.
async fn tags_that_others_remove(pace: Pace) -> Result<()> {
    let scene = scene(pace, 20.0).await?;
    let aws = Clients::of(&scene.bed)?;
    let old = scene.first_of("mixed")?;
    // Its instances are in no cluster. Outside a cluster, only a group that asks for it is exchanged.
    scene
        .bed
        .world
        .tag_group("mixed", "spot-handoff:rebalance", "launch-first")
        .await?;
    scene.put(&events::rebalance(&old, scene.now())?).await?;
    let state = scene
        .until("a replacement is launched", |state| {
            !scene.new_instances(state).is_empty()
        })
        .await?;
    let tags = state.group("mixed").context("mixed")?.tags.clone();
    for key in tags.keys().filter(|key| key.starts_with("spot-handoff:")) {
        let tag = Tag::builder()
            .resource_id("mixed")
            .resource_type("auto-scaling-group")
            .key(key)
            .build();
        aws.autoscaling.delete_tags().tags(tag).send().await?;
    }
    let after = scene.settled().await?;
    let sizes = |state: &State| {
        state
            .group("mixed")
            .map(|group| (group.desired, group.instances.len()))
    };
    let (was, is) = (sizes(&scene.before), sizes(&after));
    judge(
        was == is,
        format!(
            "desired capacity and instances were {was:?} and are {is:?}\n{}",
            scene.story()
        ),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_instance_stays_where_its_replacement_never_becomes_healthy() -> Result<()> {
    a_replacement_of_no_use(Pace::Quick).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_instance_stays_where_its_replacement_never_becomes_healthy_at_the_real_pace() -> Result<()>
{
    a_replacement_of_no_use(Pace::Real).await
}

#[tokio::test(flavor = "multi_thread")]
async fn recommendations_every_three_minutes_launch_one_instance_in_half_an_hour() -> Result<()> {
    recommendations_without_end(Pace::Quick).await
}

#[tokio::test(flavor = "multi_thread")]
async fn recommendations_every_three_minutes_launch_one_instance_at_the_real_pace() -> Result<()> {
    recommendations_without_end(Pace::Real).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_ends_in_order_although_somebody_removes_all_tags_of_its_group() -> Result<()> {
    tags_that_others_remove(Pace::Quick).await
}
