use spot_handoff::notice::InstanceAction;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::config::{Env, Scope};

use super::*;

const ONE: &str = "i-00000000000000001";
const TWO: &str = "i-00000000000000002";
const TARGETS: &str = "arn:of:targets";

fn id(text: &str) -> InstanceId {
    text.parse().expect("an id")
}

fn at(seconds: i64) -> Timestamp {
    let begin: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
    begin + jiff::SignedDuration::from_secs(seconds)
}

fn warning(instance: &str) -> Notice {
    Notice {
        event_id: format!("of {instance}"),
        instance: id(instance),
        time: at(0),
        signal: Signal::InterruptionWarning {
            action: InstanceAction::Terminate,
        },
        ends: None,
        drill: None,
    }
}

fn look(instance: &str) -> Notice {
    Notice {
        signal: Signal::FollowUp(FollowUp {
            cause: Cause::Interruption,
            deadline: Some(at(120)),
            step: Step::Look {
                group: Some("g".to_owned()),
                registered: vec![],
                seen: vec![],
            },
        }),
        ..warning(instance)
    }
}

fn group() -> Group {
    let member = |instance: &str| Member {
        id: id(instance),
        zone: String::new(),
        lifecycle: Lifecycle::InService,
    };
    Group {
        name: "g".to_owned(),
        target_groups: [TARGETS.to_owned()].into(),
        instances: vec![member(ONE), member(TWO)],
        ..Group::default()
    }
}

fn config() -> Config {
    let queues = [
        ("DEREGISTER_TARGETS_QUEUE_URL", "d"),
        ("DRAIN_TASKS_QUEUE_URL", "t"),
        ("REPLACE_CAPACITY_QUEUE_URL", "r"),
        ("RUN_COMMANDS_QUEUE_URL", "c"),
    ];
    Config::read(&Env::of(&queues)).expect("the defaults")
}

fn registered(targets: &[(&str, State)]) -> TargetHealth {
    let one = |(instance, state): &(&str, State)| Registered {
        target: Target {
            id: (*instance).to_owned(),
            port: Some(80),
        },
        state: *state,
        zone: None,
    };
    TargetHealth::from([(TARGETS.to_owned(), Ok(targets.iter().map(one).collect()))])
}

/// The instances with held targets if nobody else is under notice.
fn held_of(
    notices: &[Notice],
    group: Group,
    health: &mut TargetHealth,
    config: &Config,
    seconds: i64,
) -> Vec<String> {
    let groups = Groups::of([group]);
    let doomed = doomed(notices, &groups, config);
    let _ = assume(health, &doomed);
    let news = news(&doomed, health);
    let shares = shares(&doomed, config.keep_healthy);
    let noted = news.iter().map(|news| {
        let item = keeper::without_table(news, health, at(seconds));
        (news.target_group.clone(), item)
    });
    let facts = keeper::Facts {
        health,
        keep_healthy: &shares,
        balancers: HashMap::new(),
        delays: HashMap::new(),
        under_notice: noted.collect(),
        now: at(seconds),
    };
    let held = held(&doomed, &facts);
    held.into_keys().map(|instance| instance.to_string()).collect()
}

use State::{Draining, Healthy, Initial, Unhealthy};

#[test]
fn an_instance_is_needed_while_its_target_is_one_of_those_that_have_to_stay() {
    let both = [(ONE, Healthy), (TWO, Healthy)];
    let only = [(ONE, Healthy), (TWO, Initial)];
    let none: &[&str] = &[];
    for (notices, targets, seconds, expected) in [
        (vec![warning(ONE)], &both[..], 0, none),
        (vec![warning(ONE), warning(TWO)], &both, 0, &[ONE]),
        (vec![warning(ONE)], &only, 0, &[ONE]),
        (vec![look(ONE)], &only, 60, &[ONE]),
        (vec![look(ONE)], &only, 114, none),
        (vec![look(ONE)], &both, 60, none),
        (vec![warning(ONE)], &[(ONE, Draining)], 0, none),
        (vec![warning(ONE)], &[(ONE, Unhealthy), (TWO, Healthy)], 0, none),
        (vec![warning(ONE)], &[], 0, none),
    ] {
        let found = held_of(&notices, group(), &mut registered(targets), &config(), seconds);
        assert_eq!(found, expected, "{targets:?} at {seconds}");
    }
}

#[test]
fn health_that_cannot_be_read_is_that_of_the_group() {
    let refused = || {
        let error = CallError::NoAnswer {
            action: "DescribeTargetHealth",
            message: "slow".to_owned(),
        };
        TargetHealth::from([(TARGETS.to_owned(), Err(error))])
    };
    let none: &[&str] = &[];
    let of = |group| held_of(&[warning(ONE)], group, &mut refused(), &config(), 0);
    assert_eq!(of(group()), none, "another one is in service");
    let mut alone = group();
    alone.instances.truncate(1);
    assert_eq!(of(alone.clone()), [ONE]);

    let groups = Groups::of([alone]);
    let notices = [warning(ONE)];
    let mut health = refused();
    let unread = assume(&mut health, &doomed(&notices, &groups, &config()));
    assert_eq!(unread.len(), 1);
    let mut gone = TargetHealth::from([(
        TARGETS.to_owned(),
        Err(CallError::Refused {
            action: "DescribeTargetHealth",
            code: "TargetGroupNotFound".to_owned(),
            message: String::new(),
        }),
    )]);
    assert!(assume(&mut gone, &doomed(&notices, &groups, &config())).is_empty());
}

#[test]
fn nothing_is_written_down_about_what_is_left_alone() {
    let tagged_only = Config {
        scope: Scope::Tagged,
        ..config()
    };
    let rebalancing = Group {
        capacity_rebalance: true,
        ..group()
    };
    let mut leaving = group();
    leaving.instances[0].lifecycle = Lifecycle::Terminating;
    let recommendation = Notice {
        signal: Signal::RebalanceRecommendation,
        ..warning(ONE)
    };
    for (notice, group, config) in [
        (warning(ONE), group(), &tagged_only),
        (warning(ONE), rebalancing, &config()),
        (warning(ONE), leaving, &config()),
        (recommendation, group(), &config()),
    ] {
        let groups = Groups::of([group]);
        assert!(doomed(&[notice], &groups, config).is_empty());
    }
}

#[test]
fn a_group_says_by_tag_how_much_has_to_stay() {
    let mut all = group();
    let tag = KeepHealthy::TAG.to_owned();
    all.tags.insert(tag, "100".to_owned());
    let health = || registered(&[(ONE, Healthy), (TWO, Healthy)]);
    let found = held_of(&[warning(ONE)], all, &mut health(), &config(), 0);
    assert_eq!(found, [ONE]);
}
