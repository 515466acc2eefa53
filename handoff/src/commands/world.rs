//! What a world of the embedded AWS starts with, for the commands that start one.

use clap::Args;
use testbed::Options;

#[derive(Args)]
pub struct WorldArguments {
    /// Let time run this many times as fast
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = speed)]
    speed: f64,

    /// A parameter of template.yaml; may be given several times
    #[arg(long = "parameter", value_name = "KEY=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
}

impl WorldArguments {
    /// The same for the test bed.
    pub fn options(&self) -> Options {
        let mut options = Options::default().speed(self.speed);
        options.parameters.extend(self.parameters.clone());
        options
    }
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (1.0..=1000.0).contains(&speed) {
        Ok(speed)
    } else {
        Err("must be between 1 and 1000".to_owned())
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("must look like StandaloneTasks=stop-now")?;
    Ok((name.to_owned(), value.to_owned()))
}
