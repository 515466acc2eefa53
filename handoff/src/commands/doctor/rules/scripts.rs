//! Stop scripts: whether they can run, and whether they have enough time.

use jiff::SignedDuration;
use spot_handoff::autoscaling::policies::{self, ByTag, StopDocument, StopSeconds, StopWhen};
use spot_handoff::notice::NOTICE;
use spot_handoff::state::stop_scripts::ON_THE_WAY;

use super::{Finding, Resource, Rule, Severity};
use crate::commands::doctor::facts::{Document, Facts, Group};

const PAGE: &str = "https://docs.aws.amazon.com/systems-manager/latest/userguide/run-command.html";

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        id: "stop-script-not-managed",
        title: "Stop script for instances that Systems Manager does not know",
        severity: Severity::Critical,
        why: "the stop script cannot be sent to them: what they have not saved is lost in every interruption",
        fix: "give the instances the managed policy AmazonSSMManagedInstanceCore, and start the agent",
        page: "https://docs.aws.amazon.com/systems-manager/latest/userguide/setup-instance-permissions.html",
        check: not_managed,
    },
    Rule {
        id: "stop-script-document",
        title: "Stop script that cannot be sent",
        severity: Severity::Critical,
        why: "run-commands sends only documents that are there and carry the tag spot-handoff:document: what the \
              instances have not saved is lost in every interruption",
        fix: "tag the document, or name one that is there",
        page: PAGE,
        check: document,
    },
    Rule {
        id: "stop-script-too-long",
        title: "Stop script that does not fit into the notice",
        severity: Severity::Warning,
        why: "it begins at once and is still cut off when the instance goes; one that takes nearly all of the notice is sent \
              while its targets still serve",
        fix: "set spot-handoff:stop-seconds to 90 or less, and save less at the end or more often before",
        page: PAGE,
        check: too_long,
    },
    Rule {
        id: "stop-script-tags",
        title: "Tag of a stop script with a value that is not valid",
        severity: Severity::Warning,
        why: "the default applies: no document, 60 seconds, when the targets are out",
        fix: "correct the value",
        page: "https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html",
        check: unknown_values,
    },
];

/// The document that the group names.
fn named(group: &Group) -> Option<String> {
    policies::of_group(Some(&group.core), StopDocument::default()).0.0
}

fn not_managed(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    for group in facts.groups_at_risk() {
        let Some(managed) = facts
            .scripts
            .get(group.name())
            .and_then(|script| script.managed.as_ref())
        else {
            continue;
        };
        let members = group.core.instances.iter();
        let unknown = members
            .filter(|member| !managed.contains(member.id.as_str()))
            .count();
        if unknown > 0 {
            let all = group.core.instances.len();
            let what = format!("{unknown} of {all} instances are not online in Systems Manager");
            findings.push(rule.found(Resource::group(group), what, rule.fix));
        }
    }
    findings
}

fn document(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    for group in facts.groups_at_risk() {
        let (Some(name), Some(script)) = (named(group), facts.scripts.get(group.name())) else {
            continue;
        };
        let short = name.rsplit('/').next().unwrap_or(&name);
        let (what, fix) = match script.document {
            Some(Document::Untagged) => (
                format!("document {short} has no tag spot-handoff:document"),
                format!(
                    "aws ssm add-tags-to-resource --resource-type Document --resource-id {short} --tags \
                     Key=spot-handoff:document,Value=true"
                ),
            ),
            Some(Document::Missing) => (
                format!("there is no document {short}"),
                format!("aws ssm create-document --name {short} …, as in docs/stop-scripts.md"),
            ),
            Some(Document::Tagged) | None => continue,
        };
        findings.push(rule.found(Resource::group(group), what, fix));
    }
    findings
}

fn too_long(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    let longest = NOTICE.saturating_sub(ON_THE_WAY.saturating_add(ON_THE_WAY));
    for group in facts.groups_at_risk().filter(|group| named(group).is_some()) {
        let (takes, _) = policies::of_group(Some(&group.core), StopSeconds::default());
        if takes.0 > longest {
            let what = format!(
                "{} is {} s; the notice leaves {} s",
                StopSeconds::TAG,
                takes.0.as_secs(),
                longest.max(SignedDuration::ZERO).as_secs()
            );
            findings.push(rule.found(Resource::group(group), what, rule.fix));
        }
    }
    findings
}

fn unknown_values(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    for group in facts.groups_at_risk() {
        let core = Some(&group.core);
        let unknown = [
            policies::of_group(core, StopDocument::default()).1,
            policies::of_group(core, StopSeconds::default()).1,
            policies::of_group(core, StopWhen::default()).1,
        ];
        findings.extend(unknown.into_iter().flatten().map(|unknown| {
            let what = format!("{} is `{}`", unknown.tag, unknown.found);
            let fix = format!("set {} to {}", unknown.tag, unknown.expected);
            rule.found(Resource::group(group), what, fix)
        }));
    }
    findings
}
