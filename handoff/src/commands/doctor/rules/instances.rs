//! What the ECS agent does on its instance.

use super::{Finding, Kind, Resource, Rule, Severity};
use crate::commands::doctor::facts::Facts;

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        id: "agent-disconnected",
        title: "ECS agent not connected",
        severity: Severity::Warning,
        why: "draining reaches the tasks through the agent: without it they run on until they are killed with the instance",
        fix: "restart the agent (systemctl restart ecs), or replace the instance",
        page: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-draining.html",
        check: agent_disconnected,
    },
    Rule {
        id: "agent-spot-draining",
        title: "The ECS agent drains as well",
        severity: Severity::Info,
        why: "nothing is lost: the second one finds the instance DRAINING. But this hides whether spot-handoff works. \
              Only user data of launch configurations is looked at, not that of launch templates",
        fix: "remove ECS_ENABLE_SPOT_INSTANCE_DRAINING=true from the user data",
        page: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-spot.html",
        check: agent_spot_draining,
    },
];

fn agent_disconnected(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let instances = facts.clusters.iter().flat_map(|cluster| &cluster.instances);
    instances
        .filter(|one| !one.agent_connected && facts.is_at_risk(one))
        .map(|one| {
            let resource = Resource::new(Kind::Instance, one.instance.as_str());
            let fix = format!(
                "aws ssm start-session --target {}, then: sudo systemctl restart ecs",
                one.instance
            );
            rule.found(resource, "its ECS agent is not connected", fix)
        })
        .collect()
}

fn agent_spot_draining(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let doubled = facts.groups_at_risk().filter(|group| group.agent_drains);
    doubled
        .map(|group| {
            let what = "user data sets ECS_ENABLE_SPOT_INSTANCE_DRAINING=true";
            rule.found(Resource::group(group), what, rule.fix)
        })
        .collect()
}
