//! The parameters of template.yaml and their valid values, to check the command line.

use regex_lite::Regex;

/// A parameter of the template.
#[derive(Debug, Default)]
struct Parameter {
    name: &'static str,
    /// Empty if any value is valid.
    allowed: Vec<&'static str>,
    pattern: Option<&'static str>,
    /// What the pattern means, in words.
    constraint: Option<&'static str>,
    at_least: Option<i64>,
    at_most: Option<i64>,
    longest: Option<usize>,
}

/// Splits `KEY=VALUE`, and checks it like CloudFormation.
///
/// # Errors
/// The valid names or values, if the template has no such parameter or does not accept the value.
pub fn parse(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("must look like StandaloneTasks=stop-now")?;
    let known = of_template();
    let Some(parameter) = known.iter().find(|known| known.name == name) else {
        let known: Vec<&str> = known.iter().map(|known| known.name).collect();
        return Err(format!("template.yaml has {}", known.join(", ")));
    };
    parameter.check(value)?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Parameter {
    fn check(&self, value: &str) -> Result<(), String> {
        let name = self.name;
        if !self.allowed.is_empty() && !self.allowed.contains(&value) {
            return Err(format!("{name} is one of {}", self.allowed.join(", ")));
        }
        if let Some(pattern) = self.pattern {
            // The whole value has to match, even if the pattern does not say so.
            let regex = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| error.to_string())?;
            if !regex.is_match(value) {
                return Err(match self.constraint {
                    Some(constraint) => format!("{name} {constraint}"),
                    None => format!("{name} must match {pattern}"),
                });
            }
        }
        if self
            .longest
            .is_some_and(|longest| value.chars().count() > longest)
        {
            return Err(format!(
                "{name} has at most {} characters",
                self.longest.unwrap_or_default()
            ));
        }
        if self.at_least.is_some() || self.at_most.is_some() {
            let (least, most) = (
                self.at_least.unwrap_or(i64::MIN),
                self.at_most.unwrap_or(i64::MAX),
            );
            let number: Option<i64> = value.parse().ok();
            if !number.is_some_and(|number| (least..=most).contains(&number)) {
                return Err(format!("{name} is a number from {least} to {most}"));
            }
        }
        Ok(())
    }
}

/// The template's parameters.
fn of_template() -> Vec<Parameter> {
    let lines = include_str!("../../../template.yaml").lines();
    let section = lines.skip_while(|line| *line != "Parameters:").skip(1);
    let section = section.take_while(|line| !line.is_empty());
    let mut parameters: Vec<Parameter> = vec![];
    for line in section {
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        let value = value.trim();
        if let Some(name) = key.strip_prefix("  ").filter(|name| !name.starts_with(' ')) {
            parameters.push(Parameter {
                name: name.trim_end_matches(':'),
                ..Parameter::default()
            });
        }
        let Some(parameter) = parameters.last_mut() else {
            continue;
        };
        match key.trim_start() {
            "AllowedValues" => {
                let values = value.trim_matches(['[', ']']).split(", ");
                parameter.allowed = values.map(|value| value.trim_matches('"')).collect();
            }
            "AllowedPattern" => parameter.pattern = Some(value),
            "ConstraintDescription" => parameter.constraint = Some(value),
            "MinValue" => parameter.at_least = value.parse().ok(),
            "MaxValue" => parameter.at_most = value.parse().ok(),
            "MaxLength" => parameter.longest = value.parse().ok(),
            _ => {}
        }
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_template() {
        let names: Vec<&str> = of_template().iter().map(|parameter| parameter.name).collect();
        assert!(
            names.starts_with(&["DryRun", "Drills", "GameDays", "Scope", "Clusters"]),
            "{names:?}"
        );
        assert_eq!(names.last(), Some(&"AlarmEmail"));
        for fine in [
            "DryRun=true",
            "Clusters=a,b",
            "Clusters=",
            "KeepHealthy=100",
            "LifecycleHooks=spot-handoff-*, other",
            "LogRetentionDays=3653",
            "AlarmEmail=",
            "AlarmEmail=on-call@example.com",
        ] {
            assert_eq!(parse(fine).map(drop), Ok(()), "{fine}");
        }
        for (wrong, said) in [
            ("DryRun", "must look like"),
            ("Foo=1", "template.yaml has DryRun, Drills, GameDays, Scope,"),
            ("DryRun=yes", "DryRun is one of true, false"),
            (
                "Clusters=a, b",
                "Clusters must be names of clusters, separated by commas",
            ),
            ("KeepHealthy=101", "KeepHealthy is a number from 0 to 100"),
            ("KeepHealthy=half", "KeepHealthy is a number from 0 to 100"),
            (
                "AlarmEmail=nobody",
                "AlarmEmail must be an e-mail address, or empty",
            ),
            ("LifecycleHooks=", "LifecycleHooks must match"),
        ] {
            let error = parse(wrong).expect_err(wrong);
            assert!(error.contains(said), "{wrong}: {error}");
        }
        assert!(parse(&format!("NamePrefix={}", "a".repeat(41))).is_err());
    }
}
