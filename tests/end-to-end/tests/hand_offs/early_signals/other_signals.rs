//! Instances that stop without a warning, and those that AWS retires.

use anyhow::{Context, Result};
use jiff::SignedDuration;
use serde_json::json;
use spot_handoff::notice::{Message, parse};

use end_to_end::events;
use end_to_end::invariants::{launched_for, nobody_runs_outside_a_group, nothing_else_is_touched};
use end_to_end::scene::{Scene, is_registered_as, quick, skips, watched};

async fn drained_and_deregistered(state: &str) -> Result<Scene> {
    let scene = Scene::start(quick()).await?;
    let doomed = scene.first_of("inference")?;
    let targets = |state: &testbed::State| {
        let groups = state.target_groups.iter().flat_map(|group| &group.targets);
        groups
            .filter(|target| target.id == doomed && target.state != "draining")
            .count()
    };
    assert!(targets(&scene.before) > 1);
    let event = events::state_change(&doomed, state, scene.now())?;
    assert_eq!(scene.put(&event).await?.len(), 1);
    scene
        .until("it is drained and deregistered", |state| {
            !is_registered_as(state, &doomed, "ACTIVE") && targets(state) == 0
        })
        .await?;
    for function in ["deregister-targets", "drain-tasks"] {
        scene
            .reported(function, |report| report.function == function)
            .await?;
    }
    Ok(scene)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_shuts_down_is_drained_and_replaced_by_its_group() -> Result<()> {
    let scene = drained_and_deregistered("shutting-down").await?;
    let doomed = scene.first_of("inference")?;
    scene
        .until("the group has noticed", |state| state.group_of(&doomed).is_none())
        .await?;
    let after = scene.settled().await?;
    launched_for(&scene, &after, "inference", 1)?;
    nobody_runs_outside_a_group(&scene, &after)?;
    nothing_else_is_touched(&scene, &after, &[&doomed])?;
    assert!(
        scene.reports_of("replace-capacity").is_empty(),
        "the health check replaces it"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_stops_is_drained() -> Result<()> {
    let scene = drained_and_deregistered("stopping").await?;
    let after = scene.settled().await?;
    let doomed = scene.first_of("inference")?;
    assert_eq!(after.group("inference"), scene.before.group("inference"));
    nothing_else_is_touched(&scene, &after, &[&doomed])
}

/// The instance that is in a cluster and in no group, and the instance that is registered by hand.
fn of_no_group(scene: &Scene) -> Result<[String; 2]> {
    let cluster = scene.before.cluster("inference").context("a cluster")?;
    let mut members = cluster.container_instances.iter().map(|one| &one.instance);
    let lone = members.find(|id| scene.before.group_of(id).is_none());
    let by_hand = scene.before.target_group("by-hand").context("a target group")?;
    let registered = by_hand.targets.first().context("a target")?;
    Ok([lone.context("an instance")?.clone(), registered.id.clone()])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_somebody_stops_is_as_it_was_when_it_starts_again() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let [lone, by_hand] = of_no_group(&scene)?;
    for (instance, function) in [(&lone, "drain-tasks"), (&by_hand, "deregister-targets")] {
        scene
            .put(&events::state_change(instance, "stopping", scene.now())?)
            .await?;
        scene
            .reported("it is left alone", |report| {
                report.function == function
                    && report.instance == *instance
                    && skips(report, "it may be started again")
            })
            .await?;
    }
    let after = scene.settled().await?;
    assert!(is_registered_as(&after, &lone, "ACTIVE"), "{}", scene.story());
    nothing_else_is_touched(&scene, &after, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_no_group_that_is_terminated_is_drained() -> Result<()> {
    // AWS would take it within a moment, and ECS would forget it.
    let still = testbed::Options {
        simulate: false,
        ..quick()
    };
    let scene = Scene::start(still).await?;
    let [lone, _] = of_no_group(&scene)?;
    scene
        .put(&events::state_change(&lone, "shutting-down", scene.now())?)
        .await?;
    scene
        .until("it is draining", |state| {
            is_registered_as(state, &lone, "DRAINING")
        })
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_starts_is_none_of_our_business() -> Result<()> {
    let scene = Scene::start(quick()).await?;
    let doomed = scene.first_of("inference")?;
    for state in ["pending", "stopped", "terminated"] {
        let matched = scene
            .put(&events::state_change(&doomed, state, scene.now())?)
            .await?;
        assert!(matched.is_empty(), "{state}: {matched:?}");
    }
    scene
        .put(&events::state_change(&doomed, "running", scene.now())?)
        .await?;
    for function in ["deregister-targets", "drain-tasks"] {
        scene
            .reported("nothing was taken from it", |report| {
                report.function == function && skips(report, "it runs, and was not")
            })
            .await?;
    }
    let after = scene.settled().await?;
    nothing_else_is_touched(&scene, &after, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_aws_retires_in_two_weeks_is_exchanged_now() -> Result<()> {
    let scene = Scene::start(watched()).await?;
    let old = scene.first_of("inference")?;
    let starts = scene.now() + SignedDuration::from_hours(14 * 24);
    let event = events::retirement(&old, starts, scene.now())?;
    scene.put(&event).await?;
    scene.put(&event).await?;
    scene.drained_after_its_replacement(&old).await?;
    for function in ["deregister-targets", "drain-tasks"] {
        let reports = scene.reports_of(function);
        assert!(
            skips(&reports[0], "stay until a replacement is in service"),
            "{}",
            scene.story()
        );
    }
    scene
        .until("it has left its group", |state| state.group_of(&old).is_none())
        .await?;
    let after = scene.settled().await?;
    launched_for(&scene, &after, "inference", 1)?;
    nobody_runs_outside_a_group(&scene, &after)?;
    nothing_else_is_touched(&scene, &after, &[&old])
}

async fn retired_without_room(hours: i64) -> Result<(Scene, String)> {
    let scene = Scene::start(quick()).await?;
    let old = scene.first_of("inference")?;
    scene
        .happen(json!({ "kind": "limit-size", "group": "inference", "max": 6 }))
        .await?;
    let starts = scene.now() + SignedDuration::from_hours(hours);
    scene.put(&events::retirement(&old, starts, scene.now())?).await?;
    scene
        .reported("no room", |report| skips(report, "leaves no room"))
        .await?;
    Ok((scene, old))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_aws_retires_in_two_weeks_serves_on_where_no_replacement_can_come_first()
-> Result<()> {
    let (scene, old) = retired_without_room(14 * 24).await?;
    let after = scene.settled().await?;
    assert!(is_registered_as(&after, &old, "ACTIVE"), "{}", scene.story());
    launched_for(&scene, &after, "inference", 0)?;
    nothing_else_is_touched(&scene, &after, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_last_hour_it_is_drained_at_once() -> Result<()> {
    let (scene, old) = retired_without_room(1).await?;
    scene
        .until("it is draining", |state| {
            is_registered_as(state, &old, "DRAINING")
        })
        .await?;
    let after = scene.settled().await?;
    launched_for(&scene, &after, "inference", 0)
}

/// Type codes that AWS documents or sends, and codes that it could build from the same words.
const TYPE_CODES: [&str; 24] = [
    "AWS_EC2_DEDICATED_HOST_NETWORK_MAINTENANCE_SCHEDULED",
    "AWS_EC2_DEDICATED_HOST_POWER_MAINTENANCE_SCHEDULED",
    "AWS_EC2_DEDICATED_HOST_RETIREMENT_SCHEDULED",
    "AWS_EC2_INSTANCE_NETWORK_MAINTENANCE_SCHEDULED",
    "AWS_EC2_INSTANCE_POWER_MAINTENANCE_SCHEDULED",
    "AWS_EC2_INSTANCE_REBOOT_FLEXIBLE_MAINTENANCE_SCHEDULED",
    "AWS_EC2_INSTANCE_REBOOT_MAINTENANCE_SCHEDULED",
    "AWS_EC2_INSTANCE_RETIREMENT_EXPEDITED",
    "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED",
    "AWS_EC2_INSTANCE_STOP_SCHEDULED",
    "AWS_EC2_INSTANCE_TERMINATION_SCHEDULED",
    "AWS_EC2_PERSISTENT_INSTANCE_POWER_MAINTENANCE_SCHEDULED",
    "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_EXPEDITED",
    "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED",
    "AWS_EC2_SYSTEM_MAINTENANCE_EVENT",
    "AWS_EC2_SYSTEM_REBOOT_MAINTENANCE_SCHEDULED",
    "AWS_EC2_INSTANCE_RETIREMENT",
    "AWS_EC2_INSTANCE_STOP",
    "AWS_EC2_INSTANCE_TERMINATION",
    "AWS_EC2_RETIREMENT_SCHEDULED",
    "AWS_EC2_STOP",
    "AWS_EC2_INSTANCE_STOPPAGE_SCHEDULED",
    "AWS_EC2_INSTANCE_NONTERMINATION",
    "AWS_RDS_INSTANCE_RETIREMENT_SCHEDULED",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_read_the_type_codes_of_health_events_as_the_functions_do() -> Result<()> {
    let scene = Scene::start(quick().parameter("DryRun", "true")).await?;
    let instance = scene.first_of("inference")?;
    let starts = scene.now() + SignedDuration::from_hours(14 * 24);
    for code in TYPE_CODES {
        let mut event = events::retirement(&instance, starts, scene.now())?;
        event["detail"]["eventTypeCode"] = json!(code);
        let matched = scene.put(&event).await?;
        let by = |rule: &str| matched.iter().any(|name| name.contains(rule));
        let (taken, told) = (by("ScheduledRetirement"), by("OtherScheduledChange"));
        let restarted = by("ScheduledRestart");
        match parse(&event.to_string(), scene.now())? {
            Message::Notices(_) => assert!(taken && !told, "{code} takes it away: {matched:?}"),
            Message::Announced { .. } => {
                assert!(told && restarted && !taken, "{code} restarts it: {matched:?}");
            }
            Message::Advice(_) => assert!(told && !taken, "{code} is told: {matched:?}"),
            Message::LaunchFailed(launch) => panic!("{code}: {launch:?}"),
            Message::NotOurs { what } => panic!("{code}: {what}"),
        }
    }
    Ok(())
}
