//! The doctor's output: for a person, a program, or a document.

mod json;
mod markdown;
mod text;

use std::collections::BTreeMap;

use clap::ValueEnum;

use super::facts::{Cause, Facts, Purchase, Unread};
use super::rules::{Finding, Severity};
use crate::account::AccountArguments;

pub use markdown::rules as rules_as_markdown;

/// How to say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a terminal.
    Text,
    /// One JSON document.
    Json,
    /// For a ticket or a page.
    Markdown,
}

/// What was looked at, and what was found.
pub struct Diagnosis<'a> {
    /// What was looked at.
    pub facts: &'a Facts,
    /// What was found, the worst first.
    pub findings: &'a [Finding],
    /// The region.
    pub region: &'a str,
    /// The account that the caller has chosen.
    pub account: &'a AccountArguments,
}

/// The findings of a rule that have the same severity and reason.
struct OfRule<'a> {
    /// Findings that differ only in their resource.
    alike: Vec<Vec<&'a Finding>>,
}

impl OfRule<'_> {
    /// Any of them, for what they have in common.
    fn first(&self) -> &Finding {
        self.alike[0][0]
    }

    /// The fix, if it is the same for all.
    fn common_fix(&self) -> Option<&str> {
        let fix = self.first().fix.as_str();
        self.alike.iter().all(|alike| alike[0].fix == fix).then_some(fix)
    }
}

/// The resources of findings that differ only in their resource.
fn names(alike: &[&Finding]) -> String {
    let names: Vec<&str> = alike
        .iter()
        .map(|finding| finding.resource.name.as_str())
        .collect();
    format!("{} {}", alike[0].resource.kind, names.join(", "))
}

impl Diagnosis<'_> {
    /// The output in this format.
    pub fn say(&self, format: Format) -> String {
        match format {
            Format::Text => text::say(self),
            Format::Json => json::say(self),
            Format::Markdown => markdown::say(self),
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// What was looked at, in one line.
    fn looked_at(&self) -> String {
        let count = |count: usize, noun: &str| crate::words::count(count as u64, noun);
        let services: usize = self
            .facts
            .clusters
            .iter()
            .map(|cluster| cluster.services.len())
            .sum();
        let tasks: usize = self
            .facts
            .clusters
            .iter()
            .map(|cluster| cluster.tasks.len())
            .sum();
        format!(
            "{}, {}, {}, {}, {}",
            count(self.facts.groups.len(), "group"),
            count(self.facts.clusters.len(), "cluster"),
            count(services, "service"),
            count(tasks, "task"),
            count(self.facts.delays.len(), "target group"),
        )
    }

    /// For which account the commands are, and what the doctor cannot know or did not look at.
    fn notes(&self) -> Vec<String> {
        let named = |purchase| -> Vec<&str> {
            let groups = self
                .facts
                .groups
                .iter()
                .filter(|group| group.purchase == purchase);
            groups.map(|group| group.name()).collect()
        };
        let mut notes = vec![];
        if let Some(export) = self.account.export().filter(|_| !self.findings.is_empty()) {
            notes.push(format!(
                "these commands are for the account looked at: `{export}` first"
            ));
        }
        notes.extend(self.policies());
        let on_demand = named(Purchase::OnDemand);
        if !on_demand.is_empty() {
            notes.push(format!(
                "On-Demand only, never interrupted: {}",
                on_demand.join(", ")
            ));
        }
        let unknown = named(Purchase::Unknown);
        if !unknown.is_empty() {
            notes.push(format!(
                "treated as Spot, since only the launch template tells, which is not read: {}",
                unknown.join(", ")
            ));
        }
        notes
    }

    /// The policies of each group that spot-handoff acts on. Groups with the same policies share a line.
    fn policies(&self) -> Vec<String> {
        let mut lines: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for group in self.facts.groups_at_risk() {
            let words = self.facts.policies_of(group).words(group);
            lines.entry(words).or_default().push(group.name());
        }
        let line = |(words, groups): (String, Vec<&str>)| format!("policy of {}: {words}", groups.join(", "));
        lines.into_iter().map(line).collect()
    }

    /// What could not be read: each action and cause once, with the first resource and how many there are.
    fn unread(&self) -> Vec<(&Unread, usize)> {
        let mut lines: Vec<(&Unread, usize)> = vec![];
        for unread in &self.facts.unread {
            match lines
                .iter_mut()
                .find(|(one, _)| one.action == unread.action && one.cause == unread.cause)
            {
                Some((_, times)) => *times += 1,
                None => lines.push((unread, 1)),
            }
        }
        lines
    }

    /// The findings of a rule with the same severity and reason, the worst first. Findings that differ only in their
    /// resource are together.
    fn by_rule(&self) -> Vec<OfRule<'_>> {
        let mut rules: Vec<OfRule<'_>> = vec![];
        for finding in self.findings {
            let same = |known: &&mut OfRule<'_>| {
                let first = known.alike[0][0];
                (first.rule.id, first.severity, first.why) == (finding.rule.id, finding.severity, finding.why)
            };
            let Some(of_rule) = rules.iter_mut().find(same) else {
                rules.push(OfRule {
                    alike: vec![vec![finding]],
                });
                continue;
            };
            let alike = |known: &&mut Vec<&Finding>| {
                let first = known[0];
                (first.resource.kind, &first.what, &first.fix)
                    == (finding.resource.kind, &finding.what, &finding.fix)
            };
            match of_rule.alike.iter_mut().find(alike) {
                Some(alike) => alike.push(finding),
                None => of_rule.alike.push(vec![finding]),
            }
        }
        rules
    }

    fn summary(&self) -> String {
        let counted: Vec<String> = [Severity::Critical, Severity::Warning, Severity::Info]
            .into_iter()
            .map(|severity| match (self.count(severity), severity) {
                (1, Severity::Warning) => "1 warning".to_owned(),
                (count, Severity::Warning) => format!("{count} warnings"),
                (count, severity) => format!("{count} {severity}"),
            })
            .collect();
        counted.join(", ")
    }
}

fn about(unread: &Unread, times: usize) -> String {
    let of = match (unread.of.as_str(), times) {
        ("", 1) => String::new(),
        (of, 1) => format!(" of {of}"),
        (of, times) => format!(" of {of} and {} more", times - 1),
    };
    let advice = if unread.cause == Cause::Permission {
        " (allow it, see docs/doctor.md)"
    } else {
        ""
    };
    format!("{}{of}: {}{advice}", unread.action, unread.error)
}
