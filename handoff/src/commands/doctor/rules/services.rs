//! Whether ECS can move a service's tasks in the available time.

use std::collections::BTreeMap;

use super::targets::{GOOD_DELAY, NOTICE, name, set_delay};
use super::{Finding, Resource, Rule, Severity};
use crate::commands::doctor::facts::{Cluster, Facts, Service};

const DRAINING_PAGE: &str =
    "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-draining.html";
/// Time for the notice to arrive, and for the replacement task to start before the old task is told to stop.
const HEAD_START: i64 = 10;

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        id: "drain-blocked",
        title: "Service that cannot leave a draining instance",
        severity: Severity::Critical,
        why: "minimumHealthyPercent forbids ECS to stop a task first, and maximumPercent to start another first: the tasks \
              stay until they are killed with the instance",
        fix: "raise maximumPercent to 200, or lower minimumHealthyPercent",
        page: DRAINING_PAGE,
        check: drain_blocked,
    },
    Rule {
        id: "drain-in-rounds",
        title: "Service that leaves a draining instance in several rounds",
        severity: Severity::Warning,
        why: "ECS moves only so many tasks at a time, and each round takes as long as a task takes to start and to stop; \
              the rest is killed with the instance",
        fix: "raise maximumPercent, or lower minimumHealthyPercent",
        page: DRAINING_PAGE,
        check: drain_in_rounds,
    },
    Rule {
        id: "service-grace",
        title: "Service tasks that need longer to stop than the notice",
        severity: Severity::Critical,
        why: "ECS waits for the deregistration delay, then sends SIGTERM and waits for stopTimeout: what is over 120 s is \
              cut off; with a delay of 120 s or more the task is killed without any SIGTERM",
        fix: "set deregistration delay and stopTimeout so that both together are 110 s or less",
        page: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/load-balancer-connection-draining.html",
        check: service_grace,
    },
];

/// How many tasks ECS may have above and below the desired count while it drains.
///
/// The minimum is rounded up and the maximum down:
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html>
fn room(service: &Service) -> (i32, i32) {
    let minimum = (service.desired * service.minimum_percent + 99) / 100;
    let maximum = service.desired * service.maximum_percent / 100;
    (
        (maximum - service.desired).max(0),
        (service.desired - minimum).max(0),
    )
}

fn drain_blocked(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    for (cluster, service, _) in facts.services_at_risk().filter(|(_, service, _)| moves(service)) {
        let percentages = format!(
            "minimumHealthyPercent {}, maximumPercent {} of {}",
            service.minimum_percent,
            service.maximum_percent,
            crate::words::count(service.desired.unsigned_abs().into(), "task"),
        );
        let (severity, what) = match room(service) {
            (0, 0) => (Severity::Critical, format!("{percentages}: no task can be moved")),
            (0, below) if below >= service.desired => (
                Severity::Warning,
                format!("{percentages}: stopped before it is replaced, so there is a gap"),
            ),
            _ => continue,
        };
        let fix = configure(cluster, service, service.minimum_percent, 200);
        findings.push(
            rule.found(Resource::service(cluster, service), what, fix)
                .at(severity),
        );
    }
    findings
}

fn drain_in_rounds(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    for (cluster, service, tasks) in facts.services_at_risk().filter(|(_, service, _)| moves(service)) {
        let (above, below) = room(service);
        let at_once = above + below;
        let mut on_instance: BTreeMap<&str, i32> = BTreeMap::new();
        for task in &tasks {
            *on_instance.entry(&task.container_instance).or_default() += 1;
        }
        let most = on_instance.into_values().max().unwrap_or(0);
        if at_once == 0 || most <= at_once {
            continue;
        }
        let what = format!("{most} tasks on one instance, of which ECS moves {at_once} at a time");
        let fix = configure(cluster, service, service.minimum_percent, 200);
        findings.push(rule.found(Resource::service(cluster, service), what, fix));
    }
    findings
}

fn service_grace(facts: &Facts, rule: &'static Rule) -> Vec<Finding> {
    let mut findings = vec![];
    for (cluster, service, _) in facts.services_at_risk() {
        let (delay, stop) = time_to_stop(facts, service);
        let severity = match delay + stop {
            _ if delay >= NOTICE => Severity::Critical,
            needed if needed > NOTICE - HEAD_START => Severity::Warning,
            _ => continue,
        };
        let slowest = service
            .target_groups
            .iter()
            .filter(|arn| {
                facts
                    .delays
                    .get(*arn)
                    .is_some_and(|found| *found == delay && delay > 0)
            })
            .collect::<Vec<_>>();
        let what = match slowest.first() {
            Some(_) => {
                let names: Vec<&str> = slowest.iter().map(|arn| name(arn)).collect();
                format!(
                    "deregistration delay {delay} s (target group {}) + stopTimeout {stop} s",
                    names.join(", ")
                )
            }
            None => format!("stopTimeout {stop} s"),
        };
        let rest = NOTICE - HEAD_START - stop;
        let fix = match slowest.first() {
            Some(_) if rest > 0 => {
                let commands: Vec<String> = slowest
                    .iter()
                    .map(|arn| set_delay(arn, rest.min(GOOD_DELAY)))
                    .collect();
                commands.join(" && ")
            }
            _ => format!(
                "set stopTimeout to 90 or less in task definition {}, register it, and update the service",
                definition_name(facts, service)
            ),
        };
        findings.push(
            rule.found(Resource::service(cluster, service), what, fix)
                .at(severity),
        );
    }
    findings
}

/// Longest deregistration delay and longest stopTimeout of a service's tasks, in seconds.
pub fn time_to_stop(facts: &Facts, service: &Service) -> (i64, i64) {
    let delays = service
        .target_groups
        .iter()
        .filter_map(|arn| facts.delays.get(arn));
    let stop = facts
        .definitions
        .get(&service.definition)
        .map_or(0, |definition| definition.stop_timeout);
    (delays.copied().max().unwrap_or(0), stop)
}

fn definition_name<'a>(facts: &'a Facts, service: &'a Service) -> &'a str {
    let definition = facts.definitions.get(&service.definition);
    definition.map_or(service.definition.as_str(), |definition| definition.name.as_str())
}

fn moves(service: &Service) -> bool {
    !service.is_daemon && service.desired > 0
}

fn configure(cluster: &Cluster, service: &Service, minimum: i32, maximum: i32) -> String {
    format!(
        "aws ecs update-service --cluster {} --service {} --deployment-configuration \
         minimumHealthyPercent={minimum},maximumPercent={maximum}",
        cluster.name, service.name
    )
}
