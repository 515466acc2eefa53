//! Cases in which a task is run or an instance launched, which the fast AWS does not do.

use anyhow::Result;
use end_to_end::{GROUP, PATIENCE, first_of, hand_off, recommendation, reports_of, still, warning};
use testbed::Options;

use crate::cases::shape;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_warning_again_changes_nothing() -> Result<()> {
    let bed = still(Options::default().parameter("StandaloneTasks", "stop-now")).await?;
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
async fn a_recommendation_with_capacity_rebalancing_off_advises_to_turn_it_on() -> Result<()> {
    let bed = still(Options::default()).await?;
    let before = bed.world.state().await?;
    hand_off(&bed, &recommendation(&bed, &first_of(&before, GROUP)?)).await?;
    let warnings = reports_of(&bed, "replace-capacity").remove(0).warnings.join("\n");
    assert!(
        warnings.contains("--auto-scaling-group-name inference --capacity-rebalance"),
        "{warnings}"
    );
    Ok(())
}
