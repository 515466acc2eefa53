//! What is true for every notice and every set of tasks.
//!
//! A dry run and a real run make the same plan because of the types: nothing here knows which of them it is.

use proptest::prelude::*;

use super::*;

prop_compose! {
    fn any_task()(
        number in 0..9u8, service: bool, daemon: bool, accelerated: bool, grace in 0..120i64, rerun: bool, foreign: bool, state in 0..4usize,
    ) -> TaskFacts {
        TaskFacts {
            service: service.then(|| Service {
                name: "classifier".to_owned(),
                scheduling: if daemon { Scheduling::Daemon } else { Scheduling::Replica },
            }),
            accelerators: if accelerated { vec![Accelerator::Gpu(1)] } else { vec![] },
            grace: SignedDuration::from_secs(grace),
            rerun: if rerun { Rerun::Yes } else { Rerun::No },
            container_instance: if foreign { "ci/other".to_owned() } else { format!("ci/{DOOMED}") },
            state: [TaskState::Running, TaskState::Stopping, TaskState::Ended, TaskState::CutShort][state],
            ..task(&format!("task-{number}"))
        }
    }
}

proptest! {
    #[test]
    fn tasks_of_daemons_are_never_stopped_and_every_other_in_time(
        tasks in proptest::collection::vec(any_task(), 0..12), seconds in 0..200i64,
    ) {
        let now = after(seconds);
        let plan = standalone(&tasks, StandaloneTasks::StopLate, now);
        let later = stopped_later(&plan);
        let is_left = |task: &TaskFacts| {
            task.service.as_ref().is_some_and(|service| {
                service.scheduling == Scheduling::Daemon || task.state != TaskState::Running
            })
        };
        for task in tasks.iter().filter(|task| !is_left(task)) {
            let stops_now = stopped(&plan).contains(&task.arn.as_str());
            let in_time = later.iter().any(|(at, tasks)| {
                let fits = SignedDuration::from_secs(*at) + task.grace < NOTICE;
                // If its grace does not fit, ECS has half of the notice.
                let is_half = task.service.is_some() && *at == 60;
                tasks.contains(&task.arn) && (after(*at) <= now || fits || is_half)
            });
            prop_assert!(stops_now || in_time, "{task:?}");
        }
        let later = later.iter().flat_map(|(_, tasks)| tasks.iter().map(String::as_str));
        for arn in stopped(&plan).into_iter().chain(later) {
            let other = tasks.iter().any(|task| task.arn == arn && !is_left(task));
            prop_assert!(other, "{arn}");
        }
    }

    #[test]
    fn a_task_elsewhere_is_never_touched(tasks in proptest::collection::vec(any_task(), 0..12), seconds in 0..200i64) {
        let named: Vec<String> = tasks.iter().map(|task| task.arn.clone()).collect();
        let container_instance = on(DOOMED, Status::Draining);
        let plan = standalone_tasks::plan_for_named(&warning(), after(120), &container_instance, &named, &tasks, |_| true, after(seconds));
        for action in &plan.actions {
            let (Action::StopTask { task, .. } | Action::RunAgain { task, .. }) = action else { continue };
            let ours = tasks.iter().any(|t| t.arn == *task && t.container_instance == container_instance.arn);
            prop_assert!(ours, "{action:?}");
        }
    }
}

fn any_notice() -> impl Strategy<Value = Notice> {
    proptest::sample::select(vec![
        warning(),
        notice(Signal::InterruptionWarning {
            action: InstanceAction::Hibernate,
        }),
        notice(Signal::RebalanceRecommendation),
        move_work(None),
        move_work(Some(REPLACEMENT)),
        follow_up(Step::Retire {
            group: "g".to_owned(),
        }),
    ])
}

fn any_status() -> impl Strategy<Value = Option<Status>> {
    proptest::option::of(proptest::sample::select(vec![
        Status::Active,
        Status::Draining,
        Status::Other,
    ]))
}

proptest! {
    #[test]
    fn only_the_container_instance_of_the_notice_is_drained_and_every_notice_is_answered(
        notice in any_notice(), own in any_status(), replacement in any_status(), seconds in 0..1000i64,
    ) {
        let found = [own.map(|status| on(DOOMED, status)), replacement.map(|status| on(REPLACEMENT, status))];
        let found = ContainerInstances::of(found.into_iter().flatten());
        let plan_of = || drain::plan(&notice, &GroupOf::None, &found, &config(), after(seconds));
        let plan = plan_of();
        for action in &plan.actions {
            let Action::Drain { container_instance, .. } = action else { panic!("{action:?}") };
            prop_assert_eq!(container_instance, &format!("ci/{DOOMED}"));
            prop_assert_eq!(own, Some(Status::Active));
        }
        // The plan for the tasks covers a replacement that is still awaited.
        let waits = matches!(drain::replacement_of(&notice, &found, after(seconds)),
            drain::Replacement::Awaited(_) | drain::Replacement::Late(_));
        prop_assert!(waits || !plan.actions.is_empty() || !plan.skipped.is_empty(), "{plan:?}");
        prop_assert_eq!(plan, plan_of());
    }

    #[test]
    fn whoever_waits_for_tasks_looks_again_or_lets_go_and_names_no_other_task(
        tasks in proptest::collection::vec(any_task(), 0..12), seconds in 0..1000i64, policy in 0..3usize,
    ) {
        let policy = [StandaloneTasks::StopLate, StandaloneTasks::StopNow, StandaloneTasks::Leave][policy];
        let found = ContainerInstances::of([on(DOOMED, Status::Draining)]);
        let plan = await_tasks::plan(&warning(), &lifecycle(), after(900), &found, |_| Ok(tasks.clone()), policy, after(seconds));
        let ends = plan.actions.iter().filter(|action| match action {
            Action::Complete(_) | Action::Abandon(_) => true,
            Action::Send { follow_up, .. } => matches!(follow_up.step, Step::AwaitTasks { .. }),
            _ => false,
        });
        prop_assert_eq!(ends.count(), 1, "{:?}", &plan.actions);
        for action in &plan.actions {
            let named = match action {
                Action::StopTask { task, .. } => vec![task.clone()],
                Action::Send { follow_up: FollowUp { step: Step::StopTasks { tasks, .. }, .. }, .. } => tasks.clone(),
                _ => vec![],
            };
            let daemon = |task: &TaskFacts| task.service.as_ref().is_some_and(|service| service.scheduling == Scheduling::Daemon);
            let ours = |arn: &String| tasks.iter().any(|task| task.arn == *arn && !daemon(task));
            prop_assert!(named.iter().all(ours), "{action:?}");
        }
    }
}
