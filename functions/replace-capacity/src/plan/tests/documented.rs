//! What docs/how-it-decides.md says about this function.

use testbed::documentation;

use super::*;

const IN_SERVICE: Option<Lifecycle> = Some(Lifecycle::InService);

fn with(change: impl FnOnce(&mut Group)) -> Group {
    let mut group = group();
    change(&mut group);
    group
}

fn full() -> Group {
    with(|group| group.max = 2)
}

fn suspended() -> Group {
    with(|group| {
        group.suspended.insert("Launch".to_owned());
    })
}

fn ignored() -> Group {
    with(|group| {
        group.tags.insert(IGNORE_TAG.to_owned(), "true".to_owned());
    })
}

fn raised_by_its_exchange() -> Group {
    let mut group = marked();
    group.desired = 3;
    group
}

fn launching() -> Group {
    tagged(Exchange::Launching(attempt()))
}

type Row = (&'static str, &'static str, Plan);

/// When an exchange that began with the notice may take no longer.
const LIMIT: &str = "2026-11-24T04:15:00Z";

fn interruptions() -> Vec<Row> {
    let as_is = |lifecycle| with(|group| group.instances[0].lifecycle = lifecycle);
    let managed = with(|group| {
        let tag = spot_handoff::autoscaling::scope::MANAGED_TAG;
        group.tags.insert(tag.to_owned(), "true".to_owned());
    });
    let scope_tagged = Config {
        scope: Scope::Tagged,
        ..config()
    };
    let terminate = Config {
        strategy: ReplacementStrategy::Terminate,
        ..config()
    };
    let warned = "interruption warning";
    let comes_back = |action| plan_of(notice(Signal::InterruptionWarning { action }), group());
    let of = |group| plan_of(warning(), group);
    vec![
        (warned, "in service", of(group())),
        (warned, "desired capacity at MaxSize", of(full())),
        (
            warned,
            "`ReplacementStrategy=terminate`",
            plan_at(warning(), group(), &terminate, now()),
        ),
        (
            warned,
            "`Scope=tagged`, group tagged `spot-handoff:managed`",
            plan_at(warning(), managed, &scope_tagged, now()),
        ),
        (
            warned,
            "`Scope=tagged`, group not tagged",
            plan_at(warning(), group(), &scope_tagged, now()),
        ),
        (warned, "group tagged `spot-handoff:ignore`", of(ignored())),
        (warned, "process Launch suspended", of(suspended())),
        (warned, "in standby", of(as_is(Lifecycle::Standby))),
        (
            warned,
            "leaving its group already",
            of(as_is(Lifecycle::Terminating)),
        ),
        (
            warned,
            "in no group, or detached by an earlier copy of the warning",
            of(with(|group| group.instances.clear())),
        ),
        (
            warned,
            "its exchange was launching a replacement",
            of(launching()),
        ),
        (
            warned,
            "its exchange has launched a replacement",
            of(launched(IN_SERVICE)),
        ),
        (
            warned,
            "its exchange has raised the desired capacity",
            of(raised_by_its_exchange()),
        ),
        (
            warned,
            "the same, `ReplacementStrategy=terminate`",
            plan_at(warning(), raised_by_its_exchange(), &terminate, now()),
        ),
        (
            "interruption warning: stop",
            "in service",
            comes_back(InstanceAction::Stop),
        ),
        (
            "interruption warning: hibernate",
            "in service",
            comes_back(InstanceAction::Hibernate),
        ),
    ]
}

fn beginnings() -> Vec<Row> {
    let ignore = Config {
        rebalance: RebalanceAction::Ignore,
        ..config()
    };
    let in_one_batch = plans(
        &[recommendation(), warning()],
        &Groups::of([group()]),
        &Health::default(),
        &config(),
        now(),
    );
    let starts = time("2026-12-01T00:00:00Z");
    let risk = "rebalance recommendation";
    let of = |group| plan_of(recommendation(), group);
    vec![
        (risk, "launch template, wholly Spot", of(group())),
        (
            risk,
            "mixes On-Demand and Spot",
            of(with(|group| group.mixes_purchase_options = true)),
        ),
        (
            risk,
            "instance types have weights",
            of(with(|group| group.is_weighted = true)),
        ),
        (
            risk,
            "launch configuration",
            of(with(|group| group.has_launch_template = false)),
        ),
        (
            risk,
            "Capacity Rebalancing on",
            of(with(|group| group.capacity_rebalance = true)),
        ),
        (
            risk,
            "`RebalanceAction=ignore`",
            plan_at(recommendation(), group(), &ignore, now()),
        ),
        (risk, "desired capacity at MaxSize", of(full())),
        (risk, "process Launch suspended", of(suspended())),
        (risk, "group tagged `spot-handoff:ignore`", of(ignored())),
        (risk, "its exchange was launching a replacement", of(launching())),
        (
            risk,
            "its exchange has launched a replacement",
            of(launched(IN_SERVICE)),
        ),
        (
            risk,
            "interruption warning in the same batch",
            in_one_batch[0].clone(),
        ),
        (
            "retirement by AWS",
            "launch template, wholly Spot",
            plan_of(notice(Signal::ScheduledRetirement { starts }), group()),
        ),
        (
            "retirement by AWS",
            "desired capacity at MaxSize",
            plan_of(notice(Signal::ScheduledRetirement { starts }), full()),
        ),
    ]
}

fn steps() -> Vec<Row> {
    let late = time(LIMIT);
    let awaited = "replacement awaited";
    let moved = "work has moved";
    let give_up = follow_up(Step::GiveUp {
        group: "g".to_owned(),
    });
    let too_late = |notice, group| plan_at(notice, group, &config(), late);
    let not_ready = not_ready(&[(NEW, NotReady::Initial)]);
    let pending = || launched(Some(Lifecycle::Pending));
    vec![
        (
            awaited,
            "replacement pending",
            plan_of(await_replacement(), pending()),
        ),
        (
            awaited,
            "replacement in service",
            plan_of(await_replacement(), launched(IN_SERVICE)),
        ),
        (
            awaited,
            "replacement in service, its targets not healthy yet",
            plan_with(
                await_replacement(),
                with_targets(launched(IN_SERVICE)),
                &not_ready,
                &config(),
                now(),
            ),
        ),
        (
            awaited,
            "15 minutes over, replacement in service, its targets not healthy",
            plan_with(
                await_replacement(),
                with_targets(launched(IN_SERVICE)),
                &not_ready,
                &config(),
                late,
            ),
        ),
        (
            awaited,
            "15 minutes over, replacement pending",
            too_late(await_replacement(), pending()),
        ),
        (
            awaited,
            "15 minutes over, nothing launched",
            too_late(await_replacement(), launched(None)),
        ),
        (
            awaited,
            "instance has left the group, raise not given back",
            plan_of(await_replacement(), gone(launched(IN_SERVICE), false)),
        ),
        (
            awaited,
            "the same, and the group has launched another",
            plan_of(
                await_replacement(),
                gone(replaced_by_the_group(launched(IN_SERVICE)), false),
            ),
        ),
        (
            awaited,
            "instance has left the group, raise given back",
            plan_of(await_replacement(), gone(launched(IN_SERVICE), true)),
        ),
        (
            awaited,
            "no tag of the exchange",
            plan_of(await_replacement(), group()),
        ),
        (
            moved,
            "group covered without the instance",
            plan_of(retire(), launched(IN_SERVICE)),
        ),
        (moved, "replacement lost again", plan_of(retire(), launched(None))),
        (
            moved,
            "replacement lost again, 15 minutes over",
            too_late(retire(), launched(None)),
        ),
        (
            "work cannot move",
            "replacement in service",
            plan_of(give_up, launched(IN_SERVICE)),
        ),
    ]
}

/// An action in the words of the reports; the page has no clock, and so says of a delay only how long it is.
fn cell(action: &Action) -> String {
    let (name, _, detail) = shared_plan::Action::describe(action);
    let detail = match action {
        Action::Send {
            to: Queue::DeregisterTargets,
            ..
        } => "deregister-targets".to_owned(),
        Action::Send {
            to: Queue::DrainTasks,
            ..
        } => "drain-tasks".to_owned(),
        Action::Send {
            to: Queue::Own, at, ..
        } => {
            let from = if *at > time(LIMIT) { time(LIMIT) } else { now() };
            match at.duration_since(from).as_secs() {
                ..=0 => "look now".to_owned(),
                seconds => format!("look again in {seconds} s"),
            }
        }
        _ => detail
            .replace(OLD, "the instance")
            .replace(NEW, "the replacement"),
    };
    format!("`{name}` {detail}")
}

fn table(rows: Vec<Row>) -> String {
    let mut table =
        "| signal or step | state | actions | left alone, because |\n|---|---|---|---|\n".to_owned();
    for (signal, state, plan) in rows {
        assert!(plan.problems.is_empty(), "{signal}, {state}: {:?}", plan.problems);
        let cells = documentation::cells(&plan, cell, "; ");
        table += &format!("| {signal} | {state} | {cells} |\n");
    }
    table
}

#[test]
fn the_documented_decisions_are_those_of_the_plan() {
    for (part, rows) in [
        ("interruptions", interruptions()),
        ("exchanges", beginnings()),
        ("steps", steps()),
    ] {
        documentation::part("docs/how-it-decides.md", part, &table(rows)).expect("up to date");
    }
}
