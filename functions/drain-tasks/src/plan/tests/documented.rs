//! What docs/how-it-decides.md says about this function.

use spot_handoff::autoscaling::groups::Group;
use spot_handoff::autoscaling::scope::IGNORE_TAG;
use testbed::documentation;

use super::*;

/// Actions and reasons of a plan, as two table cells.
fn cells(plan: &Plan) -> String {
    assert!(plan.problems.is_empty(), "{:?}", plan.problems);
    documentation::cells(plan, documentation::name, ", ")
}

fn of_container_instances() -> String {
    let of = |notice: &Notice, status| drain_plan(notice, &ContainerInstances::of([on(DOOMED, status)]));
    let active = |signal| of(&notice(signal), Status::Active);
    let ignored = Groups::of([Group {
        tags: [(IGNORE_TAG.to_owned(), "true".to_owned())].into(),
        ..group()
    }]);
    let retirement = notice(Signal::ScheduledRetirement {
        starts: after(7 * 24 * 3600),
    });
    let out_of_scope = |group: &GroupOf<'_>, config: &Config| {
        let found = ContainerInstances::of([on(DOOMED, Status::Active)]);
        drain::plan(&warning(), group, &found, config, now())
    };
    let stopping = |groups: &Groups| {
        let notice = state_change(InstanceState::Stopping);
        let found = ContainerInstances::of([on(DOOMED, Status::Active)]);
        let group = groups.of_instance(&notice.instance);
        drain::plan(&notice, &group, &found, &config(), now())
    };
    let tagged = Config {
        scope: Scope::Tagged,
        ..config()
    };
    let hook = LifecycleAction {
        group: "g".to_owned(),
        hook: "spot-handoff-drain".to_owned(),
        token: "t".to_owned(),
        to_warm_pool: false,
    };
    let both = ContainerInstances::of([on(DOOMED, Status::Active), on(REPLACEMENT, Status::Active)]);
    let warned = "interruption warning";
    let is_active = "`ACTIVE`";
    let rows = [
        (warned, is_active, of(&warning(), Status::Active)),
        (warned, "`DRAINING`", of(&warning(), Status::Draining)),
        (
            warned,
            "registering or deregistering",
            of(&warning(), Status::Other),
        ),
        (
            warned,
            "none",
            drain_plan(&warning(), &ContainerInstances::default()),
        ),
        (
            warned,
            "`ACTIVE`, group tagged `spot-handoff:ignore`",
            out_of_scope(&ignored.of_instance(&id(DOOMED)), &config()),
        ),
        (
            warned,
            "`ACTIVE`, `Scope=tagged`, instance in no group",
            out_of_scope(&GroupOf::None, &tagged),
        ),
        (
            warned,
            "`ACTIVE`, cluster of AWS Batch",
            drain_plan(&warning(), &ContainerInstances::of([of_batch(Status::Active)])),
        ),
        (
            warned,
            "`ACTIVE`, a Managed Instance of ECS",
            drain_plan(
                &warning(),
                &ContainerInstances::of([ContainerInstance {
                    is_managed: true,
                    ..on(DOOMED, Status::Active)
                }]),
            ),
        ),
        (
            "interruption warning: stop",
            is_active,
            active(Signal::InterruptionWarning {
                action: InstanceAction::Stop,
            }),
        ),
        (
            "interruption warning: hibernate",
            is_active,
            active(Signal::InterruptionWarning {
                action: InstanceAction::Hibernate,
            }),
        ),
        (
            "state change: shutting-down",
            is_active,
            of(&state_change(InstanceState::ShuttingDown), Status::Active),
        ),
        (
            "state change: stopping",
            "`ACTIVE`, its group replaces it",
            stopping(&Groups::of([group()])),
        ),
        (
            "state change: stopping",
            "`ACTIVE`, in no group, in standby or in a warm pool",
            stopping(&Groups::of([])),
        ),
        (
            "terminate lifecycle action",
            is_active,
            active(Signal::TerminateLifecycleAction(hook)),
        ),
        (
            "retirement by AWS",
            "`ACTIVE`, its group can launch a replacement first",
            drain::plan(
                &retirement,
                &with_room().of_instance(&id(DOOMED)),
                &ContainerInstances::of([on(DOOMED, Status::Active)]),
                &config(),
                now(),
            ),
        ),
        (
            "retirement by AWS",
            "`ACTIVE`, no replacement can come first",
            of(&retirement, Status::Active),
        ),
        (
            "step of an exchange: move the work",
            "`ACTIVE`, and so is its replacement",
            drain_plan(&move_work(Some(REPLACEMENT)), &both),
        ),
    ];
    let mut table =
        "| signal or step | container instance | actions | left alone, because |\n|---|---|---|---|\n"
            .to_owned();
    for (signal, state, plan) in rows {
        table += &format!("| {signal} | {state} | {} |\n", cells(&plan));
    }
    table
}

fn of_tasks() -> String {
    let slow = |seconds| TaskFacts {
        grace: SignedDuration::from_secs(seconds),
        ..task("t")
    };
    let rows = [
        ("of a service, grace 30 s", of_service("t")),
        (
            "of a service, grace 120 s",
            TaskFacts {
                grace: SignedDuration::from_secs(120),
                ..of_service("t")
            },
        ),
        ("of a `DAEMON` service", of_service_as(Scheduling::Daemon, "t")),
        ("standalone, grace 30 s", slow(30)),
        ("standalone, grace 90 s", slow(90)),
        ("standalone, grace 120 s", slow(120)),
        (
            "standalone with an accelerator, grace 30 s",
            with_accelerator("t"),
        ),
    ];
    let hibernation = notice(Signal::InterruptionWarning {
        action: InstanceAction::Hibernate,
    });
    let mut table = "| task | `stop-late` | `stop-late`, hibernation | `stop-now` | `leave` |\n\
                     |---|---|---|---|---|\n"
        .to_owned();
    for (what, task) in rows {
        let columns = [
            (warning(), StandaloneTasks::StopLate),
            (hibernation.clone(), StandaloneTasks::StopLate),
            (warning(), StandaloneTasks::StopNow),
            (warning(), StandaloneTasks::Leave),
        ];
        let plans = columns.map(|(notice, policy)| {
            let deadline = notice.deadline().unwrap_or(now());
            let (on, tasks) = (on(DOOMED, Status::Active), std::slice::from_ref(&task));
            let plan = standalone_tasks::plan(&notice, deadline, &on, tasks, policy, now());
            plan.tasks[0].plan.clone()
        });
        table += &format!("| {what} | {} |\n", plans.join(" | "));
    }
    table
}

fn of_tasks_whose_moment_has_come() -> String {
    let mut table =
        "| task | tagged `spot-handoff:rerun` | actions | left alone, because |\n|---|---|---|---|\n"
            .to_owned();
    for (what, state) in [
        ("runs", TaskState::Running),
        ("is stopping", TaskState::Stopping),
        ("was stopped", TaskState::CutShort),
        ("has ended by itself", TaskState::Ended),
    ] {
        for (tagged, rerun) in [("no", Rerun::No), ("yes", Rerun::Yes)] {
            let task = TaskFacts {
                state,
                rerun,
                ..task("t")
            };
            let (on, named) = (on(DOOMED, Status::Draining), ["t".to_owned()]);
            let none = |_: &TaskFacts| false;
            let plan = standalone_tasks::plan_for_named(
                &warning(),
                after(120),
                &on,
                &named,
                &[task],
                none,
                after(80),
            );
            table += &format!("| {what} | {tagged} | {} |\n", cells(&plan));
        }
    }
    for (what, state, is_last) in [
        ("of a service, runs", TaskState::Running, false),
        (
            "of a service, runs, and nothing else of it serves",
            TaskState::Running,
            true,
        ),
        ("of a service, is stopping", TaskState::Stopping, false),
        ("of a service, has stopped", TaskState::Ended, false),
    ] {
        let task = TaskFacts {
            state,
            ..of_service("t")
        };
        let (on, named) = (on(DOOMED, Status::Draining), ["t".to_owned()]);
        let stop = stop_of(&["t"], Some(after(100)));
        let last = |_: &TaskFacts| is_last;
        let plan = standalone_tasks::plan_for_named(&stop, after(120), &on, &named, &[task], last, after(80));
        table += &format!("| {what} | | {} |\n", cells(&plan));
    }
    table
}

fn while_somebody_waits() -> String {
    let limit = after(900);
    let exchange = || Then::Retire {
        group: "g".to_owned(),
    };
    let late = StandaloneTasks::StopLate;
    let (hook, exchanged) = ("lifecycle hook", "exchange");
    let rows = [
        (
            hook,
            lifecycle(),
            "of a service, its moment is far",
            of_service("t"),
            late,
            1,
        ),
        (
            hook,
            lifecycle(),
            "of a service, 75 s before its moment",
            of_service("t"),
            late,
            750,
        ),
        (
            hook,
            lifecycle(),
            "of a service, its moment comes",
            of_service("t"),
            late,
            820,
        ),
        (
            hook,
            lifecycle(),
            "of a `DAEMON` service",
            of_service_as(Scheduling::Daemon, "t"),
            late,
            820,
        ),
        (
            hook,
            lifecycle(),
            "standalone, `stop-late`, its moment is far",
            task("t"),
            late,
            1,
        ),
        (
            hook,
            lifecycle(),
            "standalone, `stop-late`, its moment has come",
            task("t"),
            late,
            855,
        ),
        (
            hook,
            lifecycle(),
            "standalone, `stop-now`",
            task("t"),
            StandaloneTasks::StopNow,
            1,
        ),
        (
            hook,
            lifecycle(),
            "standalone, `leave`",
            task("t"),
            StandaloneTasks::Leave,
            1,
        ),
        (
            hook,
            lifecycle(),
            "any, less than 30 s are left",
            of_service("t"),
            late,
            871,
        ),
        (
            exchanged,
            exchange(),
            "of a service, its moment is far",
            of_service("t"),
            late,
            1,
        ),
        (
            exchanged,
            exchange(),
            "of a service, its moment comes",
            of_service("t"),
            late,
            820,
        ),
        (
            exchanged,
            exchange(),
            "any, less than 30 s are left",
            of_service("t"),
            late,
            871,
        ),
    ];
    let plan = |then: &Then, found: ContainerInstance, tasks: Vec<TaskFacts>, policy, seconds| {
        let silent_since = (!found.agent_connected).then(|| after(0));
        let found = ContainerInstances::of([found]);
        let now = after(seconds);
        await_tasks::plan(
            &look_again(then.clone(), silent_since),
            then,
            limit,
            &found,
            |_| Ok(tasks.clone()),
            policy,
            now,
        )
    };
    let here = || on(DOOMED, Status::Draining);
    let silent = ContainerInstance {
        agent_connected: false,
        ..here()
    };
    let mut table =
        "| who waits | tasks on the instance | actions | left alone, because |\n|---|---|---|---|\n"
            .to_owned();
    let mut row = |who, tasks, plan: &Plan| table += &format!("| {who} | {tasks} | {} |\n", cells(plan));
    for (who, then, what, task, policy, seconds) in rows {
        row(who, what, &plan(&then, here(), vec![task], policy, seconds));
    }
    let tasks = vec![of_service("t")];
    row(
        hook,
        "any, ECS agent silent at every look for over 5 minutes",
        &plan(&lifecycle(), silent, tasks, late, 301),
    );
    row(hook, "none", &plan(&lifecycle(), here(), vec![], late, 1));
    row(exchanged, "none", &plan(&exchange(), here(), vec![], late, 1));
    table
}

/// One test, since all parts rewrite the same page.
#[test]
fn the_documented_decisions_are_those_of_the_plan() {
    for (part, table) in [
        ("drain-tasks", of_container_instances()),
        ("tasks", of_tasks()),
        ("stopped tasks", of_tasks_whose_moment_has_come()),
        ("waiting", while_somebody_waits()),
    ] {
        documentation::part("docs/how-it-decides.md", part, &table).expect("up to date");
    }
}
