//! Cases that run a task or launch an instance. The fast AWS does neither.

use anyhow::{Context, Result};
use end_to_end::scene::skips;
use end_to_end::{GROUP, PATIENCE, first_of, hand_off, recommendation, reports_of, still, warning};
use serde_json::json;
use spot_handoff::report::ActionKind;
use testbed::Options;

use super::cases::shape;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_warning_again_changes_nothing() -> Result<()> {
    let bed = still(
        Options::default()
            .speed(20.0)
            .parameter("StandaloneTasks", "stop-now"),
    )
    .await?;
    let doomed = first_of(&bed.world.state().await?, GROUP)?;
    let event = warning(&bed, &doomed);
    hand_off(&bed, &event).await?;
    bed.until_settled(PATIENCE).await?;
    let once = bed.world.state().await?;
    hand_off(&bed, &event).await?;
    bed.until_settled(PATIENCE).await?;
    let twice = bed.world.state().await?;
    assert_eq!(shape(&twice), shape(&once));
    let again = bed
        .reports()
        .into_iter()
        .filter(|report| report.signal == "interruption-warning")
        .skip(3);
    for report in again {
        assert!(
            report.actions.is_empty(),
            "{}: {:?}",
            report.function,
            report.actions
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_aws_batch_are_left_to_it() -> Result<()> {
    let bed = still(
        Options::default()
            .speed(20.0)
            .parameter("StandaloneTasks", "stop-now"),
    )
    .await?;
    let start = bed.world.state().await?;
    let by_hand = start.target_group("by-hand").context("a target group")?;
    let doomed = by_hand.targets.first().context("a target")?.id.clone();
    bed.world
        .happen(&json!({ "kind": "run-batch-job", "instance": doomed }))
        .await?;
    let before = bed.world.state().await?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    bed.until_settled(PATIENCE).await?;
    let after = bed.world.state().await?;
    assert_eq!(json!(after.clusters), json!(before.clusters));
    let report = reports_of(&bed, "drain-tasks").remove(0);
    assert!(skips(&report, "managed by AWS Batch"), "{report:?}");
    assert!(report.actions.is_empty(), "{report:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recommendation_that_is_acted_on_advises_no_capacity_rebalancing() -> Result<()> {
    let bed = still(Options::default()).await?;
    let before = bed.world.state().await?;
    hand_off(&bed, &recommendation(&bed, &first_of(&before, GROUP)?)).await?;
    let report = reports_of(&bed, "replace-capacity").remove(0);
    let mut actions = report.actions.iter();
    assert!(
        actions.any(|line| line.action == ActionKind::RaiseDesiredCapacity),
        "{report:?}"
    );
    // As the doctor says: there is nothing to change.
    let warnings = report.warnings.join("\n");
    assert!(!warnings.contains("Capacity Rebalancing"), "{warnings}");
    Ok(())
}
