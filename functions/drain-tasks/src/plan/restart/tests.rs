use spot_handoff::autoscaling::groups::{Group, Groups, Member};
use spot_handoff::ecs::container_instances::Status;
use spot_handoff::notice::InstanceId;

use super::*;

const REBOOTED: &str = "i-1234567890abcdef0";
const DAY: i64 = 24 * 3600;

fn id() -> InstanceId {
    REBOOTED.parse().expect("an id")
}

/// Seconds after the announcement.
fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365) + SignedDuration::from_secs(seconds)
}

fn of(time: Timestamp, signal: Signal) -> Notice {
    Notice {
        event_id: "e".to_owned(),
        instance: id(),
        time,
        signal,
        ends: None,
        drill: None,
    }
}

/// AWS's event at a moment: the restart is a day away, and takes place within two hours from then.
fn said_at(seconds: i64, starts: i64, over: bool) -> Notice {
    of(
        at(seconds),
        Signal::ScheduledRestart(ScheduledRestart {
            change: "c".to_owned(),
            starts: at(starts),
            ends: Some(at(starts + 7200)),
            over,
        }),
    )
}

fn look(turn: Timestamp) -> Notice {
    of(
        at(0),
        Signal::FollowUp(FollowUp {
            cause: Cause::Restart,
            deadline: Some(at(DAY)),
            step: Step::AwaitRestart {
                change: "c".to_owned(),
                turn,
            },
        }),
    )
}

fn known(stage: Stage) -> Restart {
    Restart {
        instance: id(),
        change: "c".to_owned(),
        group: Some("g".to_owned()),
        said_at: at(0),
        starts: at(DAY),
        ends: Some(at(DAY + 7200)),
        over: false,
        stage,
        was_silent: false,
        turn: at(7),
    }
}

fn groups(name: &str, lifecycle: Lifecycle) -> Groups {
    Groups::of([Group {
        name: name.to_owned(),
        instances: vec![Member {
            id: id(),
            zone: String::new(),
            lifecycle,
        }],
        ..Group::default()
    }])
}

fn container_instance(agent_connected: bool) -> ContainerInstance {
    ContainerInstance {
        arn: "ci".to_owned(),
        cluster: "c".to_owned(),
        instance: id(),
        status: Status::Draining,
        agent_connected,
        registered_at: None,
        tasks: 0,
        capacity_provider: None,
        is_managed: false,
    }
}

/// A plan in few words: who is asked to do what, when the next look is, why nothing is done.
fn words(plan: &Plan, next: Option<&Restart>) -> String {
    let mut words: Vec<String> = plan
        .actions
        .iter()
        .map(|action| match action {
            Action::Send {
                to,
                at: when,
                follow_up,
                ..
            } => match &follow_up.step {
                Step::AwaitRestart { turn, .. } => {
                    assert_eq!((turn, to), (when, &Queue::Own));
                    assert_eq!(
                        next.map(|next| next.turn),
                        Some(*turn),
                        "the table names this look"
                    );
                    format!("look at {}", when.duration_since(at(0)).as_secs())
                }
                Step::StepAside { group } => {
                    assert_eq!(follow_up.deadline, next.map(|next| next.starts.max(*when)));
                    format!("{to:?}: aside from {}", group.as_deref().unwrap_or("no group"))
                }
                Step::StepBack => format!("{to:?}: back"),
                step => panic!("{step:?}"),
            },
            action => panic!("{action:?}"),
        })
        .collect();
    words.extend(plan.skipped.iter().map(|skipped| format!("{:?}", skipped.reason)));
    words.extend(plan.warnings.iter().map(|warning| format!("{warning:?}")));
    words.extend(
        next.filter(|next| next.stage == Stage::Over)
            .map(|_| "over".to_owned()),
    );
    words.join(", ")
}

fn decided(notice: &Notice, before: Option<&Restart>, connected: bool, now: i64) -> String {
    let groups = groups("g", Lifecycle::InService);
    let seen = Seen {
        group: &groups.of_instance(&id()),
        on: &[container_instance(connected)],
        now: at(now),
    };
    let (plan, next) = plan(notice, before, seen);
    words(&plan, next.as_ref())
}

#[test]
fn a_restart_is_looked_for_every_quarter_of_an_hour_until_it_is_near() {
    let waiting = known(Stage::Waiting);
    let aside = "Own: aside from g, DeregisterTargets: aside from g";
    let first = said_at(0, DAY, false);
    let table = [
        ("the first word", &first, None, 1, "look at 901".to_owned()),
        (
            "the same again",
            &first,
            Some(&waiting),
            3,
            "look at 903".to_owned(),
        ),
        (
            "near already",
            &said_at(0, 300, false),
            None,
            1,
            format!("{aside}, look at 330"),
        ),
        (
            "its date has passed",
            &said_at(0, -8000, false),
            None,
            1,
            "RestartOver".to_owned(),
        ),
        (
            "its date has passed, its window not",
            &said_at(0, -60, false),
            None,
            1,
            format!("{aside}, look at 31"),
        ),
        (
            "a look",
            &look(at(7)),
            Some(&waiting),
            7,
            "look at 907".to_owned(),
        ),
        (
            "the last look before",
            &look(at(7)),
            Some(&waiting),
            DAY - 700,
            format!("look at {}", DAY - 600),
        ),
        (
            "it is near",
            &look(at(7)),
            Some(&waiting),
            DAY - 600,
            format!("{aside}, look at {}", DAY + 30),
        ),
        (
            "a look of another row",
            &look(at(8)),
            Some(&waiting),
            8,
            "AnotherLook".to_owned(),
        ),
        (
            "nothing is known",
            &look(at(7)),
            None,
            7,
            "RestartOver".to_owned(),
        ),
    ];
    for (what, notice, before, now, expected) in table {
        assert_eq!(decided(notice, before, true, now), expected, "{what}");
    }
}

#[test]
fn what_aws_says_of_it_later_is_obeyed_and_what_it_said_before_is_not() {
    let (waiting, aside) = (known(Stage::Waiting), known(Stage::Aside(at(DAY))));
    let over = known(Stage::Over);
    let moved = said_at(60, 2 * DAY, false);
    let table = [
        (
            "called off",
            &said_at(60, DAY, true),
            Some(&waiting),
            61,
            "RestartOver, over".to_owned(),
        ),
        (
            "of an older day",
            &said_at(-60, DAY, true),
            Some(&waiting),
            61,
            "OlderNews".to_owned(),
        ),
        (
            "over, and never known",
            &said_at(60, DAY, true),
            None,
            61,
            "RestartOver".to_owned(),
        ),
        (
            "a late copy",
            &said_at(0, DAY, false),
            Some(&over),
            61,
            "RestartOver".to_owned(),
        ),
        (
            "announced anew",
            &moved,
            Some(&over),
            61,
            "look at 961".to_owned(),
        ),
        ("moved", &moved, Some(&waiting), 61, "look at 961".to_owned()),
        // The looks at the targets end with the moment of the restart.
        (
            "called off while it is drained",
            &said_at(DAY - 60, DAY, true),
            Some(&aside),
            DAY - 60,
            format!("look at {}", DAY + 30),
        ),
        (
            "moved while it is drained",
            &said_at(DAY + 40, 3 * DAY, false),
            Some(&aside),
            DAY + 40,
            format!("Own: back, DeregisterTargets: back, look at {}", DAY + 940),
        ),
    ];
    for (what, notice, before, now, expected) in table {
        assert_eq!(decided(notice, before, true, now), expected, "{what}");
    }
}

#[test]
fn an_instance_is_back_when_its_agent_was_gone_and_is_there_or_the_time_is_over() {
    let aside = known(Stage::Aside(at(DAY)));
    let silent = Restart {
        was_silent: true,
        ..aside.clone()
    };
    let called_off = Restart {
        over: true,
        ..aside.clone()
    };
    let back = "Own: back, DeregisterTargets: back, over";
    let next = |now: i64| format!("look at {}", now + 30);
    let table = [
        ("not yet restarted", &aside, true, DAY + 60, next(DAY + 60)),
        ("it restarts", &aside, false, DAY + 90, next(DAY + 90)),
        ("it restarts still", &silent, false, DAY + 120, next(DAY + 120)),
        ("it is back", &silent, true, DAY + 150, back.to_owned()),
        (
            "AWS says that it is over",
            &called_off,
            true,
            DAY + 150,
            back.to_owned(),
        ),
        (
            "over, and not back",
            &called_off,
            false,
            DAY + 150,
            next(DAY + 150),
        ),
        ("nobody saw it", &aside, true, DAY + 7200 + 1800, back.to_owned()),
        (
            "it never comes back",
            &silent,
            false,
            DAY + 7200 + DAY,
            "NeverBack, over".to_owned(),
        ),
    ];
    for (what, before, connected, now, expected) in table {
        assert_eq!(
            decided(&look(at(7)), Some(before), connected, now),
            expected,
            "{what}"
        );
    }
}

#[test]
fn nothing_is_given_back_to_an_instance_that_leaves_its_group() {
    let aside = known(Stage::Aside(at(DAY)));
    let table = [
        (groups("g", Lifecycle::Terminating), true),
        (groups("another", Lifecycle::InService), true),
        (Groups::default(), true),
        (groups("g", Lifecycle::Standby), false),
    ];
    for (groups, has_left) in table {
        let seen = Seen {
            group: &groups.of_instance(&id()),
            on: &[container_instance(true)],
            now: at(DAY + 60),
        };
        let (plan, next) = plan(&look(at(7)), Some(&aside), seen);
        let found = words(&plan, next.as_ref()) == "HasLeftGroup, over";
        assert_eq!(found, has_left, "{:?}", seen.group);
    }
}
