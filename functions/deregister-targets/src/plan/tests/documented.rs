//! What docs/how-it-decides.md says about this function.

use spot_handoff::notice::InstanceState;
use testbed::documentation;

use super::*;

#[test]
fn the_documented_decisions_are_those_of_the_plan() {
    let with = |targets: &[(&str, i32, bool)]| Health::from([registered(GROUP_TARGETS, targets)]);
    let serving = with(&[(DOOMED, 80, false)]);
    let ours = group(&[]);
    let decide = |signal: Signal| group_plan(&notice(signal), &ours, &serving);
    let in_scope = |scope, groups: &Groups| {
        let notice = warning();
        for_group_targets(&notice, &groups.of_instance(&notice.instance), scope, &serving)
    };
    let stops = || Signal::StateChange {
        state: InstanceState::Stopping,
    };
    let hook = LifecycleAction {
        group: "inference".to_owned(),
        hook: "spot-handoff-drain".to_owned(),
        token: "t".to_owned(),
    };
    let move_work = FollowUp {
        cause: Cause::Rebalance,
        deadline: None,
        step: Step::MoveWork {
            group: "inference".to_owned(),
            replacement: None,
        },
    };
    let starts = "2026-12-01T00:00:00Z".parse().expect("a time");
    let retirement = notice(Signal::ScheduledRetirement { starts });
    let warned = "interruption warning";
    let is_serving = "registered";
    let rows = [
        (warned, is_serving, group_plan(&warning(), &ours, &serving)),
        (
            warned,
            "`draining` already",
            group_plan(&warning(), &ours, &with(&[(DOOMED, 80, true)])),
        ),
        (
            warned,
            "not registered",
            group_plan(&warning(), &ours, &with(&[(OTHER, 80, false)])),
        ),
        (
            warned,
            "registered, instance in no group and no cluster",
            for_targets_of_nobody(&warning(), &Ok(serving.clone())),
        ),
        (
            warned,
            "registered nowhere, instance in no group and no cluster",
            for_targets_of_nobody(&warning(), &Ok(Health::new())),
        ),
        (
            warned,
            "group tagged `spot-handoff:ignore`",
            in_scope(Scope::All, &group(&[(IGNORE_TAG, "true")])),
        ),
        (
            warned,
            "`Scope=tagged`, group not tagged",
            in_scope(Scope::Tagged, &ours),
        ),
        (
            "interruption warning: stop",
            is_serving,
            decide(Signal::InterruptionWarning {
                action: InstanceAction::Stop,
            }),
        ),
        (
            "interruption warning: hibernate",
            is_serving,
            decide(Signal::InterruptionWarning {
                action: InstanceAction::Hibernate,
            }),
        ),
        (
            "state change: shutting-down",
            is_serving,
            decide(Signal::StateChange {
                state: InstanceState::ShuttingDown,
            }),
        ),
        (
            "state change: stopping",
            "registered, its group replaces the instance",
            decide(stops()),
        ),
        (
            "state change: stopping",
            "registered, in no group, in standby or in a warm pool",
            group_plan(&notice(stops()), &Groups::of([]), &serving),
        ),
        (
            "terminate lifecycle action",
            is_serving,
            decide(Signal::TerminateLifecycleAction(hook)),
        ),
        (
            "retirement by AWS",
            "registered, its group can launch a replacement first",
            group_plan(&retirement, &with_room(), &serving),
        ),
        (
            "retirement by AWS",
            "registered, no replacement can come first",
            group_plan(&retirement, &ours, &serving),
        ),
        (
            "step of an exchange: move the work",
            is_serving,
            decide(Signal::FollowUp(move_work)),
        ),
    ];
    let mut table =
        "| signal or step | target | actions | left alone, because |\n|---|---|---|---|\n".to_owned();
    for (signal, state, plan) in rows {
        assert!(plan.problems.is_empty(), "{signal}, {state}: {:?}", plan.problems);
        let cells = documentation::cells(&plan, documentation::name, ", ");
        table += &format!("| {signal} | {state} | {cells} |\n");
    }
    documentation::part("docs/how-it-decides.md", "deregister-targets", &table).expect("up to date");
}
