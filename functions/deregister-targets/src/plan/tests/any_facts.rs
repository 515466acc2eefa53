//! What is true for every notice and all facts.
//!
//! A dry run and a real run make the same plan because of the types: nothing here knows which of them it is.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use spot_handoff::notice::InstanceState;

use super::*;

fn any_registered() -> impl Strategy<Value = Result<Vec<Registered>, CallError>> {
    let ids = prop_oneof![
        Just(DOOMED.to_owned()),
        Just(OTHER.to_owned()),
        "10\\.0\\.0\\.[0-9]"
    ];
    let states = select(vec![
        State::Healthy,
        State::Unhealthy,
        State::Initial,
        State::Draining,
        State::Unused,
    ]);
    let target = (ids, option::of(1..70_000i32), states).prop_map(|(id, port, state)| Registered {
        target: Target { id, port },
        state,
        zone: None,
    });
    prop_oneof![8 => vec(target, 0..8).prop_map(Ok), 1 => Just(Err(refused()))]
}

fn any_health() -> impl Strategy<Value = TargetHealth> {
    [any_registered(), any_registered(), any_registered()].prop_map(|registered| {
        let target_groups = [GROUP_TARGETS, SERVICE_TARGETS, ADDRESS_TARGETS].map(str::to_owned);
        target_groups.into_iter().zip(registered).collect()
    })
}

fn any_notice() -> impl Strategy<Value = Notice> {
    let exchange = |cause| {
        let step = Step::MoveWork {
            group: "inference".to_owned(),
            replacement: None,
        };
        Signal::FollowUp(FollowUp {
            cause,
            deadline: None,
            step,
        })
    };
    let signals = vec![
        Signal::InterruptionWarning {
            action: InstanceAction::Terminate,
        },
        Signal::RebalanceRecommendation,
        Signal::StateChange {
            state: InstanceState::Stopping,
        },
        exchange(Cause::Interruption),
        exchange(Cause::Rebalance),
    ];
    select(signals).prop_map(notice)
}

/// The group of the instance: ours, ignored, or none.
fn any_groups() -> impl Strategy<Value = Groups> {
    select(vec![
        group(&[]),
        with_room(),
        group(&[(IGNORE_TAG, "true")]),
        Groups::of([]),
    ])
}

/// The plan of both waves for a notice.
fn whole_plan(notice: &Notice, groups: &Groups, health: &TargetHealth) -> Plan {
    let of_instance = groups.of_instance(&notice.instance);
    let mut plan = for_group_targets(notice, groups, Scope::All, health);
    if moves_at_once(notice) && in_scope(notice, &of_instance, Scope::All) {
        merge(
            &mut plan,
            for_service_targets(notice, &container_instance(), &endpoints(), health),
        );
    }
    plan
}

proptest! {
    #[test]
    fn no_target_is_named_that_is_not_registered_and_the_instances_own(
        notice in any_notice(), groups in any_groups(), health in any_health(),
    ) {
        let plan = whole_plan(&notice, &groups, &health);
        for action in deregistrations(&plan) {
            let own = match action.target_group.as_str() {
                ADDRESS_TARGETS => action.target.id == "10.0.0.7",
                SERVICE_TARGETS => action.target.id == DOOMED && action.target.port == Some(32768),
                _ => action.target.id == DOOMED,
            };
            prop_assert!(own, "{action:?}");
            let registered = health[&action.target_group].iter().flatten();
            let is_there = registered.clone().any(|one| one.target == action.target && one.state != State::Draining);
            prop_assert!(is_there, "{action:?}");
        }
        let distinct: BTreeSet<_> = deregistrations(&plan).map(|a| (&a.target_group, &a.target)).collect();
        let registered_once = health.values().flatten().all(|targets| {
            targets.iter().map(|one| &one.target).collect::<BTreeSet<_>>().len() == targets.len()
        });
        prop_assert!(!registered_once || distinct.len() == plan.actions.len(), "a target is named twice: {:?}", plan.actions);
    }

    #[test]
    fn an_unread_target_group_is_a_problem_and_an_ignored_group_is_left_alone(notice in any_notice(), health in any_health()) {
        let plan = whole_plan(&notice, &group(&[]), &health);
        let acts = notice.signal != Signal::RebalanceRecommendation;
        prop_assert_eq!(plan.problems.iter().any(|p| p.starts_with(GROUP_TARGETS)), acts && health[GROUP_TARGETS].is_err());
        if !matches!(notice.signal, Signal::FollowUp(_)) {
            let ignored = whole_plan(&notice, &group(&[(IGNORE_TAG, "true")]), &health);
            prop_assert!(ignored.actions.is_empty() && !ignored.skipped.is_empty(), "{ignored:?}");
        }
    }

    #[test]
    fn the_same_facts_give_the_same_plan(notice in any_notice(), groups in any_groups(), health in any_health()) {
        prop_assert_eq!(whole_plan(&notice, &groups, &health), whole_plan(&notice, &groups, &health));
    }
}
