//! Connections that are still open when the instance goes.

use std::collections::BTreeMap;

use spot_handoff::elb::holding::LONGEST_DRAINING;

use super::{Finding, Kind, Resource, Rule, Severity};
use crate::commands::doctor::facts::Facts;

/// Seconds from an interruption warning to the end of the instance.
pub const NOTICE: i64 = 120;
/// The most that a hand-off grants, see `holding::LONGEST_DRAINING`. The rest is for a successor to come.
pub const GOOD_DELAY: i64 = LONGEST_DRAINING.as_secs();

/// The rules of this family.
pub const RULES: &[Rule] = &[Rule {
    id: "deregistration-delay",
    title: "Deregistration delay longer than the notice",
    severity: Severity::Warning,
    why: "requests that are still running after 120 s are cut when the instance goes, while the load balancer would wait \
          for them",
    fix: "set deregistration_delay.timeout_seconds to 60 or less",
    page: "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html",
    check: deregistration_delay,
}];

fn deregistration_delay(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    // The rule `service-grace` covers services, together with the grace of their tasks.
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for group in facts.groups_at_risk() {
        for arn in &group.core.target_groups {
            groups.entry(arn).or_default().push(group.name());
        }
    }
    let mut findings = vec![];
    for (arn, groups) in groups {
        let Some(delay) = facts.delays.get(arn).filter(|delay| **delay > NOTICE) else {
            continue;
        };
        let what = format!(
            "deregistration delay is {delay} s, of group {}",
            groups.join(", ")
        );
        findings.push(rule.found(
            Resource::new(Kind::TargetGroup, name(arn)),
            what,
            set_delay(arn, GOOD_DELAY),
        ));
    }
    findings
}

/// The name in `…:targetgroup/NAME/ID`.
pub fn name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

/// The command that sets a target group's deregistration delay.
pub fn set_delay(arn: &str, seconds: i64) -> String {
    format!(
        "aws elbv2 modify-target-group-attributes --target-group-arn {arn} \
         --attributes Key=deregistration_delay.timeout_seconds,Value={seconds}"
    )
}
