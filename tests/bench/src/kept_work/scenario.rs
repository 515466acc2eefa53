//! What happens: the files of `tests/bench/scenarios`.
//!
//! The embedded AWS reads them (`tests/embedded-aws/embedded_aws/meter`); here only what the tables and pictures need is.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use testbed::Workspace;

/// Their order on the page: the file names.
const ORDER: &str = include_str!("../../scenarios/order.txt");

/// Seconds of the world in a real second, while functions are at work. While nobody works, time leaps. So a low speed
/// costs little, and a function that is slow on this machine is not much slower in the world.
const SPEED: f64 = 2.0;

/// One scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The name of its file.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
    /// What happens in it.
    pub story: String,
    /// Its end, in seconds after its first warning.
    pub seconds: f64,
    /// Seconds of the world in a real second, while functions are at work: fewer if they have much to do.
    pub speed: f64,
    /// Parameters of the stack that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// The file itself.
    pub order: Value,
}

#[derive(Deserialize)]
struct Head {
    title: String,
    story: String,
    seconds: f64,
    speed: Option<f64>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
}

impl Scenario {
    fn read(name: &str, text: &str) -> Result<Self> {
        let order: Value =
            serde_json::from_str(text).with_context(|| format!("scenario {name} is not JSON"))?;
        let head = Head::deserialize(&order).with_context(|| format!("scenario {name} lacks something"))?;
        Ok(Self {
            name: name.to_owned(),
            title: head.title,
            story: head.story,
            seconds: head.seconds,
            speed: head.speed.unwrap_or(SPEED),
            parameters: head.parameters,
            order,
        })
    }
}

/// All scenarios in the order of the page, or those with these names.
///
/// # Errors
/// Where there is no scenario of a name, or it cannot be read.
pub fn scenarios(wanted: &[String]) -> Result<Vec<Scenario>> {
    let known: Vec<&str> = ORDER.lines().filter(|line| !line.is_empty()).collect();
    for name in wanted {
        ensure!(
            known.contains(&name.as_str()),
            "there is no scenario {name}; there are {}",
            known.join(", ")
        );
    }
    let folder = Workspace::locate()?.path("tests/bench/scenarios");
    let chosen = known
        .into_iter()
        .filter(|name| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name));
    let read = |name: &str| {
        let path = folder.join(format!("{name}.json"));
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Scenario::read(name, &text)
    };
    chosen.map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_scenario_and_has_its_place_on_the_page() {
        let listed: Vec<String> = scenarios(&[]).unwrap().into_iter().map(|one| one.name).collect();
        let folder = Workspace::locate().unwrap().path("tests/bench/scenarios");
        let mut there: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
            .collect();
        there.sort();
        let mut sorted = listed.clone();
        sorted.sort();
        assert_eq!(sorted, there);
    }

    #[test]
    fn an_unknown_name_is_told_with_those_there_are() {
        let error = scenarios(&["foo".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("there is no scenario foo; there are one-of-six-room"),
            "{error}"
        );
    }
}
