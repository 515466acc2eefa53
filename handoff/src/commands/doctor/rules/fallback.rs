//! Groups that On-Demand should fill while Spot has no capacity.

use spot_handoff::autoscaling::policies::{ByTag, SpotFallback};

use super::hooks::{add_hook, is_cut_short};
use super::{Finding, Resource, Rule, Severity, set_parameter};
use crate::commands::doctor::facts::{Facts, Group};

const MIXTURES: &str =
    "https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-mixed-instances-groups.html";

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        id: "fallback-cannot-mix",
        title: "On-Demand cannot fill the group",
        severity: Severity::Warning,
        why: "without a mixed instances policy, a group is all Spot or has no Spot at all: while Spot has no capacity, it \
              stays short",
        fix: "give the group a mixed instances policy with OnDemandPercentageAboveBaseCapacity 0",
        page: MIXTURES,
        check: cannot_mix,
    },
    Rule {
        id: "fallback-forbidden",
        title: "Tag that asks for On-Demand, which the stack does not allow",
        severity: Severity::Warning,
        why: "the stack has no permission to change the mixture of a group, so the group stays short while Spot has no \
              capacity",
        fix: "set SpotFallback to tagged or on-demand, or remove the tag",
        page: MIXTURES,
        check: forbidden,
    },
    Rule {
        id: "fallback-without-hook",
        title: "On-Demand Instances that end with their tasks on the way back to Spot",
        severity: Severity::Warning,
        why: "when Spot has capacity again Auto Scaling terminates the On-Demand Instances that filled the group, and no \
              notice tells of it: without a termination lifecycle hook nobody drains them, and their tasks are cut",
        fix: "add a termination lifecycle hook named spot-handoff-…",
        page: "https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html",
        check: without_hook,
    },
];

fn cannot_mix(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let fills = |group: &&Group| facts.settings.fallback.of(&group.core).0;
    let groups = facts.groups_at_risk().filter(fills);
    groups
        .filter(|group| group.core.distribution.is_none())
        .map(|group| {
            let what = "SpotFallback applies to it, but it has no mixed instances policy";
            let fix = format!(
                "aws autoscaling update-auto-scaling-group --auto-scaling-group-name {} --mixed-instances-policy \
                 '{{\"LaunchTemplate\": {{\"LaunchTemplateSpecification\": {{…}}, \"Overrides\": [{{\"InstanceType\": \"…\"}}, \
                 …]}}, \"InstancesDistribution\": {{\"OnDemandPercentageAboveBaseCapacity\": 0}}}}'",
                group.name()
            );
            rule.found(Resource::group(group), what, fix)
        })
        .collect()
}

/// A group that On-Demand cannot fill needs no hook for it. The rules above name such groups.
fn without_hook(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let fills = |group: &&Group| {
        let is_allowed = facts.settings.fallback.of(&group.core).0;
        is_allowed && group.core.distribution.is_some()
    };
    let groups = facts.groups_at_risk().filter(fills);
    groups
        .filter(|group| is_cut_short(facts, group))
        .map(|group| {
            let what = "SpotFallback applies to it, but no termination lifecycle hook of spot-handoff waits for its tasks";
            rule.found(Resource::group(group), what, add_hook(group))
        })
        .collect()
}

fn forbidden(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let groups = facts.groups_at_risk();
    groups
        .filter(|group| facts.settings.fallback.is_forbidden(&group.core))
        .map(|group| {
            let what = format!(
                "the tag {} is on-demand, and SpotFallback is off",
                SpotFallback::TAG
            );
            rule.found(Resource::group(group), what, set_parameter("SpotFallback=tagged"))
        })
        .collect()
}
