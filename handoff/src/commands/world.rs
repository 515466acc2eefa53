//! The options of commands that start a world of the embedded AWS.

use clap::{Args, ValueEnum};

use super::parameters;
#[cfg(feature = "local")]
use crate::style;

#[derive(Args)]
#[command(next_help_heading = "On an AWS on this machine")]
pub struct WorldArguments {
    /// Let time run this many times as fast. What a function takes counts as many times, so its figures grow by that
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = speed)]
    speed: f64,

    /// How long AWS takes for what it does: `quick` shows the logic, `real` what users feel
    #[arg(long, value_enum, default_value_t = Pace::Quick)]
    pace: Pace,

    /// With --pace real: another seed draws other boot times, other health checks, and so on
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// A parameter of template.yaml; may be given several times
    #[arg(long = "parameter", value_name = "KEY=VALUE", value_parser = parameters::parse)]
    parameters: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pace {
    Quick,
    Real,
}

#[cfg(feature = "local")]
impl WorldArguments {
    /// How a fast clock affects the printed figures; `None` with a real one.
    pub fn note(&self) -> Option<String> {
        let speed = self.speed;
        (speed > 1.0).then(|| {
            format!(
                "time runs {speed} times as fast, and what the functions take of it counts {speed} times: \
                 `T+` and seconds left look worse than they are"
            )
        })
    }

    /// Prints that a world is starting.
    pub fn say_that_it_starts() {
        anstream::eprintln!("{}", style::dim("starting an AWS on this machine"));
    }

    /// The same as options of the test bed.
    pub fn options(&self) -> testbed::Options {
        let mut options = testbed::Options {
            pace: match self.pace {
                Pace::Quick => testbed::Pace::Quick,
                Pace::Real => testbed::Pace::Real,
            },
            seed: self.seed,
            ..testbed::Options::default().speed(self.speed)
        };
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
