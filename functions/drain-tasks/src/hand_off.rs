//! The story of one batch: read who is where, drain at once, and meanwhile read the tasks and care for them.

use std::collections::{BTreeSet, HashMap, HashSet};

use aws_sdk_ecs::types::Task;
use aws_types::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::groups::{self, Group, GroupOf, Groups};
use spot_handoff::ecs::container_instances::{self, ContainerInstance, ContainerInstances};
use spot_handoff::ecs::managed_instances::Providers;
use spot_handoff::ecs::rerun_roles::RerunRoles;
use spot_handoff::ecs::standalone_tasks::Rerun;
use spot_handoff::ecs::task_definitions::TaskDefinitions;
use spot_handoff::ecs::tasks::Looking;
use spot_handoff::lambda::{Function, outbox};
use spot_handoff::notice::{
    Cause, FollowUp, InstanceId, LifecycleAction, Notice, RerunOrder, Signal, Step, Then,
};
use spot_handoff::report::Report;
use spot_handoff::report::plan::{Results, to_carry_out};
use spot_handoff::runtime::aws::{self, CallCounter, CallError, RetryBusyGroups};
use spot_handoff::runtime::config::{ConfigError, Env};
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::state::ends::InstanceEnd;
use spot_handoff::state::{Table, reruns};

use crate::config::Config;
use crate::effects::remember::remember;
use crate::effects::{self, Clients};
use crate::facts::{self, NamedTasks, Reading, TaskFacts, TaskState, Tasks, others, stop_scripts};
use crate::plan::drain::Replacement;
use crate::plan::{
    self, Action, Plan, Queue, Skip, Warning, await_tasks, look, restart, service_tasks, standalone_tasks,
};
use crate::policies::Policies;
use crate::{restarts, returns};

/// How long a lifecycle action is waited for where its hook cannot be read: the shortest default of a hook.
const UNKNOWN_HOOK_LIMIT: SignedDuration = SignedDuration::from_hours(1);
/// Of more notices than these each look reports only whether any task is left.
const FEW_NOTICES: usize = 50;
/// How soon to look again for a replacement that has not registered.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// The function, with what it keeps between invocations.
pub struct DrainTasks {
    config: Config,
    clients: Clients,
    definitions: TaskDefinitions,
    providers: Providers,
}

impl Function for DrainTasks {
    const NAME: &'static str = "drain-tasks";

    fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError> {
        let table = Table::new(env, sdk, counter.clone())?;
        let autoscaling = aws_sdk_autoscaling::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter.clone())
            .retry_classifier(RetryBusyGroups)
            .build();
        let ecs = aws_sdk_ecs::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
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

/// What is decided by.
#[derive(Clone, Copy)]
struct Seen<'a> {
    /// What holds for the instance.
    policies: &'a Policies,
    /// Container instances.
    found: &'a ContainerInstances,
    /// Tasks on them: those that run, or those that are not gone.
    tasks: &'a Tasks,
    /// The moment.
    now: Timestamp,
}

impl DrainTasks {
    /// That instances have ended is written down for announce-hand-offs, whosever they are: it asks for those that left their
    /// groups. Where that cannot be written, somebody is told in vain to look.
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

    /// The instances go: their container instances are drained, and their tasks cared for.
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

    /// Groups matter for their scope, which follow-ups have decided, and for their policies.
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

    /// Sends the next look at each notice that is looked after. It is no news to whoever reads the report: only one that
    /// could not be sent is.
    async fn look_again(
        &self,
        notices: &[Notice],
        groups: &Groups,
        found: &ContainerInstances,
        (plans, planned_only): (&mut [Plan], &[bool]),
        results: &Results<Action>,
        invocation: &Invocation,
    ) {
        let now = invocation.clock.now();
        let mut looks: Vec<(usize, FollowUp, Timestamp)> = vec![];
        for (index, (notice, plan)) in notices.iter().zip(plans.iter()).enumerate() {
            let group = groups.of_instance(&notice.instance);
            let is_ours = plan::may_act(notice, &group, &self.config).is_ok();
            // A look that failed comes back by itself.
            let comes_back = look::is_look(notice) && effects::has_failed(plan, results);
            if is_ours && !comes_back && !planned_only[index] {
                let cares = |one: &ContainerInstance| plan::left_alone(notice, &group, one).is_none();
                let name = group_of(notice, groups).map(|group| group.name.as_str());
                let name = name.or(named_group(notice));
                let next = look::next(notice, name, found, cares, now);
                looks.extend(next.map(|(follow_up, at)| (index, follow_up, at)));
                let cluster_of = |_: &str| {
                    let on = found.of_instance(&notice.instance).iter();
                    on.map(|one| one.cluster.as_str()).next()
                };
                let at_the_end = plan::ends::looks(notice, &plan.tasks, cluster_of);
                looks.extend(
                    at_the_end
                        .into_iter()
                        .map(|(follow_up, at)| (index, follow_up, at)),
                );
            }
        }
        let is_storm = notices.len() > FEW_NOTICES;
        for (notice, plan) in notices.iter().zip(plans.iter_mut()) {
            plan.work.tasks = look::tasks_that_run(notice, found, is_storm);
        }
        let follow_ups: Vec<_> = looks
            .iter()
            .map(|(index, follow_up, at)| (&notices[*index], follow_up, *at))
            .collect();
        let queue = &self.config.own_queue_url;
        let sent = outbox::send_together(&self.clients.sqs, invocation, queue, &follow_ups).await;
        for ((index, _, _), answer) in looks.iter().zip(sent) {
            if let Err(error) = answer {
                plans[*index].problems.push(format!("cannot look again: {error}"));
            }
        }
    }

    /// The container instances of the instances, and of the replacements that some of them wait for.
    async fn container_instances(&self, notices: &[Notice], invocation: &Invocation) -> ContainerInstances {
        let mut ids: Vec<InstanceId> = vec![];
        for notice in notices {
            match &notice.signal {
                // These name what they are about themselves.
                Signal::FollowUp(FollowUp {
                    step: Step::StopTasks { .. } | Step::SeeEnds { .. },
                    ..
                }) => {}
                Signal::FollowUp(FollowUp {
                    step: Step::MoveWork { replacement, .. },
                    ..
                }) => {
                    ids.push(notice.instance.clone());
                    ids.extend(replacement.clone());
                }
                _ => ids.push(notice.instance.clone()),
            }
        }
        container_instances::find(
            &self.clients.ecs,
            invocation,
            self.config.clusters.as_deref(),
            &ids,
        )
        .await
    }

    /// Plans for the tasks of every notice, carried out.
    async fn care_for_tasks(
        &self,
        notices: &[Notice],
        groups: &Groups,
        policies: &[Policies],
        found: &ContainerInstances,
        invocation: &Invocation,
    ) -> (Vec<Plan>, Results<Action>) {
        let ours: Vec<bool> = notices
            .iter()
            .map(|notice| plan::may_act(notice, &groups.of_instance(&notice.instance), &self.config).is_ok())
            .collect();
        let on_ours = |looking: Looking| -> Vec<&ContainerInstance> {
            let chosen = notices
                .iter()
                .zip(&ours)
                .filter(|(notice, ours)| **ours && looking_for(notice) == Some(looking));
            chosen
                .flat_map(|(notice, _)| {
                    let on = found.of_instance(&notice.instance).iter();
                    on.filter(|one| look::may_have_new_tasks(notice, one))
                })
                .collect()
        };
        let (for_running, for_all) = (on_ours(Looking::ForRunning), on_ours(Looking::ForAllNotGone));
        let mut defaults: HashMap<&str, SignedDuration> = HashMap::new();
        for (notice, policies) in notices.iter().zip(policies) {
            let default = policies.default_stop_timeout;
            let on = found.of_instance(&notice.instance).iter();
            defaults.extend(on.map(|container_instance| (container_instance.arn.as_str(), default)));
        }
        let of_stack = self.config.default_stop_timeout.0;
        let default_on = |arn: &str| defaults.get(arn).copied().unwrap_or(of_stack);
        let tasks_on = |container_instances, looking| {
            let sizes = found.cluster_sizes();
            facts::tasks_on(
                self.reading(invocation),
                container_instances,
                sizes,
                looking,
                default_on,
            )
        };
        let (running, mut not_gone, limits, mut named, scripts) = tokio::join!(
            tasks_on(&for_running, Looking::ForRunning),
            tasks_on(&for_all, Looking::ForAllNotGone),
            self.lifecycle_limits(notices, invocation),
            self.named_tasks(notices, invocation),
            stop_scripts::read(&self.clients.table, invocation, notices, |notice| group_of(
                notice, groups
            )),
        );
        not_gone.scripts = scripts;
        let serving = service_tasks::that_may_serve_on(notices, &named, invocation.clock.now());
        let (reruns, alone) = tokio::join!(
            self.reruns(notices, &named, invocation),
            others::alone(&self.clients.ecs, invocation, serving),
        );
        for (tasks, _) in named.iter_mut().flatten().flatten() {
            for task in tasks {
                standalone_tasks::learn(task, reruns.known.get(&task.arn));
            }
        }
        let now = invocation.clock.now();
        let mut plans = vec![];
        let with_policies = notices.iter().zip(policies);
        for (((notice, policies), ours), (limit, named)) in
            with_policies.zip(ours).zip(limits.iter().zip(&named))
        {
            let seen = |tasks| Seen {
                policies,
                found,
                tasks,
                now,
            };
            plans.push(match &notice.signal {
                _ if !ours => Plan::default(),
                Signal::FollowUp(FollowUp {
                    step: Step::StopTasks { .. },
                    ..
                }) => self.for_named(notice, named, &reruns, &alone, now),
                Signal::FollowUp(FollowUp {
                    step: Step::SeeEnds { cluster, tasks },
                    ..
                }) => match named {
                    Some(Ok((found, _))) => plan::ends::plan(notice, cluster, tasks, found, now),
                    Some(Err(error)) => Plan {
                        problems: vec![error.to_string()],
                        ..Plan::default()
                    },
                    None => Plan::default(),
                },
                Signal::TerminateLifecycleAction(action) => {
                    self.for_lifecycle_action(notice, action, *limit, seen(&not_gone))
                }
                Signal::FollowUp(follow_up) => {
                    self.for_follow_up(notice, follow_up, seen(&running), seen(&not_gone))
                }
                _ => {
                    let group = groups.of_instance(&notice.instance);
                    self.for_deadline(notice, &group, policies, found, &running, now)
                }
            });
        }
        for ((notice, policies), plan) in notices.iter().zip(policies).zip(&mut plans) {
            // Who looks again has told before.
            if !plan.tasks.is_empty() && !is_look(notice) {
                let unknown = policies.unknown.iter().cloned();
                plan.warnings.extend(unknown.map(Warning::UnknownPolicy));
            }
        }
        let mut described: HashMap<String, Task> = running.described;
        described.extend(not_gone.described);
        let mut wanted: HashSet<String> = HashSet::new();
        let mut want = |tasks: &[TaskFacts]| {
            let asking = tasks.iter().filter(|task| task.rerun == Rerun::Yes);
            wanted.extend(asking.map(|task| task.arn.clone()));
        };
        for tasks in running.on.values().chain(not_gone.on.values()).flatten() {
            want(tasks);
        }
        for (tasks, of_ecs) in named.into_iter().flatten().flatten() {
            want(&tasks);
            described.extend(of_ecs);
        }
        let planned_only: Vec<bool> = policies.iter().map(|one| one.planned_only).collect();
        let mut orders = reruns.known;
        if !invocation.dry_run && self.config.rerun_roles != RerunRoles::NoRerun {
            let (table, is_wanted) = (&self.clients.table, |task: &str| wanted.contains(task));
            let acting = plans.iter_mut().zip(&planned_only);
            let mut acting: Vec<&mut Plan> = acting
                .filter(|(_, planned_only)| !**planned_only)
                .map(|(plan, _)| plan)
                .collect();
            orders = remember(table, invocation, &mut acting, orders, is_wanted, &described).await;
        }
        let all: Vec<&Notice> = notices.iter().collect();
        let acted_on = to_carry_out(&plans, &planned_only);
        let results = self.carry_out(&all, &acted_on, &orders, invocation).await;
        drop(acted_on);
        (plans, results)
    }

    /// What is known of the re-runs of tasks that messages name. A task that runs still tells by its own tag.
    async fn reruns(
        &self,
        notices: &[Notice],
        named: &[Option<NamedTasks>],
        invocation: &Invocation,
    ) -> Reruns {
        let mut reruns = Reruns::default();
        if self.config.rerun_roles == RerunRoles::NoRerun {
            return reruns;
        }
        let mut stopped: BTreeSet<&str> = BTreeSet::new();
        let mut carried: Vec<&RerunOrder> = vec![];
        for (notice, read) in notices.iter().zip(named) {
            let Signal::FollowUp(FollowUp {
                step: Step::StopTasks { tasks, reruns, .. },
                ..
            }) = &notice.signal
            else {
                continue;
            };
            let facts = read.iter().flatten().flat_map(|(facts, _)| facts);
            let running: HashSet<&str> = facts
                .filter(|task| task.state == TaskState::Running || task.service.is_some())
                .map(|task| task.arn.as_str())
                .collect();
            let of_notice = tasks.iter().map(String::as_str);
            stopped.extend(of_notice.filter(|task| !running.contains(task)));
            carried.extend(reruns);
        }
        if !stopped.is_empty() {
            let stopped: Vec<&str> = stopped.into_iter().collect();
            match reruns::read(&self.clients.table, invocation, &stopped).await {
                Ok(known) => reruns.known = known,
                Err(error) => reruns.unread = Some(error),
            }
        }
        for order in carried {
            let joined = match reruns.known.remove(&order.task) {
                Some(known) => known.joined(order),
                None => order.clone(),
            };
            reruns.known.insert(order.task.clone(), joined);
        }
        reruns
    }

    /// The instance goes at a known moment.
    fn for_deadline(
        &self,
        notice: &Notice,
        group: &GroupOf<'_>,
        policies: &Policies,
        found: &ContainerInstances,
        tasks: &Tasks,
        now: Timestamp,
    ) -> Plan {
        let deadline = notice.deadline().unwrap_or(now);
        let mut plan = Plan::default();
        for container_instance in found.of_instance(&notice.instance) {
            if plan::left_alone(notice, group, container_instance).is_some() {
                continue;
            }
            match tasks.on.get(&container_instance.arn) {
                Some(Ok(tasks)) => {
                    let policy = policies.standalone_tasks;
                    let late = tasks.iter().filter(|task| look::is_late(notice, task));
                    let tasks: Vec<TaskFacts> = late.cloned().collect();
                    let more =
                        standalone_tasks::plan(notice, deadline, container_instance, &tasks, policy, now);
                    plan = plan::merge(plan, more);
                }
                Some(Err(error)) => plan.problems.push(error.to_string()),
                None => {}
            }
        }
        plan
    }

    /// The moment of these tasks has come.
    fn for_named(
        &self,
        notice: &Notice,
        named: &Option<NamedTasks>,
        reruns: &Reruns,
        alone: &others::Services,
        now: Timestamp,
    ) -> Plan {
        let Signal::FollowUp(FollowUp {
            step:
                Step::StopTasks {
                    cluster,
                    container_instance,
                    tasks,
                    ..
                },
            ..
        }) = &notice.signal
        else {
            return Plan::default();
        };
        match named {
            Some(Ok((facts, _))) => {
                let container_instance = ContainerInstance {
                    arn: container_instance.clone(),
                    cluster: cluster.clone(),
                    instance: notice.instance.clone(),
                    status: container_instances::Status::Draining,
                    agent_connected: true,
                    registered_at: None,
                    capacity_provider: None,
                    is_managed: false,
                    tasks: 0,
                };
                let deadline = notice.deadline().unwrap_or(now);
                let forgotten = |task: &&String| !facts.iter().any(|known| known.arn == **task);
                let orders: Vec<&RerunOrder> = tasks
                    .iter()
                    .filter(forgotten)
                    .filter_map(|task| reruns.known.get(task))
                    .collect();
                let tasks: Vec<String> = tasks
                    .iter()
                    .filter(|task| !orders.iter().any(|order| order.task == **task))
                    .cloned()
                    .collect();
                let plan = standalone_tasks::plan_for_named(
                    notice,
                    deadline,
                    &container_instance,
                    &tasks,
                    facts,
                    |task| {
                        service_tasks::service_of(cluster, task)
                            .is_some_and(|service| alone.contains(&service))
                    },
                    now,
                );
                let mut plan = plan::merge(plan, standalone_tasks::plan_for_forgotten(&orders));
                let is_open = |task: &String| reruns.leaves_open(task, facts);
                plan.problems.extend(
                    reruns
                        .unread
                        .as_ref()
                        .filter(|_| tasks.iter().any(is_open))
                        .map(ToString::to_string),
                );
                plan
            }
            Some(Err(error)) => Plan {
                problems: vec![error.to_string()],
                ..Plan::default()
            },
            None => Plan::default(),
        }
    }

    /// Auto Scaling waits in a hook.
    fn for_lifecycle_action(
        &self,
        notice: &Notice,
        action: &LifecycleAction,
        limit: Option<SignedDuration>,
        seen: Seen<'_>,
    ) -> Plan {
        if !self.config.lifecycle_hooks.include(&action.hook) {
            return Plan::nothing(
                &action.group,
                Skip::ForeignHook {
                    hook: action.hook.clone(),
                },
            );
        }
        let waits = seen.policies.max_drain.saturating_add(await_tasks::BEFORE_LIMIT);
        let limit = notice
            .time
            .saturating_add(limit.unwrap_or(UNKNOWN_HOOK_LIMIT).min(waits))
            .unwrap_or(notice.time);
        let then = Then::CompleteLifecycleAction(action.clone());
        self.wait(notice, &then, limit, seen)
    }

    fn for_follow_up(
        &self,
        notice: &Notice,
        follow_up: &FollowUp,
        running: Seen<'_>,
        not_gone: Seen<'_>,
    ) -> Plan {
        let Seen {
            policies, found, now, ..
        } = running;
        let limit = follow_up.deadline.unwrap_or(now);
        match (&follow_up.step, follow_up.cause) {
            (Step::Look { .. } | Step::StepAside { .. }, _)
            | (Step::MoveWork { .. }, Cause::Interruption) => {
                // Its group matters where the instance may start again, and that is decided.
                self.for_deadline(notice, &GroupOf::None, policies, found, running.tasks, now)
            }
            (Step::MoveWork { group, .. }, _) if plan::runs_batch_jobs(&notice.instance, found) => {
                let mut plan = Plan::nothing(&notice.instance, Skip::OfAwsBatch);
                plan.actions.push(give_up(notice, follow_up, group, now));
                plan
            }
            (Step::MoveWork { group, .. }, _) => match plan::drain::replacement_of(notice, found, now) {
                Replacement::NotNeeded | Replacement::Ready => {
                    let then = Then::Retire { group: group.clone() };
                    let mut plan = self.wait(notice, &then, limit, not_gone);
                    // Only now: where the work cannot move, the instance goes on serving.
                    let has_script = not_gone.tasks.scripts.contains_key(&notice.instance);
                    let others = [Queue::DeregisterTargets, Queue::RunCommands];
                    let asked = others
                        .into_iter()
                        .filter(|to| has_script || *to != Queue::RunCommands);
                    plan.actions.extend(asked.map(|to| Action::Send {
                        to,
                        instance: notice.instance.clone(),
                        at: now,
                        follow_up: follow_up.clone(),
                    }));
                    plan
                }
                Replacement::Awaited(replacement) => {
                    let mut plan =
                        Plan::nothing(&notice.instance, Skip::WaitsForRegistration { replacement });
                    plan.actions.push(Action::Send {
                        to: Queue::Own,
                        instance: notice.instance.clone(),
                        at: now.saturating_add(LOOK_AGAIN).unwrap_or(now),
                        follow_up: follow_up.clone(),
                    });
                    plan
                }
                Replacement::Late(replacement) => {
                    let mut plan = Plan::nothing(&notice.instance, Skip::NeverRegistered { replacement });
                    plan.actions.push(give_up(notice, follow_up, group, now));
                    plan
                }
            },
            (Step::AwaitTasks { then, .. }, _) => self.wait(notice, then, limit, not_gone),
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
            ) => Plan::default(),
        }
    }

    fn wait(&self, notice: &Notice, then: &Then, limit: Timestamp, seen: Seen<'_>) -> Plan {
        let Seen {
            policies,
            found,
            tasks,
            now,
        } = seen;
        let tasks_on = |container_instance: &ContainerInstance| match tasks.on.get(&container_instance.arn) {
            Some(Ok(tasks)) => Ok(tasks.clone()),
            Some(Err(error)) => Err(error.to_string()),
            None => Ok(vec![]),
        };
        let policy = policies.standalone_tasks;
        let mut plan = await_tasks::plan(notice, then, limit, found, tasks_on, policy, now);
        if policies.retains_abandoned {
            await_tasks::abandon_with_tasks_left(&mut plan);
        }
        let script = tasks.scripts.get(&notice.instance);
        await_tasks::until_script_ends(plan, script, notice, then, limit, now)
    }

    /// How long the hook of each notice waits, where it has one that is ours.
    async fn lifecycle_limits(
        &self,
        notices: &[Notice],
        invocation: &Invocation,
    ) -> Vec<Option<SignedDuration>> {
        let calls = notices.iter().map(|notice| async move {
            let Signal::TerminateLifecycleAction(action) = &notice.signal else {
                return None;
            };
            if !self.config.lifecycle_hooks.include(&action.hook) {
                return None;
            }
            match facts::lifecycle_limit(&self.clients.autoscaling, invocation, action).await {
                Ok(limit) => limit,
                Err(error) => {
                    tracing::warn!("cannot read lifecycle hook {}: {error}", action.hook);
                    None
                }
            }
        });
        spot_handoff::runtime::invocation::together(calls).await
    }

    fn reading<'a>(&'a self, invocation: &'a Invocation) -> Reading<'a> {
        Reading {
            ecs: &self.clients.ecs,
            invocation,
            definitions: &self.definitions,
            rerun_roles: &self.config.rerun_roles,
        }
    }

    /// The tasks that messages name.
    async fn named_tasks(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Option<NamedTasks>> {
        let named = |notice: &'_ Notice| match &notice.signal {
            Signal::FollowUp(FollowUp {
                step: Step::StopTasks { cluster, tasks, .. } | Step::SeeEnds { cluster, tasks },
                ..
            }) => Some((cluster.clone(), tasks.clone())),
            _ => None,
        };
        let named: Vec<Option<(String, Vec<String>)>> = notices.iter().map(named).collect();
        let lists: Vec<(&str, &[String])> = named
            .iter()
            .flatten()
            .map(|(cluster, tasks)| (cluster.as_str(), tasks.as_slice()))
            .collect();
        let default = self.config.default_stop_timeout.0;
        let read = facts::tasks_named(self.reading(invocation), &lists, default).await;
        let mut read = read.into_iter();
        let of_notice = |named: &Option<_>| named.as_ref().and_then(|_| read.next());
        named.iter().map(of_notice).collect()
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

/// What is known of re-runs.
#[derive(Debug, Default)]
struct Reruns {
    /// By the ARN of the task that was stopped.
    known: HashMap<String, RerunOrder>,
    /// Why the table does not tell.
    unread: Option<CallError>,
}

impl Reruns {
    /// Whether only the table could say if a task is to be run again: it is gone, and so are its tags.
    fn leaves_open(&self, task: &String, facts: &[TaskFacts]) -> bool {
        let is_cut = |known: &TaskFacts| {
            let cut = matches!(known.state, TaskState::Stopping | TaskState::CutShort);
            cut && known.rerun == Rerun::No && known.service.is_none() && !known.stopped_by_somebody
        };
        let known = facts.iter().find(|known| known.arn == *task);
        !self.known.contains_key(task) && known.is_none_or(is_cut)
    }
}

/// Asks replace-capacity to end the exchange without the work having moved.
fn give_up(notice: &Notice, follow_up: &FollowUp, group: &str, now: Timestamp) -> Action {
    Action::Send {
        to: Queue::ReplaceCapacity,
        instance: notice.instance.clone(),
        at: now,
        follow_up: FollowUp {
            step: Step::GiveUp {
                group: group.to_owned(),
            },
            ..follow_up.clone()
        },
    }
}

/// The group of a notice: the one that it names, since the instance may have left it, or the one that the instance is in.
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

/// Whether it looks again at what a notice was about before.
fn is_look(notice: &Notice) -> bool {
    matches!(&notice.signal, Signal::FollowUp(follow_up) if matches!(follow_up.step, Step::AwaitTasks { .. }))
}

/// Which tasks of the instance the notice is about: those that run, or all that are not gone; `None` for none.
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
