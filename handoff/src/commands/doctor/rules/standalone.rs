//! Tasks without a service: draining does not stop them, and nobody starts them again unless asked to.

use std::collections::{BTreeMap, BTreeSet};

use spot_handoff::autoscaling::policies::StandaloneTasks;
use spot_handoff::ecs::grace;
use spot_handoff::ecs::rerun_roles::RerunRoles;
use spot_handoff::ecs::standalone_tasks::{RERUN_TAG, Rerun, SECURITY_GROUPS_TAG};

use super::targets::NOTICE;
use super::{Finding, Kind, Resource, Rule, Severity};
use crate::commands::doctor::facts::{Cluster, Facts, Task};

const STOP_PAGE: &str =
    "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html";
const TAG_PAGE: &str = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-using-tags.html";

const PASS_PAGE: &str = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html";

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        id: "stop-timeout",
        title: "stopTimeout longer than the notice leaves",
        severity: Severity::Warning,
        why: "even stopped at once the containers do not get their whole grace: they are killed with the instance, \
              checkpoint or not",
        fix: "set stopTimeout to 90 or less",
        page: STOP_PAGE,
        check: stop_timeout,
    },
    Rule {
        id: "not-run-again",
        title: "Standalone tasks that are not run again",
        severity: Severity::Info,
        why: "they are stopped in time and that is all: unless they write checkpoints and something of yours starts them \
              again, their work is lost (checkpoints cannot be seen from outside)",
        fix: "tag them spot-handoff:rerun = true when they are run",
        page: TAG_PAGE,
        check: not_run_again,
    },
    Rule {
        id: "rerun-roles",
        title: "Re-run that RerunRoles does not allow",
        severity: Severity::Warning,
        why: "the task is tagged to be run again, but drain-tasks may pass only the roles that RerunRoles names, and runs \
              nothing if it names none: the task is not run again",
        fix: "name the task's roles in RerunRoles, by their ARNs; without-role if no task has a role",
        page: PASS_PAGE,
        check: rerun_roles,
    },
    Rule {
        id: "rerun-lacks-security-groups",
        title: "Re-run that lacks security groups",
        severity: Severity::Warning,
        why: "the task is tagged to be run again, but has its own network interface, and ECS does not tell its security \
              groups: it is not run again",
        fix: "add the tag spot-handoff:security-groups with their ids",
        page: TAG_PAGE,
        check: rerun_lacks_security_groups,
    },
    Rule {
        id: "left-to-die",
        title: "Standalone tasks that are left to die",
        severity: Severity::Critical,
        why: "they are killed with the instance, without SIGTERM, and are not run again",
        fix: "set StandaloneTasks=stop-late as in docs/runbook.md#only-report, or remove the tag \
              spot-handoff:standalone-tasks = leave from the group",
        page: STOP_PAGE,
        check: left_to_die,
    },
];

/// Standalone tasks at risk with these policies, by cluster and task definition.
fn by_definition(
    facts: &Facts,
    under: impl Fn(StandaloneTasks) -> bool,
) -> Vec<(&Cluster, &str, Vec<&Task>)> {
    let mut found = vec![];
    for cluster in &facts.clusters {
        let mut of: BTreeMap<&str, Vec<&Task>> = BTreeMap::new();
        for task in facts.tasks_at_risk(cluster) {
            if task.service.is_none() && under(facts.policies_on(cluster, task).standalone_tasks) {
                of.entry(&task.definition).or_default().push(task);
            }
        }
        found.extend(
            of.into_iter()
                .map(|(definition, tasks)| (cluster, definition, tasks)),
        );
    }
    found
}

fn resource(facts: &Facts, cluster: &Cluster, definition: &str) -> Resource {
    let known = facts.definitions.get(definition).map(|one| one.name.as_str());
    let name = known.unwrap_or_else(|| definition.rsplit('/').next().unwrap_or(definition));
    Resource::new(Kind::Tasks, format!("{}/{name}", cluster.name))
}

fn stop_timeout(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    for (cluster, arn, tasks) in by_definition(facts, |_| true) {
        let Some(definition) = facts.definitions.get(arn) else {
            continue;
        };
        let accelerators = tasks
            .first()
            .map(|task| task.accelerators.as_slice())
            .unwrap_or_default();
        let margin = grace::margin(accelerators).as_secs();
        if definition.stop_timeout + margin <= NOTICE {
            continue;
        }
        let what = format!(
            "stopTimeout of {} is {} s; the notice leaves {} s",
            definition.slowest.join(", "),
            definition.stop_timeout,
            NOTICE - margin
        );
        let fix = format!(
            "set stopTimeout to 90 or less in task definition {} and register it",
            definition.name
        );
        findings.push(rule.found(resource(facts, cluster, arn), what, fix));
    }
    findings
}

fn not_run_again(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    with_rerun(facts, &Rerun::No, |cluster, arn, tasks| {
        let what = format!(
            "{} without the tag {RERUN_TAG}",
            crate::words::count(tasks.len() as u64, "task")
        );
        let fix = tag(tasks, &format!("key={RERUN_TAG},value=true"));
        rule.found(resource(facts, cluster, arn), what, fix)
    })
}

fn rerun_roles(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let allowed = &facts.settings.rerun_roles;
    let mut findings = vec![];
    for (cluster, arn, tasks) in by_definition(facts, |policy| policy != StandaloneTasks::Leave) {
        let lacking = |task: &&Task| match &task.rerun {
            Rerun::SwitchedOff { roles } | Rerun::RolesNotNamed { roles } => Some(roles.clone()),
            _ => None,
        };
        let lacking: Vec<BTreeSet<String>> = tasks.iter().filter_map(lacking).collect();
        if lacking.is_empty() {
            continue;
        }
        let tagged = crate::words::count(lacking.len() as u64, "task");
        let roles: BTreeSet<String> = lacking.into_iter().flatten().collect();
        let what = match allowed {
            RerunRoles::NoRerun => format!("{tagged} tagged {RERUN_TAG}; RerunRoles is empty"),
            RerunRoles::Only(_) => {
                let named: Vec<&str> = roles.iter().map(String::as_str).collect();
                format!(
                    "{tagged} tagged {RERUN_TAG}; RerunRoles does not name {}",
                    named.join(", ")
                )
            }
        };
        let fix = super::set_parameter(&format!("RerunRoles={}", allowed.with(&roles)));
        findings.push(rule.found(resource(facts, cluster, arn), what, fix));
    }
    findings
}

fn rerun_lacks_security_groups(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    with_rerun(facts, &Rerun::LacksSecurityGroups, |cluster, arn, tasks| {
        let what = format!(
            "{} without the tag {SECURITY_GROUPS_TAG}",
            crate::words::count(tasks.len() as u64, "task")
        );
        let fix = tag(tasks, &format!("'key={SECURITY_GROUPS_TAG},value=sg-…'"));
        rule.found(resource(facts, cluster, arn), what, fix)
    })
}

/// The command that tags all these tasks.
fn tag(tasks: &[&Task], tag: &str) -> String {
    let arns: Vec<&str> = tasks.iter().map(|task| task.arn.as_str()).collect();
    match arns.as_slice() {
        [arn] => format!("aws ecs tag-resource --resource-arn {arn} --tags {tag}"),
        arns => format!(
            "for TASK in {}; do aws ecs tag-resource --resource-arn \"$TASK\" --tags {tag}; done",
            arns.join(" ")
        ),
    }
}

fn with_rerun(
    facts: &Facts,
    wanted: &Rerun,
    finding: impl Fn(&Cluster, &str, &[&Task]) -> Finding,
) -> Vec<Finding> {
    let mut findings = vec![];
    for (cluster, arn, tasks) in by_definition(facts, |policy| policy != StandaloneTasks::Leave) {
        let such: Vec<&Task> = tasks.into_iter().filter(|task| task.rerun == *wanted).collect();
        if !such.is_empty() {
            findings.push(finding(cluster, arn, &such));
        }
    }
    findings
}

fn left_to_die(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let of = |(cluster, arn, tasks): (&Cluster, &str, Vec<&Task>)| {
        let what = format!(
            "{} left to run until killed",
            crate::words::count(tasks.len() as u64, "task")
        );
        let fix = super::set_parameter("StandaloneTasks=stop-late") + ", or the tag of the group";
        rule.found(resource(facts, cluster, arn), what, fix)
    };
    let left = by_definition(facts, |policy| policy == StandaloneTasks::Leave);
    left.into_iter().map(of).collect()
}
