//! Configuration: environment variables from the template's parameters, checked once at the start.

use std::collections::HashMap;
use std::fmt;

use thiserror::Error;

/// The environment, as read at the start; a map in tests.
#[derive(Debug, Clone, Default)]
pub struct Env(HashMap<String, String>);

/// An environment variable with a wrong value.
///
/// The function then does not start. So a wrong parameter shows at deployment and not at 3 a.m.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("environment variable {name}: expected {expected}, found `{found}`")]
pub struct ConfigError {
    name: String,
    expected: String,
    found: String,
}

impl ConfigError {
    /// Says which variable is wrong, what was expected and what was found.
    pub fn new(name: &str, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self {
            name: name.to_owned(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// The same error, with the name that the person who set the variable uses for it.
    pub fn called(&self, name: &str) -> String {
        format!("{name}: expected {}, found `{}`", self.expected, self.found)
    }
}

/// A configuration value with a fixed set of texts.
pub trait Choice: Copy + 'static {
    /// Every value with its text; the first is the default.
    const CHOICES: &'static [(&'static str, Self)];

    /// The value with this text.
    fn spelled(spelling: &str) -> Option<Self> {
        let mut choices = Self::CHOICES.iter();
        choices
            .find(|(known, _)| *known == spelling)
            .map(|(_, choice)| *choice)
    }

    /// The text of the value.
    fn spelling(self) -> &'static str
    where
        Self: PartialEq,
    {
        let mut choices = Self::CHOICES.iter();
        choices
            .find(|(_, choice)| *choice == self)
            .map_or("", |(spelling, _)| spelling)
    }
}

impl Env {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self(std::env::vars().collect())
    }

    /// An environment with only these variables.
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Self(
            variables
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect(),
        )
    }

    /// The value of a variable. An empty value counts as not set.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0
            .get(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    /// The value of a variable that has to be set.
    pub fn required(&self, name: &str) -> Result<String, ConfigError> {
        self.get(name)
            .ok_or_else(|| ConfigError::new(name, "a value", ""))
    }

    /// One of a fixed set of values; the first if the variable is not set.
    pub fn choice<C: Choice>(&self, name: &str) -> Result<C, ConfigError> {
        let Some(found) = self.get(name) else {
            return Ok(C::CHOICES[0].1);
        };
        C::spelled(&found).ok_or_else(|| {
            let spellings: Vec<_> = C::CHOICES.iter().map(|(s, _)| format!("`{s}`")).collect();
            ConfigError::new(name, spellings.join(" or "), found)
        })
    }

    /// `DRY_RUN`: whether to only plan, and change nothing.
    pub fn dry_run(&self) -> Result<bool, ConfigError> {
        self.choice("DRY_RUN")
    }

    /// `SCOPE`: on which Auto Scaling groups the functions act.
    pub fn scope(&self) -> Result<Scope, ConfigError> {
        self.choice("SCOPE")
    }

    /// `DRILLS`: how far a drill can go.
    pub fn drills(&self) -> Result<Drills, ConfigError> {
        self.choice("DRILLS")
    }

    /// `CLUSTERS`: the ECS clusters in which to look for instances. `None` means all clusters of the account and
    /// region.
    pub fn clusters(&self) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(list) = self.get("CLUSTERS") else {
            return Ok(None);
        };
        list.split(',')
            .map(|name| {
                let name = name.trim();
                let short = name.rsplit('/').next().unwrap_or(name);
                // https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateCluster.html: up to 255 letters,
                // numbers, underscores and hyphens.
                let valid = !short.is_empty()
                    && short.len() <= 255
                    && short
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
                if valid {
                    Ok(name.to_owned())
                } else {
                    let expected = "cluster names or ARNs, separated by commas";
                    Err(ConfigError::new("CLUSTERS", expected, &list))
                }
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// `LOG_LEVEL`: the least severe log lines that are written.
    pub fn log_level(&self) -> Result<tracing::Level, ConfigError> {
        self.choice::<LogLevel>("LOG_LEVEL").map(|level| level.0)
    }
}

impl Choice for bool {
    const CHOICES: &'static [(&'static str, Self)] = &[("false", false), ("true", true)];
}

/// On which Auto Scaling groups the functions act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// On every group without the tag `spot-handoff:ignore`, and on instances in no group.
    All,
    /// Only on groups with the tag `spot-handoff:managed`.
    Tagged,
}

impl Choice for Scope {
    const CHOICES: &'static [(&'static str, Self)] = &[("all", Self::All), ("tagged", Self::Tagged)];
}

/// How far a drill can go. Whoever may put events on the bus can send drills; no drill can do more than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drills {
    /// The functions plan and report drills, even a drill that asks to act.
    Plan,
    /// The functions take no drills.
    Off,
    /// The functions act on a drill that asks to act.
    Real,
}

impl Choice for Drills {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("plan", Self::Plan), ("off", Self::Off), ("real", Self::Real)];
}

#[derive(Clone, Copy)]
struct LogLevel(tracing::Level);

impl Choice for LogLevel {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("info", Self(tracing::Level::INFO)),
        ("error", Self(tracing::Level::ERROR)),
        ("warn", Self(tracing::Level::WARN)),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_and_empty_variables_mean_the_defaults() {
        let env = Env::of(&[("SCOPE", ""), ("CLUSTERS", " ")]);
        assert_eq!(env.dry_run(), Ok(false));
        assert_eq!(env.scope(), Ok(Scope::All));
        assert_eq!(env.clusters(), Ok(None));
        assert_eq!(env.log_level(), Ok(tracing::Level::INFO));
    }

    #[test]
    fn a_wrong_value_is_refused_with_the_variable_and_what_it_may_be() {
        let error = Env::of(&[("SCOPE", "everything")]).scope().expect_err("refused");
        assert_eq!(
            error.to_string(),
            "environment variable SCOPE: expected `all` or `tagged`, found `everything`"
        );
        let error = Env::of(&[("DRY_RUN", "yes")]).dry_run().expect_err("refused");
        assert_eq!(
            error.to_string(),
            "environment variable DRY_RUN: expected `false` or `true`, found `yes`"
        );
    }

    #[test]
    fn clusters_are_a_list_of_names_or_arns() {
        let arn = "arn:aws:ecs:us-east-1:111122223333:cluster/inference";
        let list = format!("web, {arn}");
        let clusters = Env::of(&[("CLUSTERS", &list)]).clusters();
        assert_eq!(clusters, Ok(Some(vec!["web".to_owned(), arn.to_owned()])));
        for wrong in [
            "web,,batch",
            "web;batch",
            "arn:aws:ecs:us-east-1:111122223333:cluster/",
        ] {
            let error = Env::of(&[("CLUSTERS", wrong)]).clusters().expect_err(wrong);
            assert!(error.to_string().contains("CLUSTERS"), "{error}");
        }
    }
}
