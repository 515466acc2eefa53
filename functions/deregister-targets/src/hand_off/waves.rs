//! Three waves that run at the same time: the targets of groups, of services, and of instances in no group and no
//! cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::groups::Groups;
use spot_handoff::autoscaling::policies;
use spot_handoff::ecs::container_instances::ContainerInstances;
use spot_handoff::elb::health::TargetHealth;
use spot_handoff::keeper::Known;
use spot_handoff::notice::{InstanceId, Notice};
use spot_handoff::report::plan::{Results, to_carry_out};
use spot_handoff::runtime::invocation::Invocation;

use crate::config::LoneInstances;
use crate::facts::{endpoints, lone};
use crate::plan::find::StopMoments;
use crate::plan::serving::Counts;
use crate::plan::{self, Action, Plan, Skip, Warning, find};
use crate::returns;

use super::{DeregisterTargets, Found, ToLookAt, Wave, planned_only};

impl DeregisterTargets {
    /// Targets in the target groups of the instances' Auto Scaling groups.
    pub(super) async fn group_targets(
        &self,
        notices: &[Notice],
        groups: &Groups,
        invocation: &Invocation,
    ) -> Wave {
        let (health, known) = self.keeper.read(groups.target_groups(), invocation).await;
        let plans = notices
            .iter()
            .map(|notice| find::for_group_targets(notice, groups, self.config.scope, &health))
            .collect();
        let in_target_groups = |notice: &&Notice| {
            plan::in_scope(notice, &groups.of_instance(&notice.instance), self.config.scope)
                && plan::group_of(notice, groups).is_some_and(|group| !group.target_groups.is_empty())
        };
        let to_look_at = to_look_at(notices.iter().filter(in_target_groups), |_| None);
        let (plans, results, counts) = self
            .carry_out_of_instances(notices, plans, groups, &health, known, invocation)
            .await;
        (plans, results, to_look_at, counts)
    }

    /// Carries out the plans for the instances themselves, and records what is taken from instances that come back. The
    /// targets of services come back with their tasks.
    async fn carry_out_of_instances(
        &self,
        notices: &[Notice],
        plans: Vec<Plan>,
        groups: &Groups,
        health: &TargetHealth,
        known: Known,
        invocation: &Invocation,
    ) -> (Vec<Plan>, Results<Action>, Counts) {
        // Few instances come back, and in a storm there are many plans.
        let planned = if notices.iter().any(Notice::comes_back) {
            to_carry_out(&plans, &planned_only(notices, groups)).into_owned()
        } else {
            vec![]
        };
        let found = Found {
            health,
            known,
            stops: &StopMoments::new(),
        };
        let ((mut plans, results, counts), unremembered) = tokio::join!(
            self.carry_out(notices, plans, groups, found, invocation),
            returns::remember(&self.table, invocation, notices, &planned),
        );
        if let Some(why) = unremembered {
            let going = notices.iter().zip(&mut plans);
            for (_, plan) in going.filter(|(notice, _)| notice.comes_back()) {
                plan.warnings.push(Warning::NotRemembered { why: why.clone() });
            }
        }
        (plans, results, counts)
    }

    /// Targets of the ECS services whose tasks run on the instances.
    pub(super) async fn service_targets(
        &self,
        notices: &[Notice],
        groups: &Groups,
        found: &ContainerInstances,
        invocation: &Invocation,
    ) -> Wave {
        let in_scope = |notice: &&Notice| {
            plan::moves_at_once(notice)
                && plan::in_scope(notice, &groups.of_instance(&notice.instance), self.config.scope)
        };
        let ours: Vec<&Notice> = notices.iter().filter(in_scope).collect();
        let on_ours: Vec<_> = ours
            .iter()
            .flat_map(|notice| found.of_instance(&notice.instance))
            .filter(|one| !one.is_managed)
            .collect();
        let sizes = found.cluster_sizes();
        let mut defaults: HashMap<&str, SignedDuration> = HashMap::new();
        for notice in &ours {
            let of_stack = self.config.default_stop_timeout;
            let (default, _) = policies::of_group(plan::group_of(notice, groups), of_stack);
            let on = found.of_instance(&notice.instance).iter();
            defaults.extend(on.map(|one| (one.arn.as_str(), default.0)));
        }
        let default_on = |arn: &str| {
            let of_stack = self.config.default_stop_timeout.0;
            defaults.get(arn).copied().unwrap_or(of_stack)
        };
        let (ecs, definitions) = (&self.ecs, &self.definitions);
        let endpoints = endpoints::of_tasks(ecs, invocation, definitions, &on_ours, sizes, default_on).await;
        let (health, known) = self.keeper.read(endpoints.target_groups(), invocation).await;
        let mut stops = StopMoments::new();
        let now = invocation.clock.now();
        let mut stops_on: BTreeMap<InstanceId, Timestamp> = BTreeMap::new();
        for notice in &ours {
            let of_instance = find::stop_moments(notice, found, &endpoints, &health);
            let moments = of_instance
                .values()
                .flat_map(|stop| [Some(stop.at), stop.as_last]);
            let to_come = moments.flatten().filter(|at| *at > now);
            stops_on.extend(to_come.min().map(|at| (notice.instance.clone(), at)));
            for (target, at) in of_instance {
                let moment = stops.entry(target).or_insert(at);
                *moment = at.sooner(*moment);
            }
        }
        let plans = notices
            .iter()
            .map(|notice| {
                if in_scope(&notice) {
                    find::for_service_targets(notice, found, &endpoints, &health)
                } else {
                    Plan::default()
                }
            })
            .collect();
        // A task can be placed later, even if there is none now.
        let in_a_cluster = |notice: &&Notice| {
            let mut on = found.of_instance(&notice.instance).iter();
            on.any(|one| !one.is_managed)
        };
        let to_look_at = to_look_at(ours.into_iter().filter(in_a_cluster), |instance| {
            stops_on.get(instance).copied()
        });
        let (plans, results, counts) = self
            .carry_out(
                notices,
                plans,
                groups,
                Found {
                    health: &health,
                    known,
                    stops: &stops,
                },
                invocation,
            )
            .await;
        (plans, results, to_look_at, counts)
    }

    /// Targets of instances in no group and no cluster. They may have been registered by hand, in any target group, and
    /// only looking at the target groups tells. Without such an instance, nothing is read.
    pub(super) async fn targets_of_nobody(
        &self,
        notices: &[Notice],
        groups: &Groups,
        found: &ContainerInstances,
        invocation: &Invocation,
    ) -> Wave {
        let of_nobody = |notice: &Notice| find::belongs_to_nobody(notice, groups, found, self.config.scope);
        let theirs = notices.iter().filter(|notice| of_nobody(notice));
        let theirs: BTreeSet<InstanceId> = theirs.map(|notice| notice.instance.clone()).collect();
        if theirs.is_empty() {
            return (vec![], Results::new(), ToLookAt::new(), Counts::new());
        }
        if self.config.lone_instances == LoneInstances::Leave {
            let left = |notice: &Notice| match of_nobody(notice) {
                true => Plan::nothing(&notice.instance, Skip::NotSearched),
                false => Plan::default(),
            };
            let plans = notices.iter().map(left).collect();
            return (plans, Results::new(), ToLookAt::new(), Counts::new());
        }
        let searched = lone::search(&self.elb, &self.table, invocation, &theirs).await;
        let plans: Vec<Plan> = notices
            .iter()
            .map(|notice| match searched.get(&notice.instance) {
                Some(searched) if of_nobody(notice) => find::for_targets_of_nobody(notice, searched),
                _ => Plan::default(),
            })
            .collect();
        let health: TargetHealth = searched.values().flat_map(|one| one.found.clone()).collect();
        let known = self.keeper.known(health.keys(), invocation).await;
        let found = searched.into_iter().filter(|(_, one)| !one.found.is_empty());
        let to_look_at = found.map(|(instance, _)| (instance, None)).collect();
        let (plans, results, counts) = self
            .carry_out_of_instances(notices, plans, groups, &health, known, invocation)
            .await;
        (plans, results, to_look_at, counts)
    }
}

fn to_look_at<'a>(
    notices: impl IntoIterator<Item = &'a Notice>,
    stops_on: impl Fn(&InstanceId) -> Option<Timestamp>,
) -> ToLookAt {
    let instances = notices.into_iter().map(|notice| &notice.instance);
    instances
        .map(|instance| (instance.clone(), stops_on(instance)))
        .collect()
}
