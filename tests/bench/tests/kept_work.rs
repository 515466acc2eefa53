//! A small part of the benchmark of kept work: what already holds.

use anyhow::{Context, Result, ensure};
use bench::kept_work::contender::Contender;
use bench::kept_work::outcome::Outcome;
use bench::kept_work::run::run;
use bench::kept_work::scenario::{Scenario, scenarios};
use tokio::sync::Semaphore;

fn scenario(name: &str) -> Result<Scenario> {
    let found = scenarios(&[name.to_owned()])?;
    found.into_iter().next().context("the scenario")
}

async fn lost(scenario: &Scenario, contender: Contender) -> Result<Outcome> {
    let outcome = run(scenario, contender, 1).await?;
    ensure!(
        contender == Contender::LowerBound || !outcome.told.warned.is_empty(),
        "nothing was warned: {outcome:?}"
    );
    Ok(outcome)
}

/// One at a time: these worlds run at their own pace, and on a busy machine the functions are late in them.
static TURN: Semaphore = Semaphore::const_new(1);

#[tokio::test]
async fn where_nobody_acts_a_task_is_cut_and_missing_until_it_runs_elsewhere() -> Result<()> {
    let _turn = TURN.acquire().await?;
    let scenario = scenario("one-of-six-room")?;
    let nobody = lost(&scenario, Contender::Nobody).await?.told.losses;
    assert_eq!(nobody.tasks_cut, 1.0, "{nobody:?}");
    assert!(nobody.task_seconds_short > 0.0, "{nobody:?}");
    assert_eq!(nobody.dark_seconds, 0.0, "five others serve: {nobody:?}");
    assert_eq!(nobody.misreported, None, "nobody reports: {nobody:?}");
    let bound = lost(&scenario, Contender::LowerBound).await?.told.losses;
    assert_eq!(bound.failed.all(), 0.0, "{bound:?}");
    assert_eq!(
        (bound.tasks_cut, bound.task_seconds_short),
        (0.0, 0.0),
        "{bound:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_group_of_one_is_dark_where_nobody_acts() -> Result<()> {
    let _turn = TURN.acquire().await?;
    let scenario = scenario("group-of-one")?;
    let nobody = lost(&scenario, Contender::Nobody).await?.told;
    // Auto Scaling notices the loss, and only then another instance boots: at least a minute and a half.
    assert!(nobody.losses.dark_seconds > 90.0, "{:?}", nobody.losses);
    let share = nobody.losses.failed.all() / nobody.requests;
    assert!(share > 0.1, "{share}: {:?}", nobody.losses);
    Ok(())
}

#[tokio::test]
async fn with_the_functions_no_task_of_a_service_is_cut_where_there_is_room() -> Result<()> {
    let _turn = TURN.acquire().await?;
    let scenario = scenario("one-of-six-room")?;
    let ours = lost(&scenario, Contender::SpotHandoff).await?.told;
    assert_eq!(ours.losses.tasks_cut, 0.0, "{:?}", ours.losses);
    assert_eq!(ours.losses.task_seconds_short, 0.0, "{:?}", ours.losses);
    assert_eq!(ours.losses.dark_seconds, 0.0, "{:?}", ours.losses);
    // The time line shows the interruption, whatever was made of it.
    assert!(ours.line.len() > 2, "{:?}", ours.line);
    Ok(())
}

#[tokio::test]
async fn a_plain_group_keeps_the_work_that_its_stop_script_saves() -> Result<()> {
    let _turn = TURN.acquire().await?;
    let scenario = scenario("plain-jobs")?;
    let nobody = lost(&scenario, Contender::Nobody).await?.told.losses;
    assert!(nobody.job_seconds_lost > 0.0, "{nobody:?}");
    let ours = lost(&scenario, Contender::SpotHandoff).await?.told.losses;
    // What it did between the end of the script and its own end, and no more.
    assert!(ours.job_seconds_lost <= 60.0, "{ours:?}");
    assert!(
        ours.job_seconds_lost < nobody.job_seconds_lost,
        "{ours:?} {nobody:?}"
    );
    Ok(())
}
