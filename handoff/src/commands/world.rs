//! What a world of the embedded AWS starts with, for the commands that start one.

use clap::{Args, ValueEnum};

#[derive(Args)]
pub struct WorldArguments {
    /// Let time run this many times as fast
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = speed)]
    speed: f64,

    /// How long AWS takes for what it does: `quick` shows the logic, `real` what users feel
    #[arg(long, value_enum, default_value_t = Pace::Quick)]
    pace: Pace,

    /// With --pace real: another seed draws other boot times, other health checks, and so on
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// A parameter of template.yaml; may be given several times
    #[arg(long = "parameter", value_name = "KEY=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pace {
    Quick,
    Real,
}

#[cfg(feature = "local")]
impl WorldArguments {
    /// The same for the test bed.
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

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("must look like StandaloneTasks=stop-now")?;
    let known = parameters();
    let Some((_, allowed)) = known.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        return Err(format!("template.yaml has {}", known.join(", ")));
    };
    if !allowed.is_empty() && !allowed.contains(&value) {
        return Err(format!("{name} is one of {}", allowed.join(", ")));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The template's parameters, each with its allowed values; none where any will do.
fn parameters() -> Vec<(&'static str, Vec<&'static str>)> {
    let lines = include_str!("../../../template.yaml").lines();
    let section = lines.skip_while(|line| *line != "Parameters:").skip(1);
    let section = section.take_while(|line| !line.is_empty());
    let mut parameters: Vec<(&str, Vec<&str>)> = vec![];
    for line in section {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        match (key, parameters.last_mut()) {
            ("    AllowedValues", Some((_, allowed))) => {
                let values = value.trim().trim_matches(['[', ']']).split(", ");
                *allowed = values.map(|value| value.trim_matches('"')).collect();
            }
            _ => {
                let name = key.strip_prefix("  ").filter(|name| !name.starts_with(' '));
                parameters.extend(name.map(|name| (name, vec![])));
            }
        }
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_template() {
        let names: Vec<&str> = parameters().into_iter().map(|(name, _)| name).collect();
        assert!(
            names.starts_with(&["DryRun", "Drills", "Scope", "Clusters"]),
            "{names:?}"
        );
        assert_eq!(names.last(), Some(&"AlarmEmail"));
        for fine in [
            "DryRun=true",
            "Clusters=a,b",
            "LogRetentionDays=3653",
            "AlarmEmail=",
        ] {
            assert!(parameter(fine).is_ok(), "{fine}");
        }
        for (wrong, said) in [
            ("DryRun", "must look like"),
            ("Foo=1", "template.yaml has DryRun, Drills, Scope,"),
            ("DryRun=yes", "DryRun is one of true, false"),
        ] {
            let error = parameter(wrong).expect_err(wrong);
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }
}
