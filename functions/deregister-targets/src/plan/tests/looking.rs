//! When to look again.

use spot_handoff::ecs::container_instances::{ContainerInstance, Status};
use spot_handoff::notice::Registered;
use spot_handoff::report::HeldLine;

use super::look::Seen;
use super::*;

fn at(seconds: i64) -> Timestamp {
    warning().time + SignedDuration::from_secs(seconds)
}

fn held(until: Option<i64>) -> HeldLine {
    HeldLine {
        target_group: GROUP_TARGETS.to_owned(),
        target: format!("{DOOMED}:80"),
        until: until.map(at),
        staying: 0,
        needed: 1,
        reason: String::new(),
    }
}

fn registered() -> ContainerInstance {
    ContainerInstance {
        arn: "arn:aws:ecs:us-east-1:123456789012:container-instance/c/aa11".to_owned(),
        cluster: "c".to_owned(),
        instance: DOOMED.parse().expect("an id"),
        status: Status::Draining,
        agent_connected: true,
        tasks: 1,
        registered_at: None,
        capacity_provider: None,
        is_managed: false,
    }
}

fn look(of: &Notice, holds: Option<HeldLine>, has_target_groups: bool, now: i64) -> (Option<Look>, Plan) {
    let mut plan = Plan {
        held: holds.into_iter().collect(),
        ..Plan::default()
    };
    let seen = Seen {
        group: Some("inference"),
        together: 1,
        registered: &[registered()],
        has_target_groups,
        stops_at: Some(at(80)),
        serving: &[],
    };
    look::plan(of, &mut plan, seen, at(now));
    let look = plan.actions.iter().find_map(|action| match action {
        Action::Look(look) => Some(look.clone()),
        Action::Deregister(_) | Action::Register(_) => None,
    });
    (look, plan)
}

fn next(of: &Notice, holds: Option<HeldLine>, has_target_groups: bool, now: i64) -> Option<i64> {
    let (look, _) = look(of, holds, has_target_groups, now);
    look.map(|look| look.at.duration_since(warning().time).as_secs())
}

#[test]
fn an_interrupted_instance_is_looked_at_every_ten_seconds_and_at_the_last_moment() {
    let warning = warning();
    assert_eq!(next(&warning, None, true, 0), Some(10));
    assert_eq!(next(&warning, None, true, 109), Some(119));
    assert_eq!(
        next(&warning, None, true, 110),
        None,
        "the instance is gone by then"
    );
    assert_eq!(next(&warning, None, false, 0), None, "there is nothing to see");
    assert_eq!(next(&warning, Some(held(Some(110))), true, 50), Some(60));
    assert_eq!(next(&warning, Some(held(Some(110))), true, 104), Some(110));
}

#[test]
fn a_target_that_is_registered_again_is_looked_for_twice_before_its_task_is_stopped() {
    let warning = warning();
    let looks: Vec<_> = [60, 70, 75, 79].map(|now| next(&warning, None, true, now)).into();
    assert_eq!(looks, [Some(70), Some(75), Some(79), Some(89)]);
}

#[test]
fn a_look_keeps_the_notice_the_group_and_the_container_instance() {
    let (look, _) = look(&warning(), None, true, 0);
    let look = look.expect("a look");
    assert_eq!(look.of, ("e".to_owned(), DOOMED.to_owned()));
    let group = Some("inference".to_owned());
    let expected = FollowUp {
        cause: Cause::Interruption,
        deadline: warning().deadline(),
        step: Step::Look {
            group,
            registered: vec![Registered {
                cluster: "c".to_owned(),
                container_instance: "aa11".to_owned(),
                draining_with: None,
            }],
            seen: vec![],
        },
    };
    assert_eq!(look.follow_up, expected);
    let next = notice(Signal::FollowUp(expected));
    assert_eq!(serves_until(&next), warning().deadline());
    assert!(moves_at_once(&next));
}

#[test]
fn without_an_end_it_is_while_something_is_held() {
    let hook = notice(Signal::TerminateLifecycleAction(LifecycleAction {
        group: "g".to_owned(),
        hook: "h".to_owned(),
        token: "t".to_owned(),
        to_warm_pool: false,
    }));
    assert_eq!(next(&hook, None, true, 0), None);
    assert_eq!(next(&hook, Some(held(None)), true, 0), Some(10));
    let (look, plan) = look(&hook, Some(held(None)), true, 895);
    assert!(look.is_none());
    assert!(matches!(plan.warnings[0], Warning::HeldWithoutEnd { .. }));
    let retirement = notice(Signal::ScheduledRetirement {
        starts: "2026-12-01T00:00:00Z".parse().expect("a time"),
    });
    assert_eq!(next(&retirement, None, true, 0), None);
    assert_eq!(next(&retirement, Some(held(Some(600_000))), true, 0), Some(10));
    assert_eq!(
        next(&notice(Signal::RebalanceRecommendation), None, true, 0),
        None
    );
    let shutting_down = notice(Signal::StateChange {
        state: spot_handoff::notice::InstanceState::ShuttingDown,
    });
    assert_eq!(next(&shutting_down, None, true, 0), None);
}

#[test]
fn an_end_that_comes_near_is_looked_at_until_then() {
    // A hook that has waited for a long time, and ends in a minute.
    let asked = notice(Signal::FollowUp(FollowUp {
        cause: Cause::Termination,
        deadline: Some(at(3660)),
        step: Step::Look {
            group: Some("inference".to_owned()),
            registered: vec![],
            seen: vec![],
        },
    }));
    assert_eq!(next(&asked, None, true, 3600), Some(3610));
    assert_eq!(next(&asked, None, true, 3650), None);
    assert_eq!(next(&asked, Some(held(Some(3620))), true, 3612), Some(3620));
}

#[test]
fn a_look_that_is_on_its_way_is_no_news_and_one_that_could_not_be_sent_is_a_problem() {
    use spot_handoff::report::plan::{Done, Results};
    use spot_handoff::runtime::clock::Clock;
    let table = [
        (Done::later(Clock::real()), 0),
        (Done::failed(Clock::real(), "refused"), 1),
    ];
    for (done, problems) in table {
        let (next, mut plan) = look(&warning(), None, true, 0);
        let sent = Results::from([(Action::Look(next.expect("a look")), done)]);
        look::settle(&mut plan, &sent);
        assert_eq!((plan.actions.len(), plan.problems.len()), (0, problems));
    }
}

#[test]
fn where_nothing_else_serves_it_is_looked_at_often_until_the_instance_is_gone() {
    let storm = 51;
    for (staying, together, now, expected) in [
        (0, 1, 50, Some(60)),
        (0, 1, 99, Some(109)),
        (0, 1, 100, Some(102)),
        (0, 1, 119, Some(121)),
        (0, 1, 127, Some(128)),
        (0, 1, 128, None),
        (1, 1, 100, Some(110)),
        (1, 1, 111, None),
        (1, 1, 121, None),
        (0, storm, 100, Some(110)),
        (0, storm, 111, Some(128)),
        (0, 50, 100, Some(102)),
        (0, storm, 128, None),
    ] {
        let serving = [spot_handoff::notice::Serving {
            target_group: GROUP_TARGETS.to_owned(),
            serving: 1,
            staying,
        }];
        let mut plan = Plan::default();
        let seen = Seen {
            group: Some("inference"),
            together,
            registered: &[],
            has_target_groups: true,
            stops_at: None,
            serving: &serving,
        };
        look::plan(&warning(), &mut plan, seen, at(now));
        let found = plan.actions.iter().find_map(|action| match action {
            Action::Look(look) => Some(look.at.duration_since(warning().time).as_secs()),
            _ => None,
        });
        assert_eq!(found, expected, "{staying} stay, T+{now} s, of {together}");
    }
}
