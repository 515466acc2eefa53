use std::collections::BTreeSet;

use jiff::SignedDuration;
use spot_handoff::autoscaling::policies::{KeepHealthy, LifecycleHooks};
use spot_handoff::autoscaling::scope::{IGNORE_TAG, OutOfScope};
use spot_handoff::ecs::container_instances::{ContainerInstance, ContainerInstances, Status};
use spot_handoff::exchange::{self, Brake, Ending, Exchange, NotRaised, Seen, Stage};
use spot_handoff::notice::InstanceState;
use spot_handoff::report::HeldLine;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::state::Versioned;

use super::*;
use crate::config::Queues;
use crate::facts::{Health, Needed};

const OLD: &str = "i-1234567890abcdef0";
const NEW: &str = "i-1234567890abcdef1";
const OTHER: &str = "i-1234567890abcdefa";

fn id(text: &str) -> InstanceId {
    text.parse().expect("an id")
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn now() -> Timestamp {
    time("2026-11-24T04:00:01Z")
}

/// The limit of an exchange that begins now.
fn late() -> Timestamp {
    now() + exchange::LIMIT
}

fn config() -> Config {
    Config {
        scope: Scope::All,
        strategy: ReplacementStrategy::Detach,
        lifecycle_hooks: LifecycleHooks::of("spot-handoff-*"),
        rebalance: RebalanceAction::LaunchFirst,
        keep_healthy: KeepHealthy::default(),
        fallback: spot_handoff::autoscaling::policies::SpotFallback::Off,
        fallback_bounds: spot_handoff::autoscaling::policies::FallbackBounds::new(
            25,
            jiff::SignedDuration::from_secs(60),
        ),
        queues: Queues {
            run_commands: "run".to_owned(),
            deregister_targets: "d".to_owned(),
            drain_tasks: "t".to_owned(),
            own: "r".to_owned(),
        },
    }
}

fn member(id_text: &str, lifecycle: Lifecycle) -> Member {
    Member {
        id: id(id_text),
        zone: "us-east-1a".to_owned(),
        lifecycle,
    }
}

/// A group of two; the tests are about its first instance.
fn group() -> Group {
    Group {
        name: "g".to_owned(),
        desired: 2,
        max: 4,
        instances: vec![
            member(OLD, Lifecycle::InService),
            member(OTHER, Lifecycle::InService),
        ],
        ..Group::default()
    }
}

fn registered(instance: &str, status: Status) -> ContainerInstance {
    ContainerInstance {
        arn: format!("arn:of:{instance}"),
        cluster: "c".to_owned(),
        instance: id(instance),
        status,
        agent_connected: true,
        tasks: 1,
        registered_at: Some(time("2026-11-24T02:00:00Z")),
        capacity_provider: None,
        is_managed: false,
    }
}

/// The group as it is, with nothing under way, and all instances long in the cluster.
fn facts(group: Group) -> Facts {
    let members = group.instances.iter();
    let found = members.map(|member| registered(member.id.as_str(), Status::Active));
    Facts {
        found: ContainerInstances::of(found.collect::<Vec<_>>()),
        groups: Groups::of([group]),
        ..Facts::default()
    }
}

/// The group and the facts in the middle of an exchange that raised the desired capacity ten seconds ago.
fn raised(cause: Cause, new: Option<Lifecycle>) -> Facts {
    let before = group();
    let seen = Seen {
        now: now() - jiff::SignedDuration::from_secs(10),
        instance: &id(OLD),
        asked: Asked::Begin { cause, limit: late() },
        group: Some(&before),
        ready: &BTreeSet::new(),
        drains: false,
    };
    let (item, _) = exchange::next(&Exchanges::none("g", now()), &seen);
    let mut group = before;
    group.desired = 3;
    group
        .instances
        .extend(new.map(|lifecycle| member(NEW, lifecycle)));
    with_item(facts(group), item)
}

fn with_item(mut facts: Facts, item: Exchanges) -> Facts {
    let versioned = Versioned { item, version: 7 };
    facts.items.insert("g".to_owned(), Ok(Some(versioned)));
    facts
}

fn at_stage(mut facts: Facts, stage: Stage) -> Facts {
    if let Some(Ok(Some(versioned))) = facts.items.get_mut("g") {
        for exchange in versioned.item.under_way.values_mut() {
            exchange.stage = stage.clone();
            exchange.replacement = Some(id(NEW));
        }
    }
    facts
}

fn change_group(mut facts: Facts, change: impl FnOnce(&mut Group)) -> Facts {
    let mut group = facts.groups.by_name("g").expect("a group").clone();
    change(&mut group);
    facts.groups = Groups::of([group]);
    facts
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

fn retirement() -> Notice {
    notice(Signal::ScheduledRetirement {
        starts: time("2026-12-01T00:00:00Z"),
    })
}

fn follow_up(step: fn(String) -> Step) -> Notice {
    notice(Signal::FollowUp(FollowUp {
        cause: Cause::Rebalance,
        deadline: Some(late()),
        step: step("g".to_owned()),
    }))
}

fn look() -> Notice {
    follow_up(|group| Step::AwaitReplacement { group })
}

fn work_moved() -> Notice {
    follow_up(|group| Step::Retire { group })
}

fn planned(notice: Notice, facts: &Facts, config: &Config, now: Timestamp) -> Planned {
    plans(
        std::slice::from_ref(&notice),
        std::slice::from_ref(&notice),
        facts,
        config,
        now,
    )
}

fn plan_with(notice: Notice, facts: &Facts, config: &Config, now: Timestamp) -> Plan {
    planned(notice, facts, config, now).plans.remove(0)
}

fn plan_of(notice: Notice, facts: &Facts) -> Plan {
    plan_with(notice, facts, &config(), now())
}

fn leaving(decrement: bool) -> Leaving {
    Leaving {
        group: "g".to_owned(),
        instance: id(OLD),
        decrement,
    }
}

fn refused() -> CallError {
    CallError::Refused {
        action: "GetItem",
        code: "AccessDeniedException".to_owned(),
        message: String::new(),
    }
}

fn only_reason(plan: &Plan) -> &Skip {
    assert!(plan.actions.is_empty() && plan.problems.is_empty(), "{plan:?}");
    &plan.skipped[0].reason
}

/// Without the look that comes after it.
fn acts(plan: &Plan) -> Vec<Action> {
    let is_look = |action: &&Action| matches!(action, Action::Send { to: Queue::Own, .. });
    plan.actions
        .iter()
        .filter(|action| !is_look(action))
        .cloned()
        .collect()
}

#[test]
fn an_interrupted_instance_is_detached_at_once_and_the_desired_capacity_stays() {
    let planned = planned(warning(), &facts(group()), &config(), now());
    assert_eq!(planned.plans[0].actions, [Action::Detach(leaving(false))]);
    assert_eq!(planned.gates, [None], "the table is not waited for");
    assert!(planned.items.is_empty());
}

/// Its target is the last one, seen this many seconds later.
fn needed(facts: Facts) -> Facts {
    let line = HeldLine {
        target_group: "tg".to_owned(),
        target: format!("{OLD}:80"),
        until: Some(warning().time + SignedDuration::from_secs(110)),
        staying: 0,
        needed: 1,
        reason: String::new(),
    };
    Facts {
        needed: Needed::with([(id(OLD), line)]),
        ..facts
    }
}

fn look_at_interrupted() -> Notice {
    notice(Signal::FollowUp(FollowUp {
        cause: Cause::Interruption,
        deadline: warning().deadline(),
        step: Step::Look {
            group: Some("g".to_owned()),
            registered: vec![],
            seen: vec![],
        },
    }))
}

#[test]
fn an_instance_that_is_still_needed_is_replaced_first_and_leaves_when_its_target_may() {
    let before = needed(facts(group()));
    let first = planned(warning(), &before, &config(), now());
    assert!(
        matches!(
            first.plans[0].actions[..],
            [
                Action::SetDesired { from: 2, to: 3, .. },
                Action::Send { to: Queue::Own, .. }
            ]
        ),
        "{first:?}"
    );
    assert_eq!(first.plans[0].held.len(), 1);
    assert_eq!(first.gates, [Some("g".to_owned())], "nobody else could lower it");
    let item = first.items["g"].0.clone();
    let later = |needed_still: bool| {
        let mut grown = group();
        grown.desired = 3;
        grown.instances.push(member(NEW, Lifecycle::InService));
        let facts = with_item(facts(grown), item.clone());
        if needed_still { needed(facts) } else { facts }
    };
    let in_a_while = now() + exchange::LOOK_AGAIN;
    let plan = plan_with(look_at_interrupted(), &later(true), &config(), in_a_while);
    assert!(acts(&plan).is_empty() && plan.actions.len() == 1, "{plan:?}");
    let plan = plan_with(look_at_interrupted(), &later(false), &config(), in_a_while);
    assert_eq!(acts(&plan), [Action::Detach(leaving(true))]);
    assert!(plan.held.is_empty());
}

#[test]
fn an_instance_that_is_still_needed_leaves_at_once_where_the_table_does_not_answer() {
    let mut facts = needed(facts(group()));
    facts.items.insert("g".to_owned(), Err(refused()));
    let plan = plan_of(warning(), &facts);
    assert_eq!(plan.actions, [Action::Detach(leaving(false))]);
    assert!(plan.held.is_empty());
}

#[test]
fn where_nothing_can_be_raised_it_stays_all_the_same() {
    let mut full = group();
    full.max = 2;
    let plan = plan_of(warning(), &needed(facts(full)));
    assert!(acts(&plan).is_empty());
    assert_eq!(
        plan.skipped[0].reason,
        Skip::NotRaised(NotRaised::NoRoom { max: 2 })
    );
    assert_eq!((plan.held.len(), plan.actions.len()), (1, 1));
}

#[test]
fn a_look_that_comes_too_late_or_to_one_that_has_left_changes_nothing() {
    let plan = plan_with(look_at_interrupted(), &facts(group()), &config(), late());
    assert_eq!(*only_reason(&plan), Skip::NoExchange);
    let mut gone = group();
    gone.instances.remove(0);
    assert_eq!(
        *only_reason(&plan_of(look_at_interrupted(), &facts(gone))),
        Skip::InNoGroup
    );
}

#[test]
fn an_instance_that_comes_into_service_under_notice_is_replaced_then() {
    let mut launching = group();
    launching.instances[0].lifecycle = Lifecycle::Pending;
    let plan = plan_of(warning(), &facts(launching));
    let [
        Action::Send {
            to: Queue::Own,
            follow_up,
            ..
        },
    ] = &plan.actions[..]
    else {
        panic!("{plan:?}");
    };
    assert!(matches!(follow_up.step, Step::Look { .. }));
    let plan = plan_of(look_at_interrupted(), &facts(group()));
    assert_eq!(plan.actions, [Action::Detach(leaving(false))]);
}

#[test]
fn an_interruption_does_without_the_table() {
    let mut facts = facts(group());
    facts.items.insert("g".to_owned(), Err(refused()));
    let planned = planned(warning(), &facts, &config(), now());
    assert_eq!(planned.plans[0].actions, [Action::Detach(leaving(false))]);
    assert!(planned.plans[0].problems.is_empty());
    assert!(matches!(
        planned.plans[0].warnings[..],
        [Warning::ExchangesUnread { .. }]
    ));
    assert_eq!(planned.gates, [None]);
    let plan = plan_of(recommendation(), &facts);
    assert!(plan.actions.is_empty() && !plan.problems.is_empty(), "{plan:?}");
}

#[test]
fn the_strategy_terminate_runs_hooks_and_warns_that_it_is_early() {
    let config = Config {
        strategy: ReplacementStrategy::Terminate,
        ..config()
    };
    let plan = plan_with(warning(), &facts(group()), &config, now());
    assert_eq!(plan.actions, [Action::Terminate(leaving(false))]);
    assert_eq!(
        plan.warnings,
        [Warning::StrategyTerminatesEarly {
            group: "g".to_owned()
        }]
    );
}

#[test]
fn a_group_says_itself_how_its_interrupted_instances_leave() {
    use ReplacementStrategy::{Auto, Detach, Terminate};
    let (detach, terminate) = (Action::Detach(leaving(false)), Action::Terminate(leaving(false)));
    let table = [
        (Detach, Some("terminate"), None, &terminate),
        (Terminate, Some(" detach "), None, &detach),
        // A value that is not valid.
        (Terminate, Some("both"), None, &terminate),
        (Detach, Some("auto"), Some(Ok(TerminationHooks::Ours)), &terminate),
        (Detach, Some("auto"), Some(Ok(TerminationHooks::Others)), &detach),
        (Auto, None, Some(Ok(TerminationHooks::Ours)), &terminate),
        (Auto, None, Some(Err(refused())), &detach),
    ];
    for (strategy, tag, hook, expected) in table {
        let mut group = group();
        let tag = tag.map(|value| (ReplacementStrategy::TAG.to_owned(), value.to_owned()));
        group.tags.extend(tag);
        let mut facts = facts(group);
        facts.hooks = hook.map(|hook| ("g".to_owned(), hook)).into_iter().collect();
        let config = Config { strategy, ..config() };
        let plan = plan_with(warning(), &facts, &config, now());
        assert_eq!(plan.actions, std::slice::from_ref(expected), "{facts:?}");
        let told: Vec<&Warning> = plan.warnings.iter().collect();
        let unread = facts.hooks.values().any(Result::is_err);
        let fits = |warning: &&Warning| match warning {
            Warning::StrategyTerminatesEarly { .. } => facts.hooks.is_empty(),
            Warning::UnknownPolicy(unknown) => unknown.found == "both",
            Warning::HooksUnread { .. } => unread,
            _ => false,
        };
        assert!(told.iter().all(fits), "{told:?}");
        assert!(!unread || !told.is_empty(), "what could not be read is told");
    }
}

#[test]
fn of_a_group_that_is_only_planned_for_nothing_is_remembered() {
    let tag = (DryRun::TAG.to_owned(), "true".to_owned());
    let tagged = |facts: Facts| change_group(facts, |group| group.tags.extend([tag.clone()]));
    for (notice, facts) in [
        (warning(), facts(group())),
        (warning(), raised(Cause::Rebalance, None)),
        (recommendation(), facts(group())),
        (look(), raised(Cause::Rebalance, Some(Lifecycle::InService))),
    ] {
        let acted = planned(notice.clone(), &facts, &config(), now());
        assert_eq!(acted.planned_only, [false]);
        let tried = planned(notice, &tagged(facts), &config(), now());
        assert_eq!(tried.planned_only, [true]);
        assert_eq!(tried.plans, acted.plans, "the plan is the same");
        assert!(tried.items.is_empty() && tried.gates == [None]);
    }
}

#[test]
fn an_interruption_during_an_exchange_takes_its_raise_with_it_and_waits_for_the_item() {
    for new in [None, Some(Lifecycle::Pending), Some(Lifecycle::InService)] {
        let planned = planned(warning(), &raised(Cause::Rebalance, new), &config(), now());
        assert_eq!(
            acts(&planned.plans[0]),
            [Action::Detach(leaving(true))],
            "{new:?}"
        );
        assert_eq!(planned.gates, [Some("g".to_owned())]);
        assert!(matches!(planned.items["g"].1, Expected::Version(7)));
    }
    let unseen = change_group(raised(Cause::Rebalance, None), |group| group.desired = 2);
    assert_eq!(
        acts(&plan_of(warning(), &unseen)),
        [Action::Detach(leaving(false))]
    );
}

#[test]
fn a_warning_after_a_recommendation_is_remembered_without_holding_anything_up() {
    let mut item = Exchanges::none("g", now());
    item.recommendation_over = Some(now());
    let planned = planned(warning(), &with_item(facts(group()), item), &config(), now());
    assert_eq!(planned.gates, [None]);
    assert_eq!(planned.items["g"].0.warned, Some(now()));
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
    let of_g = || "g".to_owned();
    let not = |lifecycle| Skip::NotInService { lifecycle };
    let table = [
        (lifecycle(Lifecycle::Terminating), Skip::AlreadyLeaving),
        (lifecycle(Lifecycle::Detaching), Skip::AlreadyLeaving),
        (lifecycle(Lifecycle::Standby), not(Lifecycle::Standby)),
        (ignored, Skip::OutOfScope(OutOfScope::Ignored { group: of_g() })),
        (suspended, Skip::LaunchSuspended { group: of_g() }),
        (absent, Skip::InNoGroup),
    ];
    for (group, expected) in table {
        for notice in [warning(), recommendation()] {
            assert_eq!(*only_reason(&plan_of(notice, &facts(group.clone()))), expected);
        }
    }
}

#[test]
fn run_commands_is_told_where_the_group_has_a_stop_script() {
    let told = |document: Option<&str>| {
        let mut group = group();
        let tag = document.map(|name| ("spot-handoff:stop-document".to_owned(), name.to_owned()));
        group.tags.extend(tag);
        let plan = plan_of(warning(), &facts(group));
        let is_told = |action: &&Action| {
            matches!(
                action,
                Action::Send {
                    to: Queue::RunCommands,
                    ..
                }
            )
        };
        plan.actions.iter().filter(is_told).count()
    };
    assert_eq!(told(None), 0);
    assert_eq!(told(Some("checkpoint")), 1);
    assert_eq!(told(Some("AWS-RunShellScript")), 0, "that is no document to run");
}

#[test]
fn an_instance_that_comes_back_needs_no_replacement() {
    for action in [InstanceAction::Stop, InstanceAction::Hibernate] {
        let plan = plan_of(notice(Signal::InterruptionWarning { action }), &facts(group()));
        assert_eq!(*only_reason(&plan), Skip::ComesBack);
    }
}

#[test]
fn with_capacity_rebalancing_the_replacing_is_left_to_auto_scaling_where_a_hook_keeps_the_instance() {
    let mut group = group();
    group.capacity_rebalance = true;
    let with = |hooks: Option<Result<TerminationHooks, CallError>>| {
        let mut facts = facts(group.clone());
        facts.hooks = hooks.map(|hooks| ("g".to_owned(), hooks)).into_iter().collect();
        facts
    };
    use TerminationHooks::{None as NoHook, Others, Ours};
    for hooks in [None, Some(Err(refused())), Some(Ok(Others)), Some(Ok(Ours))] {
        for notice in [warning(), recommendation()] {
            let plan = plan_of(notice, &with(hooks.clone()));
            assert_eq!(*only_reason(&plan), Skip::LeftToAutoScaling, "{hooks:?}");
        }
    }
    let without = with(Some(Ok(NoHook)));
    let plan = plan_of(recommendation(), &without);
    assert_eq!(*only_reason(&plan), Skip::LeftToAutoScaling);
    let plan = plan_of(warning(), &without);
    assert!(
        matches!(plan.actions[..], [Action::Detach(_)]),
        "it would end at once: {plan:?}"
    );
    let terminate = Config {
        strategy: ReplacementStrategy::Terminate,
        ..config()
    };
    let plan = plan_with(warning(), &without, &terminate, now());
    assert_eq!(
        *only_reason(&plan),
        Skip::LeftToAutoScaling,
        "as its owner wants it"
    );
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
    let plan = plan_with(warning(), &facts(managed), &config, now());
    let asked: Vec<_> = plan
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Send { to, follow_up, .. } => Some((*to, follow_up.deadline)),
            _ => None,
        })
        .collect();
    let deadline = Some(time("2026-11-24T04:02:00Z"));
    assert_eq!(
        asked,
        [
            (Queue::DeregisterTargets, deadline),
            (Queue::DrainTasks, deadline)
        ]
    );
}

#[test]
fn a_recommendation_raises_the_desired_capacity_and_looks_soon() {
    let planned = planned(recommendation(), &facts(group()), &config(), now());
    let [
        Action::SetDesired { from: 2, to: 3, .. },
        Action::Send { to, at, .. },
    ] = &planned.plans[0].actions[..]
    else {
        panic!("{planned:?}");
    };
    assert_eq!((*to, *at), (Queue::Own, now() + exchange::LOOK_AGAIN));
    assert_eq!(planned.gates, [Some("g".to_owned())]);
    assert_eq!(planned.items["g"].1, Expected::Nothing);
}

#[test]
fn recommendations_are_held_back_for_instances_that_are_young_or_in_no_cluster() {
    let mut nowhere = facts(group());
    nowhere.found = ContainerInstances::default();
    assert_eq!(
        *only_reason(&plan_of(recommendation(), &nowhere)),
        Skip::Held(Brake::NotInCluster)
    );
    let mut young = facts(group());
    let since = time("2026-11-24T03:40:00Z");
    young.found = ContainerInstances::of([ContainerInstance {
        registered_at: Some(since),
        ..registered(OLD, Status::Active)
    }]);
    assert_eq!(
        *only_reason(&plan_of(recommendation(), &young)),
        Skip::Held(Brake::Young { since })
    );
    let plan = plan_of(retirement(), &young);
    assert!(!plan.actions.is_empty(), "a retirement is acted on");
}

#[test]
fn two_recommendations_of_a_batch_lead_to_one_exchange() {
    let other = Notice {
        instance: id(OTHER),
        ..recommendation()
    };
    let notices = [recommendation(), other];
    let planned = plans(&notices, &notices, &facts(group()), &config(), now());
    assert!(!planned.plans[0].actions.is_empty());
    assert_eq!(
        *only_reason(&planned.plans[1]),
        Skip::Held(Brake::Enough { under_way: 1 })
    );
}

#[test]
fn two_retirements_of_a_batch_raise_by_two() {
    let other = Notice {
        instance: id(OTHER),
        ..retirement()
    };
    let notices = [retirement(), other];
    let planned = plans(&notices, &notices, &facts(group()), &config(), now());
    let set: Vec<i32> = planned
        .plans
        .iter()
        .flat_map(|plan| &plan.actions)
        .filter_map(|action| match action {
            Action::SetDesired { to, .. } => Some(*to),
            _ => None,
        })
        .collect();
    assert_eq!(set, [3, 4]);
    assert_eq!(planned.items["g"].0.under_way.len(), 2);
}

/// Two numbers may arrive in the wrong order, and the group would scale in.
#[test]
fn while_another_sets_the_desired_capacity_it_is_only_written_down() {
    let retired = |instance: &str| Notice {
        instance: id(instance),
        ..retirement()
    };
    let first = planned(retired(OLD), &facts(group()), &config(), now());
    let (item, _) = &first.items["g"];
    let sets = |planned: &Planned| {
        let actions = acts(&planned.plans[0]);
        let numbers = actions.iter().filter_map(|action| match action {
            Action::SetDesired { to, .. } => Some(*to),
            _ => None,
        });
        numbers.collect::<Vec<_>>()
    };
    let wanted = |planned: &Planned| planned.items["g"].0.capacity.as_ref().map(|ours| ours.to);
    assert_eq!(sets(&first), [3]);

    let meanwhile = with_item(facts(group()), item.clone());
    let second = planned(retired(OTHER), &meanwhile, &config(), now());
    assert_eq!((sets(&second), wanted(&second)), (vec![], Some(4)));
    let seen_at_the_end = &second.items["g"].0;
    assert_eq!(exchange::capacity::to_set(seen_at_the_end, &group()), Some(4));

    let is_over = now() + exchange::capacity::CALL_LASTS;
    let third = planned(retired(OTHER), &meanwhile, &config(), is_over);
    assert_eq!(sets(&third), [4]);
}

/// A number that somebody else has set is not set again.
#[test]
fn another_number_than_ours_is_obeyed_at_the_end_of_a_turn() {
    let first = planned(retirement(), &facts(group()), &config(), now());
    let (item, _) = &first.items["g"];
    let shows = |desired| Group { desired, ..group() };
    let to_set = |desired| exchange::capacity::to_set(item, &shows(desired));
    assert_eq!(
        (to_set(2), to_set(3), to_set(4), to_set(1)),
        (Some(3), None, None, None)
    );
}

#[test]
fn a_warning_in_the_same_batch_wins() {
    let notices = [recommendation(), warning()];
    let planned = plans(&notices, &notices, &facts(group()), &config(), now());
    assert_eq!(*only_reason(&planned.plans[0]), Skip::InterruptedMeanwhile);
}

#[test]
fn a_step_that_comes_with_a_warning_comes_again() {
    let (step, copy) = (look(), warning());
    let notices = [step.clone(), copy];
    let planned = plans(&notices, &notices, &facts(group()), &config(), now());
    assert_eq!(planned.plans[0].skipped[0].reason, Skip::InterruptedMeanwhile);
    let [
        Action::Send {
            to: Queue::Own,
            at,
            follow_up,
            ..
        },
    ] = &planned.plans[0].actions[..]
    else {
        panic!("{:?}", planned.plans[0]);
    };
    assert_eq!(*at, now() + COMES_AGAIN_AFTER);
    assert_eq!(Signal::FollowUp(follow_up.clone()), step.signal);
}

fn with_targets(facts: Facts, healthy: &[&str]) -> Facts {
    let mut facts = change_group(facts, |group| {
        group.target_groups.insert("tg".to_owned());
    });
    facts.health = Health::with("tg", healthy.iter().map(|one| id(one)));
    facts
}

#[test]
fn the_work_moves_when_the_replacement_is_healthy_and_active() {
    let came = || raised(Cause::Rebalance, Some(Lifecycle::InService));
    let moves = |facts: &Facts| {
        let plan = plan_of(look(), facts);
        acts(&plan).iter().any(|action| {
            matches!(action, Action::Send { to: Queue::DrainTasks, follow_up, .. }
                if matches!(&follow_up.step, Step::MoveWork { replacement: Some(one), .. } if one.as_str() == NEW))
        })
    };
    assert!(moves(&came()));
    assert!(moves(&with_targets(came(), &[OLD, NEW])));
    assert!(
        !moves(&with_targets(came(), &[OLD])),
        "not registered, or not healthy"
    );
    assert!(
        moves(&with_targets(came(), &[])),
        "a target group in which the old one is not healthy either"
    );
    let mut unregistered = came();
    unregistered.found = ContainerInstances::of([registered(OLD, Status::Active)]);
    assert!(!moves(&unregistered), "not in the cluster");
    let mut draining = came();
    draining.found =
        ContainerInstances::of([registered(OLD, Status::Active), registered(NEW, Status::Draining)]);
    assert!(!moves(&draining), "not ACTIVE");
    assert!(!moves(&raised(Cause::Rebalance, Some(Lifecycle::Pending))));
}

#[test]
fn health_that_cannot_be_read_is_asked_again_until_it_is_late() {
    let mut unread = with_targets(raised(Cause::Rebalance, Some(Lifecycle::InService)), &[]);
    unread.health = Health::unread("tg");
    let plan = plan_of(look(), &unread);
    assert!(plan.actions.is_empty() && !plan.problems.is_empty());
    let plan = plan_with(look(), &unread, &config(), late());
    assert!(matches!(plan.warnings[..], [Warning::HealthUnread { .. }]));
    let replacement = id(NEW);
    let group = "g".to_owned();
    assert_eq!(acts(&plan), [Action::GiveBack { group, replacement }]);
}

#[test]
fn a_step_without_an_exchange_changes_nothing() {
    for notice in [look(), work_moved(), follow_up(|group| Step::GiveUp { group })] {
        let plan = plan_of(notice, &facts(group()));
        assert_eq!(*only_reason(&plan), Skip::NoExchange);
    }
    let deleted = Facts::default();
    assert_eq!(*only_reason(&plan_of(look(), &deleted)), Skip::NoExchange);
}

#[test]
fn the_copy_of_a_look_changes_nothing() {
    let looked = planned(
        look(),
        &raised(Cause::Rebalance, Some(Lifecycle::Pending)),
        &config(),
        now(),
    );
    let item = looked.items["g"].0.clone();
    let facts = with_item(raised(Cause::Rebalance, Some(Lifecycle::Pending)), item);
    assert_eq!(*only_reason(&plan_of(look(), &facts)), Skip::UnderWay);
}

#[test]
fn other_steps_and_signals_belong_to_others() {
    let stops = notice(Signal::StateChange {
        state: InstanceState::Stopping,
    });
    assert_eq!(
        *only_reason(&plan_of(stops, &facts(group()))),
        Skip::LeftToHealthCheck
    );
    let moves = follow_up(|group| Step::MoveWork {
        group,
        replacement: None,
    });
    assert_eq!(
        *only_reason(&plan_of(moves, &facts(group()))),
        Skip::NotForThisFunction
    );
}

mod any_facts;
mod documented;
