//! Instances that come back: if this function drained an instance before it stopped or went to a warm pool, it sets it
//! to ACTIVE again.
//!
//! EC2 sends an event for every instance that starts to run. The table says which of them were drained here. For the
//! others, nothing else is read.

use std::collections::HashMap;

use spot_handoff::autoscaling::groups::{self, GroupOf};
use spot_handoff::ecs::container_instances::{self, ContainerInstances, Status};
use spot_handoff::notice::{InstanceId, Notice};
use spot_handoff::report::Report;
use spot_handoff::report::plan::{Results, to_carry_out};
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::Table;
use spot_handoff::state::taken::{self, Taken};

use crate::config::Config;
use crate::effects::{self, Clients};
use crate::plan::{Action, Plan, Skip};
use crate::policies::Policies;

/// Records the drains of instances that will come back. Returns the error if that failed.
pub async fn remember(
    table: &Table,
    invocation: &Invocation,
    notices: &[Notice],
    drains: &[Plan],
) -> Option<String> {
    let taken = |(notice, drain): (&Notice, &Plan)| {
        let drained = drain.actions.iter().filter_map(|action| match action {
            Action::Drain {
                container_instance, ..
            } => Some(container_instance.clone()),
            _ => None,
        });
        Taken {
            container_instances: drained.collect(),
            ..Taken::nothing(&notice.instance, invocation.function, invocation.clock.now())
        }
    };
    let come_back = notices
        .iter()
        .zip(drains)
        .filter(|(notice, _)| notice.comes_back());
    taken::keep(table, invocation, come_back.map(taken)).await
}

/// Sets the container instances of returned instances to ACTIVE, if they were drained here.
pub async fn give_back(
    clients: &Clients,
    table: &Table,
    config: &Config,
    invocation: &Invocation,
    notices: &[&Notice],
) -> Vec<Report> {
    let known = taken::read(table, invocation, notices.iter().map(|notice| &notice.instance)).await;
    let by_instance: HashMap<InstanceId, Taken> = match &known {
        Ok(known) => known
            .iter()
            .map(|taken| (taken.instance.clone(), taken.clone()))
            .collect(),
        Err(_) => HashMap::new(),
    };
    let ids: Vec<InstanceId> = by_instance.keys().cloned().collect();
    let (groups, found) = match ids.is_empty() {
        true => Default::default(),
        false => tokio::join!(
            groups::read(&clients.autoscaling, invocation, &ids, &[]),
            container_instances::find(&clients.ecs, invocation, config.clusters.as_deref(), &ids),
        ),
    };
    let unread = known.as_ref().err();
    let plans: Vec<Plan> = notices
        .iter()
        .map(|notice| match (unread, by_instance.get(&notice.instance)) {
            (Some(error), _) => Plan {
                problems: vec![error.to_string()],
                ..Plan::default()
            },
            (None, Some(taken)) => plan(taken, &groups.of_instance(&notice.instance), &found, config),
            (None, None) => Plan::nothing(&notice.instance, Skip::NothingTaken),
        })
        .collect();
    let planned_only: Vec<bool> = notices
        .iter()
        .map(|notice| {
            let group = match groups.of_instance(&notice.instance) {
                GroupOf::Some { group, .. } => Some(group),
                GroupOf::None | GroupOf::Unknown(_) => None,
            };
            invocation.dry_run || Policies::of(group, config).planned_only
        })
        .collect();
    let acted_on = to_carry_out(&plans, &planned_only);
    let results = carry_out(clients, invocation, &acted_on).await;
    let acted = notices.iter().zip(acted_on.iter());
    let over = acted.filter(|(_, plan)| plan.is_done(&results));
    let back = over.map(|(notice, _)| &notice.instance);
    taken::forget(table, invocation, back).await;
    let reports = notices.iter().zip(plans.iter().zip(planned_only));
    reports
        .map(|(notice, (plan, planned_only))| invocation.with(planned_only).report(notice, plan, &results))
        .collect()
}

/// What to give back to an instance of ours, unless somebody else has changed it since.
pub fn plan(taken: &Taken, group: &GroupOf<'_>, found: &ContainerInstances, config: &Config) -> Plan {
    let instance = &taken.instance;
    let admitted = match group {
        GroupOf::Unknown(error) => {
            return Plan {
                problems: vec![error.to_string()],
                ..Plan::default()
            };
        }
        GroupOf::None => config.scope.admits(None),
        GroupOf::Some { group, .. } => config.scope.admits(Some(group)),
    };
    if let Err(why) = admitted {
        return Plan::nothing(instance, Skip::OutOfScope(why));
    }
    let mut plan = Plan::default();
    plan.problems
        .extend(found.why_not_found(instance).map(ToString::to_string));
    for one in found.of_instance(instance) {
        if !taken.container_instances.contains(&one.arn) {
            continue;
        }
        match one.status {
            Status::Draining => plan.actions.push(Action::Activate {
                cluster: one.cluster.clone(),
                container_instance: one.arn.clone(),
            }),
            Status::Active | Status::Other => plan.skip(&one.arn, Skip::NotDraining),
        }
    }
    if plan == Plan::default() {
        plan.skip(instance, Skip::NotDraining);
    }
    plan
}

async fn carry_out(clients: &Clients, invocation: &Invocation, plans: &[Plan]) -> Results<Action> {
    let actions = plans.iter().flat_map(|plan| &plan.actions);
    let calls = actions.filter_map(|action| match action {
        Action::Activate {
            cluster,
            container_instance,
        } => Some(async move {
            let done = effects::activate(clients, invocation, cluster, container_instance).await;
            (action.clone(), done)
        }),
        _ => None,
    });
    together(calls).await.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use spot_handoff::autoscaling::groups::{Group, Groups, Lifecycle, Member};
    use spot_handoff::autoscaling::scope::IGNORE_TAG;
    use spot_handoff::ecs::container_instances::ContainerInstance;
    use spot_handoff::runtime::config::Env;

    use super::*;

    const BACK: &str = "i-1234567890abcdef0";

    fn config() -> Config {
        let variables = [
            ("DRAIN_TASKS_QUEUE_URL", "own"),
            ("DEREGISTER_TARGETS_QUEUE_URL", "d"),
            ("REPLACE_CAPACITY_QUEUE_URL", "r"),
            ("RUN_COMMANDS_QUEUE_URL", "c"),
        ];
        Config::read(&Env::of(&variables)).expect("a configuration")
    }

    #[test]
    fn what_was_drained_here_and_still_drains_is_made_active() {
        let id: InstanceId = BACK.parse().expect("an id");
        let on = |arn: &str, status| ContainerInstance {
            arn: arn.to_owned(),
            cluster: "c".to_owned(),
            instance: id.clone(),
            status,
            agent_connected: true,
            registered_at: None,
            tasks: 0,
            capacity_provider: None,
            is_managed: false,
        };
        let taken = Taken {
            container_instances: vec!["ours".to_owned()],
            ..Taken::nothing(&id, "drain-tasks", Timestamp::UNIX_EPOCH)
        };
        let (none, config) = (Groups::default(), config());
        let of = |one: ContainerInstance| {
            let found = ContainerInstances::of([one]);
            plan(&taken, &none.of_instance(&id), &found, &config)
        };
        let back = of(on("ours", Status::Draining));
        assert_eq!(
            back.actions,
            [Action::Activate {
                cluster: "c".to_owned(),
                container_instance: "ours".to_owned(),
            }]
        );
        // Somebody made it ACTIVE, somebody else drained it, or its agent has registered it anew.
        for one in [on("ours", Status::Active), on("another", Status::Draining)] {
            let plan = of(one);
            assert!(plan.actions.is_empty() && plan.skipped[0].reason == Skip::NotDraining);
        }
        let ignored = Groups::of([Group {
            name: "g".to_owned(),
            tags: [(IGNORE_TAG.to_owned(), "true".to_owned())].into(),
            instances: vec![Member {
                id: id.clone(),
                zone: String::new(),
                lifecycle: Lifecycle::InService,
            }],
            ..Group::default()
        }]);
        let found = ContainerInstances::of([on("ours", Status::Draining)]);
        let left = plan(&taken, &ignored.of_instance(&id), &found, &config);
        assert!(left.actions.is_empty() && matches!(left.skipped[0].reason, Skip::OutOfScope(_)));
    }
}
