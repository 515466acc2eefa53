use jiff::SignedDuration;
use spot_handoff::autoscaling::groups::{Group, Groups, Lifecycle, Member};
use spot_handoff::autoscaling::policies::{DefaultStopTimeout, LifecycleHooks, StandaloneTasks};
use spot_handoff::ecs::accelerators::Accelerator;
use spot_handoff::ecs::container_instances::{ContainerInstance, ContainerInstances, Status};
use spot_handoff::ecs::grace::GRACE_OF_UNREAD_DEFINITION;
use spot_handoff::ecs::rerun_roles::RerunRoles;
use spot_handoff::ecs::standalone_tasks::Rerun;
use spot_handoff::notice::{
    Drill, InstanceAction, InstanceState, NOTICE, RerunOrder, RerunStage, TaskCopy, Then,
};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::config::Scope;

use super::service_tasks::Fate;
use spot_handoff::report::TaskEnd;

use super::*;
use crate::facts::{Scheduling, Service, TaskState};
use crate::policies::Policies;

const DOOMED: &str = "i-1234567890abcdef0";
const REPLACEMENT: &str = "i-1234567890abcdef1";

fn id(text: &str) -> InstanceId {
    text.parse().expect("an id")
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// One second after the notice.
fn now() -> Timestamp {
    time("2026-11-24T04:00:01Z")
}

fn after(seconds: i64) -> Timestamp {
    time("2026-11-24T04:00:00Z") + SignedDuration::from_secs(seconds)
}

fn notice(signal: Signal) -> Notice {
    Notice {
        event_id: "e".to_owned(),
        instance: id(DOOMED),
        time: time("2026-11-24T04:00:00Z"),
        signal,
        ends: None,
        drill: None,
    }
}

fn warning() -> Notice {
    notice(Signal::InterruptionWarning {
        action: InstanceAction::Terminate,
    })
}

fn follow_up(step: Step) -> Notice {
    notice(Signal::FollowUp(FollowUp {
        cause: Cause::Rebalance,
        deadline: Some(after(900)),
        step,
    }))
}

fn move_work(replacement: Option<&str>) -> Notice {
    follow_up(Step::MoveWork {
        group: "g".to_owned(),
        replacement: replacement.map(id),
    })
}

fn config() -> Config {
    Config {
        rerun_roles: RerunRoles::NoRerun,
        scope: Scope::All,
        clusters: None,
        standalone_tasks: StandaloneTasks::StopLate,
        default_stop_timeout: DefaultStopTimeout::OF_AGENTS,
        lifecycle_hooks: LifecycleHooks::of("spot-handoff-*"),
        own_queue_url: "own".to_owned(),
        deregister_targets_queue_url: "d".to_owned(),
        replace_capacity_queue_url: "replace".to_owned(),
        run_commands_queue_url: "run".to_owned(),
    }
}

fn group() -> Group {
    Group {
        name: "g".to_owned(),
        instances: vec![Member {
            id: id(DOOMED),
            zone: "us-east-1a".to_owned(),
            lifecycle: Lifecycle::InService,
        }],
        ..Group::default()
    }
}

/// A group with room for a replacement beside the instance.
fn with_room() -> Groups {
    Groups::of([Group {
        desired: 1,
        max: 2,
        ..group()
    }])
}

fn on(instance: &str, status: Status) -> ContainerInstance {
    let (arn, cluster) = (format!("ci/{instance}"), "inference".to_owned());
    ContainerInstance {
        arn,
        cluster,
        instance: id(instance),
        status,
        agent_connected: true,
        registered_at: None,
        capacity_provider: None,
        is_managed: false,
        tasks: 0,
    }
}

fn task(arn: &str) -> TaskFacts {
    TaskFacts {
        arn: arn.to_owned(),
        service: None,
        family: "batch-score".to_owned(),
        accelerators: vec![],
        grace: SignedDuration::from_secs(30),
        grace_as_last: None,
        definition_unread: false,
        state: TaskState::Running,
        end: TaskEnd::Running,
        ended_at: None,
        is_managed: false,
        created_at: None,
        stopped_by_somebody: false,
        rerun: Rerun::No,
        container_instance: format!("ci/{DOOMED}"),
    }
}

fn with_accelerator(arn: &str) -> TaskFacts {
    TaskFacts {
        accelerators: vec![Accelerator::ElasticInference("eia2.medium".to_owned())],
        ..task(arn)
    }
}

fn of_service_as(scheduling: Scheduling, arn: &str) -> TaskFacts {
    let name = "classifier".to_owned();
    TaskFacts {
        service: Some(Service { name, scheduling }),
        ..task(arn)
    }
}

fn of_service(arn: &str) -> TaskFacts {
    of_service_as(Scheduling::Replica, arn)
}

fn drain_plan(notice: &Notice, found: &ContainerInstances) -> Plan {
    drain::plan(notice, &GroupOf::None, found, &config(), now())
}

fn standalone(tasks: &[TaskFacts], policy: StandaloneTasks, now: Timestamp) -> Plan {
    let deadline = warning().deadline().expect("one");
    standalone_tasks::plan(
        &warning(),
        deadline,
        &on(DOOMED, Status::Active),
        tasks,
        policy,
        now,
    )
}

fn stopped(plan: &Plan) -> Vec<&str> {
    let stops = plan.actions.iter().filter_map(|action| match action {
        Action::StopTask { task, .. } => Some(task.as_str()),
        _ => None,
    });
    stops.collect()
}

/// Seconds after the notice, and the tasks to stop at that time.
fn stopped_later(plan: &Plan) -> Vec<(i64, Vec<String>)> {
    let later = plan.actions.iter().filter_map(|action| match action {
        Action::Send {
            to: Queue::Own,
            at,
            follow_up:
                FollowUp {
                    step: Step::StopTasks { tasks, .. },
                    ..
                },
            ..
        } => Some((at.duration_since(after(0)).as_secs(), tasks.clone())),
        _ => None,
    });
    later.collect()
}

#[test]
fn an_active_container_instance_is_drained_once() {
    let table = [
        (Status::Active, 1, None),
        (Status::Draining, 0, Some(Skip::AlreadyDraining)),
        (Status::Other, 0, Some(Skip::NotActive)),
    ];
    for (status, actions, skip) in table {
        let plan = drain_plan(&warning(), &ContainerInstances::of([on(DOOMED, status)]));
        assert_eq!(plan.actions.len(), actions, "{status:?}");
        assert_eq!(plan.skipped.first().map(|skipped| &skipped.reason), skip.as_ref());
    }
}

fn state_change(state: InstanceState) -> Notice {
    notice(Signal::StateChange { state })
}

/// The cluster of an AWS Batch compute environment.
fn of_batch(status: Status) -> ContainerInstance {
    ContainerInstance {
        cluster: "arn:aws:ecs:us-east-1:1:cluster/AWSBatch-training-2b9d1f6e-7108-3c4e-99f7-2fd92e1a8941"
            .to_owned(),
        ..on(DOOMED, status)
    }
}

#[test]
fn an_instance_that_may_start_again_keeps_its_place_in_the_cluster() {
    use InstanceState::{ShuttingDown, Stopping};
    let (ours, nobody) = (Groups::of([group()]), Groups::of([]));
    let table = [
        (
            "in no group",
            &nobody,
            Stopping,
            Status::Active,
            Some(Skip::MayStartAgain),
        ),
        ("in no group", &nobody, ShuttingDown, Status::Active, None),
        ("in a group", &ours, Stopping, Status::Active, None),
        ("drained before", &nobody, Stopping, Status::Draining, None),
    ];
    for (what, groups, state, status, expected) in table {
        let notice = state_change(state);
        let group = groups.of_instance(&notice.instance);
        let skip = left_alone(&notice, &group, &on(DOOMED, status));
        assert_eq!(skip, expected, "{what}, {state:?}");
        let found = ContainerInstances::of([on(DOOMED, status)]);
        let plan = drain::plan(&notice, &group, &found, &config(), now());
        let drains = expected.is_none() && status == Status::Active;
        assert_eq!(plan.actions.len(), usize::from(drains), "{what}, {state:?}");
    }
}

#[test]
fn what_aws_batch_manages_is_left_to_it() {
    let found = ContainerInstances::of([of_batch(Status::Active)]);
    let plan = drain_plan(&warning(), &found);
    assert_eq!(plan.actions, []);
    assert_eq!(plan.skipped[0].reason, Skip::OfAwsBatch);
    assert!(runs_batch_jobs(&id(DOOMED), &found));
    let ours = ContainerInstances::of([on(DOOMED, Status::Active)]);
    assert!(!runs_batch_jobs(&id(DOOMED), &ours));

    let waiting = await_tasks::plan(
        &look_again(lifecycle(), None),
        &lifecycle(),
        after(900),
        &found,
        |_| Ok(vec![task("a job")]),
        StandaloneTasks::StopNow,
        now(),
    );
    assert!(
        matches!(waiting.actions[..], [Action::Heartbeat(_), Action::Send { .. }]),
        "its jobs are waited for and not stopped: {:?}",
        waiting.actions
    );
}

#[test]
fn what_ecs_manages_is_left_to_it() {
    let managed = || ContainerInstance {
        is_managed: true,
        ..on(DOOMED, Status::Active)
    };
    let found = ContainerInstances::of([managed()]);
    let plan = drain_plan(&warning(), &found);
    assert_eq!(plan.actions, []);
    assert_eq!(plan.skipped[0].reason, Skip::ManagedByEcs);
    // A task tells it as well, if the capacity provider could not be read.
    let on_it = |task| TaskFacts {
        is_managed: true,
        ..task
    };
    let tasks = [on_it(task("a")), on_it(of_service("b"))];
    let plan = standalone(&tasks, StandaloneTasks::StopNow, after(119));
    assert_eq!(plan.actions, []);
    assert_eq!(plan.skipped[0].reason, Skip::ManagedByEcs);
    let waiting = await_tasks::plan(
        &look_again(lifecycle(), None),
        &lifecycle(),
        after(900),
        &found,
        |_| Ok(tasks.to_vec()),
        StandaloneTasks::StopNow,
        after(860),
    );
    assert_eq!(stopped(&waiting), [""; 0]);
}

#[test]
fn a_container_instance_of_another_instance_is_never_drained() {
    let plan = drain_plan(
        &warning(),
        &ContainerInstances::of([on(REPLACEMENT, Status::Active)]),
    );
    assert!(plan.actions.is_empty());
    assert_eq!(plan.skipped[0].reason, Skip::InNoCluster);
}

#[test]
fn a_recommendation_alone_moves_nothing() {
    let found = ContainerInstances::of([on(DOOMED, Status::Active)]);
    let plan = drain_plan(&notice(Signal::RebalanceRecommendation), &found);
    assert_eq!(plan.skipped[0].reason, Skip::WaitsForReplacement);
    assert!(plan.actions.is_empty());
}

#[test]
fn work_moves_when_the_replacement_is_active_in_the_same_cluster() {
    let elsewhere = ContainerInstance {
        cluster: "web".to_owned(),
        ..on(REPLACEMENT, Status::Active)
    };
    let doomed = || on(DOOMED, Status::Active);
    let table = [
        (vec![doomed(), on(REPLACEMENT, Status::Active)], 1),
        (vec![doomed(), on(REPLACEMENT, Status::Other)], 0),
        (vec![doomed(), elsewhere], 0),
        (vec![doomed()], 0),
    ];
    for (found, drained) in table {
        let plan = drain_plan(
            &move_work(Some(REPLACEMENT)),
            &ContainerInstances::of(found.clone()),
        );
        assert_eq!(plan.actions.len(), drained, "{found:?}");
    }
    let plan = drain_plan(&move_work(None), &ContainerInstances::of([doomed()]));
    assert_eq!(plan.actions.len(), 1, "no replacement to wait for");
}

#[test]
fn tasks_are_stopped_late_and_until_then_service_tasks_are_left_to_ecs() {
    let tasks = [task("a"), of_service("b"), with_accelerator("c"), task("d")];
    let plan = standalone(&tasks, StandaloneTasks::StopLate, now());
    assert!(stopped(&plan).is_empty());
    assert_eq!(
        stopped_later(&plan),
        [
            (70, vec!["c".to_owned()]),
            (80, vec!["a".to_owned(), "b".to_owned(), "d".to_owned()])
        ]
    );
    let plans: Vec<_> = plan
        .tasks
        .iter()
        .map(|line| (line.task.as_str(), line.plan.as_str()))
        .collect();
    // Tasks with accelerators come first.
    assert_eq!(
        plans,
        [
            ("c", "stop at T+70 s"),
            ("a", "stop at T+80 s"),
            ("b", "left to ECS; stop at T+80 s if it is still there"),
            ("d", "stop at T+80 s")
        ]
    );
}

#[test]
fn what_becomes_of_service_tasks() {
    let slow = |seconds| TaskFacts {
        grace: SignedDuration::from_secs(seconds),
        ..of_service("a")
    };
    let stopping = TaskFacts {
        state: TaskState::Stopping,
        ..of_service("a")
    };
    let daemon = of_service_as(Scheduling::Daemon, "a");
    let warned = after(120);
    // Task, deadline, now, and when the task is stopped.
    let table = [
        (of_service("a"), warned, 1, Some(80)),
        (of_service("a"), warned, 90, Some(90)),
        (slow(90), warned, 1, Some(20)),
        // Its grace does not fit, so ECS has half of the time.
        (slow(120), warned, 1, Some(60)),
        (slow(600), warned, 70, Some(70)),
        (stopping, warned, 1, None),
        (daemon, warned, 1, None),
        (of_service("a"), after(3600), 1, None),
        (of_service("a"), after(900), 1, Some(860)),
    ];
    for (task, deadline, seconds, expected) in table {
        let service = task.service.clone().expect("one");
        let fate = Fate::of(&warning(), deadline, &task, &service, after(seconds));
        let expected = expected.map(after);
        let found = match fate {
            Fate::StoppedAt { at, .. } => Some(at),
            _ => None,
        };
        assert_eq!(found, expected, "{task:?} at T+{seconds} s");
    }
}

#[test]
fn service_tasks_are_stopped_whatever_the_policy_for_standalone_ones_and_the_reason_says_why() {
    use StandaloneTasks::{Leave, StopLate, StopNow};
    for policy in [StopLate, StopNow, Leave] {
        let plan = standalone(&[of_service("a")], policy, now());
        assert_eq!(stopped_later(&plan), [(80, vec!["a".to_owned()])], "{policy:?}");
        let late = standalone(&[of_service("a")], policy, after(85));
        let [Action::StopTask { reason, .. }] = &late.actions[..] else {
            panic!("{policy:?}: {:?}", late.actions)
        };
        let why = "is interrupted, ECS has not moved the task in time, notice of";
        assert!(reason.contains(why), "{reason}");
    }
    let unread = CallError::Refused {
        action: "ListServices",
        code: "Throttling".to_owned(),
        message: "Rate exceeded".to_owned(),
    };
    let unread = of_service_as(Scheduling::Unread(unread), "a");
    let plan = standalone(&[unread.clone(), unread], StopLate, now());
    assert!(plan.actions.is_empty(), "it may be of a daemon");
    assert_eq!(plan.problems.len(), 1, "asked again when the message comes back");
}

#[test]
fn an_instance_that_is_going_already_leaves_service_tasks_to_ecs() {
    for signal in [
        Signal::InterruptionWarning {
            action: InstanceAction::Hibernate,
        },
        Signal::StateChange {
            state: InstanceState::ShuttingDown,
        },
    ] {
        let (notice, on) = (notice(signal), on(DOOMED, Status::Active));
        let late = StandaloneTasks::StopLate;
        let plan = standalone_tasks::plan(&notice, now(), &on, &[of_service("a")], late, now());
        assert!(plan.actions.is_empty(), "{:?}", plan.actions);
    }
}

#[test]
fn whoever_waits_has_service_tasks_stopped_before_the_wait_ends_and_their_targets_out_before_that() {
    let exchange = Then::Retire {
        group: "g".to_owned(),
    };
    // The wait ends at 870. The task is stopped at 830, and its targets are asked for at 755.
    let table: [(i64, &[&str]); 6] = [
        (700, &["await-tasks"]),
        (745, &["ask-to-deregister", "await-tasks"]),
        (760, &["await-tasks"]),
        (820, &["stop-tasks-later", "ask-to-deregister", "await-tasks"]),
        (840, &["stop-task", "ask-to-deregister", "await-tasks"]),
        (871, &["ask-to-retire"]),
    ];
    for (seconds, expected) in table {
        let late = StandaloneTasks::StopLate;
        let names = wait(&exchange, Ok(vec![of_service("a")]), late, after(seconds));
        assert_eq!(names, expected, "T+{seconds} s");
        let daemon = of_service_as(Scheduling::Daemon, "a");
        let names = wait(&exchange, Ok(vec![daemon]), late, after(seconds));
        assert_eq!(names, &expected[expected.len() - 1..], "T+{seconds} s");
    }
}

#[test]
fn the_policy_decides_what_becomes_of_standalone_tasks() {
    let tasks = [task("a"), with_accelerator("b")];
    assert_eq!(
        stopped(&standalone(&tasks, StandaloneTasks::StopNow, now())),
        ["b", "a"],
        "accelerators first"
    );
    let left = standalone(&tasks, StandaloneTasks::Leave, now());
    assert!(left.actions.is_empty());
    assert_eq!(left.skipped.len(), 2);
}

#[test]
fn past_the_safe_moment_and_past_the_deadline_a_task_is_stopped_at_once() {
    for seconds in [80, 119, 300] {
        let plan = standalone(&[task("a")], StandaloneTasks::StopLate, after(seconds));
        assert_eq!(stopped(&plan), ["a"], "T+{seconds} s");
    }
}

#[test]
fn a_retirement_days_away_leaves_standalone_tasks_running() {
    let in_a_week = after(7 * 24 * 3600);
    let retirement = notice(Signal::ScheduledRetirement { starts: in_a_week });
    let container_instance = on(DOOMED, Status::Active);
    let policy = StandaloneTasks::StopLate;
    let plan = standalone_tasks::plan(
        &retirement,
        in_a_week,
        &container_instance,
        &[task("a")],
        policy,
        now(),
    );
    assert!(plan.actions.is_empty());
    assert_eq!(plan.skipped[0].reason, Skip::DeadlineFarAway);
}

#[test]
fn a_task_that_is_to_be_run_again_is_looked_at_again_after_it_is_stopped() {
    let tagged = TaskFacts {
        rerun: Rerun::Yes,
        ..task("a")
    };
    let plan = standalone(&[tagged], StandaloneTasks::StopNow, now());
    // The message that names it stops it, so that a call that fails halfway does not lose it.
    assert!(stopped(&plan).is_empty());
    assert_eq!(stopped_later(&plan), [(1, vec!["a".to_owned()])]);
}

#[test]
fn settings_that_will_hurt_are_named() {
    let slow = TaskFacts {
        grace: SignedDuration::from_secs(120),
        ..task("slow")
    };
    let lacking = TaskFacts {
        rerun: Rerun::LacksSecurityGroups,
        ..task("lacking")
    };
    let waited_for = TaskFacts {
        rerun: Rerun::WaitedFor,
        ..task("of a state machine")
    };
    let no_task_is = TaskFacts {
        rerun: Rerun::SwitchedOff {
            roles: Default::default(),
        },
        ..task("while RerunRoles is empty")
    };
    let role = "arn:aws:iam::123456789012:role/job".to_owned();
    let of_another_role = TaskFacts {
        rerun: Rerun::RolesNotNamed {
            roles: [role.clone()].into(),
        },
        ..task("with another role")
    };
    let tasks = [slow, lacking, waited_for, no_task_is, of_another_role];
    let plan = standalone(&tasks, StandaloneTasks::StopLate, now());
    let family = || "batch-score".to_owned();
    assert_eq!(
        plan.warnings,
        [
            Warning::RerunLacksSecurityGroups { family: family() },
            Warning::RerunIsWaitedFor { family: family() },
            Warning::GraceLongerThanNotice {
                family: family(),
                seconds: 120
            },
            Warning::RerunIsSwitchedOff { family: family() },
            Warning::RerunRolesNotNamed {
                family: family(),
                roles: vec![role]
            },
        ]
    );
}

#[test]
fn a_task_whose_definition_is_unread_is_stopped_early_and_the_report_says_so() {
    let unread = TaskFacts {
        grace: GRACE_OF_UNREAD_DEFINITION,
        definition_unread: true,
        ..task("a")
    };
    let family = || "batch-score".to_owned();
    let warnings = [Warning::DefinitionUnread { family: family() }];
    let plan = standalone(std::slice::from_ref(&unread), StandaloneTasks::StopLate, now());
    assert_eq!(
        stopped(&plan),
        ["a"],
        "120 s and a margin are more than the notice"
    );
    assert_eq!(plan.warnings, warnings);

    let found = ContainerInstances::of([on(DOOMED, Status::Draining)]);
    let wait_at = |seconds| {
        await_tasks::plan(
            &look_again(lifecycle(), None),
            &lifecycle(),
            after(900),
            &found,
            |_| Ok(vec![unread.clone()]),
            StandaloneTasks::StopLate,
            after(seconds),
        )
    };
    assert!(stopped(&wait_at(600)).is_empty());
    // The wait ends 30 s before the limit; 130 s before that, there is a look.
    assert_eq!(stopped(&wait_at(735)), ["a"]);
    assert_eq!(wait_at(735).warnings, warnings);
}

fn stop_of(tasks: &[&str], as_last: Option<Timestamp>) -> Notice {
    notice(Signal::FollowUp(FollowUp {
        cause: Cause::Interruption,
        deadline: Some(after(120)),
        step: Step::StopTasks {
            cluster: "inference".to_owned(),
            container_instance: format!("ci/{DOOMED}"),
            tasks: tasks.iter().map(ToString::to_string).collect(),
            as_last,
            reruns: vec![],
        },
    }))
}

#[test]
fn the_last_task_of_a_service_serves_on_where_nobody_asked_for_its_whole_grace() {
    let short = TaskFacts {
        grace_as_last: Some(SignedDuration::from_secs(10)),
        ..of_service("a")
    };
    let planned = standalone(
        &[short.clone(), of_service("b")],
        StandaloneTasks::StopLate,
        now(),
    );
    let moments: Vec<_> = planned.actions.iter().filter_map(moments_of_stop).collect();
    assert_eq!(moments, [(80, None), (80, Some(100))]);

    let container_instance = on(DOOMED, Status::Draining);
    let at = |as_last, is_last, seconds| {
        let named = ["a".to_owned()];
        standalone_tasks::plan_for_named(
            &stop_of(&["a"], as_last),
            after(120),
            &container_instance,
            &named,
            std::slice::from_ref(&short),
            |_| is_last,
            after(seconds),
        )
    };
    let puts_off = at(Some(after(100)), true, 80);
    assert_eq!(stopped_later(&puts_off), [(100, vec!["a".to_owned()])]);
    assert_eq!(
        puts_off.actions.iter().find_map(moments_of_stop),
        Some((100, None)),
        "once"
    );
    for stops in [
        at(Some(after(100)), false, 80),
        at(Some(after(100)), true, 100),
        at(None, true, 80),
    ] {
        assert!(
            matches!(stops.actions[..], [Action::StopTask { .. }]),
            "{stops:?}"
        );
    }
}

/// When a stop is planned, and when for the last task of a service, in seconds after the notice.
fn moments_of_stop(action: &Action) -> Option<(i64, Option<i64>)> {
    let seconds = |at: &Timestamp| at.duration_since(warning().time).as_secs();
    match action {
        Action::Send {
            at,
            follow_up:
                FollowUp {
                    step: Step::StopTasks { as_last, .. },
                    ..
                },
            ..
        } => Some((seconds(at), as_last.as_ref().map(seconds))),
        _ => None,
    }
}

#[test]
fn when_the_moment_comes_each_task_gets_what_it_needs() {
    let with = |state, rerun| TaskFacts {
        state,
        rerun,
        ..task("a")
    };
    let stop_at_70 = stop_of(&["a"], None);
    let plan_at = |facts: &[TaskFacts], now| {
        let container_instance = on(DOOMED, Status::Draining);
        let named = ["a".to_owned()];
        let none_is_last = |_: &TaskFacts| false;
        standalone_tasks::plan_for_named(
            &stop_at_70,
            after(120),
            &container_instance,
            &named,
            facts,
            none_is_last,
            now,
        )
    };
    let names = |plan: &Plan| -> Vec<String> {
        plan.actions
            .iter()
            .map(|action| shared_plan::Action::describe(action).0.to_string())
            .collect()
    };
    // Seconds after the notice. At 150 the instance is gone, and the whole grace of the task is over.
    let table: [(i64, TaskState, Rerun, &[&str]); 13] = [
        (70, TaskState::Running, Rerun::No, &["stop-task"]),
        (
            70,
            TaskState::Running,
            Rerun::Yes,
            &["stop-task", "stop-tasks-later"],
        ),
        (70, TaskState::Stopping, Rerun::No, &[]),
        (70, TaskState::Stopping, Rerun::Yes, &["stop-tasks-later"]),
        (70, TaskState::Ended, Rerun::No, &[]),
        (70, TaskState::Ended, Rerun::Yes, &[]),
        (70, TaskState::CutShort, Rerun::No, &[]),
        (70, TaskState::CutShort, Rerun::Yes, &["run-task-again"]),
        (149, TaskState::Stopping, Rerun::Yes, &["stop-tasks-later"]),
        (150, TaskState::Stopping, Rerun::Yes, &["run-task-again"]),
        (150, TaskState::Stopping, Rerun::No, &[]),
        (150, TaskState::Running, Rerun::No, &["stop-task"]),
        (
            150,
            TaskState::Running,
            Rerun::Yes,
            &["stop-task", "stop-tasks-later"],
        ),
    ];
    for (seconds, state, rerun, expected) in table {
        assert_eq!(
            names(&plan_at(&[with(state, rerun.clone())], after(seconds))),
            expected,
            "{state:?} {rerun:?} at {seconds} s"
        );
    }
    let deadline_of_next_look = |seconds| {
        let plan = plan_at(&[with(TaskState::Running, Rerun::Yes)], after(seconds));
        plan.actions.iter().find_map(|action| match action {
            Action::Send { follow_up, .. } => follow_up.deadline,
            _ => None,
        })
    };
    assert_eq!(deadline_of_next_look(70), Some(after(120)));
    // It gets its whole grace before it is run again, even if it was stopped late.
    assert_eq!(deadline_of_next_look(150), Some(after(150)));
    let saved = plan_at(&[with(TaskState::Ended, Rerun::Yes)], after(70));
    assert!(saved.tasks[0].saved);
    assert_eq!(plan_at(&[], after(70)).skipped[0].reason, Skip::TaskForgotten);
    let foreign = TaskFacts {
        container_instance: "ci/other".to_owned(),
        ..task("a")
    };
    let plan = plan_at(&[foreign], after(70));
    assert!(plan.actions.is_empty());
    assert_eq!(plan.skipped[0].reason, Skip::NotOnInstance);
    let table: [(TaskState, &[&str], Option<Skip>); 4] = [
        (TaskState::Running, &["stop-task"], None),
        (TaskState::Stopping, &[], Some(Skip::AlreadyStopping)),
        (TaskState::Ended, &[], Some(Skip::MovedByEcs)),
        (TaskState::CutShort, &[], Some(Skip::AlreadyStopped)),
    ];
    for (state, expected, skipped) in table {
        let task = TaskFacts {
            state,
            ..of_service("a")
        };
        let plan = plan_at(&[task], after(70));
        assert_eq!(names(&plan), expected, "of a service: {state:?}");
        let reason = plan.skipped.first().map(|skipped| skipped.reason.clone());
        assert_eq!(reason, skipped);
    }
}

fn lifecycle() -> Then {
    Then::CompleteLifecycleAction(LifecycleAction {
        group: "g".to_owned(),
        hook: "spot-handoff-drain".to_owned(),
        token: "t".to_owned(),
        to_warm_pool: false,
    })
}

/// The follow-up that looks whether the tasks are gone.
fn look_again(then: Then, silent_since: Option<Timestamp>) -> Notice {
    notice(Signal::FollowUp(FollowUp {
        cause: Cause::Termination,
        deadline: Some(after(900)),
        step: Step::AwaitTasks { then, silent_since },
    }))
}

fn wait(
    then: &Then,
    tasks: Result<Vec<TaskFacts>, String>,
    policy: StandaloneTasks,
    now: Timestamp,
) -> Vec<String> {
    let notice = look_again(then.clone(), None);
    let found = ContainerInstances::of([on(DOOMED, Status::Draining)]);
    let plan = await_tasks::plan(&notice, then, after(900), &found, |_| tasks.clone(), policy, now);
    plan.actions
        .iter()
        .map(|action| shared_plan::Action::describe(action).0.to_string())
        .collect()
}

#[test]
fn somebody_who_waits_is_let_go_when_the_tasks_are_gone_or_the_limit_nears() {
    let retire = || Then::Retire {
        group: "g".to_owned(),
    };
    let late = StandaloneTasks::StopLate;
    type Case<'a> = (Then, Vec<TaskFacts>, StandaloneTasks, i64, &'a [&'a str]);
    let table: [Case<'_>; 8] = [
        (lifecycle(), vec![], late, 1, &["complete-lifecycle-action"]),
        (
            lifecycle(),
            vec![of_service("a")],
            late,
            1,
            &["record-heartbeat", "await-tasks"],
        ),
        (
            lifecycle(),
            vec![task("a")],
            late,
            1,
            &["record-heartbeat", "await-tasks"],
        ),
        (
            lifecycle(),
            vec![task("a")],
            StandaloneTasks::StopNow,
            1,
            &["stop-task", "record-heartbeat", "await-tasks"],
        ),
        (
            lifecycle(),
            vec![task("a")],
            late,
            855,
            &["stop-task", "record-heartbeat", "await-tasks"],
        ),
        (
            lifecycle(),
            vec![of_service("a")],
            late,
            871,
            &["complete-lifecycle-action"],
        ),
        (retire(), vec![], late, 1, &["ask-to-retire"]),
        (retire(), vec![of_service("a")], late, 871, &["ask-to-retire"]),
    ];
    for (then, tasks, policy, seconds, expected) in table {
        let names = wait(&then, Ok(tasks.clone()), policy, after(seconds));
        assert_eq!(
            names,
            expected,
            "{then:?} with {} tasks at T+{seconds} s",
            tasks.len()
        );
    }
}

/// The result of each look at the tasks of a lifecycle hook: the second, and whether the agent is connected then.
fn looks(at: &[(i64, bool)]) -> Vec<String> {
    let mut notice = look_again(lifecycle(), None);
    let mut led_to = vec![];
    for (seconds, agent_connected) in at {
        let found = ContainerInstances::of([ContainerInstance {
            agent_connected: *agent_connected,
            ..on(DOOMED, Status::Draining)
        }]);
        let plan = await_tasks::plan(
            &notice,
            &lifecycle(),
            after(3600),
            &found,
            |_| Ok(vec![of_service("a")]),
            StandaloneTasks::StopLate,
            after(*seconds),
        );
        let Some(last) = plan.actions.last() else {
            break;
        };
        led_to.push(shared_plan::Action::describe(last).0.to_string());
        if let Action::Send { follow_up, .. } = last {
            notice.signal = Signal::FollowUp(follow_up.clone());
        }
    }
    led_to
}

#[test]
fn the_tasks_of_a_silent_agent_are_not_waited_for_for_ever() {
    let let_go = "complete-lifecycle-action";
    assert_eq!(
        looks(&[(60, false), (360, false), (361, false)]),
        ["await-tasks", "await-tasks", let_go]
    );
    // Agents disconnect for moments, even long after the notice.
    assert_eq!(
        looks(&[
            (0, true),
            (1800, false),
            (1815, true),
            (2200, false),
            (2215, true)
        ]),
        ["await-tasks"; 5]
    );
    assert_eq!(looks(&[(1800, false), (2101, false)]), ["await-tasks", let_go]);
}

#[test]
fn an_instance_with_tasks_left_on_it_is_kept_where_its_group_retains_it() {
    let found = ContainerInstances::of([on(DOOMED, Status::Draining)]);
    let names = |tasks: Vec<TaskFacts>, seconds| {
        let policy = StandaloneTasks::StopLate;
        let (notice, then) = (look_again(lifecycle(), None), lifecycle());
        let tasks_on = |_: &ContainerInstance| Ok(tasks.clone());
        let mut plan = await_tasks::plan(
            &notice,
            &then,
            after(900),
            &found,
            tasks_on,
            policy,
            after(seconds),
        );
        await_tasks::abandon_with_tasks_left(&mut plan);
        let names = plan
            .actions
            .iter()
            .map(|action| shared_plan::Action::describe(action).0.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(vec![of_service("a")], 871), ["abandon-lifecycle-action"]);
    assert_eq!(names(vec![], 871), ["complete-lifecycle-action"]);
    assert_eq!(
        names(vec![of_service("a")], 1),
        ["record-heartbeat", "await-tasks"]
    );
}

#[test]
fn a_group_says_itself_what_becomes_of_its_tasks() {
    let of = |tags: &[(&str, &str)]| {
        let tags = tags
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        let group = Group {
            tags: tags.collect(),
            ..group()
        };
        Policies::of(Some(&group), &config())
    };
    let default = Policies::of(None, &config());
    assert_eq!(default.standalone_tasks, StandaloneTasks::StopLate);
    assert_eq!(default.max_drain, SignedDuration::MAX);
    assert!(!default.planned_only && default.unknown.is_empty());
    let tagged = of(&[
        ("spot-handoff:standalone-tasks", "stop-now"),
        ("spot-handoff:max-drain", "600"),
        ("spot-handoff:dry-run", "true"),
        ("spot-handoff:default-stop-timeout", "90"),
    ]);
    assert_eq!(tagged.standalone_tasks, StandaloneTasks::StopNow);
    assert_eq!(tagged.max_drain, SignedDuration::from_secs(600));
    assert_eq!(tagged.default_stop_timeout, SignedDuration::from_secs(90));
    assert!(tagged.planned_only && tagged.unknown.is_empty());
    let unknown = of(&[
        ("spot-handoff:standalone-tasks", "kill"),
        ("spot-handoff:dry-run", "yes"),
    ]);
    assert_eq!(unknown.standalone_tasks, StandaloneTasks::StopLate);
    assert!(!unknown.planned_only, "the stack's parameter holds");
    let told: Vec<&str> = unknown.unknown.iter().map(|unknown| unknown.tag).collect();
    assert_eq!(told, ["spot-handoff:standalone-tasks", "spot-handoff:dry-run"]);
}

#[test]
fn nobody_is_let_go_while_the_tasks_cannot_be_read_and_a_hook_does_not_run_out_meanwhile() {
    let exchange = Then::Retire {
        group: "g".to_owned(),
    };
    let table: [(_, &[&str]); 2] = [(lifecycle(), &["record-heartbeat"]), (exchange, &[])];
    for (then, expected) in table {
        let unread = Err("throttled".to_owned());
        let names = wait(&then, unread, StandaloneTasks::StopLate, now());
        assert_eq!(names, expected, "{then:?}");
    }
}

#[test]
fn an_instance_in_no_cluster_lets_auto_scaling_go_on_at_once() {
    let none = ContainerInstances::default();
    let policy = StandaloneTasks::StopLate;
    let plan = await_tasks::plan(
        &warning(),
        &lifecycle(),
        after(900),
        &none,
        |_| Ok(vec![]),
        policy,
        now(),
    );
    assert!(
        matches!(plan.actions[..], [Action::Complete(_)]),
        "{:?}",
        plan.actions
    );
}

#[test]
fn scope_is_asked_of_groups_and_not_again_for_follow_ups() {
    let tagged = Config {
        scope: Scope::Tagged,
        ..config()
    };
    let nobody = Groups::of([]);
    let group = nobody.of_instance(&id(DOOMED));
    assert!(may_act(&warning(), &group, &tagged).is_err());
    assert!(may_act(&move_work(None), &group, &tagged).is_ok());
}

#[test]
fn an_instance_stays_until_its_stop_script_has_ended() {
    use crate::facts::stop_scripts::StopScript;
    let until = after(300);
    let awaited = StopScript::Awaited { until };
    let unknown = StopScript::Unknown {
        error: "denied".to_owned(),
        until,
    };
    let limit = after(3600);
    let table = [
        (None, 10, false),
        (Some(StopScript::Over), 10, false),
        (Some(awaited.clone()), 10, true),
        (Some(unknown.clone()), 10, true),
        // Nobody waits for ever for something that is over by then.
        (Some(awaited), 301, false),
        (Some(unknown), 301, false),
    ];
    for (script, seconds, stays) in table {
        let then = lifecycle();
        let gone = await_tasks::plan(
            &look_again(lifecycle(), None),
            &then,
            limit,
            &ContainerInstances::default(),
            |_| Ok(vec![]),
            StandaloneTasks::StopNow,
            after(seconds),
        );
        let plan = await_tasks::until_script_ends(
            gone,
            script.as_ref(),
            &look_again(lifecycle(), None),
            &then,
            limit,
            after(seconds),
        );
        let is_held = matches!(plan.actions[..], [Action::Heartbeat(_), Action::Send { .. }]);
        let is_let_go = matches!(plan.actions[..], [Action::Complete(_)]);
        assert_eq!(
            (is_held, is_let_go),
            (stays, !stays),
            "{script:?} {seconds}: {:?}",
            plan.actions
        );
    }
}

#[test]
fn a_retirement_moves_nothing_while_its_replacement_can_come_first() {
    let retirement = notice(Signal::ScheduledRetirement {
        starts: after(7 * 24 * 3600),
    });
    let plan = may_act(&retirement, &with_room().of_instance(&id(DOOMED)), &config()).expect_err("waits");
    assert_eq!(plan.skipped[0].reason, Skip::WaitsForReplacement);
    let without_room = Groups::of([group()]);
    let waits = |retirement| may_act(retirement, &without_room.of_instance(&id(DOOMED)), &config()).is_err();
    assert!(waits(&retirement), "a week ahead nothing is taken out of service");
    let soon = notice(Signal::ScheduledRetirement {
        starts: after(50 * 60),
    });
    assert!(!waits(&soon), "in the last hour no replacement can come first");
}

mod any_facts;
mod documented;
mod looking;

#[test]
fn what_is_known_of_a_re_run_decides_for_a_task_without_tags() {
    let order = |stage| RerunOrder {
        task: "a".to_owned(),
        cluster: "inference".to_owned(),
        since: now(),
        stage,
        refusals: 0,
        copy: TaskCopy::default(),
    };
    let runs = || RerunStage::Runs { new: "b".to_owned() };
    let learned = |stopped_by_somebody, stage| {
        let mut task = TaskFacts {
            stopped_by_somebody,
            ..task("a")
        };
        standalone_tasks::learn(&mut task, Some(&order(stage)));
        task.rerun
    };
    assert_eq!(learned(false, RerunStage::Noted), Rerun::Yes);
    assert_eq!(learned(false, RerunStage::Cut), Rerun::Yes);
    assert_eq!(learned(false, runs()), Rerun::No);
    assert_eq!(
        learned(true, RerunStage::Noted),
        Rerun::No,
        "somebody wants no other"
    );

    let forgotten = |stage| standalone_tasks::plan_for_forgotten(&[&order(stage)]);
    let again = Action::RunAgain {
        cluster: "inference".to_owned(),
        task: "a".to_owned(),
    };
    assert_eq!(forgotten(RerunStage::Cut).actions, [again]);
    for (stage, reason) in [
        (RerunStage::Noted, Skip::FateUnknown),
        (runs(), Skip::RunsAgain { new: "b".to_owned() }),
    ] {
        let plan = forgotten(stage);
        assert!(plan.actions.is_empty());
        assert_eq!(plan.skipped[0].reason, reason);
    }
}

#[test]
fn the_reason_of_a_stop_names_the_true_cause() {
    let named = ["a".to_owned()];
    let reason = |notice: &Notice| {
        let (on, tasks) = (on(DOOMED, Status::Draining), [task("a")]);
        let plan =
            standalone_tasks::plan_for_named(notice, after(120), &on, &named, &tasks, |_| true, after(70));
        plan.actions.into_iter().find_map(|action| match action {
            Action::StopTask { reason, .. } => Some(reason),
            _ => None,
        })
    };
    // The cause stays the same if a message stops the task later.
    let later = |cause, drill| Notice {
        drill,
        ..notice(Signal::FollowUp(FollowUp {
            cause,
            deadline: Some(after(120)),
            step: Step::Tell,
        }))
    };
    let drill = Some(Drill { for_real: true });
    for (cause, drill, why) in [
        (Cause::Interruption, None, "is interrupted"),
        (Cause::StateChange, None, "is stopping or shutting down"),
        (Cause::Termination, None, "is terminated by Auto Scaling"),
    ] {
        let said = reason(&later(cause, drill)).expect("it is stopped");
        assert!(
            said.starts_with(&format!("spot-handoff: {DOOMED} {why}, ")),
            "{said}"
        );
    }
    let said = reason(&later(Cause::Interruption, drill)).expect("it is stopped");
    assert!(said.starts_with("spot-handoff: drill: "), "{said}");
    let state_change = notice(Signal::StateChange {
        state: InstanceState::ShuttingDown,
    });
    assert_eq!(super::cause(&state_change), Cause::StateChange);
}

#[test]
fn what_became_of_tasks_is_looked_at_when_the_instance_is_gone() {
    let cluster = |_: &str| Some("c");
    let lines = [
        task_line(&task("a"), "left to ECS"),
        task_line(&task("b"), "stop now"),
    ];
    let looks = ends::looks(&warning(), &lines, cluster);
    let [(follow_up, at)] = &looks[..] else {
        panic!("{looks:?}")
    };
    assert_eq!((*at, follow_up.deadline), (after(130), Some(after(120))));
    let Step::SeeEnds { tasks, .. } = &follow_up.step else {
        panic!("{follow_up:?}")
    };
    assert_eq!(tasks, &["a", "b"]);
    assert!(ends::looks(&warning(), &[], cluster).is_empty());
    let hook = notice(Signal::StateChange {
        state: InstanceState::Stopping,
    });
    assert!(
        ends::looks(&hook, &lines, cluster).is_empty(),
        "it has no known end"
    );

    let due = notice(Signal::FollowUp(follow_up.clone()));
    let ended = |arn: &str, end| TaskFacts {
        end,
        ended_at: Some(after(90)),
        ..task(arn)
    };
    let named = ["a", "b", "c"].map(str::to_owned);
    let found = [ended("a", TaskEnd::Stopped), task("b")];
    let told = |plan: &Plan| -> Vec<(String, Option<TaskEnd>)> {
        let lines = plan.tasks.iter();
        lines.map(|line| (line.task.clone(), line.end)).collect()
    };
    let plan = ends::plan(&due, "c", &named, &found, after(130));
    let of = |arn: &str, end| (arn.to_owned(), Some(end));
    assert_eq!(
        told(&plan),
        [of("a", TaskEnd::Stopped), of("c", TaskEnd::Unknown)]
    );
    let [Action::Send { at, .. }] = &plan.actions[..] else {
        panic!("{:?}", plan.actions)
    };
    assert_eq!(*at, after(136), "one without an end is looked at again");
    let plan = ends::plan(&due, "c", &named[1..2], &found, after(142));
    assert_eq!(
        (told(&plan), plan.actions),
        (vec![of("b", TaskEnd::Running)], vec![])
    );
}
