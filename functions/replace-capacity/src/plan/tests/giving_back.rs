//! An exchange that ends without its purpose gives back what it raised, once.

use super::*;

const OTHER: &str = "i-1234567890abcdefa";
const SUCCESSOR: &str = "i-1234567890abcdefb";

#[test]
fn what_is_given_back_is_given_back_once() {
    let table = [
        (
            "terminated",
            giving_back(Surplus::Instance(id(NEW)), Lifecycle::Terminating, 2),
            None,
        ),
        (
            "killed before it was terminated",
            giving_back(Surplus::Instance(id(NEW)), Lifecycle::InService, 3),
            Some(terminate(NEW)),
        ),
        (
            "lowered",
            giving_back(Surplus::Capacity { from: 3 }, Lifecycle::InService, 2),
            None,
        ),
        (
            "killed before it was lowered",
            giving_back(Surplus::Capacity { from: 3 }, Lifecycle::InService, 3),
            Some(lower()),
        ),
    ];
    let give_up = || {
        follow_up(Step::GiveUp {
            group: "g".to_owned(),
        })
    };
    for (what, group, expected) in table {
        let expected: Vec<Action> = expected.into_iter().chain([untag()]).collect();
        for notice in [await_replacement(), give_up(), retire()] {
            let plan = plan_of(notice.clone(), group.clone());
            assert_eq!(plan.actions, expected, "{what}: {:?}", notice.signal);
            assert_eq!(plan.skipped[0].reason, Skip::GivenUp);
        }
        let plan = plan_of(await_replacement(), gone(group, false));
        assert_eq!(plan.actions, expected, "{what}, and the instance has left");
    }
}

fn giving_back(surplus: Surplus, replacement: Lifecycle, desired: i32) -> Group {
    let mut group = launched(Some(replacement));
    let tag = Exchange::GivingBack(surplus).to_value();
    group.tags = [(tag_of(&id(OLD)), tag)].into();
    group.desired = desired;
    group
}

#[test]
fn two_raises_that_are_given_back_together_take_two_instances() {
    let mut group = marked();
    group
        .tags
        .insert(tag_of(&id(OTHER)), Exchange::Raised { from: 3 }.to_value());
    group.desired = 4;
    for new in [NEW, SUCCESSOR] {
        group
            .instances
            .push(member(new, "us-east-1a", Lifecycle::Pending));
    }
    let notices = [OLD, OTHER].map(|old| Notice {
        instance: id(old),
        ..await_replacement()
    });
    let late = time("2026-11-24T04:16:00Z");
    let plans = plans(
        &notices,
        &Groups::of([group]),
        &Health::default(),
        &config(),
        late,
    );
    let surplus = |plan: &Plan| match &plan.actions[0] {
        Action::GiveBack { surplus, .. } => surplus.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(surplus(&plans[0]), Surplus::Instance(id(NEW)));
    assert_eq!(surplus(&plans[1]), Surplus::Instance(id(SUCCESSOR)));
}

#[test]
fn a_replacement_that_is_lost_is_given_back_like_a_raise() {
    let late = time("2026-11-24T04:16:00Z");
    let lost = |successor| {
        let mut group = launched(None);
        let successor = member(SUCCESSOR, "us-east-1a", successor);
        group.instances.push(successor);
        group
    };
    let plan = plan_at(await_replacement(), lost(Lifecycle::Pending), &config(), late);
    assert_eq!(plan.actions, [terminate(SUCCESSOR), untag()]);
    let give_up = follow_up(Step::GiveUp {
        group: "g".to_owned(),
    });
    assert_eq!(
        plan_of(give_up, lost(Lifecycle::InService)).actions,
        [lower(), untag()]
    );
}
