//! How much of a group one interruption can take, and how soon the next interruption comes.

use super::{Finding, Resource, Rule, Severity};
use crate::commands::doctor::facts::{Facts, Group, Types};
use crate::commands::pools::rows;

/// AWS advises to allow at least this many instance types.
const ADVISED: usize = 10;
const GOOD_STRATEGIES: &[&str] = &[
    "price-capacity-optimized",
    "capacity-optimized",
    "capacity-optimized-prioritized",
];

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        id: "few-pools",
        title: "Few Spot capacity pools",
        severity: Severity::Critical,
        why: "a pool is one instance type in one zone: when AWS needs it, all instances in it go at once, and the \
              replacements have to come from the pools that are left",
        fix: "allow at least 10 pools: more instance types, or attributes instead of types, and every zone",
        page: "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-best-practices.html",
        check: few_pools,
    },
    Rule {
        id: "pool-that-is-taken",
        title: "Most interruptions come from one pool",
        severity: Severity::Warning,
        why: "most of the instances that AWS took from the group were in one pool, and Auto Scaling may launch there again",
        fix: "allow more instance types and zones, or leave that type out; `cargo handoff pools` shows all pools",
        page: "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-best-practices.html",
        check: pool_that_is_taken,
    },
    Rule {
        id: "allocation-strategy",
        title: "Spot allocation strategy that does not look at capacity",
        severity: Severity::Warning,
        why: "instances are taken from the cheapest pools, however little capacity they have: those are interrupted most",
        fix: "set SpotAllocationStrategy to price-capacity-optimized",
        page: "https://docs.aws.amazon.com/autoscaling/ec2/userguide/allocation-strategies.html",
        check: allocation_strategy,
    },
];

fn few_pools(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    facts
        .groups_at_risk()
        .filter_map(|group| {
            let Types::Named(types) = &group.types else {
                return None;
            };
            let (types, zones) = (types.len(), group.core.zones.len());
            let severity = match (types * zones, types.min(zones)) {
                (0 | 1, _) => Severity::Critical,
                (_, 1) => Severity::Warning,
                (pools, _) if pools < ADVISED => Severity::Info,
                _ => return None,
            };
            let counted = |count: usize, noun: &str| crate::words::count(count as u64, noun);
            let what = format!(
                "{} ({} in {})",
                counted(types * zones, "Spot pool"),
                counted(types, "instance type"),
                counted(zones, "zone"),
            );
            Some(
                rule.found(Resource::group(group), what, wider(group, types, zones))
                    .at(severity),
            )
        })
        .collect()
}

fn pool_that_is_taken(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    facts
        .groups_at_risk()
        .filter_map(|group| {
            let source = rows::source(facts.history.get(group.name())?)?;
            let fix = match &group.types {
                Types::Named(types) => wider(group, types.len(), group.core.zones.len()),
                Types::ByAttributes => "allow more in its InstanceRequirements, and more zones".to_owned(),
            };
            let what = format!("{source} in the last 35 days");
            Some(rule.found(Resource::group(group), what, fix))
        })
        .collect()
}

fn wider(group: &Group, types: usize, zones: usize) -> String {
    let name = group.name();
    if zones == 1 && types >= ADVISED {
        return format!(
            "aws autoscaling update-auto-scaling-group --auto-scaling-group-name {name} \
             --vpc-zone-identifier <subnets of more zones>"
        );
    }
    if group.launch_configuration.is_some() {
        return "move to a launch template (see launch-configuration), then name 10 instance types or attributes in a \
                mixed instances policy"
            .to_owned();
    }
    format!(
        "aws autoscaling update-auto-scaling-group --auto-scaling-group-name {name} --mixed-instances-policy \
         '{{\"LaunchTemplate\": {{\"LaunchTemplateSpecification\": {{…}}, \"Overrides\": [{{\"InstanceType\": \"…\"}}, …]}}}}'"
    )
}

fn allocation_strategy(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    facts
        .groups_at_risk()
        .filter_map(|group| {
            let strategy = group.strategy.as_deref()?;
            (!GOOD_STRATEGIES.contains(&strategy)).then(|| {
                let fix = format!(
                    "aws autoscaling update-auto-scaling-group --auto-scaling-group-name {} --mixed-instances-policy \
                     '{{\"InstancesDistribution\": {{\"SpotAllocationStrategy\": \"price-capacity-optimized\"}}}}'",
                    group.name()
                );
                rule.found(Resource::group(group), format!("allocation strategy is {strategy}"), fix)
            })
        })
        .collect()
}
