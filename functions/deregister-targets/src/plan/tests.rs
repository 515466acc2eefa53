use std::collections::BTreeMap;

use spot_handoff::autoscaling::groups::{Lifecycle, Member};
use spot_handoff::autoscaling::scope::{IGNORE_TAG, OutOfScope};
use spot_handoff::ecs::container_instances::{ContainerInstance, ContainerInstances, Status};
use spot_handoff::elb::health::{Registered, State, TargetHealth};
use spot_handoff::notice::{InstanceId, LifecycleAction};
use spot_handoff::runtime::aws::CallError;

use super::find::{
    belongs_to_nobody, for_group_targets, for_service_targets, for_targets_of_nobody, stop_moments,
};
use super::*;
use crate::facts::found::{Endpoint, OtherWay, Searched, Stop, TaskEndpoints};

const DOOMED: &str = "i-1234567890abcdef0";
const OTHER: &str = "i-1234567890abcdef1";
const GROUP_TARGETS: &str = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/group/1";
const SERVICE_TARGETS: &str = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/service/2";
const ADDRESS_TARGETS: &str = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/address/3";

fn id(text: &str) -> InstanceId {
    text.parse().expect("an id")
}

fn notice(signal: Signal) -> Notice {
    let time = "2026-11-24T04:00:00Z".parse().expect("a time");
    Notice {
        event_id: "e".to_owned(),
        instance: id(DOOMED),
        time,
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

fn group(tags: &[(&str, &str)]) -> Groups {
    Groups::of([ours(tags)])
}

/// The same, but MaxSize has room for a replacement.
fn with_room() -> Groups {
    Groups::of([Group {
        desired: 1,
        max: 2,
        ..ours(&[])
    }])
}

fn ours(tags: &[(&str, &str)]) -> Group {
    let member = Member {
        id: id(DOOMED),
        zone: "us-east-1a".to_owned(),
        lifecycle: Lifecycle::InService,
    };
    Group {
        name: "inference".to_owned(),
        target_groups: [GROUP_TARGETS.to_owned()].into(),
        tags: tags.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        instances: vec![member],
        ..Group::default()
    }
}

fn registered(
    target_group: &str,
    targets: &[(&str, i32, bool)],
) -> (String, Result<Vec<Registered>, CallError>) {
    let registered = |(id, port, draining): &(&str, i32, bool)| Registered {
        target: Target {
            id: id.to_string(),
            port: Some(*port),
        },
        state: if *draining {
            State::Draining
        } else {
            State::Healthy
        },
        zone: None,
    };
    (
        target_group.to_owned(),
        Ok(targets.iter().map(registered).collect()),
    )
}

fn refused() -> CallError {
    CallError::Refused {
        action: "Any",
        code: "Throttling".to_owned(),
        message: "Rate exceeded".to_owned(),
    }
}

fn targets(plan: &Plan) -> Vec<(&str, String)> {
    let line = |one: &Deregistration| format!("{}:{}", one.target.id, one.target.port.unwrap_or_default());
    deregistrations(plan)
        .map(|one| (one.target_group.as_str(), line(one)))
        .collect()
}

fn group_plan(notice: &Notice, groups: &Groups, health: &TargetHealth) -> Plan {
    for_group_targets(notice, groups, Scope::All, health)
}

#[test]
fn every_port_of_the_instance_is_deregistered_and_no_target_of_another() {
    let health = TargetHealth::from([registered(
        GROUP_TARGETS,
        &[(DOOMED, 80, false), (OTHER, 80, false), (DOOMED, 81, false)],
    )]);
    let plan = group_plan(&warning(), &group(&[]), &health);
    assert_eq!(
        targets(&plan),
        [
            (GROUP_TARGETS, format!("{DOOMED}:80")),
            (GROUP_TARGETS, format!("{DOOMED}:81"))
        ]
    );
    assert!(plan.skipped.is_empty() && plan.problems.is_empty());
}

#[test]
fn a_repeated_notice_finds_its_targets_draining_or_gone() {
    let draining = TargetHealth::from([registered(GROUP_TARGETS, &[(DOOMED, 80, true)])]);
    let plan = group_plan(&warning(), &group(&[]), &draining);
    assert!(plan.actions.is_empty());
    assert_eq!(plan.skipped[0].reason, Skip::AlreadyDraining);

    let gone = TargetHealth::from([registered(GROUP_TARGETS, &[(OTHER, 80, false)])]);
    assert_eq!(
        group_plan(&warning(), &group(&[]), &gone).skipped[0].reason,
        Skip::NotRegistered
    );
}

#[test]
fn what_cannot_be_read_is_a_problem_and_brings_the_message_back() {
    let unread = TargetHealth::from([(GROUP_TARGETS.to_owned(), Err(refused()))]);
    let plan = group_plan(&warning(), &group(&[]), &unread);
    assert_eq!(
        plan.problems,
        [format!("{GROUP_TARGETS}: Any refused: Throttling: Rate exceeded")]
    );
}

#[test]
fn a_target_group_that_is_gone_is_no_problem() {
    let gone = CallError::Refused {
        action: "DescribeTargetHealth",
        code: "TargetGroupNotFound".to_owned(),
        message: String::new(),
    };
    let health = TargetHealth::from([(GROUP_TARGETS.to_owned(), Err(gone))]);
    let plan = group_plan(&warning(), &group(&[]), &health);
    assert!(plan.problems.is_empty() && plan.actions.is_empty());
}

#[test]
fn which_signals_are_acted_on() {
    let health = TargetHealth::from([registered(GROUP_TARGETS, &[(DOOMED, 80, false)])]);
    let action = LifecycleAction {
        group: "g".to_owned(),
        hook: "h".to_owned(),
        token: "t".to_owned(),
        to_warm_pool: false,
    };
    let step = Step::MoveWork {
        group: "inference".to_owned(),
        replacement: None,
    };
    let follow_up = FollowUp {
        cause: Cause::Interruption,
        deadline: None,
        step,
    };
    let table = [
        (
            Signal::InterruptionWarning {
                action: InstanceAction::Hibernate,
            },
            1,
        ),
        (Signal::TerminateLifecycleAction(action), 1),
        (
            Signal::StateChange {
                state: spot_handoff::notice::InstanceState::Stopping,
            },
            1,
        ),
        (
            Signal::ScheduledRetirement {
                starts: "2026-11-24T04:50:00Z".parse().expect("a time"),
            },
            1,
        ),
        (Signal::FollowUp(follow_up), 1),
        (Signal::RebalanceRecommendation, 0),
    ];
    for (signal, actions) in table {
        let plan = group_plan(&notice(signal.clone()), &group(&[]), &health);
        assert_eq!(plan.actions.len(), actions, "{signal:?}");
    }
}

#[test]
fn a_retirement_moves_nothing_while_its_replacement_can_come_first() {
    let health = TargetHealth::from([registered(GROUP_TARGETS, &[(DOOMED, 80, false)])]);
    let starts = "2026-12-01T00:00:00Z".parse().expect("a time");
    let retirement = notice(Signal::ScheduledRetirement { starts });
    let plan = group_plan(&retirement, &with_room(), &health);
    assert!(plan.actions.is_empty());
    assert_eq!(plan.skipped[0].reason, Skip::WaitsForReplacement);
    let of_instance = with_room();
    assert!(!in_scope(
        &retirement,
        &of_instance.of_instance(&retirement.instance),
        Scope::All
    ));
}

#[test]
fn an_instance_that_may_start_again_stays_registered() {
    use spot_handoff::notice::InstanceState::{ShuttingDown, Stopping};
    let health = TargetHealth::from([registered(GROUP_TARGETS, &[(DOOMED, 80, false)])]);
    let (ours, nobody) = (group(&[]), Groups::of([]));
    for (groups, state, stays) in [
        (&nobody, Stopping, true),
        (&nobody, ShuttingDown, false),
        (&ours, Stopping, false),
    ] {
        let notice = notice(Signal::StateChange { state });
        let plan = group_plan(&notice, groups, &health);
        let skips = plan.skipped.iter().any(|one| one.reason == Skip::MayStartAgain);
        assert_eq!(skips, stays, "{state:?}: {plan:?}");
        // Also the targets of its services.
        let group = groups.of_instance(&notice.instance);
        assert_eq!(in_scope(&notice, &group, Scope::All), !stays, "{state:?}");
    }
}

#[test]
fn a_group_that_is_not_ours_is_left_alone_unless_the_sender_had_decided() {
    let health = TargetHealth::from([registered(GROUP_TARGETS, &[(DOOMED, 80, false)])]);
    let ignored = group(&[(IGNORE_TAG, "true")]);
    let plan = group_plan(&warning(), &ignored, &health);
    assert!(plan.actions.is_empty());
    assert!(matches!(plan.skipped[0].reason, Skip::OutOfScope(_)));

    let nobody = Groups::of([]);
    let of = |notice: &Notice| for_group_targets(notice, &nobody, Scope::Tagged, &health);
    assert!(matches!(
        of(&warning()).skipped[0].reason,
        Skip::OutOfScope(OutOfScope::InNoGroup)
    ));
    let step = Step::MoveWork {
        group: "inference".to_owned(),
        replacement: None,
    };
    let follow_up = FollowUp {
        cause: Cause::Interruption,
        deadline: None,
        step,
    };
    assert!(of(&notice(Signal::FollowUp(follow_up))).skipped.is_empty());
}

#[test]
fn in_an_exchange_the_targets_of_services_are_left_to_ecs() {
    let exchanged = |cause| {
        let step = Step::MoveWork {
            group: "inference".to_owned(),
            replacement: None,
        };
        notice(Signal::FollowUp(FollowUp {
            cause,
            deadline: None,
            step,
        }))
    };
    assert!(moves_at_once(&warning()));
    assert!(moves_at_once(&exchanged(Cause::Interruption)));
    assert!(!moves_at_once(&exchanged(Cause::Rebalance)));
}

fn container_instance() -> ContainerInstances {
    ContainerInstances::of([ContainerInstance {
        arn: "ci".to_owned(),
        cluster: "inference".to_owned(),
        instance: id(DOOMED),
        status: Status::Active,
        agent_connected: true,
        registered_at: None,
        capacity_provider: None,
        is_managed: false,
        tasks: 2,
    }])
}

fn endpoints() -> TaskEndpoints {
    let endpoint = |target_group: &str, address: Option<&str>, ports: &[i32]| Endpoint {
        service: "classifier".to_owned(),
        task: "arn:aws:ecs:us-east-1:1:task/inference/abc".to_owned(),
        target_group: target_group.to_owned(),
        addresses: address.map(str::to_owned).into_iter().collect(),
        host_ports: ports.iter().copied().collect(),
        stop: Some(Stop {
            grace: SignedDuration::from_secs(30),
            as_last: Some(SignedDuration::from_secs(10)),
            accelerators: vec![],
        }),
    };
    let list = vec![
        endpoint(SERVICE_TARGETS, None, &[32768]),
        endpoint(ADDRESS_TARGETS, Some("10.0.0.7"), &[]),
    ];
    TaskEndpoints {
        on: HashMap::from([("ci".to_owned(), Ok(list))]),
        ..TaskEndpoints::default()
    }
}

#[test]
fn only_the_services_on_the_instance_itself_have_to_be_readable() {
    let denied = CallError::Refused {
        action: "DescribeServices",
        code: "Throttling".to_owned(),
        message: "Rate exceeded".to_owned(),
    };
    let unread = BTreeMap::from([("classifier".to_owned(), denied)]);
    for (container_instance_of, problems) in [("ci", 1), ("another", 0)] {
        let mut endpoints = endpoints();
        endpoints
            .unread_services
            .insert(container_instance_of.to_owned(), unread.clone());
        let plan = for_service_targets(
            &warning(),
            &container_instance(),
            &endpoints,
            &TargetHealth::new(),
        );
        let services = plan.problems.iter().filter(|why| why.starts_with("service "));
        assert_eq!(services.count(), problems, "{:?}", plan.problems);
    }
}

#[test]
fn a_services_targets_are_found_by_host_port_or_by_address() {
    let health = TargetHealth::from([
        registered(
            SERVICE_TARGETS,
            &[
                (DOOMED, 32768, false),
                (DOOMED, 32769, false),
                (OTHER, 32768, false),
            ],
        ),
        registered(
            ADDRESS_TARGETS,
            &[("10.0.0.7", 8080, false), ("10.0.0.8", 8080, false)],
        ),
    ]);
    let plan = for_service_targets(&warning(), &container_instance(), &endpoints(), &health);
    assert_eq!(
        targets(&plan),
        [
            (SERVICE_TARGETS, format!("{DOOMED}:32768")),
            (ADDRESS_TARGETS, "10.0.0.7:8080".to_owned())
        ]
    );
}

#[test]
fn the_tasks_behind_targets_are_stopped_before_the_instance_goes_unless_they_are_of_daemons() {
    let health = TargetHealth::from([
        registered(SERVICE_TARGETS, &[(DOOMED, 32768, false), (OTHER, 32768, false)]),
        registered(ADDRESS_TARGETS, &[("10.0.0.7", 8080, false)]),
    ]);
    let moments = |notice: &Notice, endpoints: &TaskEndpoints| -> Vec<(String, i64, Option<i64>)> {
        let moments = stop_moments(notice, &container_instance(), endpoints, &health);
        let seconds = |at: Timestamp| at.duration_since(notice.time).as_secs();
        let mut found: Vec<_> = moments
            .into_iter()
            .map(|((_, target), stop)| (target.id, seconds(stop.at), stop.as_last.map(seconds)))
            .collect();
        found.sort();
        found
    };
    let both = ["10.0.0.7", DOOMED].map(|id| (id.to_owned(), 80, Some(100)));
    assert_eq!(moments(&warning(), &endpoints()), both);
    let hibernates = notice(Signal::InterruptionWarning {
        action: InstanceAction::Hibernate,
    });
    assert_eq!(moments(&hibernates, &endpoints()), [], "it is going already");
    let mut daemons = endpoints();
    let all = daemons.on.values_mut().flatten().flatten();
    all.for_each(|endpoint| endpoint.stop = None);
    assert_eq!(moments(&warning(), &daemons), []);
}

#[test]
fn the_targets_of_a_managed_instance_are_left_to_ecs() {
    let mut on: Vec<ContainerInstance> = container_instance().all().cloned().collect();
    on.iter_mut().for_each(|one| one.is_managed = true);
    let found = ContainerInstances::of(on);
    let health = TargetHealth::from([registered(SERVICE_TARGETS, &[(DOOMED, 32768, false)])]);
    let plan = for_service_targets(&warning(), &found, &endpoints(), &health);
    assert_eq!(targets(&plan), []);
    assert_eq!(plan.skipped[0].reason, Skip::ManagedByEcs);
}

#[test]
fn of_a_task_in_host_mode_every_target_of_its_instance_is_found() {
    let on_any_port = || {
        registered(
            SERVICE_TARGETS,
            &[(DOOMED, 80, false), (DOOMED, 443, false), (OTHER, 80, false)],
        )
    };
    let untold = Endpoint {
        service: "proxy".to_owned(),
        task: "arn:aws:ecs:us-east-1:1:task/inference/def".to_owned(),
        target_group: SERVICE_TARGETS.to_owned(),
        addresses: BTreeSet::new(),
        host_ports: BTreeSet::new(),
        stop: None,
    };
    let awsvpc = Endpoint {
        addresses: ["10.0.0.7".to_owned()].into(),
        ..untold.clone()
    };
    let bridge = Endpoint {
        host_ports: [443].into(),
        ..untold.clone()
    };
    for (endpoint, ports) in [(untold, &[80, 443] as &[i32]), (awsvpc, &[]), (bridge, &[443])] {
        let of_another_task = Endpoint {
            task: "arn:aws:ecs:us-east-1:1:task/inference/another".to_owned(),
            ..endpoint.clone()
        };
        let endpoints = TaskEndpoints {
            on: HashMap::from([("ci".to_owned(), Ok(vec![endpoint.clone(), of_another_task]))]),
            ..TaskEndpoints::default()
        };
        let health = TargetHealth::from([on_any_port()]);
        let plan = for_service_targets(&warning(), &container_instance(), &endpoints, &health);
        let expected: Vec<_> = ports
            .iter()
            .map(|port| (SERVICE_TARGETS, format!("{DOOMED}:{port}")))
            .collect();
        assert_eq!(targets(&plan), expected, "{endpoint:?}");
    }
}

#[test]
fn only_an_instance_in_no_group_and_no_cluster_is_of_nobody() {
    let nobody = Groups::of([]);
    let nowhere = ContainerInstances::default();
    let of =
        |notice: &Notice, found: &ContainerInstances, scope| belongs_to_nobody(notice, &nobody, found, scope);
    assert!(of(&warning(), &nowhere, Scope::All));
    assert!(!of(&warning(), &container_instance(), Scope::All));
    assert!(!of(&warning(), &nowhere, Scope::Tagged));
    let state = spot_handoff::notice::InstanceState::Stopping;
    assert!(!of(&notice(Signal::StateChange { state }), &nowhere, Scope::All));
    let look = |group: Option<&str>| {
        notice(Signal::FollowUp(FollowUp {
            cause: Cause::Interruption,
            deadline: None,
            step: Step::Look {
                group: group.map(str::to_owned),
                registered: vec![],
                seen: vec![],
            },
        }))
    };
    assert!(of(&look(None), &nowhere, Scope::All));
    assert!(
        !of(&look(Some("inference")), &nowhere, Scope::All),
        "it left its group"
    );
}

#[test]
fn a_search_tells_what_it_found_and_what_it_did_not_look_at() {
    let searched = |targets: &[(&str, i32, bool)]| Searched {
        found: TargetHealth::from([registered(SERVICE_TARGETS, targets)]),
        looked_at: 1,
        ..Searched::default()
    };
    let found = for_targets_of_nobody(&warning(), &searched(&[(DOOMED, 9000, false)]));
    assert_eq!(targets(&found), [(SERVICE_TARGETS, format!("{DOOMED}:9000"))]);
    assert!(found.skipped.is_empty());
    let nowhere = for_targets_of_nobody(&warning(), &Searched::default());
    assert_eq!(nowhere.skipped[0].reason, Skip::RegisteredNowhere);

    let mut ended = searched(&[(DOOMED, 9000, false)]);
    ended.rest = 220;
    let plan = for_targets_of_nobody(&warning(), &ended);
    assert_eq!(targets(&plan).len(), 1);
    let reason = &plan.skipped[0].reason;
    assert_eq!(
        *reason,
        Skip::SearchEnded {
            looked_at: 1,
            rest: 220
        }
    );
    assert!(plan.problems.is_empty(), "no dead letter");

    let unread = Searched {
        problem: Some("refused".to_owned()),
        ..Searched::default()
    };
    let plan = for_targets_of_nobody(&warning(), &unread);
    assert_eq!((plan.problems.len(), plan.skipped.len()), (1, 0));
}

#[test]
fn a_target_found_by_both_waves_is_deregistered_once_and_not_called_missing() {
    let health = TargetHealth::from([registered(GROUP_TARGETS, &[(DOOMED, 80, false)])]);
    let mut plan = group_plan(&warning(), &group(&[]), &health);
    merge(&mut plan, group_plan(&warning(), &group(&[]), &health));
    assert_eq!(plan.actions.len(), 1);

    let mut missing = group_plan(
        &warning(),
        &group(&[]),
        &TargetHealth::from([registered(GROUP_TARGETS, &[])]),
    );
    merge(&mut missing, group_plan(&warning(), &group(&[]), &health));
    assert_eq!((missing.actions.len(), missing.skipped.len()), (1, 0));
}

#[test]
fn a_deregistration_delay_longer_than_the_notice_is_warned_of_with_its_setting() {
    let health = TargetHealth::from([registered(GROUP_TARGETS, &[(DOOMED, 80, false)])]);
    for (seconds, warnings) in [(300, 1), (121, 1), (120, 0), (30, 0)] {
        let mut plan = group_plan(&warning(), &group(&[]), &health);
        let delay = SignedDuration::from_secs(seconds);
        advise(
            &mut plan,
            &HashMap::from([(GROUP_TARGETS.to_owned(), delay)]),
            &HashMap::new(),
        );
        assert_eq!(plan.warnings.len(), warnings, "{seconds} s");
    }
    let text = Warning::LongDeregistrationDelay {
        target_group: "tg".to_owned(),
        seconds: 300,
    }
    .to_string();
    assert!(
        text.contains("tg")
            && text.contains("300 s")
            && text.contains("deregistration_delay.timeout_seconds")
    );
}

#[test]
fn flows_of_a_gateway_load_balancer_and_other_ways_are_told() {
    let health = TargetHealth::from([registered(GROUP_TARGETS, &[(DOOMED, 80, false)])]);
    let mut plan = group_plan(&warning(), &group(&[]), &health);
    let gateway = HashMap::from([(GROUP_TARGETS.to_owned(), Balancer::Gateway)]);
    advise(&mut plan, &HashMap::new(), &gateway);
    let target_group = GROUP_TARGETS.to_owned();
    assert_eq!(plan.warnings, [Warning::FlowsStay { target_group }]);

    let by_lattice = Groups::of([Group {
        is_reached_by_lattice: true,
        ..ours(&[])
    }]);
    let plan = group_plan(&warning(), &by_lattice, &health);
    let of = "Auto Scaling group inference".to_owned();
    let way = OtherWay::VpcLattice;
    assert_eq!(plan.warnings, [Warning::OtherWay { of, way }]);

    let mut endpoints = endpoints();
    let way = ("classifier".to_owned(), OtherWay::CloudMap);
    endpoints.other_ways.insert("ci".to_owned(), [way].into());
    let plan = for_service_targets(
        &warning(),
        &container_instance(),
        &endpoints,
        &TargetHealth::new(),
    );
    let (of, way) = ("service classifier".to_owned(), OtherWay::CloudMap);
    assert_eq!(plan.warnings, [Warning::OtherWay { of, way }]);
}

#[test]
fn after_it_left_its_group_an_instance_is_looked_for_where_the_group_has_its_targets() {
    let without_it = Groups::of([Group {
        instances: vec![],
        ..ours(&[])
    }]);
    let health = TargetHealth::from([registered(GROUP_TARGETS, &[(DOOMED, 80, false)])]);
    let look = notice(Signal::FollowUp(FollowUp {
        cause: Cause::Interruption,
        deadline: warning().deadline(),
        step: Step::Look {
            group: Some("inference".to_owned()),
            registered: vec![],
            seen: vec![],
        },
    }));
    let plan = group_plan(&look, &without_it, &health);
    assert_eq!(targets(&plan), [(GROUP_TARGETS, format!("{DOOMED}:80"))]);
}

mod any_facts;
mod documented;
mod holding;
mod looking;
