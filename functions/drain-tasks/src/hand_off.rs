//! Handles one batch: finds the container instances, drains them at once, and meanwhile reads and handles the tasks.

mod looks;
mod plans;
mod tasks;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use aws_types::SdkConfig;
use jiff::Timestamp;
use spot_handoff::autoscaling::groups::{self, Group, GroupOf, Groups};
use spot_handoff::ecs::container_instances::{self, ContainerInstances};
use spot_handoff::ecs::managed_instances::Providers;
use spot_handoff::ecs::task_definitions::TaskDefinitions;
use spot_handoff::ecs::tasks::Looking;
use spot_handoff::lambda::Function;
use spot_handoff::notice::{Cause, FollowUp, InstanceId, Notice, Registered, RerunOrder, Signal, Step, Then};
use spot_handoff::report::Report;
use spot_handoff::report::plan::{Results, to_carry_out};
use spot_handoff::runtime::aws::{self, CallCounter, RetryBusyGroups};
use spot_handoff::runtime::clock::Clock;
use spot_handoff::runtime::config::{ConfigError, Env};
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::runtime::pace::{Pace, Rates};
use spot_handoff::state::Table;
use spot_handoff::state::ends::InstanceEnd;

use crate::config::Config;
use crate::effects::{self, Clients};
use crate::facts::Tasks;
use crate::plan::{self, Action, Plan, Warning, restart};
use crate::policies::Policies;
use crate::{restarts, returns};

/// The function, with what it keeps between invocations.
pub struct DrainTasks {
    config: Config,
    clients: Clients,
    definitions: TaskDefinitions,
    providers: Providers,
}

impl Function for DrainTasks {
    const NAME: &'static str = "drain-tasks";
    const GATHERS_MANY_FOR: Duration = Duration::from_secs(5);

    fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError> {
        let clock = Clock::from_env(env)?;
        let of_ecs = Pace::new(Rates::ECS, clock);
        let table = Table::new(env, sdk, counter.clone())?;
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
        let sqs = aws_sdk_sqs::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter)
            .build();
        Ok(Self {
            config: Config::read(env)?,
            clients: Clients {
                autoscaling: aws_sdk_autoscaling::Client::from_conf(autoscaling),
                ecs: aws_sdk_ecs::Client::from_conf(ecs),
                sqs: aws_sdk_sqs::Client::from_conf(sqs),
                table,
            },
            definitions: TaskDefinitions::default(),
            providers: Providers::default(),
        })
    }

    async fn hand_off(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
        let (back, others): (Vec<&Notice>, Vec<&Notice>) =
            notices.iter().partition(|notice| notice.is_back());
        let of_restart = |notice: &&Notice| restart::is_of_one(notice);
        let (restarting, going): (Vec<&Notice>, Vec<&Notice>) = others.into_iter().partition(of_restart);
        let going: Vec<Notice> = going.into_iter().cloned().collect();
        let (mut reports, given_back, awaited, ()) = tokio::join!(
            async {
                match going.as_slice() {
                    [] => vec![],
                    going => self.take_away(going, invocation).await,
                }
            },
            returns::give_back(
                &self.clients,
                &self.clients.table,
                &self.config,
                invocation,
                &back
            ),
            restarts::see_to(&self.clients, &self.config, invocation, &restarting),
            self.remember_ends(notices, invocation),
        );
        reports.extend(given_back);
        reports.extend(awaited);
        reports
    }
}

/// The facts for a decision.
#[derive(Clone, Copy)]
struct Seen<'a> {
    /// The policies for the instance.
    policies: &'a Policies,
    /// Container instances.
    found: &'a ContainerInstances,
    /// Tasks on them: those that run, or those that are not gone.
    tasks: &'a Tasks,
    /// Now.
    now: Timestamp,
}

impl DrainTasks {
    /// Records for announce-hand-offs that instances have ended, whosever they are: it asks about instances that left
    /// their groups. If this fails, somebody may be told to look for no reason.
    async fn remember_ends(&self, notices: &[Notice], invocation: &Invocation) {
        let ends: Vec<InstanceEnd> = notices.iter().filter_map(InstanceEnd::of).collect();
        if ends.is_empty() || invocation.dry_run {
            return;
        }
        let written = self
            .clients
            .table
            .overwrite_all(&invocation.briefly(), &ends)
            .await;
        if let Err(error) = written {
            tracing::warn!(
                "cannot write down that {} instances have ended: {error}",
                ends.len()
            );
        }
    }

    /// The instances go: drain their container instances, and handle their tasks.
    async fn take_away(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
        let (groups, mut found) = tokio::join!(
            self.groups(notices, invocation),
            self.container_instances(notices, invocation)
        );
        let is_member = |id: &InstanceId| matches!(groups.of_instance(id), GroupOf::Some { .. });
        let ecs = &self.clients.ecs;
        self.providers.mark(ecs, invocation, &mut found, is_member).await;
        let now = invocation.clock.now();
        let policies = notices.iter().map(|notice| group_of(notice, &groups));
        let policies: Vec<Policies> = policies.map(|group| Policies::of(group, &self.config)).collect();
        let planned_only: Vec<bool> = policies.iter().map(|one| one.planned_only).collect();
        let drains: Vec<Plan> = notices
            .iter()
            .map(|notice| {
                plan::drain::plan(
                    notice,
                    &groups.of_instance(&notice.instance),
                    &found,
                    &self.config,
                    now,
                )
            })
            .collect();
        let all: Vec<&Notice> = notices.iter().collect();
        let none = HashMap::new();
        let acted_on = to_carry_out(&drains, &planned_only);
        let (drained, unremembered, (cares, cared)) = tokio::join!(
            self.carry_out(&all, &acted_on, &none, invocation),
            returns::remember(&self.clients.table, invocation, notices, &acted_on),
            self.care_for_tasks(notices, &groups, &policies, &found, invocation),
        );
        drop(acted_on);
        let mut results: Results<Action> = drained.into_iter().chain(cared).collect();
        let plans = drains.into_iter().zip(cares);
        let mut plans: Vec<Plan> = plans.map(|(drain, care)| plan::merge(drain, care)).collect();
        if let Some(error) = unremembered {
            let going = notices.iter().zip(&mut plans);
            for (_, plan) in going.filter(|(notice, _)| notice.comes_back()) {
                let error = error.clone();
                plan.warnings.push(Warning::NotRemembered { error });
            }
        }
        if !invocation.dry_run {
            let (clients, config) = (&self.clients, &self.config);
            let acted_on = to_carry_out(&plans, &planned_only);
            results.extend(
                effects::send_successors(clients, config, invocation, notices, &acted_on, &results).await,
            );
            drop(acted_on);
            let looked_after = (&mut plans[..], &planned_only[..]);
            self.look_again(notices, &groups, &found, looked_after, &results, invocation)
                .await;
        }
        notices
            .iter()
            .zip(plans.iter().zip(planned_only))
            .map(|(notice, (plan, planned_only))| {
                let report = invocation.with(planned_only).report(notice, plan, &results);
                let registered = found.of_instance(&notice.instance).iter();
                let since = registered.filter_map(|one| one.registered_at).min();
                let report = report.in_pool(groups.pool_of(&notice.instance));
                report.in_cluster_since(since.filter(|_| !matches!(notice.signal, Signal::FollowUp(_))))
            })
            .collect()
    }

    /// Groups are needed for their scope, which is already decided for follow-ups, and for their policies.
    async fn groups(&self, notices: &[Notice], invocation: &Invocation) -> Groups {
        let is_follow_up = |notice: &&Notice| matches!(notice.signal, Signal::FollowUp(_));
        let ids: Vec<InstanceId> = notices
            .iter()
            .filter(|n| !is_follow_up(n))
            .map(|notice| notice.instance.clone())
            .collect();
        let named: BTreeSet<String> = notices
            .iter()
            .filter_map(named_group)
            .map(str::to_owned)
            .collect();
        let named: Vec<String> = named.into_iter().collect();
        groups::read(&self.clients.autoscaling, invocation, &ids, &named).await
    }

    /// The container instances of the instances, and of the replacements for which some of them wait.
    async fn container_instances(&self, notices: &[Notice], invocation: &Invocation) -> ContainerInstances {
        let mut wanted: BTreeMap<&InstanceId, &[Registered]> = BTreeMap::new();
        for notice in notices {
            match &notice.signal {
                // These follow-ups name their tasks themselves.
                Signal::FollowUp(FollowUp {
                    step: Step::StopTasks { .. } | Step::SeeEnds { .. },
                    ..
                }) => {}
                Signal::FollowUp(FollowUp {
                    step: Step::MoveWork { replacement, .. },
                    ..
                }) => {
                    wanted.insert(&notice.instance, &[]);
                    wanted.extend(replacement.iter().map(|replacement| (replacement, &[] as &[_])));
                }
                _ => {
                    wanted.insert(&notice.instance, notice.registered());
                }
            }
        }
        let clusters = self.config.clusters.as_deref();
        container_instances::find_again(&self.clients.ecs, invocation, clusters, &wanted).await
    }

    async fn carry_out(
        &self,
        notices: &[&Notice],
        plans: &[Plan],
        orders: &HashMap<String, RerunOrder>,
        invocation: &Invocation,
    ) -> Results<Action> {
        if invocation.dry_run {
            return Results::new();
        }
        effects::carry_out(&self.clients, &self.config, invocation, notices, plans, orders).await
    }
}

/// The group of a notice: the group that it names, since the instance may have left it; otherwise the group of the
/// instance.
fn group_of<'a>(notice: &Notice, groups: &'a Groups) -> Option<&'a Group> {
    match named_group(notice) {
        Some(name) => groups.by_name(name),
        None => match groups.of_instance(&notice.instance) {
            GroupOf::Some { group, .. } => Some(group),
            GroupOf::None | GroupOf::Unknown(_) => None,
        },
    }
}

/// The group that a follow-up names.
fn named_group(notice: &Notice) -> Option<&str> {
    let Signal::FollowUp(follow_up) = &notice.signal else {
        return None;
    };
    match &follow_up.step {
        Step::MoveWork { group, .. }
        | Step::AwaitTasks {
            then: Then::Retire { group },
            ..
        } => Some(group),
        Step::AwaitTasks {
            then: Then::CompleteLifecycleAction(action),
            ..
        } => Some(&action.group),
        Step::Look { group, .. } | Step::StepAside { group } => group.as_deref(),
        Step::StopTasks { .. }
        | Step::AwaitReplacement { .. }
        | Step::Retire { .. }
        | Step::GiveUp { .. }
        | Step::AwaitScript { .. }
        | Step::AwaitStart { .. }
        | Step::AwaitEnd { .. }
        | Step::AwaitGone { .. }
        | Step::AwaitWhole { .. }
        | Step::SeeEnds { .. }
        | Step::AwaitRestart { .. }
        | Step::StepBack
        | Step::WatchGroup { .. }
        | Step::Tell => None,
    }
}

/// Whether the notice is a further look at an earlier notice.
fn is_look(notice: &Notice) -> bool {
    matches!(&notice.signal, Signal::FollowUp(follow_up) if matches!(follow_up.step, Step::AwaitTasks { .. }))
}

/// Which tasks of the instance the notice is about: those that run, or all that are not gone. `None` for no tasks.
fn looking_for(notice: &Notice) -> Option<Looking> {
    match &notice.signal {
        Signal::InterruptionWarning { .. }
        | Signal::StateChange { .. }
        | Signal::ScheduledRetirement { .. } => Some(Looking::ForRunning),
        Signal::TerminateLifecycleAction(_) => Some(Looking::ForAllNotGone),
        Signal::FollowUp(follow_up) => match (&follow_up.step, follow_up.cause) {
            (Step::Look { .. } | Step::StepAside { .. }, _)
            | (Step::MoveWork { .. }, Cause::Interruption) => Some(Looking::ForRunning),
            (Step::MoveWork { .. } | Step::AwaitTasks { .. }, _) => Some(Looking::ForAllNotGone),
            (
                Step::StopTasks { .. }
                | Step::AwaitReplacement { .. }
                | Step::Retire { .. }
                | Step::GiveUp { .. }
                | Step::AwaitScript { .. }
                | Step::AwaitStart { .. }
                | Step::AwaitEnd { .. }
                | Step::AwaitGone { .. }
                | Step::AwaitWhole { .. }
                | Step::SeeEnds { .. }
                | Step::AwaitRestart { .. }
                | Step::StepBack
                | Step::WatchGroup { .. }
                | Step::Tell,
                _,
            ) => None,
        },
        Signal::RebalanceRecommendation | Signal::Returned | Signal::ScheduledRestart(_) => None,
    }
}

#[cfg(test)]
mod tests;
