//! Hooks that wait when Auto Scaling terminates an instance: scale-in, zone rebalancing, Capacity Rebalancing.

use spot_handoff::autoscaling::policies::ReplacementStrategy;

use super::services::time_to_stop;
use super::{Finding, Resource, Rule, Severity};
use crate::commands::doctor::facts::{Facts, Group, Hook};

const PAGE: &str = "https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html";
/// drain-tasks sends a heartbeat every 15 seconds, and a failed message is tried again after 20.
const SHORTEST_HEARTBEAT: i64 = 60;

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        id: "no-termination-hook",
        title: "ECS instances without a termination lifecycle hook of spot-handoff",
        severity: Severity::Warning,
        why: "when Auto Scaling terminates an instance (scale-in, zone rebalancing, instance refresh, and always with \
              Capacity Rebalancing) nothing waits for its tasks; standalone tasks are killed",
        fix: "add a termination lifecycle hook named spot-handoff-…",
        page: PAGE,
        check: no_termination_hook,
    },
    Rule {
        id: "hook-too-short",
        title: "Lifecycle hook shorter than the drain",
        severity: Severity::Warning,
        why: "Auto Scaling terminates the instance before its tasks have moved",
        fix: "raise the heartbeat timeout: 60 s at least for a hook of spot-handoff, which sends heartbeats; for any \
              other hook as long as the slowest service takes to stop",
        page: PAGE,
        check: hook_too_short,
    },
    Rule {
        id: "hook-skipped",
        title: "Termination hook that an interruption skips",
        severity: Severity::Warning,
        why: "with the strategy detach, an interrupted instance leaves its group without running the hook, so the hook's \
              work is not done",
        fix: "if the hook's work matters in an interruption, tag the group spot-handoff:strategy = terminate; \
              docs/policy.md says what that costs",
        page: "https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-detach-attach-instances.html",
        check: hook_skipped,
    },
];

fn hooks(group: &Group) -> &[Hook] {
    group.hooks.as_deref().unwrap_or_default()
}

/// Whether the group's instances run tasks, and nobody drains an instance that Auto Scaling terminates. `false` if the
/// group's hooks are not known.
pub fn is_cut_short(facts: &Facts, group: &Group) -> bool {
    let Some(hooks) = &group.hooks else {
        return false;
    };
    let waits = hooks.iter().any(|hook| facts.settings.hooks.include(&hook.name));
    let mut providers = facts.clusters.iter().flat_map(|cluster| &cluster.providers);
    let drained_by_ecs = providers.any(|provider| provider.drains && provider.group == group.name());
    !waits && !drained_by_ecs && facts.container_instances_of(group).next().is_some()
}

/// The command that adds a termination lifecycle hook of spot-handoff.
pub fn add_hook(group: &Group) -> String {
    format!(
        "aws autoscaling put-lifecycle-hook --auto-scaling-group-name {} --lifecycle-hook-name spot-handoff-drain \
         --lifecycle-transition autoscaling:EC2_INSTANCE_TERMINATING --heartbeat-timeout 300 \
         --default-result CONTINUE",
        group.name()
    )
}

fn no_termination_hook(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    for group in facts.groups_at_risk() {
        if !is_cut_short(facts, group) {
            continue;
        }
        let rebalancing = group.core.capacity_rebalance;
        let also = if rebalancing {
            ", and Capacity Rebalancing is on"
        } else {
            ""
        };
        let what = format!("no termination lifecycle hook of spot-handoff, no managed draining{also}");
        let fix = add_hook(group);
        let severity = if rebalancing {
            Severity::Warning
        } else {
            Severity::Info
        };
        findings.push(rule.found(Resource::group(group), what, fix).at(severity));
    }
    findings
}

fn hook_too_short(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    for group in facts.groups_at_risk() {
        let slowest = slowest_drain(facts, group);
        for hook in hooks(group) {
            let ours = facts.settings.hooks.include(&hook.name);
            let needed = if ours { SHORTEST_HEARTBEAT } else { slowest };
            if hook.heartbeat >= needed {
                continue;
            }
            let because = if ours {
                "late heartbeats need".to_owned()
            } else {
                "its slowest service needs".to_owned()
            };
            let what = format!(
                "hook {} waits {} s, {because} {needed} s",
                hook.name, hook.heartbeat
            );
            let fix = format!(
                "aws autoscaling put-lifecycle-hook --auto-scaling-group-name {} --lifecycle-hook-name {} \
                 --heartbeat-timeout {}",
                group.name(),
                hook.name,
                needed.max(300)
            );
            findings.push(rule.found(Resource::group(group), what, fix));
        }
    }
    findings
}

/// The longest time in seconds that a service task on the group's instances takes to stop.
fn slowest_drain(facts: &Facts, group: &Group) -> i64 {
    let on_group: Vec<&str> = facts
        .container_instances_of(group)
        .map(|(_, container_instance)| container_instance.arn.as_str())
        .collect();
    facts
        .services_at_risk()
        .filter(|(_, _, tasks)| {
            tasks
                .iter()
                .any(|task| on_group.contains(&task.container_instance.as_str()))
        })
        .map(|(_, service, _)| {
            let (delay, stop) = time_to_stop(facts, service);
            delay + stop
        })
        .max()
        .unwrap_or(0)
}

fn hook_skipped(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    for group in facts.groups_at_risk() {
        let has_ours = || {
            let mut hooks = hooks(group).iter();
            hooks.any(|hook| facts.settings.hooks.include(&hook.name))
        };
        let runs_hooks = match facts.policies_of(group).strategy {
            ReplacementStrategy::Terminate => true,
            ReplacementStrategy::Auto => has_ours(),
            ReplacementStrategy::Detach => false,
        };
        if runs_hooks {
            continue;
        }
        // What spot-handoff's own hooks and those of ECS wait for happens after a warning in any case.
        let others: Vec<&str> = hooks(group)
            .iter()
            .map(|hook| hook.name.as_str())
            .filter(|name| !facts.settings.hooks.include(name) && !name.starts_with("ecs-managed-draining"))
            .collect();
        if !others.is_empty() {
            let what = format!("an interruption skips the hook {}", others.join(", "));
            let fix = super::set_policy(group, "spot-handoff:strategy", "terminate");
            findings.push(rule.found(Resource::group(group), what, fix));
        }
    }
    findings
}
