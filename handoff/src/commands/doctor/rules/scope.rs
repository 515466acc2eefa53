//! Whether spot-handoff acts on the instances at all.

use spot_handoff::autoscaling::scope::{IGNORE_TAG, MANAGED_TAG, OutOfScope};

use super::{Finding, Kind, Resource, Rule, Severity};
use spot_handoff::autoscaling::policies::{ByTag, DryRun};

use crate::commands::doctor::facts::{self, Deployment, Facts};
use crate::stack::DEFAULT_NAME;

const EVENTS_PAGE: &str =
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html";
const TAGS_PAGE: &str = "https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html";

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        id: "not-deployed",
        title: "spot-handoff is not deployed in this region",
        severity: Severity::Critical,
        why: "nothing answers interruption warnings here: targets are cut off and tasks are killed with their instance",
        fix: "deploy the stack, with DryRun=true at first, or switch its rules on",
        page: EVENTS_PAGE,
        check: not_deployed,
    },
    Rule {
        id: "dry-run",
        title: "The stack only reports",
        severity: Severity::Critical,
        why: "with DryRun=true the functions change nothing: targets are cut off and tasks are killed with their instance",
        fix: "when the reports show what you want, set DryRun=false as in docs/runbook.md#only-report",
        page: EVENTS_PAGE,
        check: dry_run,
    },
    Rule {
        id: "opted-out",
        title: "A Spot group that spot-handoff leaves alone",
        severity: Severity::Warning,
        why: "its instances go without deregistration, draining and a replacement ahead of time",
        fix: "remove the tag `spot-handoff:ignore`; with Scope=tagged, add `spot-handoff:managed`",
        page: TAGS_PAGE,
        check: opted_out,
    },
    Rule {
        id: "group-dry-run",
        title: "A group that is only planned for",
        severity: Severity::Warning,
        why: "because of its tag, the functions only report what they would do: its targets are cut off and its tasks are \
              killed with their instance",
        fix: "when the reports show what you want, remove the tag `spot-handoff:dry-run`",
        page: TAGS_PAGE,
        check: group_dry_run,
    },
    Rule {
        id: "unknown-policy",
        title: "Tag of spot-handoff that is not valid",
        severity: Severity::Warning,
        why: "the tag or its value is not valid, so the parameter of the stack applies instead",
        fix: "correct the tag: docs/policy.md lists all of them",
        page: TAGS_PAGE,
        check: unknown_policy,
    },
    Rule {
        id: "ignore-tag-false",
        title: "Tag `spot-handoff:ignore` set to `false`",
        severity: Severity::Critical,
        why: "the functions act on the group, but their roles deny calls wherever the tag exists, whatever its value: the \
              calls fail, and the notices end in a dead-letter queue",
        fix: "remove the tag",
        page: TAGS_PAGE,
        check: ignore_tag_false,
    },
];

fn not_deployed(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let stack = &facts.stack;
    // samconfig.toml has the default name.
    let stack_name = match stack.as_str() {
        DEFAULT_NAME => String::new(),
        other => format!(" --stack-name {other}"),
    };
    let (what, fix) = match facts.deployment {
        Deployment::Missing => (
            "no rule of spot-handoff takes interruption warnings in this region",
            format!("sam build && sam deploy{stack_name} --parameter-overrides DryRun=true"),
        ),
        Deployment::Disabled => (
            "the rule for interruption warnings is disabled",
            format!("aws events enable-rule --name {stack}-InterruptionWarning-…"),
        ),
        Deployment::Deployed | Deployment::Unknown => return vec![],
    };
    vec![rule.found(Resource::new(Kind::Stack, stack), what, fix)]
}

fn dry_run(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    if !facts.settings.dry_run || facts.deployment != Deployment::Deployed {
        return vec![];
    }
    let fix = super::set_parameter("DryRun=false");
    let stack = Resource::new(Kind::Stack, &facts.stack);
    vec![rule.found(stack, "DryRun is true: the functions only report", fix)]
}

fn opted_out(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let left_alone = facts.interruptible().filter_map(|group| {
        let reason = facts.settings.scope.admits(Some(&group.core)).err()?;
        let name = group.name();
        let fix = match &reason {
            // Nothing can be changed for these groups.
            OutOfScope::OfAwsBatch { .. }
            | OutOfScope::OfKubernetes { .. }
            | OutOfScope::Operated { .. } => return None,
            OutOfScope::Ignored { .. } => delete_tag(name, IGNORE_TAG),
            OutOfScope::NotTagged { .. } | OutOfScope::InNoGroup => format!(
                "aws autoscaling create-or-update-tags --tags ResourceId={name},ResourceType=auto-scaling-group,\
                 Key={MANAGED_TAG},Value=true,PropagateAtLaunch=false"
            ),
        };
        Some(rule.found(Resource::group(group), reason.to_string(), fix))
    });
    left_alone.collect()
}

fn ignore_tag_false(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let tagged = facts.interruptible().filter(|group| {
        group
            .core
            .tags
            .get(IGNORE_TAG)
            .is_some_and(|value| value == "false")
    });
    tagged
        .map(|group| {
            let what = format!("{IGNORE_TAG} is `false`, which permissions treat as set");
            rule.found(Resource::group(group), what, delete_tag(group.name(), IGNORE_TAG))
        })
        .collect()
}

fn group_dry_run(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let tagged = facts
        .groups_at_risk()
        .filter(|group| DryRun::of(Some(&group.core)).0);
    let found = tagged.map(|group| {
        let what = format!("{} is `true`: the functions only report", DryRun::TAG);
        rule.found(
            Resource::group(group),
            what,
            delete_tag(group.name(), DryRun::TAG),
        )
    });
    found.collect()
}

fn unknown_policy(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    for group in facts.groups_at_risk() {
        for unknown in facts.policies_of(group).unknown {
            let what = format!(
                "{} is `{}`, expected {}",
                unknown.tag, unknown.found, unknown.expected
            );
            let fix = delete_tag(group.name(), unknown.tag);
            findings.push(rule.found(Resource::group(group), what, fix));
        }
        for key in facts::misspelled(group) {
            let what = format!("nobody reads the tag {key}");
            findings.push(rule.found(Resource::group(group), what, delete_tag(group.name(), key)));
        }
    }
    findings
}

fn delete_tag(group: &str, key: &str) -> String {
    format!("aws autoscaling delete-tags --tags ResourceId={group},ResourceType=auto-scaling-group,Key={key}")
}
