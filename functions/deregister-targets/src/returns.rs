//! Instances that come back: if this function took targets out before an instance stopped, it registers them again.
//!
//! EC2 sends an event for every instance that starts to run. The table says which of them were deregistered here. For
//! the others, nothing else is read. Targets of ECS services come back with their tasks. If an instance went to a warm
//! pool, Auto Scaling registers it when it leaves the pool.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_elasticloadbalancingv2::types::TargetDescription;
use spot_handoff::autoscaling::groups::{self, GroupOf};
use spot_handoff::autoscaling::policies::DryRun;
use spot_handoff::elb::health::{self, State, TargetHealth};
use spot_handoff::notice::{InstanceId, Notice, Signal};
use spot_handoff::report::Report;
use spot_handoff::report::plan::{Done, Results, to_carry_out};
use spot_handoff::runtime::config::Scope;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::Table;
use spot_handoff::state::taken::{self, Taken, TakenTarget};

use crate::plan::{Action, Deregistration, Plan, Skip, deregistrations};

/// The clients for giving back.
#[derive(Debug, Clone, Copy)]
pub struct Aws<'a> {
    /// Auto Scaling.
    pub autoscaling: &'a aws_sdk_autoscaling::Client,
    /// Elastic Load Balancing.
    pub elb: &'a aws_sdk_elasticloadbalancingv2::Client,
    /// The table.
    pub table: &'a Table,
}

/// Records which targets of instances that come back are deregistered or held. Returns the error if that failed.
pub async fn remember(
    table: &Table,
    invocation: &Invocation,
    notices: &[Notice],
    found: &[Plan],
) -> Option<String> {
    // Auto Scaling registers the targets of an instance that goes to a warm pool.
    let is_ours = |notice: &Notice| !matches!(notice.signal, Signal::TerminateLifecycleAction(_));
    let taken = |(notice, plan): (&Notice, &Plan)| {
        let targets = deregistrations(plan).map(|one| TakenTarget::of(&one.target_group, &one.target));
        Taken {
            targets: targets.collect(),
            ..Taken::nothing(&notice.instance, invocation.function, invocation.clock.now())
        }
    };
    let come_back = notices
        .iter()
        .zip(found)
        .filter(|(notice, _)| notice.comes_back() && is_ours(notice));
    taken::keep(table, invocation, come_back.map(taken)).await
}

/// Registers the targets of returned instances, if they were deregistered here.
pub async fn give_back(
    aws: Aws<'_>,
    scope: Scope,
    invocation: &Invocation,
    notices: &[&Notice],
) -> Vec<Report> {
    let instances = notices.iter().map(|notice| &notice.instance);
    let known = taken::read(aws.table, invocation, instances).await;
    let by_instance: HashMap<&InstanceId, &Taken> = match &known {
        Ok(known) => known.iter().map(|taken| (&taken.instance, taken)).collect(),
        Err(_) => HashMap::new(),
    };
    let ids: Vec<InstanceId> = by_instance.keys().map(|id| (*id).clone()).collect();
    let target_groups = by_instance.values().flat_map(|taken| &taken.targets);
    let target_groups = target_groups.map(|one| one.target_group.clone()).collect();
    let (groups, health) = match ids.is_empty() {
        true => Default::default(),
        false => tokio::join!(
            groups::read(aws.autoscaling, invocation, &ids, &[]),
            health::read(aws.elb, invocation, target_groups),
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
            (None, Some(taken)) => plan(taken, &groups.of_instance(&notice.instance), &health, scope),
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
            invocation.dry_run || DryRun::of(group).0
        })
        .collect();
    let acted_on = to_carry_out(&plans, &planned_only);
    let results = register(aws, invocation, &acted_on).await;
    let acted = notices.iter().zip(acted_on.iter());
    let over = acted.filter(|(_, plan)| plan.is_done(&results));
    let back = over.map(|(notice, _)| &notice.instance);
    taken::forget(aws.table, invocation, back).await;
    let reports = notices.iter().zip(plans.iter().zip(planned_only));
    reports
        .map(|(notice, (plan, planned_only))| invocation.with(planned_only).report(notice, plan, &results))
        .collect()
}

/// What to give back to an instance of ours, unless somebody else has changed it since.
pub fn plan(taken: &Taken, group: &GroupOf<'_>, health: &TargetHealth, scope: Scope) -> Plan {
    let admitted = match group {
        GroupOf::Unknown(error) => {
            return Plan {
                problems: vec![error.to_string()],
                ..Plan::default()
            };
        }
        GroupOf::None => scope.admits(None),
        GroupOf::Some { group, .. } => scope.admits(Some(group)),
    };
    if let Err(why) = admitted {
        return Plan::nothing(&taken.instance, Skip::OutOfScope(why));
    }
    let mut plan = Plan::default();
    for one in &taken.targets {
        let target = one.target();
        let registered = match health.get(&one.target_group) {
            Some(Ok(registered)) => registered,
            Some(Err(error)) if health::is_gone(error) => {
                plan.skip(&one.target_group, Skip::TargetGroupGone);
                continue;
            }
            Some(Err(error)) => {
                plan.problems.push(format!("{}: {error}", one.target_group));
                continue;
            }
            None => continue,
        };
        let is_there = registered
            .iter()
            .any(|there| there.target == target && there.state != State::Draining);
        if is_there {
            plan.skip(&one.target_group, Skip::RegisteredAgain);
        } else {
            plan.actions.push(Action::Register(Deregistration {
                target_group: one.target_group.clone(),
                target,
                of: taken.instance.to_string(),
            }));
        }
    }
    plan
}

async fn register(aws: Aws<'_>, invocation: &Invocation, plans: &[Plan]) -> Results<Action> {
    let mut by_target_group: BTreeMap<&str, Vec<&Deregistration>> = BTreeMap::new();
    for action in plans.iter().flat_map(|plan| &plan.actions) {
        if let Action::Register(one) = action {
            by_target_group.entry(&one.target_group).or_default().push(one);
        }
    }
    let calls = by_target_group
        .into_iter()
        .map(|(target_group, some)| async move {
            let targets = some.iter().map(|one| {
                let target = TargetDescription::builder().id(&one.target.id);
                target.set_port(one.target.port).build()
            });
            let asking = aws
                .elb
                .register_targets()
                .target_group_arn(target_group)
                .set_targets(Some(targets.collect()))
                .send();
            let answer = invocation.call("RegisterTargets", asking).await;
            let done = Done::of(invocation.clock, &answer);
            let actions = some.into_iter().map(|one| Action::Register(one.clone()));
            actions.map(|action| (action, done.clone())).collect::<Vec<_>>()
        });
    together(calls).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use spot_handoff::autoscaling::groups::Groups;
    use spot_handoff::elb::health::{Registered, Target};
    use spot_handoff::runtime::aws::CallError;

    use super::*;

    #[test]
    fn what_was_taken_out_and_is_not_back_is_registered_again() {
        let id: InstanceId = "i-1234567890abcdef0".parse().expect("an id");
        let target = |port| Target {
            id: id.to_string(),
            port: Some(port),
        };
        let taken = Taken {
            targets: ["drained", "there", "gone"]
                .map(|target_group| TakenTarget::of(target_group, &target(80)))
                .to_vec(),
            ..Taken::nothing(&id, "deregister-targets", jiff::Timestamp::UNIX_EPOCH)
        };
        let registered = |state| {
            Ok(vec![Registered {
                target: target(80),
                state,
                zone: None,
            }])
        };
        let gone = CallError::Refused {
            action: "DescribeTargetHealth",
            code: "TargetGroupNotFound".to_owned(),
            message: String::new(),
        };
        let health = TargetHealth::from([
            ("drained".to_owned(), registered(State::Draining)),
            ("there".to_owned(), registered(State::Initial)),
            ("gone".to_owned(), Err(gone)),
        ]);
        let groups = Groups::default();
        let planned = plan(&taken, &groups.of_instance(&id), &health, Scope::All);
        let back = Action::Register(Deregistration {
            target_group: "drained".to_owned(),
            target: target(80),
            of: id.to_string(),
        });
        assert_eq!(planned.actions, [back]);
        let left: Vec<&Skip> = planned.skipped.iter().map(|one| &one.reason).collect();
        assert_eq!(left, [&Skip::RegisteredAgain, &Skip::TargetGroupGone]);
        let planned = plan(&taken, &groups.of_instance(&id), &health, Scope::Tagged);
        assert!(
            planned.actions.is_empty() && planned.skipped.len() == 1,
            "{planned:?}"
        );
    }
}
