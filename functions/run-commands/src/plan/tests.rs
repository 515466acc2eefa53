use std::collections::HashMap;

use proptest::prelude::*;
use spot_handoff::autoscaling::groups::{Lifecycle, Member};
use spot_handoff::autoscaling::policies::{ByTag, LifecycleHooks};
use spot_handoff::elb::health::{Registered, State as Health, Target};
use spot_handoff::notice::LifecycleAction;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::config::Scope;
use spot_handoff::state::Versioned;

use super::*;
use crate::facts::{ItemsUnread, Run};

mod documented;

const DOOMED: &str = "i-1234567890abcdef0";
const DOCUMENT: &str = "checkpoint";

fn id() -> InstanceId {
    DOOMED.parse().expect("an id")
}

fn after(seconds: i64) -> Timestamp {
    let noticed: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
    noticed + SignedDuration::from_secs(seconds)
}

fn notice(signal: Signal) -> Notice {
    Notice {
        event_id: "e".to_owned(),
        instance: id(),
        time: after(0),
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
        cause: Cause::Interruption,
        deadline: Some(after(120)),
        step,
    }))
}

fn hook(name: &str) -> Notice {
    notice(Signal::TerminateLifecycleAction(LifecycleAction {
        group: "g".to_owned(),
        hook: name.to_owned(),
        token: "t".to_owned(),
        to_warm_pool: false,
    }))
}

fn config() -> Config {
    Config {
        scope: Scope::All,
        lifecycle_hooks: LifecycleHooks::of("spot-handoff-*"),
        own_queue_url: "own".to_owned(),
    }
}

fn group(tags: &[(&str, &str)]) -> Group {
    Group {
        name: "g".to_owned(),
        desired: 1,
        max: 2,
        target_groups: ["t".to_owned()].into(),
        tags: tags
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
        instances: vec![Member {
            id: id(),
            zone: "us-east-1a".to_owned(),
            lifecycle: Lifecycle::InService,
        }],
        ..Group::default()
    }
}

fn asking() -> Group {
    group(&[(StopDocument::TAG, DOCUMENT)])
}

fn script() -> Wanted {
    Wanted::of(&asking()).expect("asked for")
}

/// Facts in which the instance is a target or not.
fn facts(is_target: bool) -> Facts {
    let target = Registered {
        target: Target {
            id: DOOMED.to_owned(),
            port: Some(80),
        },
        state: Health::Draining,
        zone: None,
    };
    Facts {
        health: [(
            "t".to_owned(),
            Ok(is_target.then_some(target).into_iter().collect()),
        )]
        .into(),
        items: Ok(HashMap::new()),
        ..Facts::default()
    }
}

fn with_item(stage: Stage, written: Timestamp) -> Facts {
    let item = StopScript {
        written,
        ..item(&id(), DOCUMENT, stage, written)
    };
    Facts {
        items: Ok([(id(), Versioned { item, version: 3 })].into()),
        ..facts(false)
    }
}

/// What a plan does, in one word.
fn does(plan: &Plan) -> &'static str {
    match (&plan.actions[..], plan.problems.is_empty()) {
        ([Action::Run(_)], true) => "runs",
        ([Action::Send { follow_up, .. }], true) => match follow_up.step {
            Step::AwaitScript { .. } => "follows",
            _ => "looks",
        },
        ([Action::End(ended)], true) if ended.saved => "saved",
        ([Action::End(_)], true) => "lost",
        ([], true) => "nothing",
        ([], false) => "unread",
        _ => "several",
    }
}

#[test]
fn only_a_tag_of_the_group_asks_for_a_script() {
    let wants = |notice: &Notice, group: Group| {
        let groups = Groups::of([group]);
        match wanted(notice, &groups, &config()) {
            Ok(wanted) => format!("{} in {} s", wanted.document, wanted.takes.as_secs()),
            Err(plan) => plan
                .skipped
                .first()
                .map_or("unread".to_owned(), |skip| skip.reason.to_string()),
        }
    };
    let moves = follow_up(Step::MoveWork {
        group: "g".to_owned(),
        replacement: None,
    });
    assert_eq!(wants(&warning(), asking()), "checkpoint in 60 s");
    assert_eq!(wants(&moves, asking()), "checkpoint in 60 s");
    assert_eq!(wants(&hook("spot-handoff-drain"), asking()), "checkpoint in 60 s");
    let seconds = group(&[(StopDocument::TAG, DOCUMENT), (StopSeconds::TAG, "25")]);
    assert_eq!(wants(&warning(), seconds), "checkpoint in 25 s");
    assert_eq!(wants(&warning(), group(&[])), Skip::NoStopScript.to_string());
    let foreign = Skip::ForeignHook {
        hook: "backup".to_owned(),
    };
    assert_eq!(wants(&hook("backup"), asking()), foreign.to_string());
    let ignored = group(&[(StopDocument::TAG, DOCUMENT), ("spot-handoff:ignore", "")]);
    assert!(wants(&warning(), ignored).contains("spot-handoff:ignore"));
    let retired = notice(Signal::ScheduledRetirement {
        starts: after(7 * 24 * 3600),
    });
    assert_eq!(wants(&retired, asking()), Skip::WaitsForReplacement.to_string());
    assert_eq!(
        wants(&notice(Signal::RebalanceRecommendation), asking()),
        Skip::NotForThisFunction.to_string()
    );
}

#[test]
fn a_value_that_nobody_knows_is_told_and_the_default_holds() {
    let odd = group(&[
        (StopDocument::TAG, DOCUMENT),
        (StopSeconds::TAG, "soon"),
        (StopWhen::TAG, "later"),
    ]);
    let wanted = Wanted::of(&odd).expect("asked for");
    assert_eq!((wanted.takes.as_secs(), wanted.when), (60, StopWhen::TargetsOut));
    let said: Vec<String> = wanted.warnings.iter().map(Warning::to_string).collect();
    assert!(said[0].contains("soon") && said[1].contains("later"), "{said:?}");
    let shell = group(&[(StopDocument::TAG, "AWS-RunShellScript")]);
    let warnings = Wanted::of(&shell).expect_err("no document");
    assert!(warnings[0].to_string().contains("AWS-RunShellScript"));
}

#[test]
fn it_begins_when_the_targets_are_out_or_its_last_moment_has_come() {
    let table = [
        // Seconds after the warning, whether the instance is a target, and what is done.
        (1, true, "looks"),
        (1, false, "runs"),
        (48, true, "looks"),
        (49, true, "runs"),
        (110, true, "runs"),
        (121, true, "lost"),
    ];
    for (seconds, is_target, expected) in table {
        let plan = plan(&warning(), &script(), &facts(is_target), after(seconds));
        assert_eq!(does(&plan), expected, "{seconds} s, a target: {is_target}");
    }
    let unread = Facts {
        health: [(
            "t".to_owned(),
            Err(CallError::OutOfTime {
                action: "DescribeTargetHealth",
                last: None,
            }),
        )]
        .into(),
        ..facts(true)
    };
    assert_eq!(does(&plan(&warning(), &script(), &unread, after(1))), "looks");
    // Without any target, the instance works to its last safe second. If somebody waits for it, the script runs at
    // once.
    let no_target = Wanted {
        target_groups: BTreeSet::new(),
        ..script()
    };
    for (seconds, expected) in [(1, "looks"), (48, "looks"), (49, "runs")] {
        let plan = plan(&warning(), &no_target, &facts(false), after(seconds));
        assert_eq!(does(&plan), expected, "{seconds} s");
    }
    let waits = hook("spot-handoff-drain");
    assert_eq!(does(&plan(&waits, &no_target, &facts(false), after(1))), "runs");
    let at_once = Wanted {
        when: StopWhen::Now,
        ..script()
    };
    assert_eq!(does(&plan(&warning(), &at_once, &facts(true), after(1))), "runs");
    let hibernates = notice(Signal::InterruptionWarning {
        action: InstanceAction::Hibernate,
    });
    assert_eq!(
        does(&plan(&hibernates, &script(), &facts(true), after(1))),
        "runs"
    );
}

#[test]
fn a_look_comes_every_ten_seconds_and_at_the_last_moment() {
    let at = |seconds| match &plan(&warning(), &script(), &facts(true), after(seconds)).actions[..] {
        [Action::Send { at, follow_up, .. }] => {
            assert!(matches!(&follow_up.step, Step::Look { group: Some(group), .. } if group == "g"));
            *at
        }
        actions => panic!("{actions:?}"),
    };
    assert_eq!(at(1), after(11));
    assert_eq!(at(45), after(50));
}

#[test]
fn the_table_says_whether_it_has_been_sent() {
    let sent = || Stage::Sent {
        command: "c".to_owned(),
    };
    let table = [
        (sent(), 5, "nothing"),
        (Stage::Over, 5, "nothing"),
        (Stage::Claimed, 5, "looks"),
        (Stage::Claimed, 30, "runs"),
    ];
    for (stage, seconds, expected) in table {
        let facts = with_item(stage.clone(), after(0));
        let plan = plan(&warning(), &script(), &facts, after(seconds));
        assert_eq!(does(&plan), expected, "{stage:?} {seconds} s");
    }
    // The command of an invocation that has ended is found, is not found, or this is not known.
    let found = |found| Facts {
        sent_before: [(id(), found)].into(),
        ..with_item(Stage::Claimed, after(0))
    };
    let does_at_30 = |facts: &Facts| does(&plan(&warning(), &script(), facts, after(30)));
    assert_eq!(does_at_30(&found(Ok(Some("c".to_owned())))), "follows");
    assert_eq!(does_at_30(&found(Ok(None))), "runs");
    let error = CallError::OutOfTime {
        action: "ListCommandInvocations",
        last: None,
    };
    assert_eq!(does_at_30(&found(Err(error.clone()))), "unread");
    // Without the table the script runs, unless a command is found.
    let without = |found| Facts {
        items: Err(ItemsUnread("denied".to_owned())),
        sent_before: [(id(), found)].into(),
        ..facts(false)
    };
    assert_eq!(does_at_30(&without(Ok(Some("c".to_owned())))), "follows");
    assert_eq!(does_at_30(&without(Err(error))), "runs");
}

#[test]
fn parameters_are_those_that_the_document_declares() {
    let with = |declared: &[&str]| {
        let declared = declared.iter().map(ToString::to_string).collect();
        let facts = Facts {
            documents: [(DOCUMENT.to_owned(), Ok(declared))].into(),
            ..facts(false)
        };
        match plan(&warning(), &script(), &facts, after(20)).actions.remove(0) {
            Action::Run(command) => command.parameters.into_iter().collect::<Vec<_>>(),
            action => panic!("{action:?}"),
        }
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(with(&[]), []);
    assert_eq!(with(&["commands"]), []);
    assert_eq!(
        with(&["InstanceId", "Deadline", "Reason", "SecondsLeft"]),
        [
            pair("Deadline", "2026-11-24T04:02:00Z"),
            pair("InstanceId", DOOMED),
            pair("Reason", "interruption"),
            pair("SecondsLeft", "100"),
        ]
    );
}

#[test]
fn how_it_ended_is_told_once_and_what_has_no_end_is_lost() {
    let awaiting = follow_up(Step::AwaitScript {
        group: "g".to_owned(),
        command: "c".to_owned(),
        document: DOCUMENT.to_owned(),
        sent: after(10),
        until: after(120),
    });
    let Signal::FollowUp(step) = &awaiting.signal else {
        panic!("a follow-up")
    };
    let run = |state, status: &str| {
        let run = Run {
            state,
            status: status.to_owned(),
            exit_code: None,
            output: String::new(),
        };
        Facts {
            runs: [("c".to_owned(), Ok([(id(), run)].into()))].into(),
            ..facts(false)
        }
    };
    let does_at = |facts: &Facts, seconds| does(&ended(&awaiting, step, facts, after(seconds)));
    assert_eq!(does_at(&run(State::UnderWay, "InProgress"), 30), "follows");
    assert_eq!(does_at(&run(State::Success, "Success"), 30), "saved");
    assert_eq!(does_at(&run(State::Bad, "Undeliverable"), 30), "lost");
    assert_eq!(does_at(&run(State::UnderWay, "InProgress"), 119), "lost");
    // Right after sending, a command may not be visible yet.
    assert_eq!(does_at(&facts(false), 15), "follows");
    let unread = Facts {
        runs: [(
            "c".to_owned(),
            Err(CallError::OutOfTime {
                action: "ListCommandInvocations",
                last: None,
            }),
        )]
        .into(),
        ..facts(false)
    };
    assert_eq!(does_at(&unread, 30), "unread");
    assert_eq!(does_at(&unread, 120), "lost");
    assert_eq!(does_at(&with_item(Stage::Over, after(20)), 30), "nothing");
}

proptest! {
    /// Whatever is known, and whenever it is looked at: something is done or reported, and nothing is planned twice.
    #[test]
    fn of_any_facts_comes_one_thing(
        seconds in 0_i64..300,
        is_target: bool,
        takes in 5_i64..3600,
        stage in 0..4,
        written in 0_i64..300,
    ) {
        let mut known = match stage {
            0 => facts(is_target),
            1 => with_item(Stage::Claimed, after(written)),
            2 => with_item(Stage::Over, after(written)),
            _ => Facts { items: Err(ItemsUnread::default()), ..facts(is_target) },
        };
        known.health = facts(is_target).health;
        let wanted = Wanted { takes: SignedDuration::from_secs(takes), ..script() };
        let plan = plan(&warning(), &wanted, &known, after(seconds));
        prop_assert!(matches!(does(&plan), "runs" | "looks" | "follows" | "lost" | "nothing"));
        for action in &plan.actions {
            if let Action::Send { at, .. } = action {
                prop_assert!(*at <= after(seconds) + LOOK_AGAIN);
            }
        }
    }
}
