//! What holds for every batch of notices under every fact.
//!
//! A dry run and a real run plan the same by their types: nothing here knows which of them it is.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const OTHER: &str = "i-1234567890abcdefa";

fn any_lifecycle() -> impl Strategy<Value = Lifecycle> {
    select(vec![
        Lifecycle::InService,
        Lifecycle::Pending,
        Lifecycle::Terminating,
        Lifecycle::Standby,
        Lifecycle::Detaching,
        Lifecycle::Other,
    ])
}

fn any_exchange() -> impl Strategy<Value = Exchange> {
    let zone = select(vec!["us-east-1a".to_owned(), "us-east-1b".to_owned()]);
    prop_oneof![
        Just(Exchange::Launched { replacement: id(NEW) }),
        zone.prop_map(|zone| Exchange::Launching(Attempt { zone, ..attempt() })),
        (0..5i32).prop_map(|from| Exchange::Raising { from }),
        (0..5i32).prop_map(|from| Exchange::Raised { from }),
        Just(Exchange::GivingBack(Surplus::Instance(id(NEW)))),
        (0..5i32).prop_map(|from| Exchange::GivingBack(Surplus::Capacity { from })),
    ]
}

prop_compose! {
    fn any_group()(
        (desired, max) in (0..5i32, 0..6i32), states in vec(any_lifecycle(), 3), members in 0..4usize,
        exchange in proptest::option::of(any_exchange()), left: bool, ignored: bool, launch_suspended: bool,
        capacity_rebalance: bool, has_launch_template: bool, mixes_purchase_options: bool,
    ) -> Group {
        let mut group = Group { desired, max, capacity_rebalance, has_launch_template, mixes_purchase_options, ..group() };
        let ids = [OLD, OTHER, NEW].into_iter().zip(states).take(members);
        group.instances = ids.map(|(id, lifecycle)| member(id, "us-east-1a", lifecycle)).collect();
        group.tags.extend(exchange.map(|exchange| (tag_of(&id(OLD)), exchange.to_value())));
        if left {
            group.tags.insert(crate::replacement_tag::left_key(&id(OLD)), "true".to_owned());
        }
        if ignored {
            group.tags.insert(IGNORE_TAG.to_owned(), "true".to_owned());
        }
        if launch_suspended {
            group.suspended.insert("Launch".to_owned());
        }
        group
    }
}

fn any_notice() -> impl Strategy<Value = Notice> {
    let step = |step: fn(String) -> Step| step("g".to_owned());
    let starts = time("2026-12-01T00:00:00Z");
    let signals = vec![
        warning(),
        notice(Signal::InterruptionWarning {
            action: InstanceAction::Stop,
        }),
        recommendation(),
        notice(Signal::ScheduledRetirement { starts }),
        notice(Signal::StateChange {
            state: InstanceState::Stopping,
        }),
        await_replacement(),
        retire(),
        follow_up(step(|group| Step::GiveUp { group })),
        follow_up(step(|group| Step::MoveWork {
            group,
            replacement: None,
        })),
    ];
    (select(signals), select(vec![OLD, OTHER])).prop_map(|(notice, instance)| Notice {
        instance: id(instance),
        ..notice
    })
}

prop_compose! {
    fn any_config()(tagged: bool, terminate: bool, ignore_rebalance: bool) -> Config {
        Config {
            scope: if tagged { Scope::Tagged } else { Scope::All },
            strategy: if terminate { ReplacementStrategy::Terminate } else { ReplacementStrategy::Detach },
            rebalance: if ignore_rebalance { RebalanceAction::Ignore } else { RebalanceAction::LaunchFirst },
            ..config()
        }
    }
}

/// The group and the instance that an action is about.
fn subject(action: &Action) -> (Option<&str>, &InstanceId) {
    match action {
        Action::Detach(leaving)
        | Action::Terminate(leaving)
        | Action::Retire(leaving)
        | Action::FinishLaunchAndLeave { leaving, .. } => (Some(&leaving.group), &leaving.instance),
        Action::Launch { group, instance, .. }
        | Action::RaiseDesiredCapacity { group, instance, .. }
        | Action::GiveBack { group, instance, .. }
        | Action::Untag { group, instance } => (Some(group), instance),
        Action::Send { instance, .. } => (None, instance),
    }
}

/// What launches a replacement, without what comes after it: equal ones are carried out under one token.
fn launch(action: &Action) -> Option<(&InstanceId, String)> {
    let how = match action {
        Action::Detach(leaving) | Action::Terminate(leaving) if !leaving.decrement => "leave".to_owned(),
        Action::FinishLaunchAndLeave { attempt, .. } => format!("finish {attempt:?}"),
        Action::Launch { zones, begun, .. } => format!("in {zones:?} of {begun}"),
        Action::RaiseDesiredCapacity { from, .. } => format!("raise from {from}"),
        _ => return None,
    };
    Some((subject(action).1, how))
}

proptest! {
    #[test]
    fn every_notice_gets_a_plan_that_says_something_and_the_same_one_again(
        notices in vec(any_notice(), 1..6), group in any_group(), config in any_config(),
    ) {
        let groups = Groups::of([group]);
        let first = plans(&notices, &groups, &Health::default(), &config, now());
        prop_assert_eq!(first.len(), notices.len());
        for plan in &first {
            prop_assert!(!plan.actions.is_empty() || !plan.skipped.is_empty() || !plan.problems.is_empty(), "{plan:?}");
        }
        prop_assert_eq!(first, plans(&notices, &groups, &Health::default(), &config, now()));
    }

    #[test]
    fn a_plan_names_only_its_instance_its_group_and_what_the_exchange_may_have_launched(
        notice in any_notice(), group in any_group(), config in any_config(), late: bool,
    ) {
        let now = if late { time("2026-11-24T05:00:00Z") } else { now() };
        let plan = plan_at(notice.clone(), group.clone(), &config, now);
        for action in &plan.actions {
            let (name, instance) = subject(action);
            prop_assert!(name.is_none_or(|name| name == "g"), "{action:?}");
            prop_assert_eq!(instance, &notice.instance, "{:?}", action);
            let Action::GiveBack { surplus: Surplus::Instance(replacement), .. } = action else { continue };
            let named = match exchange_of(&group, instance) {
                Some(Exchange::Launched { replacement } | Exchange::GivingBack(Surplus::Instance(replacement))) => Some(replacement),
                _ => None,
            };
            // Where nobody knows which instance it is, one that is pending may go.
            let mut pending = group.instances.iter().filter(|member| member.lifecycle == Lifecycle::Pending);
            prop_assert!(named.as_ref() == Some(replacement) || pending.any(|member| member.id == *replacement), "{action:?}");
        }
    }

    #[test]
    fn no_instance_is_replaced_twice_by_a_batch(
        notices in vec(any_notice(), 1..6), group in any_group(), config in any_config(),
    ) {
        let plans = plans(&notices, &Groups::of([group]), &Health::default(), &config, now());
        let launches: HashSet<_> = plans.iter().flat_map(|plan| &plan.actions).filter_map(launch).collect();
        for instance in [OLD, OTHER].map(id) {
            let own = launches.iter().filter(|(of, _)| **of == instance).count();
            prop_assert!(own <= 1, "{launches:?}");
        }
    }

    #[test]
    fn nothing_is_launched_beyond_max_size(notices in vec(any_notice(), 1..6), group in any_group(), config in any_config()) {
        let group = Group { tags: BTreeMap::new(), ..group };
        let (desired, max) = (group.desired, group.max);
        let plans = plans(&notices, &Groups::of([group]), &Health::default(), &config, now());
        let of_exchange = |action: &&Action| matches!(action, Action::Launch { .. } | Action::RaiseDesiredCapacity { .. });
        let more: HashSet<_> = plans.iter().flat_map(|plan| &plan.actions).filter(of_exchange).map(|a| subject(a).1).collect();
        prop_assert!(more.is_empty() || desired + i32::try_from(more.len()).unwrap_or(i32::MAX) <= max);
    }
}
