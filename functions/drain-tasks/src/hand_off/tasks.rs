//! Reads, plans for and handles the tasks of a batch.

use std::collections::{BTreeSet, HashMap, HashSet};

use aws_sdk_ecs::types::Task;
use jiff::SignedDuration;
use spot_handoff::autoscaling::groups::Groups;
use spot_handoff::ecs::container_instances::{ContainerInstance, ContainerInstances};
use spot_handoff::ecs::rerun_roles::RerunRoles;
use spot_handoff::ecs::standalone_tasks::Rerun;
use spot_handoff::ecs::tasks::Looking;
use spot_handoff::notice::{FollowUp, Notice, RerunOrder, Signal, Step};
use spot_handoff::report::plan::{Results, to_carry_out};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::state::reruns;

use crate::effects::remember::remember;
use crate::facts::{self, NamedTasks, Reading, TaskFacts, TaskState, others, stop_scripts};
use crate::plan::{self, Action, Plan, Warning, look, service_tasks, standalone_tasks};
use crate::policies::Policies;

use super::{DrainTasks, Seen, group_of, is_look, looking_for};

impl DrainTasks {
    /// Makes the plans for the tasks of every notice, and carries them out.
    pub(super) async fn care_for_tasks(
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
            // An earlier message has already reported this.
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

    /// The known re-runs of tasks that messages name. A task that still runs has its own tag.
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

    /// How long the hook of each notice waits, if it is a hook of ours.
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
}

/// The known re-runs.
#[derive(Debug, Default)]
pub(super) struct Reruns {
    /// By the ARN of the task that was stopped.
    pub(super) known: HashMap<String, RerunOrder>,
    /// Why the table could not be read.
    pub(super) unread: Option<CallError>,
}

impl Reruns {
    /// Whether only the table could tell if a task has to be run again: the task is gone, and so are its tags.
    pub(super) fn leaves_open(&self, task: &String, facts: &[TaskFacts]) -> bool {
        let is_cut = |known: &TaskFacts| {
            let cut = matches!(known.state, TaskState::Stopping | TaskState::CutShort);
            cut && known.rerun == Rerun::No && known.service.is_none() && !known.stopped_by_somebody
        };
        let known = facts.iter().find(|known| known.arn == *task);
        !self.known.contains_key(task) && known.is_none_or(is_cut)
    }
}
