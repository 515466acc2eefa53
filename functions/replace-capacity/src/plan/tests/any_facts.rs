//! What is true for every batch of notices and all facts.
//!
//! A dry run and a real run make the same plan because of the types: nothing here knows which of them it is.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

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

fn any_stage() -> impl Strategy<Value = Stage> {
    let since = now() - jiff::SignedDuration::from_secs(30);
    prop_oneof![
        Just(Stage::Waiting),
        Just(Stage::Awaiting),
        Just(Stage::Moving),
        Just(Stage::Moved),
        any::<bool>().prop_map(move |decrement| Stage::Leaving { decrement, since }),
        proptest::option::of(Just(id(NEW))).prop_map(move |instance| Stage::GivingBack {
            why: Ending::NeverCame,
            instance,
            since
        }),
    ]
}

prop_compose! {
    fn any_exchange()(stage in any_stage(), raised: bool, has_replacement: bool, overdue: bool) -> Exchange {
        Exchange {
            cause: Cause::Rebalance,
            begun: now(),
            limit: late(),
            raised,
            already: BTreeSet::new(),
            replacement: has_replacement.then(|| id(NEW)),
            stage,
            next_look: if overdue { now() } else { late() },
        }
    }
}

prop_compose! {
    fn any_item()(
        exchange in proptest::option::of(any_exchange()),
        (to, low, high) in (0..5i32, 0..5i32, 0..5i32),
        is_ours: bool, was_recommended: bool,
    ) -> Exchanges {
        let mut item = Exchanges::none("g", now());
        item.known = [id(OLD), id(OTHER)].into();
        item.under_way.extend(exchange.map(|exchange| (id(OLD), exchange)));
        let since = now() - jiff::SignedDuration::from_secs(30);
        item.capacity =
            is_ours.then_some(exchange::Capacity { to, low, high, since, doubted: None });
        item.recommendation_over = was_recommended.then_some(now());
        item
    }
}

prop_compose! {
    fn any_facts()(
        (desired, min, max) in (0..5i32, 0..3i32, 0..6i32), states in vec(any_lifecycle(), 3), members in 0..4usize,
        item in proptest::option::of(any_item()), ignored: bool, launch_suspended: bool, capacity_rebalance: bool,
        (unread, is_needed) in any::<(bool, bool)>(),
    ) -> Facts {
        let (min, max) = (min.min(desired), max.max(desired));
        let mut group = Group { desired, min, max, capacity_rebalance, ..group() };
        let ids = [OLD, OTHER, NEW].into_iter().zip(states).take(members);
        group.instances = ids.map(|(id, lifecycle)| member(id, lifecycle)).collect();
        if ignored {
            group.tags.insert(IGNORE_TAG.to_owned(), "true".to_owned());
        }
        if launch_suspended {
            group.suspended.insert("Launch".to_owned());
        }
        let mut facts = facts(group);
        if let Some(item) = item {
            facts = with_item(facts, item);
        }
        if unread {
            facts.items.insert("g".to_owned(), Err(refused()));
        }
        if is_needed {
            facts = needed(facts);
        }
        facts
    }
}

fn any_notice() -> impl Strategy<Value = Notice> {
    let signals = vec![
        warning(),
        notice(Signal::InterruptionWarning {
            action: InstanceAction::Stop,
        }),
        recommendation(),
        retirement(),
        notice(Signal::StateChange {
            state: InstanceState::Stopping,
        }),
        look(),
        work_moved(),
        look_at_interrupted(),
        follow_up(|group| Step::GiveUp { group }),
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

proptest! {
    #[test]
    fn whatever_the_facts_each_notice_is_answered_and_none_launches_twice(
        notices in vec(any_notice(), 1..5), facts in any_facts(), config in any_config(),
    ) {
        let planned = plans(&notices, &notices, &facts, &config, now());
        let group = facts.groups.by_name("g").expect("a group").clone();
        prop_assert_eq!(planned.plans.len(), notices.len());
        for (notice, plan) in notices.iter().zip(&planned.plans) {
            let says = !plan.actions.is_empty() || !plan.skipped.is_empty() || !plan.problems.is_empty();
            prop_assert!(says, "{:?}", notice);
            for action in &plan.actions {
                match action {
                    Action::Detach(leaving) | Action::Terminate(leaving) | Action::Retire(leaving) => {
                        prop_assert_eq!(&leaving.instance, &notice.instance);
                        prop_assert!(!leaving.decrement || group.desired > group.min);
                    }
                    Action::SetDesired { to, .. } => prop_assert!(*to >= group.min && *to <= group.max),
                    Action::SetBase { .. } => prop_assert!(false, "of no notice about an instance"),
                    Action::GiveBack { replacement, .. } => prop_assert_eq!(replacement.as_str(), NEW),
                    Action::Send { instance, .. } => prop_assert_eq!(instance, &notice.instance),
                }
            }
        }
        let all = planned.plans.iter().flat_map(|plan| &plan.actions);
        let leaves: HashSet<&Action> = all
            .filter(|action| matches!(action, Action::Detach(_) | Action::Terminate(_) | Action::Retire(_)))
            .collect();
        prop_assert!(leaves.len() <= 2, "one for each instance: {:?}", leaves);
        if group.tags.contains_key(IGNORE_TAG) {
            let begins = |notice: &Notice| !matches!(notice.signal, Signal::FollowUp(_));
            for (notice, plan) in notices.iter().zip(&planned.plans) {
                prop_assert!(!begins(notice) || plan.actions.is_empty());
            }
        }
    }
}
