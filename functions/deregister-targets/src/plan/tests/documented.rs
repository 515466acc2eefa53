//! What docs/how-it-decides.md says about this function.

use spot_handoff::keeper::{Facts, without_table};
use spot_handoff::notice::InstanceState;
use testbed::documentation;

use super::find::StopMoments;
use super::hold::{hold, news};
use super::*;

/// The plan for the targets of the group, including what has to stay.
fn decide(notice: &Notice, groups: &Groups, health: &TargetHealth, balancer: Balancer) -> Plan {
    let mut plans = [for_group_targets(notice, groups, Scope::All, health)];
    hold_back(notice, &mut plans, health, balancer);
    let [plan] = plans;
    plan
}

fn hold_back(notice: &Notice, plans: &mut [Plan; 1], health: &TargetHealth, balancer: Balancer) {
    let news = news(std::slice::from_ref(notice), plans, health, &StopMoments::new());
    let noted = news.iter().map(|news| {
        let item = without_table(news, health, notice.time);
        (news.target_group.clone(), item)
    });
    let facts = Facts {
        health,
        balancers: HashMap::from([(GROUP_TARGETS.to_owned(), balancer)]),
        delays: HashMap::from([(GROUP_TARGETS.to_owned(), SignedDuration::from_secs(30))]),
        keep_healthy: &HashMap::new(),
        under_notice: noted.collect(),
        now: notice.time,
    };
    hold(plans, &facts);
}

fn cells(notice: &Notice, plan: &Plan) -> String {
    let held: Vec<String> = plan
        .held
        .iter()
        .map(|held| {
            let until = held.until.map(|until| {
                let seconds = until.duration_since(notice.time).as_secs();
                format!(", at the latest until T+{seconds} s")
            });
            let (staying, needed) = (held.staying, held.needed);
            let why = format!("{staying} of {needed} that have to serve would stay");
            format!("{why}: until a successor serves{}", until.unwrap_or_default())
        })
        .collect();
    let actions: Vec<String> = plan.actions.iter().map(documentation::name).collect();
    let reasons: Vec<String> = plan.skipped.iter().map(|one| one.reason.to_string()).collect();
    format!(
        "{} | {} | {}",
        actions.join(", "),
        held.join("; "),
        reasons.join("; ")
    )
}

#[test]
fn the_documented_decisions_are_those_of_the_plan() {
    use State::{Draining, Healthy, Initial, Unhealthy};
    const THIRD: &str = "i-1234567890abcdef2";
    let with = |targets: &[(&str, State)]| {
        let registered = |(id, state): &(&str, State)| Registered {
            target: Target {
                id: id.to_string(),
                port: Some(80),
            },
            state: *state,
            zone: None,
        };
        TargetHealth::from([(
            GROUP_TARGETS.to_owned(),
            Ok(targets.iter().map(registered).collect()),
        )])
    };
    let serving = with(&[(DOOMED, Healthy), (OTHER, Healthy)]);
    let alone = with(&[(DOOMED, Healthy)]);
    let ours = group(&[]);
    let stops = || Signal::StateChange {
        state: InstanceState::Stopping,
    };
    let shuts_down = Signal::StateChange {
        state: InstanceState::ShuttingDown,
    };
    let hook = LifecycleAction {
        group: "inference".to_owned(),
        hook: "spot-handoff-drain".to_owned(),
        token: "t".to_owned(),
        to_warm_pool: false,
    };
    let move_work = FollowUp {
        cause: Cause::Rebalance,
        deadline: None,
        step: Step::MoveWork {
            group: "inference".to_owned(),
            replacement: None,
        },
    };
    let retirement = Signal::ScheduledRetirement {
        starts: "2026-11-24T04:10:00Z".parse().expect("a time"),
    };
    let in_a_week = Signal::ScheduledRetirement {
        starts: "2026-12-01T00:00:00Z".parse().expect("a time"),
    };
    let warned_to = |action| Signal::InterruptionWarning { action };
    let warned = || warned_to(InstanceAction::Terminate);
    let of = |signal: Signal, health: &TargetHealth| {
        let notice = notice(signal);
        let plan = decide(&notice, &ours, health, Balancer::Application);
        (notice, plan)
    };
    let behind = |balancer, health: &TargetHealth| {
        let notice = warning();
        let plan = decide(&notice, &ours, health, balancer);
        (notice, plan)
    };
    let among = |groups: &Groups, scope, signal: Signal| {
        let notice = notice(signal);
        let mut plans = [for_group_targets(&notice, groups, scope, &serving)];
        hold_back(&notice, &mut plans, &serving, Balancer::Application);
        let [plan] = plans;
        (notice, plan)
    };
    let searched = |searched: Searched| (warning(), for_targets_of_nobody(&warning(), &searched));
    let found = || Searched {
        found: serving.clone(),
        looked_at: 12,
        ..Searched::default()
    };
    let warning_words = "interruption warning";
    let another_serves = "registered, another one serves";
    let rows = [
        (warning_words, another_serves, of(warned(), &serving)),
        (warning_words, "the last that serves", of(warned(), &alone)),
        (
            warning_words,
            "the last that serves, its successor not healthy yet",
            of(warned(), &with(&[(DOOMED, Healthy), (OTHER, Initial)])),
        ),
        (
            warning_words,
            "unhealthy, another one serves",
            of(warned(), &with(&[(DOOMED, Unhealthy), (OTHER, Healthy)])),
        ),
        (
            warning_words,
            "unhealthy, as all others, so that requests go to all",
            of(warned(), &with(&[(DOOMED, Unhealthy), (OTHER, Unhealthy)])),
        ),
        (
            warning_words,
            "behind a Network Load Balancer, another one serves",
            behind(
                Balancer::Network,
                &with(&[(DOOMED, Healthy), (OTHER, Healthy), (THIRD, Unhealthy)]),
            ),
        ),
        (
            warning_words,
            "behind a Network Load Balancer, the last that serves",
            behind(Balancer::Network, &alone),
        ),
        (
            warning_words,
            "`draining` already",
            of(warned(), &with(&[(DOOMED, Draining)])),
        ),
        (
            warning_words,
            "not registered",
            of(warned(), &with(&[(OTHER, Healthy)])),
        ),
        (
            warning_words,
            "found by a search, instance in no group and no cluster",
            searched(found()),
        ),
        (
            warning_words,
            "found by a search that could not look at all, instance in no group and no cluster",
            searched(Searched {
                looked_at: 80,
                rest: 220,
                ..found()
            }),
        ),
        (
            warning_words,
            "registered nowhere, instance in no group and no cluster",
            searched(Searched::default()),
        ),
        (
            warning_words,
            "group tagged `spot-handoff:ignore`",
            among(&group(&[(IGNORE_TAG, "true")]), Scope::All, warned()),
        ),
        (
            warning_words,
            "`Scope=tagged`, group not tagged",
            among(&ours, Scope::Tagged, warned()),
        ),
        (
            "interruption warning: stop",
            "the last that serves",
            of(warned_to(InstanceAction::Stop), &alone),
        ),
        (
            "interruption warning: hibernate",
            "the last that serves",
            of(warned_to(InstanceAction::Hibernate), &alone),
        ),
        (
            "state change: shutting-down",
            "the last that serves",
            of(shuts_down, &alone),
        ),
        (
            "state change: stopping",
            "registered, its group replaces the instance",
            of(stops(), &serving),
        ),
        (
            "state change: stopping",
            "registered, in no group, in standby or in a warm pool",
            among(&Groups::of([]), Scope::All, stops()),
        ),
        (
            "terminate lifecycle action",
            another_serves,
            of(Signal::TerminateLifecycleAction(hook.clone()), &serving),
        ),
        (
            "terminate lifecycle action",
            "the last that serves",
            of(Signal::TerminateLifecycleAction(hook), &alone),
        ),
        (
            "retirement by AWS",
            "registered, its group can launch a replacement first",
            among(&with_room(), Scope::All, in_a_week),
        ),
        (
            "retirement by AWS in ten minutes",
            "the last that serves, no replacement can come first",
            of(retirement, &alone),
        ),
        (
            "step of an exchange: move the work",
            another_serves,
            of(Signal::FollowUp(move_work.clone()), &serving),
        ),
        (
            "step of an exchange: move the work",
            "the last that serves",
            of(Signal::FollowUp(move_work), &alone),
        ),
    ];
    let mut table =
        "| signal or step | target | actions | held | left alone, because |\n|---|---|---|---|---|\n"
            .to_owned();
    for (signal, state, (notice, plan)) in rows {
        assert!(plan.problems.is_empty(), "{signal}, {state}: {:?}", plan.problems);
        table += &format!("| {signal} | {state} | {} |\n", cells(&notice, &plan));
    }
    documentation::part("docs/how-it-decides.md", "deregister-targets", &table).expect("up to date");
}
