//! Whether a group can launch the replacement.

use spot_handoff::autoscaling::policies::RebalanceAction;

use super::{Finding, Resource, Rule, Severity};
use crate::commands::doctor::facts::{Facts, Group, Purchase};

const SUSPENDING_PAGE: &str =
    "https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-suspend-resume-processes.html";

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        id: "process-suspended",
        title: "Suspended processes of Auto Scaling",
        severity: Severity::Critical,
        why: "with Launch suspended no replacement comes, with AddToLoadBalancer it gets no traffic; HealthCheck and \
              ReplaceUnhealthy are what notices an instance that is lost without notice; Terminate and AZRebalance \
              bring the group back into shape",
        fix: "resume the processes",
        page: SUSPENDING_PAGE,
        check: process_suspended,
    },
    Rule {
        id: "no-headroom",
        title: "Desired capacity at MaxSize",
        severity: Severity::Warning,
        why: "a rebalance recommendation cannot launch the replacement first. Nor can an interruption warning, if a target \
              of the instance has to stay: its replacement is launched only when it leaves",
        fix: "set MaxSize at least one above the desired capacity",
        page: "https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-capacity-limits.html",
        check: no_headroom,
    },
    Rule {
        id: "launch-configuration",
        title: "Launch configuration instead of a launch template",
        severity: Severity::Warning,
        why: "one instance type only, no allocation strategy; AWS gives launch configurations no new features",
        fix: "create a launch template from it and set it on the group",
        page: "https://docs.aws.amazon.com/autoscaling/ec2/userguide/migrate-to-launch-templates.html",
        check: launch_configuration,
    },
    Rule {
        id: "capacity-rebalancing-off",
        title: "Capacity Rebalancing is off",
        severity: Severity::Info,
        why: "nothing is lost: on a rebalance recommendation spot-handoff makes the exchange itself, and moves the work \
              before the instance ends; without spot-handoff, switch it on",
        fix: "nothing to change",
        page: "https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-capacity-rebalancing.html",
        check: capacity_rebalancing_off,
    },
    Rule {
        id: "scale-in-protection",
        title: "Instances protected from scale-in",
        severity: Severity::Info,
        why: "the protection does not hold back a Spot interruption, and Auto Scaling finds fewer instances to take back \
              after an exchange that raised the desired capacity",
        fix: "remove the protection if it was only meant against interruptions",
        page: "https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-protection.html",
        check: scale_in_protection,
    },
    Rule {
        id: "termination-protection",
        title: "Managed termination protection of a capacity provider",
        severity: Severity::Info,
        why: "it holds back scale-in, not a Spot interruption: tasks that count on it end with their instance",
        fix: "nothing, if it is there for scale-in",
        page: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-termination-protection.html",
        check: termination_protection,
    },
    Rule {
        id: "classic-load-balancer",
        title: "Classic Load Balancer attached",
        severity: Severity::Warning,
        why: "spot-handoff deregisters from target groups only; a Classic Load Balancer is left to Auto Scaling, which \
              deregisters as it detaches or terminates",
        fix: "move to an Application or Network Load Balancer",
        page: "https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/migrate-classic-load-balancer.html",
        check: classic_load_balancer,
    },
];

fn process_suspended(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let weigh = |group: &Group, process: &str| match process {
        "Launch" => Some(Severity::Critical),
        "AddToLoadBalancer" if !group.core.target_groups.is_empty() => Some(Severity::Critical),
        "Terminate" | "HealthCheck" | "ReplaceUnhealthy" => Some(Severity::Warning),
        "AZRebalance" => Some(Severity::Info),
        _ => None,
    };
    facts
        .groups_at_risk()
        .filter_map(|group| {
            let suspended = group.core.suspended.iter();
            let weighed: Vec<_> = suspended
                .filter_map(|process| Some((weigh(group, process)?, process.as_str())))
                .collect();
            let worst = weighed.iter().map(|(severity, _)| *severity).max()?;
            let names: Vec<&str> = weighed.iter().map(|(_, process)| *process).collect();
            let fix = format!(
                "aws autoscaling resume-processes --auto-scaling-group-name {} --scaling-processes {}",
                group.name(),
                names.join(" ")
            );
            let what = format!("suspended: {}", names.join(", "));
            Some(rule.found(Resource::group(group), what, fix).at(worst))
        })
        .collect()
}

fn no_headroom(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    // With Capacity Rebalancing, Auto Scaling itself may go above MaxSize.
    let full = facts.groups_at_risk().filter(|group| {
        let core = &group.core;
        core.desired > 0 && core.desired >= core.max && !core.capacity_rebalance
    });
    full.map(|group| {
        let fix = format!(
            "aws autoscaling update-auto-scaling-group --auto-scaling-group-name {} --max-size {}",
            group.name(),
            group.core.desired + 1
        );
        let what = format!("desired capacity {} is MaxSize", group.core.desired);
        let is_only_one = group.core.desired == 1 && !group.core.target_groups.is_empty();
        if is_only_one {
            let what = format!(
                "{what}: nothing serves its targets from the end of its only instance until a launch later"
            );
            return rule
                .found(Resource::group(group), what, fix)
                .at(Severity::Critical);
        }
        rule.found(Resource::group(group), what, fix)
    })
    .collect()
}

fn launch_configuration(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let with_one = facts.groups_at_risk().filter_map(|group| {
        let configuration = group.launch_configuration.as_deref()?;
        let fix = format!(
            "make a launch template of it, then: aws autoscaling update-auto-scaling-group --auto-scaling-group-name {} \
             --launch-template 'LaunchTemplateName={configuration},Version=$Default'",
            group.name()
        );
        let what = format!("launches from the launch configuration {configuration}");
        Some(rule.found(Resource::group(group), what, fix))
    });
    with_one.collect()
}

fn capacity_rebalancing_off(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let off = facts
        .groups_at_risk()
        .filter(|group| !group.core.capacity_rebalance && group.purchase != Purchase::Unknown);
    off.map(|group| {
        let resource = Resource::group(group);
        if facts.policies_of(group).rebalance == RebalanceAction::LaunchFirst {
            return rule.found(resource, "Capacity Rebalancing is off", rule.fix);
        }
        let fix = format!(
            "tag it spot-handoff:rebalance=launch-first, or: aws autoscaling update-auto-scaling-group \
             --auto-scaling-group-name {} --capacity-rebalance",
            group.name()
        );
        Finding {
            why: "a rebalance recommendation comes minutes before the interruption, and nobody makes use of them",
            ..rule
                .found(resource, "Capacity Rebalancing is off, and recommendations are ignored", fix)
                .at(Severity::Warning)
        }
    })
    .collect()
}

fn scale_in_protection(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    // If ECS manages the protection, the rule `termination-protection` reports it.
    let managed = |group: &Group| {
        let mut providers = facts.clusters.iter().flat_map(|cluster| &cluster.providers);
        providers.any(|provider| provider.protects && provider.group == group.name())
    };
    let protected = facts
        .groups_at_risk()
        .filter(|group| (group.protects_new || !group.protected.is_empty()) && !managed(group));
    protected
        .map(|group| {
            let what = format!(
                "{} of {} instances protected from scale-in{}",
                group.protected.len(),
                group.core.instances.len(),
                if group.protects_new {
                    ", and new ones will be"
                } else {
                    ""
                }
            );
            let name = group.name();
            let of_new = group.protects_new.then(|| {
                format!(
                    "aws autoscaling update-auto-scaling-group --auto-scaling-group-name {name} \
                     --no-new-instances-protected-from-scale-in"
                )
            });
            let of_present = (!group.protected.is_empty()).then(|| {
                format!(
                    "aws autoscaling set-instance-protection --auto-scaling-group-name {name} \
                     --no-protected-from-scale-in --instance-ids {}",
                    group.protected.join(" ")
                )
            });
            let fix: Vec<String> = of_new.into_iter().chain(of_present).collect();
            let fix = fix.join(" && ");
            rule.found(Resource::group(group), what, fix)
        })
        .collect()
}

fn termination_protection(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let of_group = |group: &Group| {
        let mut providers = facts.clusters.iter().flat_map(|cluster| &cluster.providers);
        let provider = providers.find(|provider| provider.protects && provider.group == group.name())?;
        let what = format!(
            "capacity provider {} has managed termination protection",
            provider.name
        );
        Some(rule.found(Resource::group(group), what, rule.fix))
    };
    facts.groups_at_risk().filter_map(of_group).collect()
}

fn classic_load_balancer(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let attached = facts
        .groups_at_risk()
        .filter(|group| !group.classic_load_balancers.is_empty());
    attached
        .map(|group| {
            let what = format!(
                "Classic Load Balancers: {}",
                group.classic_load_balancers.join(", ")
            );
            rule.found(Resource::group(group), what, rule.fix)
        })
        .collect()
}
