use spot_handoff::autoscaling::policies::ReplacementStrategy;
use spot_handoff::autoscaling::scope::IGNORE_TAG;
use spot_handoff::exchange::{self, tag_of};
use spot_handoff::notice::InstanceState;

use super::*;
use crate::config::Queues;
use crate::facts::NotReady;
use crate::replacement_tag::Exchange;

const OLD: &str = "i-1234567890abcdef0";
const NEW: &str = "i-1234567890abcdef1";

fn id(text: &str) -> InstanceId {
    text.parse().expect("an id")
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn now() -> Timestamp {
    time("2026-11-24T04:00:01Z")
}

fn config() -> Config {
    Config {
        scope: Scope::All,
        strategy: ReplacementStrategy::Detach,
        rebalance: RebalanceAction::LaunchFirst,
        queues: Queues {
            deregister_targets: "d".to_owned(),
            drain_tasks: "t".to_owned(),
            own: "r".to_owned(),
        },
    }
}

fn member(id_text: &str, zone: &str, lifecycle: Lifecycle) -> Member {
    Member {
        id: id(id_text),
        zone: zone.to_owned(),
        lifecycle,
    }
}

/// A group of two in two zones; its first instance is the one in question.
fn group() -> Group {
    Group {
        name: "g".to_owned(),
        desired: 2,
        max: 4,
        zones: vec!["us-east-1a".to_owned(), "us-east-1b".to_owned()],
        has_launch_template: true,
        instances: vec![
            member(OLD, "us-east-1a", Lifecycle::InService),
            member("i-1234567890abcdefa", "us-east-1b", Lifecycle::InService),
        ],
        ..Group::default()
    }
}

fn tagged(exchange: Exchange) -> Group {
    let mut group = group();
    group.tags.insert(tag_of(&id(OLD)), exchange.to_value());
    group
}

/// A launch that was under way before, of an exchange that another message asked for.
fn attempt() -> Attempt {
    Attempt {
        zone: "us-east-1b".to_owned(),
        begun: time("2026-11-24T03:58:00Z"),
    }
}

/// The exchange has raised the desired capacity, and another that raised it before is over.
fn marked() -> Group {
    tagged(Exchange::Raised { from: 2 })
}

/// The exchange has launched the replacement, which raised the desired capacity.
fn launched(lifecycle: Option<Lifecycle>) -> Group {
    let mut group = tagged(Exchange::Launched { replacement: id(NEW) });
    group.desired = 3;
    group
        .instances
        .extend(lifecycle.map(|lifecycle| member(NEW, "us-east-1a", lifecycle)));
    group
}

fn notice(signal: Signal) -> Notice {
    Notice {
        event_id: "e".to_owned(),
        instance: id(OLD),
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

fn recommendation() -> Notice {
    notice(Signal::RebalanceRecommendation)
}

fn follow_up(step: Step) -> Notice {
    let deadline = Some(time("2026-11-24T04:15:00Z"));
    notice(Signal::FollowUp(FollowUp {
        cause: Cause::Rebalance,
        deadline,
        step,
    }))
}

fn await_replacement() -> Notice {
    follow_up(Step::AwaitReplacement {
        group: "g".to_owned(),
    })
}

fn retire() -> Notice {
    follow_up(Step::Retire {
        group: "g".to_owned(),
    })
}

fn plan_at(notice: Notice, group: Group, config: &Config, now: Timestamp) -> Plan {
    plan_with(notice, group, &Health::default(), config, now)
}

fn plan_with(notice: Notice, group: Group, health: &Health, config: &Config, now: Timestamp) -> Plan {
    plans(&[notice], &Groups::of([group]), health, config, now).remove(0)
}

fn plan_of(notice: Notice, group: Group) -> Plan {
    plan_at(notice, group, &config(), now())
}

fn leaving(decrement: bool) -> Leaving {
    Leaving {
        group: "g".to_owned(),
        instance: id(OLD),
        decrement,
    }
}

/// Whether these actions are one look half a minute later, which removes the tags.
fn cleans_up(actions: &[Action]) -> bool {
    let at = now() + jiff::SignedDuration::from_secs(30);
    matches!(actions, [Action::Send { to: Queue::Own, at: when, follow_up, .. }]
        if *when == at && matches!(follow_up.step, Step::AwaitReplacement { .. }))
}

/// The instance has left, and whoever took it away has given back what the exchange had raised, or has not.
fn gone(mut group: Group, given_back: bool) -> Group {
    group.instances.remove(0);
    if given_back {
        group
            .tags
            .insert(crate::replacement_tag::left_key(&id(OLD)), "true".to_owned());
    }
    group
}

fn untag() -> Action {
    Action::Untag {
        group: "g".to_owned(),
        instance: id(OLD),
    }
}

fn give_back(surplus: Surplus) -> Action {
    Action::GiveBack {
        group: "g".to_owned(),
        instance: id(OLD),
        surplus,
    }
}

fn terminate(replacement: &str) -> Action {
    give_back(Surplus::Instance(id(replacement)))
}

fn lower() -> Action {
    give_back(Surplus::Capacity { from: 3 })
}

fn only_reason(plan: &Plan) -> &Skip {
    assert!(plan.actions.is_empty() && plan.problems.is_empty(), "{plan:?}");
    &plan.skipped[0].reason
}

#[test]
fn an_interrupted_instance_is_detached_and_the_desired_capacity_stays() {
    assert_eq!(
        plan_of(warning(), group()).actions,
        [Action::Detach(leaving(false))]
    );
}

#[test]
fn the_strategy_terminate_runs_hooks_and_warns_that_it_is_early() {
    let config = Config {
        strategy: ReplacementStrategy::Terminate,
        ..config()
    };
    let plan = plan_at(warning(), group(), &config, now());
    assert_eq!(plan.actions, [Action::Terminate(leaving(false))]);
    assert_eq!(
        plan.warnings,
        [Warning::StrategyTerminatesEarly {
            group: "g".to_owned()
        }]
    );
}

#[test]
fn an_interruption_during_an_exchange_uses_the_replacement_that_is_there() {
    let mut raised = tagged(Exchange::Raising { from: 2 });
    raised.desired = 3;
    let finish = Action::FinishLaunchAndLeave {
        leaving: leaving(true),
        attempt: attempt(),
        terminate: false,
    };
    let table = [
        (marked(), Action::Detach(leaving(true))),
        (
            launched(Some(Lifecycle::InService)),
            Action::Detach(leaving(true)),
        ),
        (launched(Some(Lifecycle::Pending)), Action::Detach(leaving(true))),
        // The replacement is gone, but the desired capacity that was raised for it launches another.
        (launched(None), Action::Detach(leaving(true))),
        (raised, Action::Detach(leaving(true))),
        (
            tagged(Exchange::Raising { from: 2 }),
            Action::Detach(leaving(false)),
        ),
        (tagged(Exchange::Launching(attempt())), finish),
    ];
    for (group, expected) in table {
        let actions = plan_of(warning(), group.clone()).actions;
        assert_eq!(actions[..1], [expected], "{group:?}");
        assert!(cleans_up(&actions[1..]), "{actions:?}");
    }
}

#[test]
fn only_an_instance_in_service_in_a_group_that_is_ours_is_replaced() {
    let with = |change: &dyn Fn(&mut Group)| {
        let mut group = group();
        change(&mut group);
        group
    };
    let lifecycle = |lifecycle| with(&move |group: &mut Group| group.instances[0].lifecycle = lifecycle);
    let ignored = with(&|group| {
        group.tags.insert(IGNORE_TAG.to_owned(), "true".to_owned());
    });
    let suspended = with(&|group| {
        group.suspended.insert("Launch".to_owned());
    });
    let absent = with(&|group| group.instances.clear());
    let table = [
        (lifecycle(Lifecycle::Terminating), Skip::AlreadyLeaving),
        (lifecycle(Lifecycle::Detaching), Skip::AlreadyLeaving),
        (
            lifecycle(Lifecycle::Standby),
            Skip::NotInService {
                lifecycle: Lifecycle::Standby,
            },
        ),
        (
            lifecycle(Lifecycle::Pending),
            Skip::NotInService {
                lifecycle: Lifecycle::Pending,
            },
        ),
        (
            ignored,
            Skip::OutOfScope(OutOfScope::Ignored {
                group: "g".to_owned(),
            }),
        ),
        (
            suspended,
            Skip::LaunchSuspended {
                group: "g".to_owned(),
            },
        ),
        (absent, Skip::InNoGroup),
    ];
    for (group, expected) in table {
        for notice in [warning(), recommendation()] {
            assert_eq!(*only_reason(&plan_of(notice, group.clone())), expected);
        }
    }
}

#[test]
fn an_instance_that_comes_back_needs_no_replacement() {
    for action in [InstanceAction::Stop, InstanceAction::Hibernate] {
        let plan = plan_of(notice(Signal::InterruptionWarning { action }), group());
        assert_eq!(*only_reason(&plan), Skip::ComesBack);
    }
}

#[test]
fn with_scope_tagged_the_other_functions_are_told_since_they_may_look_too_late() {
    let config = Config {
        scope: Scope::Tagged,
        ..config()
    };
    let mut managed = group();
    managed.tags.insert(
        spot_handoff::autoscaling::scope::MANAGED_TAG.to_owned(),
        "true".to_owned(),
    );
    let plan = plan_at(warning(), managed, &config, now());
    let asked: Vec<_> = plan
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Send { to, follow_up, .. } => Some((*to, follow_up.deadline)),
            _ => None,
        })
        .collect();
    let deadline = warning().deadline();
    assert_eq!(
        asked,
        [
            (Queue::DeregisterTargets, deadline),
            (Queue::DrainTasks, deadline)
        ]
    );
}

#[test]
fn a_recommendation_is_left_to_auto_scaling_where_capacity_rebalancing_is_on() {
    let group = Group {
        capacity_rebalance: true,
        ..group()
    };
    assert_eq!(
        *only_reason(&plan_of(recommendation(), group)),
        Skip::LeftToAutoScaling
    );
    let ignore = Config {
        rebalance: RebalanceAction::Ignore,
        ..config()
    };
    assert_eq!(
        *only_reason(&plan_at(recommendation(), self::group(), &ignore, now())),
        Skip::RebalanceIgnored
    );
}

#[test]
fn a_recommendation_launches_first_in_the_emptiest_zone_and_advises_capacity_rebalancing() {
    let plan = plan_of(recommendation(), group());
    let [
        Action::Launch {
            zones,
            begun,
            resumes: false,
            ..
        },
    ] = plan.actions.as_slice()
    else {
        panic!("{:?}", plan.actions)
    };
    assert_eq!(*begun, time("2026-11-24T04:00:00Z"));
    // The instance itself does not count: its zone is the empty one.
    assert_eq!(zones, &["us-east-1a", "us-east-1b"]);
    assert_eq!(
        plan.warnings,
        [Warning::CapacityRebalancingOff {
            group: "g".to_owned()
        }]
    );
}

#[test]
fn groups_that_launch_instances_does_not_take_have_their_desired_capacity_raised() {
    let mixed = Group {
        mixes_purchase_options: true,
        ..group()
    };
    let old_fashioned = Group {
        has_launch_template: false,
        ..group()
    };
    for group in [mixed, old_fashioned] {
        let plan = plan_of(recommendation(), group);
        assert!(
            matches!(plan.actions[..], [Action::RaiseDesiredCapacity { from: 2, .. }]),
            "{:?}",
            plan.actions
        );
    }
}

#[test]
fn a_group_with_a_warm_pool_takes_the_replacement_from_there() {
    let mut group = group();
    group.has_warm_pool = true;
    let plan = plan_of(recommendation(), group);
    assert!(matches!(plan.actions[..], [Action::RaiseDesiredCapacity { .. }]));
}

#[test]
fn max_size_leaves_room_or_the_instance_goes_on_serving() {
    let full = Group { max: 2, ..group() };
    assert_eq!(
        *only_reason(&plan_of(recommendation(), full)),
        Skip::NoRoom { max: 2 }
    );

    // Room for one: the second recommendation of the same batch has to wait for its interruption.
    let mut room_for_one = Group { max: 3, ..group() };
    room_for_one
        .instances
        .push(member(NEW, "us-east-1b", Lifecycle::InService));
    room_for_one.desired = 2;
    let second = Notice {
        instance: id(NEW),
        ..recommendation()
    };
    let plans = plans(
        &[recommendation(), second],
        &Groups::of([room_for_one]),
        &Health::default(),
        &config(),
        now(),
    );
    assert_eq!(plans[0].actions.len(), 1);
    assert_eq!(*only_reason(&plans[1]), Skip::NoRoom { max: 3 });
}

#[test]
fn a_repeated_recommendation_resumes_what_the_tag_says() {
    let plan = plan_of(recommendation(), tagged(Exchange::Launching(attempt())));
    let [
        Action::Launch {
            zones,
            begun,
            resumes: true,
            ..
        },
    ] = plan.actions.as_slice()
    else {
        panic!("{:?}", plan.actions)
    };
    // Zone and minute are parts of the client token: the zone in the tag comes first.
    assert_eq!(zones, &["us-east-1b", "us-east-1a"]);
    assert_eq!(*begun, attempt().begun);
    let plan = plan_of(recommendation(), tagged(Exchange::Raising { from: 1 }));
    assert!(matches!(
        plan.actions[..],
        [Action::RaiseDesiredCapacity { from: 1, .. }]
    ));
    let plan = plan_of(recommendation(), launched(Some(Lifecycle::Pending)));
    assert!(matches!(plan.actions[..], [Action::Send { to: Queue::Own, .. }]));
}

#[test]
fn a_warning_in_the_same_batch_wins_over_a_recommendation() {
    let plans = plans(
        &[recommendation(), warning()],
        &Groups::of([group()]),
        &Health::default(),
        &config(),
        now(),
    );
    assert_eq!(*only_reason(&plans[0]), Skip::InterruptedMeanwhile);
    assert_eq!(plans[1].actions, [Action::Detach(leaving(false))]);
}

#[test]
fn work_moves_when_the_replacement_is_in_service_and_not_before() {
    let plan = plan_of(await_replacement(), launched(Some(Lifecycle::InService)));
    // drain-tasks has the targets deregistered when the replacement can take the tasks.
    let [
        Action::Send {
            to: Queue::DrainTasks,
            follow_up,
            ..
        },
    ] = plan.actions.as_slice()
    else {
        panic!("{:?}", plan.actions)
    };
    assert_eq!(
        follow_up.step,
        Step::MoveWork {
            group: "g".to_owned(),
            replacement: Some(id(NEW))
        }
    );
    for waiting in [Some(Lifecycle::Pending), None] {
        let plan = plan_of(await_replacement(), launched(waiting));
        assert!(
            matches!(plan.actions[..], [Action::Send { to: Queue::Own, .. }]),
            "{waiting:?}: {:?}",
            plan.actions
        );
    }
}

#[test]
fn an_exchange_ends_where_its_tag_is_gone_or_its_instance_left_and_gave_the_raise_back() {
    for notice in [await_replacement(), retire()] {
        assert_eq!(
            *only_reason(&plan_of(notice.clone(), group())),
            Skip::ExchangeOver
        );
        let left = gone(launched(Some(Lifecycle::InService)), true);
        assert_eq!(plan_of(notice, left).actions, [untag()], "the tags go as well");
    }
}

#[test]
fn an_exchange_whose_instance_left_unknowing_gives_its_own_raise_back() {
    let lower = lower();
    let mut raised = marked();
    raised.desired = 3;
    let mut raising = tagged(Exchange::Raising { from: 2 });
    raising.desired = 3;
    let not_raised = tagged(Exchange::Raising { from: 2 });
    let table = [
        (
            // The group is short of an instance without it: it is needed.
            launched(Some(Lifecycle::InService)),
            vec![lower.clone(), untag()],
        ),
        (launched(Some(Lifecycle::Pending)), vec![lower.clone(), untag()]),
        (
            replaced_by_the_group(launched(Some(Lifecycle::InService))),
            vec![terminate(NEW), untag()],
        ),
        (
            launched(Some(Lifecycle::Terminating)),
            vec![lower.clone(), untag()],
        ),
        (raised, vec![lower.clone(), untag()]),
        (raising, vec![lower, untag()]),
        (not_raised, vec![untag()]),
    ];
    for (group, expected) in table {
        assert_eq!(
            plan_of(await_replacement(), gone(group.clone(), false)).actions,
            expected,
            "{group:?}"
        );
    }
}

/// A warning that did not know of the exchange has had the group launch another instance.
fn replaced_by_the_group(mut group: Group) -> Group {
    let other = member("i-1234567890abcdefb", "us-east-1a", Lifecycle::Pending);
    group.instances.push(other);
    group
}

#[test]
fn work_moves_when_requests_reach_the_replacement_and_not_before() {
    let not_ready = not_ready(&[(NEW, NotReady::Initial)]);
    let served = || with_targets(launched(Some(Lifecycle::InService)));
    let raised = || {
        let mut raised = with_targets(marked());
        raised.desired = 3;
        raised
            .instances
            .push(member(NEW, "us-east-1a", Lifecycle::InService));
        raised
    };
    for group in [served(), raised()] {
        let plan = plan_with(await_replacement(), group.clone(), &not_ready, &config(), now());
        assert!(
            matches!(plan.actions[..], [Action::Send { to: Queue::Own, .. }]),
            "{:?}",
            plan.actions
        );
        let to_drain_tasks = plan_of(await_replacement(), group);
        assert!(
            matches!(
                to_drain_tasks.actions[..],
                [Action::Send {
                    to: Queue::DrainTasks,
                    ..
                }]
            ),
            "{:?}",
            to_drain_tasks.actions
        );
    }
    let late = time("2026-11-24T04:16:00Z");
    let never = plan_with(await_replacement(), served(), &not_ready, &config(), late);
    assert_eq!(never.skipped[0].reason, Skip::ReplacementNeverHealthy);
    assert_eq!(never.actions, [terminate(NEW), untag()]);
    let moves = |group: Group, health: &Health| {
        let plan = plan_with(await_replacement(), group, health, &config(), now());
        matches!(
            plan.actions[..],
            [Action::Send {
                to: Queue::DrainTasks,
                ..
            }]
        )
    };
    let unhealthy = NotReady::Unhealthy;
    assert!(!moves(served(), &self::not_ready(&[(NEW, unhealthy)])));
    // Where requests do not reach the old instance either, the target group says nothing about the new one.
    assert!(moves(
        served(),
        &self::not_ready(&[(NEW, unhealthy), (OLD, unhealthy)])
    ));
    // An instance that was there before may be unhealthy for reasons of its own.
    assert!(moves(
        raised(),
        &self::not_ready(&[("i-1234567890abcdefa", unhealthy)])
    ));
    // What came for a lost replacement may be lost for the same reason.
    let successor = || {
        let mut group = with_targets(launched(None));
        let successor = member("i-1234567890abcdefb", "us-east-1a", Lifecycle::InService);
        group.instances.push(successor);
        group
    };
    assert!(moves(successor(), &Health::default()));
    assert!(!moves(
        successor(),
        &self::not_ready(&[("i-1234567890abcdefb", unhealthy)])
    ));
    assert!(!moves(served(), &Health::unread("t")));
}

#[test]
fn an_exchange_that_is_late_ends_although_nobody_tells_how_healthy_the_replacement_is() {
    let group = || with_targets(launched(Some(Lifecycle::InService)));
    let early = plan_with(
        await_replacement(),
        group(),
        &Health::unread("t"),
        &config(),
        now(),
    );
    assert!(early.actions.is_empty() && early.problems.len() == 1, "{early:?}");
    let late = time("2026-11-24T04:16:00Z");
    let plan = plan_with(
        await_replacement(),
        group(),
        &Health::unread("t"),
        &config(),
        late,
    );
    assert_eq!(plan.actions, [terminate(NEW), untag()]);
    assert!(plan.problems.is_empty() && plan.warnings.len() == 1, "{plan:?}");
}

#[test]
fn a_replacement_of_no_use_goes_also_where_the_group_is_short_of_another_instance() {
    let give_up = follow_up(Step::GiveUp {
        group: "g".to_owned(),
    });
    let mut short = launched(Some(Lifecycle::InService));
    short.instances.remove(1);
    let plan = plan_of(give_up, short);
    assert_eq!(plan.actions, [terminate(NEW), untag()]);
}

fn with_targets(mut group: Group) -> Group {
    group.target_groups.insert("t".to_owned());
    group
}

fn not_ready(instances: &[(&str, NotReady)]) -> Health {
    Health::with("t", instances.iter().map(|(instance, why)| (id(instance), *why)))
}

#[test]
fn a_group_whose_types_have_weights_is_not_exchanged_instance_by_instance() {
    let weighted = Group {
        is_weighted: true,
        ..group()
    };
    assert_eq!(
        *only_reason(&plan_of(recommendation(), weighted.clone())),
        Skip::Weighted
    );
    assert_eq!(
        plan_of(warning(), weighted).actions,
        [Action::Detach(leaving(false))]
    );
}

#[test]
fn an_instance_with_its_own_replacement_does_not_wait_for_those_of_others() {
    let mut group = launched(Some(Lifecycle::InService));
    // Another exchange of the group has raised the desired capacity, too, and waits for its replacement.
    group.desired = 4;
    let actions = plan_of(retire(), group).actions;
    assert_eq!(actions[..1], [Action::Retire(leaving(true))]);
}

#[test]
fn a_replacement_that_never_comes_gives_its_capacity_back() {
    let late = time("2026-11-24T04:16:00Z");
    let hangs = plan_at(
        await_replacement(),
        launched(Some(Lifecycle::Pending)),
        &config(),
        late,
    );
    assert_eq!(hangs.actions, [terminate(NEW), untag()]);
    let nothing = plan_at(await_replacement(), launched(None), &config(), late);
    assert_eq!(nothing.actions, [lower(), untag()]);
    assert_eq!(nothing.skipped[0].reason, Skip::ReplacementNeverCame);
}

#[test]
fn an_exchange_whose_work_cannot_move_ends_as_it_began() {
    let give_up = follow_up(Step::GiveUp {
        group: "g".to_owned(),
    });
    let plan = plan_of(give_up, launched(Some(Lifecycle::InService)));
    assert_eq!(plan.actions, [terminate(NEW), untag()]);
    assert_eq!(plan.skipped[0].reason, Skip::WorkCannotMove);
}

#[test]
fn a_raise_that_was_made_is_not_made_again_when_another_exchange_gives_its_own_back() {
    let mut group = marked();
    group.desired = 2;
    group.instances.pop();
    let plan = plan_of(await_replacement(), group);
    assert!(
        matches!(plan.actions[..], [Action::Send { to: Queue::Own, .. }]),
        "{:?}",
        plan.actions
    );
}

#[test]
fn a_stop_warning_in_the_same_batch_does_not_eat_the_steps_of_an_exchange() {
    let stop = notice(Signal::InterruptionWarning {
        action: InstanceAction::Stop,
    });
    let groups = Groups::of([launched(Some(Lifecycle::InService))]);
    let plans = plans(&[stop, retire()], &groups, &Health::default(), &config(), now());
    assert_eq!(plans[1].actions[..1], [Action::Retire(leaving(true))]);
}

#[test]
fn a_tag_that_may_outlive_its_instance_is_looked_after() {
    let mut group = launched(Some(Lifecycle::InService));
    group.instances[0].lifecycle = Lifecycle::Detaching;
    assert!(cleans_up(&plan_of(warning(), group).actions));
}

#[test]
fn a_raise_that_somebody_undid_in_the_same_moment_is_made_again() {
    let plan = plan_of(await_replacement(), {
        let mut group = tagged(Exchange::Raising { from: 2 });
        group.instances.remove(1);
        group
    });
    assert!(
        matches!(plan.actions[..], [Action::RaiseDesiredCapacity { from: 2, .. }]),
        "{:?}",
        plan.actions
    );
}

#[test]
fn the_old_instance_is_retired_only_while_the_group_is_covered_without_it() {
    let actions = plan_of(retire(), launched(Some(Lifecycle::InService))).actions;
    assert_eq!(actions[..1], [Action::Retire(leaving(true))]);
    assert!(cleans_up(&actions[1..]), "{actions:?}");
    let plan = plan_of(retire(), launched(None));
    assert!(
        matches!(plan.actions[..], [Action::Send { to: Queue::Own, .. }]),
        "{:?}",
        plan.actions
    );
    assert!(plan.warnings.is_empty());
    let plan = retired_too_late(launched(None));
    assert_eq!(plan.actions[..1], [Action::Retire(leaving(true))]);
    let said = plan.warnings[0].to_string();
    assert!(said.contains("the group is short of an instance"), "{said}");
    assert!(
        retired_too_late(launched(Some(Lifecycle::InService)))
            .warnings
            .is_empty()
    );
}

/// The end of an exchange whose 15 minutes are over.
fn retired_too_late(group: Group) -> Plan {
    let over = now().saturating_add(exchange::LIMIT).expect("a time");
    plan_at(retire(), group, &config(), over)
}

#[test]
fn signals_of_other_functions_ask_nothing() {
    let state = InstanceState::ShuttingDown;
    assert_eq!(
        *only_reason(&plan_of(notice(Signal::StateChange { state }), group())),
        Skip::LeftToHealthCheck
    );
    let step = Step::MoveWork {
        group: "g".to_owned(),
        replacement: None,
    };
    assert_eq!(
        *only_reason(&plan_of(follow_up(step), group())),
        Skip::NotForThisFunction
    );
}

mod any_facts;
mod documented;
mod giving_back;
