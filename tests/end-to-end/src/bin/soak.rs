//! `cargo run -p end-to-end --bin soak -- --minutes 5 --seed 7`

use std::time::Duration;

use anyhow::{Context, Result, bail};

#[tokio::main]
async fn main() -> Result<()> {
    let (mut minutes, mut seed) = (5.0, 7);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--minutes" => minutes = value.parse().context("--minutes is a number")?,
            "--seed" => seed = value.parse().context("--seed is a whole number")?,
            _ => bail!("there are --minutes and --seed, not {name}"),
        }
    }
    println!("soak of {minutes} minutes with seed {seed}");
    let figures = end_to_end::soak::run(Duration::from_secs_f64(60.0 * minutes), seed).await?;
    println!("{figures}");
    Ok(())
}
