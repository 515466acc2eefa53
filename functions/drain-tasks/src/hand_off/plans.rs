//! Plans for the tasks of one notice, depending on the kind of notice.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::groups::GroupOf;
use spot_handoff::ecs::container_instances::{self, ContainerInstance, ContainerInstances};
use spot_handoff::notice::{Cause, FollowUp, LifecycleAction, Notice, RerunOrder, Signal, Step, Then};

use crate::facts::{NamedTasks, TaskFacts, Tasks, others};
use crate::plan::drain::Replacement;
use crate::plan::{self, Action, Plan, Queue, Skip, await_tasks, look, service_tasks, standalone_tasks};
use crate::policies::Policies;

use super::tasks::Reruns;
use super::{DrainTasks, Seen};

/// How long to wait in a lifecycle action whose hook cannot be read: the shortest default of a hook.
const UNKNOWN_HOOK_LIMIT: SignedDuration = SignedDuration::from_hours(1);
/// How soon to look again for a replacement that has not registered.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);

impl DrainTasks {
    /// The instance goes at a known moment.
    pub(super) fn for_deadline(
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

    /// The moment of the tasks that the notice names has come.
    pub(super) fn for_named(
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
    pub(super) fn for_lifecycle_action(
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

    pub(super) fn for_follow_up(
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
                // The group matters only for whether the instance may start again, and that is already decided.
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
                    // Only now: if the work cannot move, the instance serves on.
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
}

/// Asks replace-capacity to call off the exchange, since the work cannot move.
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
