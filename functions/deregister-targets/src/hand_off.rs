//! Handles one batch: facts, plan and effects for the targets of groups, for the tasks of services, and for instances
//! in no group and no cluster. Then sends the next looks.

mod waves;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use aws_types::SdkConfig;
use jiff::Timestamp;
use spot_handoff::autoscaling::groups::{self, GroupOf, Groups};
use spot_handoff::autoscaling::policies::{self, DryRun, KeepHealthy};
use spot_handoff::ecs::container_instances::{self};
use spot_handoff::ecs::managed_instances::Providers;
use spot_handoff::ecs::task_definitions::TaskDefinitions;
use spot_handoff::elb::health::TargetHealth;
use spot_handoff::elb::holding::Doomed;
use spot_handoff::keeper::{Keeper, Known};
use spot_handoff::lambda::Function;
use spot_handoff::notice::{InstanceId, Notice, Registered};
use spot_handoff::report::plan::{Done, Results, to_carry_out};
use spot_handoff::report::{ActionResult, Report};
use spot_handoff::runtime::aws::{self, CallCounter, CallError, RetryBusyGroups};
use spot_handoff::runtime::clock::Clock;
use spot_handoff::runtime::config::{ConfigError, Env};
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::runtime::pace::{Pace, Rates};
use spot_handoff::state::Table;
use spot_handoff::state::ends::InstanceEnd;

use crate::config::Config;
use crate::effects;
use crate::plan::find::StopMoments;
use crate::plan::serving::{self, Counts};
use crate::plan::{self, Action, Deregistration, Plan, Warning, hold, look};
use crate::returns;

/// With more notices than this, nobody needs advice on settings, and the calls are needed for other things.
const NOTICES_WITH_ADVICE: usize = 10;

/// The function, with what it keeps between invocations.
pub struct DeregisterTargets {
    config: Config,
    autoscaling: aws_sdk_autoscaling::Client,
    ecs: aws_sdk_ecs::Client,
    elb: aws_sdk_elasticloadbalancingv2::Client,
    sqs: aws_sdk_sqs::Client,
    table: Table,
    keeper: Keeper,
    definitions: TaskDefinitions,
    providers: Providers,
}

/// One plan for each notice, and the results; the instances to look at again; and how many targets serve.
type Wave = (Vec<Plan>, Results<Action>, ToLookAt, Counts);

/// The instances that may get targets later, with the moment at which the next task on each is stopped.
type ToLookAt = BTreeMap<InstanceId, Option<Timestamp>>;

impl Function for DeregisterTargets {
    const NAME: &'static str = "deregister-targets";
    const GATHERS_MANY_FOR: Duration = Duration::from_secs(5);

    fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError> {
        let clock = Clock::from_env(env)?;
        let of_ecs = Pace::new(Rates::ECS, clock);
        let of_elb = Pace::new(Rates::ELB, clock);
        let autoscaling = aws_sdk_autoscaling::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter.clone())
            .retry_classifier(RetryBusyGroups)
            .build();
        let ecs = aws_sdk_ecs::config::Builder::from(&of_ecs.around(sdk))
            .retry_partition(aws::retry_partition())
            .interceptor(of_ecs)
            .interceptor(counter.clone())
            .build();
        let elb = aws_sdk_elasticloadbalancingv2::config::Builder::from(&of_elb.around(sdk))
            .retry_partition(aws::retry_partition())
            .interceptor(of_elb)
            .interceptor(counter.clone())
            .build();
        let sqs = aws_sdk_sqs::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter.clone())
            .build();
        let elb = aws_sdk_elasticloadbalancingv2::Client::from_conf(elb);
        let table = Table::new(env, sdk, counter)?;
        Ok(Self {
            config: Config::read(env)?,
            autoscaling: aws_sdk_autoscaling::Client::from_conf(autoscaling),
            ecs: aws_sdk_ecs::Client::from_conf(ecs),
            keeper: Keeper::new(elb.clone(), table.clone()),
            elb,
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            table,
            definitions: TaskDefinitions::default(),
            providers: Providers::default(),
        })
    }

    async fn hand_off(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
        let (back, going): (Vec<&Notice>, Vec<&Notice>) = notices.iter().partition(|notice| notice.is_back());
        let going: Vec<Notice> = going.into_iter().cloned().collect();
        let aws = returns::Aws {
            autoscaling: &self.autoscaling,
            elb: &self.elb,
            table: &self.table,
        };
        let (mut reports, given_back) = tokio::join!(
            async {
                match going.as_slice() {
                    [] => vec![],
                    going => self.take_away(going, invocation).await,
                }
            },
            returns::give_back(aws, self.config.scope, invocation, &back),
        );
        reports.extend(given_back);
        reports
    }
}

/// The facts for the decisions of a wave.
#[derive(Clone)]
struct Found<'a> {
    /// The registered targets.
    health: &'a TargetHealth,
    /// What was under notice.
    known: Known,
    /// When tasks behind targets are stopped.
    stops: &'a StopMoments,
}

/// A read that several waves need.
fn async_once<T: Clone>(
    reading: impl Future<Output = T>,
) -> futures::future::Shared<std::pin::Pin<Box<impl Future<Output = T>>>> {
    futures::FutureExt::shared(Box::pin(reading))
}

impl DeregisterTargets {
    /// The instances go: take their targets out of their target groups.
    async fn take_away(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
        let instances = notices.iter();
        let instances = instances.map(|notice| (&notice.instance, plan::named_group(notice)));
        let groups = groups::of_instances(&self.autoscaling, invocation, instances);
        let registered = notices.iter();
        let registered = registered.map(|notice| (&notice.instance, notice.registered()));
        let registered: BTreeMap<&InstanceId, &[Registered]> = registered.collect();
        let clusters = self.config.clusters.as_deref();
        // Several waves need both reads. Each wave starts as soon as it has what it needs.
        let groups = async_once(groups);
        let of_groups = groups.clone();
        let container_instances = async_once(async {
            let finding = container_instances::find_again(&self.ecs, invocation, clusters, &registered);
            let (mut found, groups) = tokio::join!(finding, of_groups);
            let is_member = |id: &InstanceId| matches!(groups.of_instance(id), GroupOf::Some { .. });
            let providers = &self.providers;
            providers.mark(&self.ecs, invocation, &mut found, is_member).await;
            found
        });
        let (of_groups, of_services, of_nobody, groups, found) = tokio::join!(
            async {
                self.group_targets(notices, &groups.clone().await, invocation)
                    .await
            },
            async {
                let (groups, found) = tokio::join!(groups.clone(), container_instances.clone());
                self.service_targets(notices, &groups, &found, invocation).await
            },
            async {
                let (groups, found) = tokio::join!(groups.clone(), container_instances.clone());
                self.targets_of_nobody(notices, &groups, &found, invocation).await
            },
            groups.clone(),
            container_instances.clone(),
        );
        let mut plans: Vec<Plan> = notices.iter().map(|_| Plan::default()).collect();
        let mut results = Results::new();
        let mut to_look_at = ToLookAt::new();
        let mut counts = Counts::new();
        for (wave, done, looked_at, seen) in [of_groups, of_services, of_nobody] {
            for (plan, more) in plans.iter_mut().zip(wave) {
                plan::merge(plan, more);
            }
            results.extend(done);
            for (instance, stops_at) in looked_at {
                let moment = to_look_at.entry(instance).or_default();
                *moment = [*moment, stops_at].into_iter().flatten().min();
            }
            serving::join(&mut counts, seen);
        }
        self.count_what_was_left(notices, &mut counts, invocation).await;
        let now = invocation.clock.now();
        let planned_only = planned_only(notices, &groups);
        let is_storm = notices.len() > NOTICES_WITH_ADVICE;
        for (notice, plan) in notices.iter().zip(&mut plans) {
            let (_, unknown) = DryRun::of(plan::group_of(notice, &groups));
            if !plan.actions.is_empty() || !plan.held.is_empty() {
                plan.warnings.extend(unknown.map(Warning::UnknownPolicy));
            }
            let seen_now = serving::of_notice(notice, plan, &counts);
            let seen = look::Seen {
                group: plan::group_of(notice, &groups).map(|group| group.name.as_str()),
                together: notices.len(),
                registered: found.of_instance(&notice.instance),
                has_target_groups: to_look_at.contains_key(&notice.instance),
                stops_at: to_look_at.get(&notice.instance).copied().flatten(),
                serving: &seen_now,
            };
            // A look that failed comes back by itself. A next look as well would make two of it, and then ever more.
            let failed = |action| {
                let done: Option<&Done> = results.get(action);
                done.is_some_and(|done| done.result == ActionResult::Failed)
            };
            let comes_back = !plan.problems.is_empty() || plan.actions.iter().any(failed);
            if !(plan::is_look(notice) && comes_back) {
                look::plan(notice, plan, seen, now);
            }
            if plan::is_look(notice) {
                plan.warnings.retain(Warning::is_news_in_a_look);
            }
            if serving::is_news(serving::before(notice), &seen_now, is_storm) {
                plan.work.targets = seen_now;
            }
        }
        let sent = if invocation.dry_run {
            Results::new()
        } else {
            let queue = &self.config.own_queue_url;
            let acted_on = to_carry_out(&plans, &planned_only);
            effects::send_looks(&self.sqs, invocation, queue, notices, &acted_on).await
        };
        for plan in &mut plans {
            look::settle(plan, &sent);
        }
        notices
            .iter()
            .zip(plans.iter().zip(planned_only))
            .map(|(notice, (plan, planned_only))| {
                let report = invocation.with(planned_only).report(notice, plan, &results);
                report.in_pool(groups.pool_of(&notice.instance))
            })
            .collect()
    }

    /// Counts what serves in target groups that an earlier look has counted, but this one has not: tasks that have
    /// moved do not lead to them any more.
    async fn count_what_was_left(&self, notices: &[Notice], counts: &mut Counts, invocation: &Invocation) {
        let seen_before = notices.iter().flat_map(serving::before);
        let missing: BTreeSet<String> = seen_before
            .map(|seen| &seen.target_group)
            .filter(|arn| !counts.contains_key(*arn))
            .cloned()
            .collect();
        if missing.is_empty() {
            return;
        }
        let briefly = invocation.briefly();
        let (health, known) = self.keeper.read(missing, &briefly).await;
        let known = doomed(&known);
        let doomed_in = |arn: &str| known.get(arn).cloned().unwrap_or_default();
        let ended = self.ended(notices, &health, doomed_in, &briefly).await;
        serving::join(counts, serving::count(&health, doomed_in, [], &ended));
    }

    /// Which instances of the last healthy targets have ended, as an event of EC2 says. AWS may take an instance before its
    /// two minutes are over, and the load balancer sends it requests until its checks have failed. If the table does not
    /// answer, none counts as ended.
    async fn ended(
        &self,
        notices: &[Notice],
        health: &TargetHealth,
        doomed_in: impl Fn(&str) -> Vec<Doomed>,
        invocation: &Invocation,
    ) -> BTreeSet<InstanceId> {
        if !notices.iter().all(plan::is_look) {
            return BTreeSet::new();
        }
        let last = serving::last_ones(health, doomed_in);
        if last.is_empty() {
            return last;
        }
        let keys: Vec<_> = last.iter().map(InstanceEnd::key_of).collect();
        let read = self
            .table
            .get_all::<InstanceEnd>(&invocation.briefly(), &keys)
            .await;
        match read {
            // An instance that came back under its id has an end from before the notice.
            Ok(ends) => ends
                .into_iter()
                .map(|end| end.item)
                .filter(|end| notices.iter().any(|notice| end.at >= notice.time))
                .map(|end| end.instance)
                .collect(),
            Err(error) => {
                tracing::warn!("whether the last targets have ended is not known: {error}");
                BTreeSet::new()
            }
        }
    }

    /// Carries out the plans. Plans of groups with a dry run are handled apart, and their targets stay as they are.
    async fn carry_out(
        &self,
        notices: &[Notice],
        plans: Vec<Plan>,
        groups: &Groups,
        found: Found<'_>,
        invocation: &Invocation,
    ) -> (Vec<Plan>, Results<Action>, Counts) {
        let planned_only = planned_only(notices, groups);
        let those = |wanted: bool| -> (Vec<Notice>, Vec<Plan>) {
            let all = notices.iter().zip(&plans).zip(&planned_only);
            all.filter(|(_, planned_only)| **planned_only == wanted)
                .map(|((notice, plan), _)| (notice.clone(), plan.clone()))
                .unzip()
        };
        if !planned_only.contains(&true) {
            return self
                .carry_out_those(notices, plans, groups, found, invocation)
                .await;
        }
        let planning = invocation.planning_only();
        let ((acted_on, acting), (planned_for, trying)) = (those(false), those(true));
        let ((acted, results, mut counts), (planned, _, tried)) = tokio::join!(
            self.carry_out_those(&acted_on, acting, groups, found.clone(), invocation),
            self.carry_out_those(&planned_for, trying, groups, found, &planning),
        );
        let (mut acted, mut planned) = (acted.into_iter(), planned.into_iter());
        let next = |planned_only| match planned_only {
            true => planned.next(),
            false => acted.next(),
        };
        let in_order = planned_only.into_iter().map(next);
        serving::join(&mut counts, tried);
        (in_order.map(Option::unwrap_or_default).collect(), results, counts)
    }

    /// Writes what is doomed, holds what has to stay, and deregisters the rest. After that it checks whether the
    /// deregistration delay fits into the notice. It does not do both at the same time, since they share the account's
    /// request rate.
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html>
    async fn carry_out_those(
        &self,
        notices: &[Notice],
        mut plans: Vec<Plan>,
        groups: &Groups,
        found: Found<'_>,
        invocation: &Invocation,
    ) -> (Vec<Plan>, Results<Action>, Counts) {
        let Found { health, known, stops } = found;
        let written = doomed(&known);
        let news = hold::news(notices, &plans, health, stops);
        let keep_healthy = self.keep_healthy(notices, &mut plans, groups);
        let deciding = self.keeper.facts(&news, health, known, &keep_healthy, invocation);
        let (facts, unknown) = deciding.await;
        warn_of(&unknown, &mut plans);
        hold::hold(&mut plans, &facts);

        let distinct = plan::distinct(&plans);
        let results = if invocation.dry_run {
            Results::new()
        } else {
            effects::deregister(&self.elb, invocation, &distinct).await
        };
        let is_out = |one: &&Deregistration| {
            let done = results.get(&Action::Deregister((*one).clone()));
            done.is_some_and(|done| done.result != ActionResult::Failed)
        };
        let out: Vec<&Deregistration> = distinct.iter().filter(is_out).collect();
        let doomed_in = |arn: &str| match facts.under_notice.get(arn) {
            Some(item) => item.doomed(),
            None => written.get(arn).cloned().unwrap_or_default(),
        };
        let ended = self.ended(notices, health, &doomed_in, invocation).await;
        let counts = serving::count(health, doomed_in, out, &ended);
        if plans.len() <= NOTICES_WITH_ADVICE && !notices.iter().all(plan::is_look) {
            let target_groups = distinct.iter().map(|one| &one.target_group);
            let delays = self.keeper.delays(target_groups, invocation).await;
            for plan in &mut plans {
                plan::advise(plan, &delays, &facts.balancers);
            }
        }
        (plans, results, counts)
    }

    /// The percentage that has to stay in each target group. If it has instances of several groups, the largest one
    /// counts.
    fn keep_healthy(
        &self,
        notices: &[Notice],
        plans: &mut [Plan],
        groups: &Groups,
    ) -> HashMap<String, KeepHealthy> {
        let mut shares: HashMap<String, KeepHealthy> = HashMap::new();
        for (notice, plan) in notices.iter().zip(plans) {
            let (share, unknown) =
                policies::of_group(plan::group_of(notice, groups), self.config.keep_healthy);
            plan.warnings.extend(unknown.map(Warning::UnknownPolicy));
            for one in plan::deregistrations(plan) {
                let known = shares.entry(one.target_group.clone()).or_insert(share);
                *known = share.max(*known);
            }
        }
        shares
    }
}

/// What is under notice according to the table, by target group.
fn doomed(known: &Known) -> HashMap<String, Vec<Doomed>> {
    let items = known.iter().flatten().map(|known| &known.item);
    items
        .map(|item| (item.target_group.clone(), item.doomed()))
        .collect()
}

/// If the table does not answer, only what this batch knows decides, and the plans say so.
fn warn_of(unknown: &[(String, CallError)], plans: &mut [Plan]) {
    for (target_group, error) in unknown {
        let is_in_it = |one: &plan::Deregistration| one.target_group == *target_group;
        for plan in plans
            .iter_mut()
            .filter(|plan| plan::deregistrations(plan).any(is_in_it))
        {
            plan.warnings.push(Warning::TableUnread {
                target_group: target_group.clone(),
                why: error.to_string(),
            });
        }
    }
}

/// For each notice, whether its group is only planned for.
fn planned_only(notices: &[Notice], groups: &Groups) -> Vec<bool> {
    let group_of = |notice| plan::group_of(notice, groups);
    let is_planned_only = |notice| DryRun::of(group_of(notice)).0;
    notices.iter().map(is_planned_only).collect()
}

#[cfg(test)]
mod tests;
