//! Which of the found targets are held.

use spot_handoff::keeper::{Facts, without_table};
use spot_handoff::state::under_notice::UnderNotice;

use super::find::{StopMoment, StopMoments};
use super::hold::{hold, news};
use super::*;

const THIRD: &str = "i-1234567890abcdef2";

fn warned(instance: &str) -> Notice {
    Notice {
        event_id: format!("of {instance}"),
        instance: id(instance),
        ..warning()
    }
}

fn group_of(instances: &[&str]) -> Groups {
    let member = |instance: &&str| Member {
        id: id(instance),
        zone: "us-east-1a".to_owned(),
        lifecycle: Lifecycle::InService,
    };
    Groups::of([Group {
        instances: instances.iter().map(member).collect(),
        ..ours(&[])
    }])
}

/// Plans for a batch about these instances of a group; `before` is already under notice.
fn batch(warned_of: &[&str], health: &TargetHealth, before: Option<UnderNotice>, seconds: i64) -> Vec<Plan> {
    batch_with(&StopMoments::new(), warned_of, health, before, seconds)
}

/// The same, but tasks behind some targets are stopped before that.
fn batch_with(
    stops: &StopMoments,
    warned_of: &[&str],
    health: &TargetHealth,
    before: Option<UnderNotice>,
    seconds: i64,
) -> Vec<Plan> {
    let groups = group_of(&[DOOMED, OTHER, THIRD]);
    let notices: Vec<Notice> = warned_of.iter().map(|instance| warned(instance)).collect();
    let mut plans: Vec<Plan> = notices
        .iter()
        .map(|notice| group_plan(notice, &groups, health))
        .collect();
    let now = warning().time + SignedDuration::from_secs(seconds);
    let mut under_notice = HashMap::new();
    for news in news(&notices, &plans, health, stops) {
        let item = match &before {
            Some(before) => {
                let mut item = before.clone();
                item.add(&news.doomed, news.serving, now);
                item
            }
            None => without_table(&news, health, now),
        };
        under_notice.insert(news.target_group, item);
    }
    let facts = Facts {
        health,
        balancers: HashMap::new(),
        delays: HashMap::new(),
        keep_healthy: &HashMap::new(),
        under_notice,
        now,
    };
    let is_contested = !facts.contested().is_empty();
    hold(&mut plans, &facts);
    let any_held = plans.iter().any(|plan| !plan.held.is_empty());
    assert!(is_contested || !any_held, "what is held is contested");
    plans
}

fn counts(plans: &[Plan]) -> Vec<(usize, usize)> {
    plans
        .iter()
        .map(|plan| (deregistrations(plan).count(), plan.held.len()))
        .collect()
}

fn serving(ids: &[&str]) -> TargetHealth {
    let targets: Vec<_> = ids.iter().map(|id| (*id, 80, false)).collect();
    TargetHealth::from([registered(GROUP_TARGETS, &targets)])
}

#[test]
fn the_last_one_stays_until_its_successor_serves_or_its_time_has_come() {
    let alone = serving(&[DOOMED]);
    let plans = batch(&[DOOMED], &alone, None, 0);
    assert_eq!(counts(&plans), [(0, 1)]);
    let held = &plans[0].held[0];
    assert_eq!((held.staying, held.needed), (0, 1));
    assert_eq!(held.target, format!("{DOOMED}:80"));
    assert_eq!(
        held.until.map(|until| until.to_string()),
        Some("2026-11-24T04:01:55Z".to_owned())
    );
    let with_successor = serving(&[DOOMED, OTHER]);
    assert_eq!(counts(&batch(&[DOOMED], &with_successor, None, 40)), [(1, 0)]);
    assert_eq!(counts(&batch(&[DOOMED], &alone, None, 113)), [(0, 1)]);
    assert_eq!(
        counts(&batch(&[DOOMED], &alone, None, 114)),
        [(1, 0)],
        "near enough"
    );
}

#[test]
fn a_target_leaves_before_the_task_behind_it_is_stopped() {
    let alone = serving(&[DOOMED]);
    let target = Target {
        id: DOOMED.to_owned(),
        port: Some(80),
    };
    let at = warning().time + SignedDuration::from_secs(80);
    let stop = StopMoment { at, as_last: None };
    let stops = StopMoments::from([((GROUP_TARGETS.to_owned(), target), stop)]);
    let at = |seconds| batch_with(&stops, &[DOOMED], &alone, None, seconds);
    assert_eq!(counts(&at(0)), [(0, 1)]);
    let until = at(0)[0].held[0].until.map(|until| until.to_string());
    assert_eq!(
        until,
        Some("2026-11-24T04:01:15Z".to_owned()),
        "the last one 5 s before the stop"
    );
    assert_eq!(counts(&at(75)), [(1, 0)]);
    let with_successor = serving(&[DOOMED, OTHER]);
    let plans = batch_with(&stops, &[DOOMED], &with_successor, None, 0);
    assert_eq!(counts(&plans), [(1, 0)], "no later than without a stop");
}

#[test]
fn the_notices_of_a_batch_and_of_another_one_do_not_count_on_each_other() {
    let two = serving(&[DOOMED, OTHER]);
    let in_one_batch = counts(&batch(&[DOOMED, OTHER], &two, None, 0));
    assert_eq!(in_one_batch, [(0, 1), (1, 0)]);

    let first = news(
        &[warned(DOOMED)],
        &[group_plan(&warned(DOOMED), &group_of(&[DOOMED]), &two)],
        &two,
        &StopMoments::new(),
    );
    let mut before = UnderNotice::nothing(GROUP_TARGETS);
    before.add(&first[0].doomed, first[0].serving, warning().time);
    assert_eq!(
        counts(&batch(&[OTHER], &two, Some(before), 20)),
        [(0, 1)],
        "the first one may be gone"
    );
}

#[test]
fn what_is_going_already_is_not_held() {
    let alone = serving(&[DOOMED]);
    for signal in [
        Signal::InterruptionWarning {
            action: InstanceAction::Hibernate,
        },
        Signal::StateChange {
            state: spot_handoff::notice::InstanceState::ShuttingDown,
        },
    ] {
        let notice = notice(signal);
        assert_eq!(serves_until(&notice), Some(notice.time));
    }
    let termination = notice(Signal::TerminateLifecycleAction(LifecycleAction {
        group: "g".to_owned(),
        hook: "h".to_owned(),
        token: "t".to_owned(),
        to_warm_pool: false,
    }));
    assert_eq!(serves_until(&termination), None, "as long as the hook waits");
    assert_eq!(counts(&batch(&[DOOMED], &alone, None, 121)), [(1, 0)]);
}

#[test]
fn other_ports_of_the_instance_go_with_it() {
    // The service has a task on each of two ports of the instance. ECS tells only one so far.
    let health = TargetHealth::from([registered(
        SERVICE_TARGETS,
        &[(DOOMED, 32768, false), (DOOMED, 32769, false)],
    )]);
    let notices = [warning()];
    let mut plans = [for_service_targets(
        &warning(),
        &container_instance(),
        &endpoints(),
        &health,
    )];
    let news = news(&notices, &plans, &health, &StopMoments::new());
    let item = without_table(&news[0], &health, warning().time);
    let facts = Facts {
        health: &health,
        balancers: HashMap::new(),
        delays: HashMap::new(),
        keep_healthy: &HashMap::new(),
        under_notice: HashMap::from([(SERVICE_TARGETS.to_owned(), item)]),
        now: warning().time,
    };
    hold(&mut plans, &facts);
    assert_eq!(counts(&plans), [(0, 1)]);
}
