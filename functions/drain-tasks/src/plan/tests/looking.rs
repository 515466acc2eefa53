//! What looks find, and when the next look comes.

use spot_handoff::notice::{Registered, between_looks};

use super::*;

fn look_at(drained: &[(&str, usize)]) -> Notice {
    let registered = drained.iter().map(|(id, tasks)| Registered {
        cluster: "c".to_owned(),
        container_instance: id.to_string(),
        draining_with: Some(*tasks),
    });
    notice(Signal::FollowUp(FollowUp {
        cause: Cause::Interruption,
        deadline: Some(after(120)),
        step: Step::Look {
            group: Some("g".to_owned()),
            registered: registered.collect(),
            seen: vec![],
        },
    }))
}

fn with_tasks(status: Status, tasks: usize) -> ContainerInstance {
    ContainerInstance {
        tasks,
        ..on(DOOMED, status)
    }
}

/// When the next look comes, in seconds after the notice, and what it will know.
fn next(notice: &Notice, found: &ContainerInstances, seconds: i64) -> Option<(i64, Vec<(String, usize)>)> {
    let cares = |one: &ContainerInstance| left_alone(notice, &GroupOf::None, one).is_none();
    let (follow_up, at) = look::next(notice, Some("g"), found, cares, between_looks(1), after(seconds))?;
    let Step::Look {
        group, registered, ..
    } = follow_up.step
    else {
        panic!("{follow_up:?}")
    };
    assert_eq!(group.as_deref(), Some("g"));
    assert_eq!(follow_up.deadline, notice.deadline());
    let drained = registered
        .into_iter()
        .filter_map(|one| Some((one.container_instance, one.draining_with?)));
    Some((at.duration_since(after(0)).as_secs(), drained.collect()))
}

#[test]
fn an_instance_is_looked_at_every_ten_seconds_until_its_deadline() {
    let active = ContainerInstances::of([on(DOOMED, Status::Active)]);
    let draining = ContainerInstances::of([with_tasks(Status::Draining, 3)]);
    let known = vec![(DOOMED.to_owned(), 3)];
    let table = [
        ("drained just now", warning(), &active, 0, Some((10, vec![]))),
        (
            "it drains",
            look_at(&[]),
            &draining,
            10,
            Some((20, known.clone())),
        ),
        (
            "it still does",
            look_at(&[(DOOMED, 5)]),
            &draining,
            100,
            Some((110, known)),
        ),
        (
            "the instance is gone by then",
            look_at(&[(DOOMED, 5)]),
            &draining,
            110,
            None,
        ),
        (
            "somebody made it ACTIVE",
            look_at(&[(DOOMED, 5)]),
            &active,
            30,
            None,
        ),
        (
            "it became ACTIVE late",
            look_at(&[]),
            &active,
            30,
            Some((40, vec![])),
        ),
    ];
    for (what, notice, found, seconds, expected) in table {
        assert_eq!(next(&notice, found, seconds), expected, "{what}");
    }
}

#[test]
fn nothing_is_looked_at_longer_than_it_must() {
    let active = ContainerInstances::of([on(DOOMED, Status::Active)]);
    let elsewhere = ContainerInstances::of([on(REPLACEMENT, Status::Active)]);
    let of_batch = ContainerInstances::of([of_batch(Status::Active)]);
    let hook = LifecycleAction {
        group: "g".to_owned(),
        hook: "spot-handoff-drain".to_owned(),
        token: "t".to_owned(),
        to_warm_pool: false,
    };
    let hibernates = Signal::InterruptionWarning {
        action: InstanceAction::Hibernate,
    };
    let far = Signal::ScheduledRetirement { starts: after(3600) };
    let near = Signal::ScheduledRetirement { starts: after(600) };
    let table = [
        (
            "in no cluster: it may register late",
            warning(),
            &elsewhere,
            Some(30),
        ),
        (
            "it has left its cluster",
            look_at(&[(DOOMED, 1)]),
            &elsewhere,
            None,
        ),
        (
            "no cluster at all",
            warning(),
            &ContainerInstances::default(),
            None,
        ),
        ("of AWS Batch", warning(), &of_batch, None),
        ("hibernates", notice(hibernates), &active, None),
        (
            "waits in a hook",
            notice(Signal::TerminateLifecycleAction(hook)),
            &active,
            None,
        ),
        ("in an exchange", move_work(None), &active, None),
        ("stops", state_change(InstanceState::ShuttingDown), &active, None),
        ("is retired in an hour", notice(far), &active, None),
        ("is retired soon", notice(near), &active, Some(10)),
    ];
    for (what, notice, found, expected) in table {
        let found = next(&notice, found, 0).map(|(at, _)| at);
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn what_registers_or_becomes_active_late_is_drained_and_what_somebody_made_active_is_not() {
    let active = ContainerInstances::of([on(DOOMED, Status::Active)]);
    let late = drain_plan(&look_at(&[]), &active);
    assert_eq!(late.actions.len(), 1);
    let anew = drain_plan(&look_at(&[("of another registration", 1)]), &active);
    assert_eq!(anew.actions.len(), 1, "it has registered anew");
    let by_somebody = drain_plan(&look_at(&[(DOOMED, 1)]), &active);
    assert_eq!(by_somebody.actions, []);
    let [Warning::MadeActiveAgain { container_instance }] = &by_somebody.warnings[..] else {
        panic!("{:?}", by_somebody.warnings)
    };
    assert_eq!(*container_instance, format!("ci/{DOOMED}"));
}

#[test]
fn tasks_are_read_where_there_may_be_new_ones_and_only_late_ones_are_seen_to() {
    let table = [
        ("the notice itself", warning(), 3, true),
        ("not seen DRAINING before", look_at(&[]), 3, true),
        ("as many as before", look_at(&[(DOOMED, 3)]), 3, false),
        ("fewer", look_at(&[(DOOMED, 3)]), 1, false),
        ("one more", look_at(&[(DOOMED, 3)]), 4, true),
    ];
    for (what, notice, tasks, expected) in table {
        let reads = look::may_have_new_tasks(&notice, &with_tasks(Status::Draining, tasks));
        assert_eq!(reads, expected, "{what}");
    }
    let made = |seconds: i64| TaskFacts {
        created_at: Some(after(seconds)),
        ..task("a")
    };
    for (task, late) in [
        (made(-61), false),
        (made(-30), true),
        (made(5), true),
        (task("a"), true),
    ] {
        assert_eq!(look::is_late(&look_at(&[]), &task), late, "{:?}", task.created_at);
        assert!(look::is_late(&warning(), &task));
    }
}
