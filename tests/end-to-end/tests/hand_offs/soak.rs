//! A short soak. A longer one: `cargo run -p end-to-end --bin soak -- --minutes 5 --seed 7`.

use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn half_a_minute_of_mixed_events_and_faults_loses_nothing() -> anyhow::Result<()> {
    let figures = end_to_end::soak::run(Duration::from_secs(25), 7).await?;
    println!("{figures}");
    assert!(figures.events > 0 && figures.faults > 0, "{figures}");
    Ok(())
}
