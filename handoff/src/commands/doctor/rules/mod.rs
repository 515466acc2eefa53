//! The rules. Each is a pure function from the facts about an account to what it would lose.

mod fallback;
mod hooks;
mod instances;
mod launching;
mod placement;
mod pools;
mod scope;
mod scripts;
mod services;
mod spread;
mod standalone;
mod targets;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

use super::facts::{Cluster, Facts, Group, Service};

/// How much is at stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Work may be lost, or takes longer to move than it has.
    Warning,
    /// Work is lost in every interruption.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name. It never changes.
    pub id: &'static str,
    /// What it finds, as a title.
    pub title: &'static str,
    /// The highest severity that it reports.
    pub severity: Severity,
    /// What is lost, and how.
    pub why: &'static str,
    /// What to change, in general.
    pub fix: &'static str,
    /// AWS's page about it.
    pub page: &'static str,
    /// Finds it.
    pub check: fn(&Facts, &'static Rule) -> Vec<Finding>,
}

/// One thing found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The severity of this finding.
    pub severity: Severity,
    /// The rule that found it.
    #[serde(serialize_with = "id_of")]
    pub rule: &'static Rule,
    /// What it is about.
    pub resource: Resource,
    /// What was found.
    pub what: String,
    /// What is lost, and how.
    pub why: &'static str,
    /// What to change: a command, or a sentence if there is no command.
    pub fix: String,
}

fn id_of<S: serde::Serializer>(rule: &&'static Rule, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(rule.id)
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Resource {
    /// Its kind, in words.
    pub kind: Kind,
    /// Its name. For services and tasks, the name includes the cluster.
    pub name: String,
}

/// Kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The stack.
    Stack,
    /// An Auto Scaling group.
    Group,
    /// A target group.
    TargetGroup,
    /// An ECS service.
    Service,
    /// Standalone tasks of a task definition.
    Tasks,
    /// A container instance.
    Instance,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stack => "stack",
            Self::Group => "group",
            Self::TargetGroup => "target group",
            Self::Service => "service",
            Self::Tasks => "standalone tasks",
            Self::Instance => "instance",
        })
    }
}

impl Resource {
    fn group(group: &Group) -> Self {
        Self::new(Kind::Group, group.name())
    }

    fn service(cluster: &Cluster, service: &Service) -> Self {
        Self::new(Kind::Service, format!("{}/{}", cluster.name, service.name))
    }

    fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl Rule {
    /// A finding with the severity of the rule.
    fn found(&'static self, resource: Resource, what: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding {
            severity: self.severity,
            rule: self,
            resource,
            what: what.into(),
            why: self.why,
            fix: fix.into(),
        }
    }
}

impl Finding {
    fn at(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }
}

/// The fix that sets one parameter, and leaves the template and the build as they are.
fn set_parameter(setting: &str) -> String {
    format!("set {setting} as in docs/runbook.md#only-report")
}

/// The fix that sets a policy of one group.
fn set_policy(group: &Group, tag: &str, value: &str) -> String {
    format!(
        "aws autoscaling create-or-update-tags --tags ResourceId={},ResourceType=auto-scaling-group,Key={tag},\
         Value={value},PropagateAtLaunch=false",
        group.name()
    )
}

/// Every rule, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    [
        scope::RULES,
        pools::RULES,
        launching::RULES,
        fallback::RULES,
        hooks::RULES,
        targets::RULES,
        services::RULES,
        spread::RULES,
        placement::RULES,
        standalone::RULES,
        scripts::RULES,
        instances::RULES,
    ]
    .into_iter()
    .flatten()
}

/// What all rules find, the worst first.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = all().flat_map(|rule| (rule.check)(facts, rule)).collect();
    findings.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then_with(|| a.resource.cmp(&b.resource))
    });
    findings
}
