//! On-Demand where Spot is dry, and the way back.

use anyhow::{Context, Result};
use aws_sdk_autoscaling::types::{InstancesDistribution, MixedInstancesPolicy, Tag};
use end_to_end::clients::Clients;
use end_to_end::scene::{Scene, quick, serving, watched};
use end_to_end::{GROUP, warning};
use jiff::Timestamp;
use serde_json::{Value, json};
use spot_handoff::report::{ActionKind, ActionLine, GroupStanding, Report};
use testbed::Call;

/// An interruption warning with an event id of its own.
fn numbered(scene: &Scene, index: usize) -> Result<Value> {
    let mut warning = warning(&scene.bed, &scene.nth_of(GROUP, index)?);
    warning["id"] = json!(format!("event-{index}"));
    Ok(warning)
}

async fn no_spot(scene: &Scene, seconds: u32) -> Result<()> {
    let what = json!({ "kind": "no-spot-capacity", "seconds": seconds });
    scene.happen(what).await.map(drop)
}

/// The group's distribution, as AWS tells it.
async fn distribution(scene: &Scene) -> Result<InstancesDistribution> {
    let asking = Clients::of(&scene.bed)?
        .autoscaling
        .describe_auto_scaling_groups()
        .auto_scaling_group_names(GROUP)
        .send();
    let groups = asking.await?.auto_scaling_groups.unwrap_or_default();
    let policy = groups.first().and_then(|group| group.mixed_instances_policy());
    let distribution = policy.and_then(|policy| policy.instances_distribution());
    distribution.cloned().context("a distribution")
}

/// What replace-capacity has asked for.
async fn set_by_us(scene: &Scene) -> Result<Vec<Call>> {
    let calls = scene.calls("UpdateAutoScalingGroup").await?;
    Ok(calls
        .into_iter()
        .filter(|call| call.caller.as_deref() == Some("replace-capacity"))
        .collect())
}

/// Waits until it is told that the group stands so.
async fn told(scene: &Scene, standing: GroupStanding) -> Result<Report> {
    let is_it = |report: &Report| report.groups.iter().any(|line| line.standing == standing);
    scene.reported(&format!("{standing:?}"), is_it).await
}

async fn play(scene: &Scene, begun: Timestamp, seconds: i64) -> Result<()> {
    let until = begun.as_millisecond() + seconds * 1000;
    scene.bed.play_until(until as f64).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_minutes_without_spot_leave_the_group_whole_within_a_minute_of_the_bound_and_on_spot_in_the_end()
-> Result<()> {
    let scene = Scene::start(watched().parameter("SpotFallback", "on-demand")).await?;
    let before = distribution(&scene).await?;
    no_spot(&scene, 600).await?;
    let begun = scene.now();
    scene.put(&numbered(&scene, 0)?).await?;
    let filled = told(&scene, GroupStanding::FilledOnDemand).await?;
    let detail = &filled.groups[0].detail;
    assert!(
        detail.contains("OnDemandBaseCapacity goes from 0 to 1"),
        "{detail}"
    );
    assert!(detail.contains("costs the On-Demand price"), "{detail}");
    let gone = scene.first_of(GROUP)?;
    scene
        .until("the group is whole", |state| {
            let group = state.group(GROUP);
            group.is_some_and(|group| serving(group).iter().filter(|id| **id != gone).count() == 6)
        })
        .await?;
    let whole_after = scene.now().duration_since(begun).as_secs();
    // Launches have failed since the first second or so, and the bound is a minute.
    assert!(
        whole_after <= 61 + 60,
        "whole after {whole_after} s\n{}",
        scene.story()
    );
    let now = distribution(&scene).await?;
    assert_eq!(now.on_demand_base_capacity, Some(1));
    let rest = |distribution: &InstancesDistribution| {
        let mut rest = distribution.clone();
        rest.on_demand_base_capacity = None;
        rest
    };
    assert_eq!(rest(&now), rest(&before), "nothing else has changed");
    play(&scene, begun, 1500).await?;
    let back = told(&scene, GroupStanding::BackOnSpot).await?;
    assert!(
        back.groups[0].detail.contains("OnDemandBaseCapacity is 0 again"),
        "{back:?}"
    );
    assert_eq!(distribution(&scene).await?, before);
    assert_eq!(
        set_by_us(&scene).await?.len(),
        2,
        "up and down\n{}",
        scene.story()
    );
    let state = scene.settled().await?;
    let group = state.group(GROUP).context("the group")?;
    assert_eq!((group.desired, serving(group).len()), (6, 6));
    let watch = scene.bed.world.items("watch").await?;
    assert_eq!(watch[0]["standing"]["is"], "whole");
    assert!(watch[0]["fallback"].is_null(), "{watch:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_change_of_the_base_is_obeyed_and_ends_it() -> Result<()> {
    let scene = Scene::start(quick().parameter("SpotFallback", "on-demand")).await?;
    no_spot(&scene, 7200).await?;
    let begun = scene.now();
    scene.put(&numbered(&scene, 0)?).await?;
    told(&scene, GroupStanding::FilledOnDemand).await?;
    told(&scene, GroupStanding::Whole).await?;
    let theirs = InstancesDistribution::builder()
        .on_demand_base_capacity(3)
        .on_demand_percentage_above_base_capacity(0)
        .build();
    let policy = MixedInstancesPolicy::builder()
        .instances_distribution(theirs)
        .build();
    let asking = Clients::of(&scene.bed)?
        .autoscaling
        .update_auto_scaling_group()
        .auto_scaling_group_name(GROUP)
        .mixed_instances_policy(policy)
        .send();
    asking.await?;
    play(&scene, begun, 2400).await?;
    let report = told(&scene, GroupStanding::LeftToOthers).await?;
    assert!(
        report.groups[0]
            .detail
            .contains("somebody else has set in place of our 1"),
        "{report:?}"
    );
    assert_eq!(distribution(&scene).await?.on_demand_base_capacity, Some(3));
    assert_eq!(set_by_us(&scene).await?.len(), 1, "{}", scene.story());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_interruptions_and_copies_of_their_notices_fill_what_is_missing_once() -> Result<()> {
    let options = quick()
        .parameter("SpotFallback", "tagged")
        .parameter("SpotFallbackMax", "50");
    let scene = Scene::start(options).await?;
    tag(&scene, "on-demand").await?;
    no_spot(&scene, 7200).await?;
    let begun = scene.now();
    for index in [0, 1, 0, 1] {
        scene.put(&numbered(&scene, index)?).await?;
    }
    let whole = told(&scene, GroupStanding::Whole).await?;
    play(&scene, begun, 600).await?;
    assert_eq!(
        distribution(&scene).await?.on_demand_base_capacity,
        Some(2),
        "{}",
        scene.story()
    );
    let whole = whole
        .groups
        .iter()
        .filter(|line| line.standing == GroupStanding::Whole);
    assert_eq!(whole.count(), 1);
    let state = scene.state().await?;
    assert_eq!(serving(state.group(GROUP).context("the group")?).len(), 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_gives_no_leave_that_the_stack_does_not_give() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    tag(&scene, "on-demand").await?;
    no_spot(&scene, 7200).await?;
    let begun = scene.now();
    scene.put(&numbered(&scene, 0)?).await?;
    play(&scene, begun, 1900).await?;
    let report = told(&scene, GroupStanding::Short).await?;
    let says = |words: &str| report.warnings.iter().any(|warning| warning.contains(words));
    assert!(says("the stack's parameter SpotFallback is `off`"), "{report:?}");
    assert_eq!(distribution(&scene).await?.on_demand_base_capacity, Some(0));
    let calls = scene.bed.world.calls().await?;
    assert!(!calls.iter().any(|call| call.action == "UpdateAutoScalingGroup"));
    Ok(())
}

async fn tag(scene: &Scene, value: &str) -> Result<()> {
    let tag = Tag::builder()
        .resource_id(GROUP)
        .resource_type("auto-scaling-group")
        .key("spot-handoff:fallback")
        .value(value)
        .propagate_at_launch(false)
        .build();
    let asking = Clients::of(&scene.bed)?
        .autoscaling
        .create_or_update_tags()
        .tags(tag)
        .send();
    asking.await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_may_not_be_changed_is_told() -> Result<()> {
    let scene = Scene::start(quick().parameter("SpotFallback", "on-demand")).await?;
    no_spot(&scene, 7200).await?;
    scene
        .fault("UpdateAutoScalingGroup", None, json!({ "kind": "denied" }))
        .await?;
    scene.put(&numbered(&scene, 0)?).await?;
    let report = told(&scene, GroupStanding::NotChanged).await?;
    assert!(
        report.groups[0]
            .detail
            .contains("did not take the OnDemandBaseCapacity 1"),
        "{report:?}"
    );
    let reports = scene.reports();
    let lines = reports.iter().flat_map(|report| &report.actions);
    let refused = |line: &&ActionLine| line.action == ActionKind::RaiseOnDemandBase && line.error.is_some();
    assert!(
        lines.filter(refused).count() > 1,
        "asked again, and told\n{}",
        scene.story()
    );
    assert_eq!(distribution(&scene).await?.on_demand_base_capacity, Some(0));
    Ok(())
}
