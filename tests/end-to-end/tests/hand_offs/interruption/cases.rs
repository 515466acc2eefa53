//! An interruption warning through template, rule, queue, event source mapping and function. These cases run on the
//! embedded AWS and on the fast AWS.

use anyhow::{Context, Result, ensure};
use end_to_end::{
    GROUP, PATIENCE, actions, dead_letters, first_of, hand_off, recommendation, reports_of, serving, skipped,
    untouched, warning,
};
use serde_json::{Value, json};
use spot_handoff::report::{ActionResult, Outcome, Report};
use testbed::{Options, Outcome as Answer, State, Testbed};

use super::still;

/// Everything a hand-off may change, without what the world does by itself.
pub fn shape(state: &State) -> Value {
    json!({
        "groups": state.groups,
        "targets": state.target_groups,
        "clusters": state.clusters,
    })
}

/// The reports on the warning itself, without those of its follow-ups.
fn of_the_warning(bed: &Testbed) -> Vec<Report> {
    bed.reports()
        .into_iter()
        .filter(|report| report.signal == "interruption-warning")
        .collect()
}

fn status(state: &State, instance: &str) -> Option<String> {
    state
        .registration(instance)
        .map(|(_, registered)| registered.status.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_takes_the_targets_out_drains_and_has_the_replacement_launched() -> Result<()> {
    let bed = still(Options::default()).await?;
    let before = bed.world.state().await?;
    let doomed = first_of(&before, GROUP)?;
    let addresses: Vec<String> = serving(&before, "ranker");
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    let after = bed.world.state().await?;

    for target_group in ["inference", "classifier"] {
        let own = |state: &State| {
            serving(state, target_group)
                .iter()
                .filter(|t| t.starts_with(&doomed))
                .count()
        };
        assert!(own(&before) > 0, "{target_group} had targets on the instance");
        assert_eq!(own(&after), 0, "{target_group}");
    }
    let lost: Vec<_> = addresses
        .iter()
        .filter(|target| !serving(&after, "ranker").contains(target))
        .collect();
    assert_eq!(
        lost.len(),
        1,
        "exactly the address of the task on the instance: {lost:?}"
    );

    assert_eq!(status(&after, &doomed).as_deref(), Some("DRAINING"));
    let (cluster, _) = after.registration(&doomed).context("registered")?;
    let draining = cluster
        .container_instances
        .iter()
        .filter(|one| one.status == "DRAINING")
        .count();
    assert_eq!(draining, 1, "no other container instance drains");

    let (old, new) = (
        before.group(GROUP).context("group")?,
        after.group(GROUP).context("group")?,
    );
    assert!(new.member(&doomed).is_none());
    assert_eq!(new.desired, old.desired);
    let launched: Vec<_> = new
        .instances
        .iter()
        .filter(|member| old.member(&member.id).is_none())
        .collect();
    assert_eq!(launched.len(), 1, "exactly one replacement");

    assert_eq!(untouched(&after), untouched(&before));
    let reports = of_the_warning(&bed);
    assert_eq!(reports.len(), 3);
    for report in reports {
        assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
        let left = report.seconds_left_at_end.context("a deadline")?;
        assert!(left >= 115.0, "{}: {left} s left", report.function);
    }
    assert!(dead_letters(&after).is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_copies_of_a_warning_at_once_replace_the_instance_once() -> Result<()> {
    let bed = still(Options {
        pollers: 3,
        ..Options::default()
    })
    .await?;
    let before = bed.world.state().await?;
    let doomed = first_of(&before, GROUP)?;
    let event = warning(&bed, &doomed);
    for _ in 0..3 {
        bed.put_event(&event).await?;
    }
    bed.until_idle(PATIENCE).await?;
    let after = bed.world.state().await?;
    let (old, new) = (
        before.group(GROUP).context("group")?,
        after.group(GROUP).context("group")?,
    );
    let launched = new
        .instances
        .iter()
        .filter(|member| old.member(&member.id).is_none())
        .count();
    assert_eq!((launched, new.desired), (1, old.desired));
    assert!(
        bed.reports()
            .iter()
            .all(|report| report.outcome != Outcome::Failed)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_task_is_classed_by_kind_and_by_accelerator() -> Result<()> {
    let bed = still(Options::default()).await?;
    let doomed = first_of(&bed.world.state().await?, GROUP)?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    let report = reports_of(&bed, "drain-tasks").remove(0);
    let mut classes: Vec<(String, String, String)> = report
        .tasks
        .into_iter()
        .map(|task| (task.name, task.kind.to_string(), task.accelerators.join(",")))
        .collect();
    classes.sort();
    let expected = [
        ("batch-score", "standalone", "elastic-inference:eia2.large"),
        ("classifier", "service", ""),
        ("classifier", "service", ""),
        ("compile", "standalone", "neuron:1"),
        ("embedder", "service", "elastic-inference:eia2.medium"),
        ("fine-tune", "standalone", "gpu:1"),
        ("ranker", "service", ""),
        ("report", "standalone", ""),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(n, k, a)| (n.to_string(), k.to_string(), a.to_string()))
        .collect();
    assert_eq!(classes, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn standalone_tasks_are_stopped_now_or_left_as_the_policy_says() -> Result<()> {
    for (policy, stopped) in [("stop-now", 4), ("leave", 0)] {
        let bed = still(Options::default().parameter("StandaloneTasks", policy)).await?;
        let doomed = first_of(&bed.world.state().await?, GROUP)?;
        hand_off(&bed, &warning(&bed, &doomed)).await?;
        let after = bed.world.state().await?;
        let reasons: Vec<_> = after
            .tasks_on(&doomed)
            .filter(|task| task.kind == "standalone" && task.desired_status == "STOPPED")
            .map(|task| task.stopped_reason.clone().unwrap_or_default())
            .collect();
        assert_eq!(reasons.len(), stopped, "{policy}");
        assert!(
            reasons
                .iter()
                .all(|reason| reason.contains(&doomed) && reason.contains("interrupted")),
            "{reasons:?}"
        );
        let elsewhere = after.clusters.iter().flat_map(|cluster| &cluster.tasks);
        let elsewhere = elsewhere.filter(|task| task.instance.as_deref() != Some(&doomed));
        assert!(elsewhere.clone().count() > 0);
        assert!(
            elsewhere.clone().all(|task| task.stopped_reason.is_none()),
            "tasks elsewhere run on"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ecs_that_ignores_the_filter_gets_no_other_instance_drained() -> Result<()> {
    let bed = still(Options::default()).await?;
    bed.world
        .settings(&json!({ "ignore_container_instance_filter": true }))
        .await?;
    let doomed = first_of(&bed.world.state().await?, GROUP)?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    let after = bed.world.state().await?;
    let draining: Vec<_> = after
        .clusters
        .iter()
        .flat_map(|cluster| &cluster.container_instances)
        .filter(|one| one.status == "DRAINING")
        .map(|one| one.instance.clone())
        .collect();
    assert_eq!(draining, [doomed]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_pages_of_one_are_read_to_the_end() -> Result<()> {
    let bed = still(Options::default()).await?;
    bed.world.settings(&json!({ "page_size": 1 })).await?;
    let doomed = first_of(&bed.world.state().await?, GROUP)?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    assert_eq!(actions(&bed, "drain-container-instance").len(), 1);
    assert_eq!(actions(&bed, "detach-instance").len(), 1);
    assert_eq!(reports_of(&bed, "drain-tasks")[0].tasks.len(), 8);
    let after = bed.world.state().await?;
    assert!(
        !serving(&after, "classifier")
            .iter()
            .any(|target| target.starts_with(&doomed))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_plan_and_changes_nothing() -> Result<()> {
    let bed = still(Options::default().parameter("DryRun", "true")).await?;
    let before = bed.world.state().await?;
    let doomed = first_of(&before, GROUP)?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    assert_eq!(shape(&bed.world.state().await?), shape(&before));
    assert_eq!(bed.reports().len(), 3);
    for report in bed.reports() {
        assert_eq!(report.outcome, Outcome::Planned);
        assert!(
            report
                .actions
                .iter()
                .all(|line| line.result == ActionResult::Planned),
            "{report:?}"
        );
    }
    let writes = [
        "DeregisterTargets",
        "UpdateContainerInstancesState",
        "DetachInstances",
        "StopTask",
    ];
    let calls = bed.world.calls().await?;
    let wrote: Vec<_> = calls
        .iter()
        .filter(|call| writes.contains(&call.action.as_str()))
        .collect();
    assert!(wrote.is_empty(), "{wrote:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_tagged_to_be_ignored_is_left_alone_by_all_three() -> Result<()> {
    let bed = still(Options::default()).await?;
    bed.world.tag_group(GROUP, "spot-handoff:ignore", "true").await?;
    let before = bed.world.state().await?;
    hand_off(&bed, &warning(&bed, &first_of(&before, GROUP)?)).await?;
    assert_eq!(shape(&bed.world.state().await?), shape(&before));
    assert_eq!(
        skipped(&bed).matches("is tagged spot-handoff:ignore").count(),
        3,
        "{}",
        skipped(&bed)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_scope_tagged_only_tagged_groups_are_handed_off_and_wholly() -> Result<()> {
    let bed = still(Options::default().parameter("Scope", "tagged")).await?;
    let before = bed.world.state().await?;
    let doomed = first_of(&before, GROUP)?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    assert_eq!(
        shape(&bed.world.state().await?),
        shape(&before),
        "{}",
        skipped(&bed)
    );

    bed.world.tag_group(GROUP, "spot-handoff:managed", "true").await?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    let after = bed.world.state().await?;
    assert_eq!(status(&after, &doomed).as_deref(), Some("DRAINING"));
    assert!(after.group_of(&doomed).is_none());
    assert!(
        !serving(&after, "classifier")
            .iter()
            .any(|target| target.starts_with(&doomed))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_listed_clusters_are_looked_at() -> Result<()> {
    let bed = still(Options::default().parameter("Clusters", "web")).await?;
    let doomed = first_of(&bed.world.state().await?, GROUP)?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    assert_eq!(
        status(&bed.world.state().await?, &doomed).as_deref(),
        Some("ACTIVE")
    );
    assert!(
        !bed.world
            .calls()
            .await?
            .iter()
            .any(|call| call.action == "ListClusters")
    );
    assert!(
        bed.reports()
            .iter()
            .all(|report| report.outcome != Outcome::Failed)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_nobody_knows_is_no_error() -> Result<()> {
    let bed = still(Options::default()).await?;
    let before = bed.world.state().await?;
    hand_off(&bed, &warning(&bed, "i-00000000000000000")).await?;
    assert_eq!(shape(&bed.world.state().await?), shape(&before));
    assert!(
        bed.reports()
            .iter()
            .all(|report| report.outcome == Outcome::NothingToDo),
        "{:?}",
        bed.reports()
    );
    assert_eq!(bed.reports().len(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_registered_by_hand_is_found_in_its_target_group() -> Result<()> {
    let bed = still(Options::default()).await?;
    let before = bed.world.state().await?;
    let target = before
        .target_group("by-hand")
        .and_then(|group| group.targets.first())
        .context("a target")?;
    hand_off(&bed, &warning(&bed, &target.id)).await?;
    // It is the only one there.
    let reports = reports_of(&bed, "deregister-targets");
    let held: Vec<_> = reports.iter().flat_map(|report| &report.held).collect();
    assert_eq!(
        (held.len(), held[0].staying, held[0].needed),
        (1, 0, 1),
        "{held:?}"
    );
    let after = bed.world.state().await?;
    assert_eq!(serving(&after, "by-hand").len(), 1);
    assert!(actions(&bed, "deregister-target").is_empty());
    assert_eq!(after.groups, before.groups);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_lone_instances_left_no_target_group_is_searched() -> Result<()> {
    let bed = still(Options::default().parameter("LoneInstances", "leave")).await?;
    let before = bed.world.state().await?;
    let by_hand = before.target_group("by-hand").context("a target group")?;
    hand_off(&bed, &warning(&bed, &by_hand.targets[0].id)).await?;
    assert_eq!(shape(&bed.world.state().await?), shape(&before));
    let calls = bed.world.calls().await?;
    let mut actions = calls.iter().map(|call| call.action.as_str());
    assert!(!actions.any(|action| action == "DescribeTags"));
    assert!(
        skipped(&bed).contains("LoneInstances is `leave`"),
        "{}",
        skipped(&bed)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_has_to_stay_where_keep_healthy_says_so() -> Result<()> {
    let bed = still(Options::default().parameter("KeepHealthy", "100")).await?;
    let before = bed.world.state().await?;
    let doomed = first_of(&before, GROUP)?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    let reports = reports_of(&bed, "deregister-targets");
    let held: Vec<_> = reports.iter().flat_map(|report| &report.held).collect();
    assert!(!held.is_empty() && actions(&bed, "deregister-target").is_empty());
    assert!(held.iter().all(|one| one.staying < one.needed), "{held:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_in_a_cluster_but_in_no_group_is_drained() -> Result<()> {
    let bed = still(Options::default()).await?;
    let before = bed.world.state().await?;
    let lone = before
        .clusters
        .iter()
        .flat_map(|cluster| &cluster.container_instances)
        .find(|one| before.group_of(&one.instance).is_none())
        .context("a lone container instance")?;
    hand_off(&bed, &warning(&bed, &lone.instance)).await?;
    let after = bed.world.state().await?;
    assert_eq!(status(&after, &lone.instance).as_deref(), Some("DRAINING"));
    assert_eq!(after.groups, before.groups);
    assert!(
        skipped(&bed).contains("not in any Auto Scaling group"),
        "{}",
        skipped(&bed)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_in_a_group_but_in_no_cluster_is_replaced() -> Result<()> {
    let bed = still(Options::default()).await?;
    let doomed = first_of(&bed.world.state().await?, "mixed")?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    assert!(bed.world.state().await?.group_of(&doomed).is_none());
    assert!(
        skipped(&bed).contains("not in any ECS cluster"),
        "{}",
        skipped(&bed)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_strategy_terminate_ends_the_instance_through_its_group() -> Result<()> {
    let bed = still(Options::default().parameter("ReplacementStrategy", "terminate")).await?;
    let before = bed.world.state().await?;
    let doomed = first_of(&before, GROUP)?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    assert_eq!(actions(&bed, "terminate-instance").len(), 1);
    let after = bed.world.state().await?;
    assert_eq!(
        after.group(GROUP).context("group")?.desired,
        before.group(GROUP).context("group")?.desired
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recommendation_is_left_to_auto_scaling_where_capacity_rebalancing_is_on() -> Result<()> {
    let bed = still(Options::default()).await?;
    let before = bed.world.state().await?;
    hand_off(&bed, &recommendation(&bed, &first_of(&before, "rebalancing")?)).await?;
    assert!(
        skipped(&bed).contains("Capacity Rebalancing is on"),
        "{}",
        skipped(&bed)
    );
    let calls = bed.world.calls().await?;
    assert!(!calls.iter().any(|call| call.action == "SetDesiredCapacity"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_event_is_handed_off_and_answered_with_its_report() -> Result<()> {
    let bed = still(Options {
        pollers: 0,
        ..Options::default()
    })
    .await?;
    let doomed = first_of(&bed.world.state().await?, GROUP)?;
    let Answer::Answer(answer) = bed.invoke("replace-capacity", &warning(&bed, &doomed)).await? else {
        anyhow::bail!("no answer");
    };
    let answer: Value = serde_json::from_str(&answer)?;
    assert_eq!(answer["reports"][0]["outcome"], "done");
    assert!(bed.world.state().await?.group_of(&doomed).is_none());

    let malformed: Value = serde_json::from_str(include_str!("../../../../../events/malformed.json"))?;
    let Answer::Error(error) = bed.invoke("replace-capacity", &malformed).await? else {
        anyhow::bail!("a malformed event is an error");
    };
    assert!(error.contains("detail.instance-id"), "{error}");

    let unknown: Value = serde_json::from_str(include_str!("../../../../../events/unknown.json"))?;
    let Answer::Answer(answer) = bed.invoke("replace-capacity", &unknown).await? else {
        anyhow::bail!("an unknown event is no error");
    };
    assert!(answer.contains("ignored"), "{answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_of_hours_ago_is_reported_and_left_alone() -> Result<()> {
    let bed = still(Options::default()).await?;
    let before = bed.world.state().await?;
    let mut event = warning(&bed, &first_of(&before, GROUP)?);
    event["time"] = json!(bed.world.clock().now() - jiff::SignedDuration::from_hours(2));
    hand_off(&bed, &event).await?;
    assert_eq!(shape(&bed.world.state().await?), shape(&before));
    assert!(skipped(&bed).contains("120 minutes old"), "{}", skipped(&bed));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_once_is_tried_again_within_the_invocation() -> Result<()> {
    for (service, action) in [
        ("autoscaling", "DetachInstances"),
        ("ecs", "UpdateContainerInstancesState"),
        ("elbv2", "DeregisterTargets"),
    ] {
        let bed = still(Options::default()).await?;
        let fault =
            json!([{ "service": service, "action": action, "times": 1, "fault": { "kind": "throttle" } }]);
        bed.world.faults(&fault).await?;
        let doomed = first_of(&bed.world.state().await?, GROUP)?;
        hand_off(&bed, &warning(&bed, &doomed)).await?;
        let reports = of_the_warning(&bed);
        ensure!(reports.len() == 3, "{action}: {} reports", reports.len());
        assert!(
            reports.iter().all(|report| report.outcome == Outcome::Done),
            "{action}: {reports:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_keeps_failing_ends_as_a_dead_letter_and_hinders_nobody_else() -> Result<()> {
    let bed = still(Options::default().speed(20.0)).await?;
    let denied = json!({ "kind": "error", "code": "AccessDenied", "status": 403 });
    let fault = json!([{ "service": "autoscaling", "action": "DetachInstances", "fault": denied }]);
    bed.world.faults(&fault).await?;
    let doomed = first_of(&bed.world.state().await?, GROUP)?;
    bed.put_event(&warning(&bed, &doomed)).await?;
    bed.until_idle(PATIENCE).await?;
    let after = bed.world.state().await?;
    assert_eq!(dead_letters(&after).len(), 1);
    assert_eq!(status(&after, &doomed).as_deref(), Some("DRAINING"));
    let failed = reports_of(&bed, "replace-capacity");
    assert_eq!(failed.len(), 5, "five tries");
    let error = failed[0].actions[0].error.clone().unwrap_or_default();
    assert!(
        error.contains("DetachInstances") && error.contains("AccessDenied") && error.contains("role"),
        "{error}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_warning_takes_few_round_trips_and_few_calls() -> Result<()> {
    let bed = still(Options::default()).await?;
    let doomed = first_of(&bed.world.state().await?, GROUP)?;
    bed.world.clear_calls().await?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    let calls = bed.world.calls().await?;
    // The calls on the path to the first write: those that had to be answered before it.
    let table = [
        (
            "replace-capacity",
            "DetachInstances",
            &["DescribeAutoScalingInstances", "DescribeAutoScalingGroups"][..],
        ),
        (
            "drain-tasks",
            "UpdateContainerInstancesState",
            &[
                "ListClusters",
                "ListContainerInstances",
                "DescribeContainerInstances",
            ][..],
        ),
    ];
    for (caller, write, path) in table {
        let own: Vec<_> = calls
            .iter()
            .filter(|call| call.caller.as_deref() == Some(caller))
            .collect();
        let first = own
            .iter()
            .find(|call| call.action == write)
            .with_context(|| format!("{caller} wrote"))?;
        for step in path {
            let step = own
                .iter()
                .find(|call| call.action == *step)
                .with_context(|| format!("{caller} asked {step}"))?;
            assert!(step.n < first.n, "{caller}");
        }
        assert!(path.len() <= 3);
    }
    let writes = calls
        .iter()
        .filter(|call| call.action == "DetachInstances")
        .count();
    assert_eq!(writes, 1);
    Ok(())
}
