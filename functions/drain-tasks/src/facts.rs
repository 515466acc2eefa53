//! Reads what ECS knows about the tasks on the instances, in batched, parallel calls.

mod ends;
pub mod others;
mod services;
pub mod stop_scripts;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{Task, TaskDefinition, TaskStopCode};
use jiff::{SignedDuration, Timestamp};
use spot_handoff::ecs::accelerators::{self, Accelerator};
use spot_handoff::ecs::clusters::Sizes;
use spot_handoff::ecs::container_instances::ContainerInstance;
use spot_handoff::ecs::grace;
use spot_handoff::ecs::managed_instances;
use spot_handoff::ecs::rerun_roles::RerunRoles;
use spot_handoff::ecs::standalone_tasks::{Rerun, rerun};
use spot_handoff::ecs::task_definitions::TaskDefinitions;
use spot_handoff::ecs::tasks::{self, Looking};
use spot_handoff::notice::{InstanceId, LifecycleAction};
use spot_handoff::report::TaskEnd;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};

use ends::end;
use services::Daemons;
pub use services::{Scheduling, Service};
use stop_scripts::StopScript;

/// How this function's reasons for stopping a task begin. It recognises its own stops by this.
pub const STOP_REASON: &str = "spot-handoff: ";

/// What the plan needs to know about a task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskFacts {
    /// Its ARN.
    pub arn: String,
    /// The service it belongs to; `None` for a standalone task.
    pub service: Option<Service>,
    /// Family of its task definition.
    pub family: String,
    /// The accelerators it holds.
    pub accelerators: Vec<Accelerator>,
    /// How long its containers may take to end, all in order.
    pub grace: SignedDuration,
    /// A shorter grace, if it is the last of its service and nobody asked for more.
    pub grace_as_last: Option<SignedDuration>,
    /// Whether its definition could not be read, so that a long grace is assumed.
    pub definition_unread: bool,
    /// Whether it runs, and if not, why.
    pub state: TaskState,
    /// How it ended, if it has ended.
    pub end: TaskEnd,
    /// When it ended, if it has ended.
    pub ended_at: Option<Timestamp>,
    /// Whether it runs on a Managed Instance of ECS.
    pub is_managed: bool,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// Whether somebody other than this function stopped it. That person wants no re-run.
    pub stopped_by_somebody: bool,
    /// Whether to run it again.
    pub rerun: Rerun,
    /// ARN of the container instance that it is or was on.
    pub container_instance: String,
}

/// Whether a task runs, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// It runs, or is about to run.
    Running,
    /// It has been told to stop.
    Stopping,
    /// It ended by itself, or somebody else stopped it.
    Ended,
    /// We stopped it, or it ended with its instance.
    CutShort,
}

/// The tasks on each container instance, or why they could not be read; and ECS's descriptions of the tasks.
#[derive(Debug, Default)]
pub struct Tasks {
    /// By ARN of the container instance.
    pub on: HashMap<String, Result<Vec<TaskFacts>, CallError>>,
    /// By ARN of the task: what a re-run copies.
    pub described: HashMap<String, Task>,
    /// By instance: how far its stop script is, if its group has one.
    pub scripts: HashMap<InstanceId, StopScript>,
}

/// What all reads of tasks need.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// The client.
    pub ecs: &'a Client,
    /// The current invocation.
    pub invocation: &'a Invocation,
    /// The known task definitions.
    pub definitions: &'a TaskDefinitions,
    /// The roles that a task may have to be run again.
    pub rerun_roles: &'a RerunRoles,
}

/// Reads the tasks on these container instances, and what their definitions say. `default_stop_timeout` is the grace of
/// a container without `stopTimeout`, by the ARN of its container instance.
pub async fn tasks_on(
    reading: Reading<'_>,
    container_instances: &[&ContainerInstance],
    cluster_sizes: &Sizes,
    looking: Looking,
    default_stop_timeout: impl Fn(&str) -> SignedDuration,
) -> Tasks {
    let Reading { ecs, invocation, .. } = reading;
    let found = tasks::on(ecs, invocation, container_instances, cluster_sizes, looking).await;
    let all: Vec<&Task> = found.values().flatten().flatten().collect();
    let cluster_of: HashMap<&str, &str> = container_instances
        .iter()
        .map(|one| (one.arn.as_str(), one.cluster.as_str()))
        .collect();
    let of_services = found.iter().filter(|(_, on)| {
        let mut on = on.iter().flatten();
        on.any(|task| tasks::service_of(task).is_some())
    });
    let clusters = of_services.filter_map(|(on, _)| cluster_of.get(on.as_str()).copied());
    let clusters: BTreeSet<&str> = clusters.collect();
    let (known, daemons) = tokio::join!(
        reading.definitions.of(ecs, invocation, &all),
        Daemons::of(ecs, invocation, &clusters)
    );
    let mut tasks = Tasks::default();
    for (container_instance, on) in found {
        if let Ok(list) = &on {
            let described = list
                .iter()
                .filter_map(|task| Some((task.task_arn.clone()?, task.clone())));
            tasks.described.extend(described);
        }
        let cluster = cluster_of.get(container_instance.as_str()).copied();
        let service = |name: &str| daemons.service(cluster.unwrap_or_default(), name);
        let default = default_stop_timeout(&container_instance);
        let facts = on.map(|list| {
            list.iter()
                .filter_map(|task| TaskFacts::of(task, &known, reading.rerun_roles, default, service))
                .collect()
        });
        tasks.on.insert(container_instance, facts);
    }
    tasks
}

/// Tasks that were read by their ARNs, and ECS's descriptions of them.
pub type NamedTasks = Result<(Vec<TaskFacts>, HashMap<String, Task>), CallError>;

/// Reads lists of tasks by cluster and ARN, wherever they are, running or not. Returns the results in the order of the
/// lists. In a storm, the lists are read together, a hundred tasks a call.
pub async fn tasks_named(
    reading: Reading<'_>,
    lists: &[(&str, &[String])],
    default_stop_timeout: SignedDuration,
) -> Vec<NamedTasks> {
    let Reading { ecs, invocation, .. } = reading;
    let mut by_cluster: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for (cluster, arns) in lists {
        by_cluster.entry(cluster).or_default().extend(*arns);
    }
    let mut chunks: Vec<(&str, Vec<String>)> = vec![];
    for (cluster, arns) in &by_cluster {
        let arns: Vec<String> = arns.iter().map(ToString::to_string).collect();
        let of_cluster = arns.chunks(tasks::DESCRIBED_PER_CALL);
        chunks.extend(of_cluster.map(|chunk| (*cluster, chunk.to_vec())));
    }
    let calls = chunks.iter();
    let calls = calls.map(|(cluster, arns)| tasks::describe(ecs, invocation, cluster, arns));
    let (mut described, mut unread): (HashMap<String, Task>, HashMap<&String, CallError>) =
        Default::default();
    for ((_, arns), answer) in chunks.iter().zip(together(calls).await) {
        match answer {
            Ok(found) => {
                let by_arn = found.into_iter();
                described.extend(by_arn.filter_map(|task| Some((task.task_arn.clone()?, task))));
            }
            Err(error) => unread.extend(arns.iter().map(|arn| (arn, error.clone()))),
        }
    }
    let all: Vec<&Task> = described.values().collect();
    let known = reading.definitions.of(ecs, invocation, &all).await;
    // The caller has already left out tasks of DAEMON services.
    let replica = |name: &str| Daemons::default().service("", name);
    let read = |arns: &[String]| -> NamedTasks {
        if let Some(error) = arns.iter().find_map(|arn| unread.get(arn)) {
            return Err(error.clone());
        }
        let tasks = arns.iter().filter_map(|arn| described.get(arn));
        let facts = tasks.clone().filter_map(|task| {
            TaskFacts::of(task, &known, reading.rerun_roles, default_stop_timeout, replica)
        });
        let by_arn = tasks.filter_map(|task| Some((task.task_arn.clone()?, task.clone())));
        Ok((facts.collect(), by_arn.collect()))
    };
    lists.iter().map(|(_, arns)| read(arns)).collect()
}

impl TaskFacts {
    fn of(
        task: &Task,
        definitions: &HashMap<String, Arc<TaskDefinition>>,
        rerun_roles: &RerunRoles,
        default_stop_timeout: SignedDuration,
        service: impl Fn(&str) -> Service,
    ) -> Option<Self> {
        let definition_arn = task.task_definition_arn()?;
        let definition = definitions.get(definition_arn).map(Arc::as_ref);
        Some(Self {
            arn: task.task_arn.clone()?,
            service: tasks::service_of(task).map(service),
            family: family(definition_arn).to_owned(),
            accelerators: accelerators::of_task(task, definition),
            grace: grace::grace(definition, default_stop_timeout),
            grace_as_last: grace::of_last_server(definition, default_stop_timeout),
            definition_unread: definition.is_none(),
            state: state(task),
            end: end(task),
            ended_at: ends::ended_at(task),
            is_managed: managed_instances::runs(task),
            created_at: task
                .created_at
                .and_then(|at| Timestamp::from_second(at.secs()).ok()),
            stopped_by_somebody: stopped_by_somebody(task),
            rerun: match stopped_by_somebody(task) {
                true => Rerun::No,
                false => rerun(task, definition, rerun_roles),
            },
            container_instance: task.container_instance_arn.clone().unwrap_or_default(),
        })
    }
}

/// The family in `arn:aws:ecs:…:task-definition/family:revision`.
fn family(definition_arn: &str) -> &str {
    let name = definition_arn.rsplit('/').next().unwrap_or(definition_arn);
    name.split(':').next().unwrap_or(name)
}

/// ECS tells who stopped a task as soon as the task is told to stop.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html>
fn stopped_by_somebody(task: &Task) -> bool {
    let reason = task.stopped_reason().unwrap_or_default();
    task.stop_code() == Some(&TaskStopCode::UserInitiated) && !reason.starts_with(STOP_REASON)
}

fn state(task: &Task) -> TaskState {
    let is_over = matches!(task.last_status(), Some("STOPPED" | "DELETED"));
    if !is_over {
        let told_to_stop = task.desired_status() == Some("STOPPED");
        return if told_to_stop {
            TaskState::Stopping
        } else {
            TaskState::Running
        };
    }
    let reason = task.stopped_reason().unwrap_or_default();
    let cut_short = reason.starts_with(STOP_REASON)
        || reason.starts_with("Host EC2")
        || matches!(
            task.stop_code(),
            Some(
                TaskStopCode::SpotInterruption
                    | TaskStopCode::TerminationNotice
                    | TaskStopCode::InfrastructureHealth
            )
        );
    if cut_short {
        TaskState::CutShort
    } else {
        TaskState::Ended
    }
}

/// How long Auto Scaling waits for a lifecycle action at most: a hundred times the heartbeat timeout or 48 hours,
/// whichever is sooner.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LifecycleHook.html>
///
/// # Errors
/// See [`CallError`].
pub async fn lifecycle_limit(
    autoscaling: &aws_sdk_autoscaling::Client,
    invocation: &Invocation,
    action: &LifecycleAction,
) -> Result<Option<SignedDuration>, CallError> {
    let asking = autoscaling
        .describe_lifecycle_hooks()
        .auto_scaling_group_name(&action.group)
        .lifecycle_hook_names(&action.hook)
        .send();
    let answer = invocation
        .briefly()
        .call("DescribeLifecycleHooks", asking)
        .await?;
    let hooks = answer.lifecycle_hooks.unwrap_or_default();
    let hook = hooks
        .into_iter()
        .find(|hook| hook.lifecycle_hook_name() == Some(&action.hook));
    Ok(hook.map(|hook| {
        let heartbeat = i64::from(hook.heartbeat_timeout.unwrap_or(3600));
        let global = hook
            .global_timeout
            .map_or((heartbeat * 100).min(48 * 3600), i64::from);
        SignedDuration::from_secs(global)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_ended_by_itself_is_told_from_one_that_was_cut_short() {
        let stopped = |reason: &str, code: TaskStopCode| {
            Task::builder()
                .last_status("STOPPED")
                .desired_status("STOPPED")
                .stopped_reason(reason)
                .stop_code(code)
                .build()
        };
        let table = [
            (
                Task::builder()
                    .last_status("RUNNING")
                    .desired_status("RUNNING")
                    .build(),
                TaskState::Running,
            ),
            (
                Task::builder()
                    .last_status("PENDING")
                    .desired_status("RUNNING")
                    .build(),
                TaskState::Running,
            ),
            (
                Task::builder()
                    .last_status("RUNNING")
                    .desired_status("STOPPED")
                    .build(),
                TaskState::Stopping,
            ),
            (
                stopped(
                    "Essential container in task exited",
                    TaskStopCode::EssentialContainerExited,
                ),
                TaskState::Ended,
            ),
            (
                stopped("an operator's reason", TaskStopCode::UserInitiated),
                TaskState::Ended,
            ),
            (
                stopped("spot-handoff: i-1 goes away", TaskStopCode::UserInitiated),
                TaskState::CutShort,
            ),
            (
                stopped(
                    "Host EC2 (instance i-1) terminated.",
                    TaskStopCode::TerminationNotice,
                ),
                TaskState::CutShort,
            ),
            (
                stopped(
                    "Task stopped: infrastructure health check failed",
                    TaskStopCode::InfrastructureHealth,
                ),
                TaskState::CutShort,
            ),
        ];
        for (task, expected) in table {
            assert_eq!(state(&task), expected, "{:?}", task.stopped_reason());
        }
    }

    #[test]
    fn who_stopped_a_task_is_told_by_code_and_reason() {
        let with = |code: TaskStopCode, reason: &str| {
            let task = Task::builder().stop_code(code).stopped_reason(reason);
            stopped_by_somebody(&task.build())
        };
        assert!(with(TaskStopCode::UserInitiated, "Task stopped by user"));
        assert!(!with(TaskStopCode::UserInitiated, "spot-handoff: i-1 goes away"));
        assert!(!with(
            TaskStopCode::EssentialContainerExited,
            "Essential container in task exited"
        ));
        assert!(!stopped_by_somebody(&Task::builder().build()));
    }
}
