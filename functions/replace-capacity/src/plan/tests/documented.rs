//! What docs/how-it-decides.md says about this function.

use testbed::documentation;

use super::*;

const IN_SERVICE: Option<Lifecycle> = Some(Lifecycle::InService);

fn with(change: impl FnOnce(&mut Group)) -> Facts {
    let mut group = group();
    change(&mut group);
    facts(group)
}

fn full() -> Facts {
    with(|group| group.max = 2)
}

fn suspended() -> Facts {
    with(|group| {
        group.suspended.insert("Launch".to_owned());
    })
}

fn ignored() -> Facts {
    with(|group| {
        group.tags.insert(IGNORE_TAG.to_owned(), "true".to_owned());
    })
}

type Row = (&'static str, &'static str, Plan);

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
    let rebalancing = with(|group| group.capacity_rebalance = true);
    let mut without_hook = rebalancing.clone();
    let none = ("g".to_owned(), Ok(TerminationHooks::None));
    without_hook.hooks.extend([none]);
    let not_raised = change_group(raised(Cause::Rebalance, None), |group| group.desired = 2);
    let warned = "interruption warning";
    let of = |facts: Facts| plan_of(warning(), &facts);
    let mut unread = facts(group());
    unread.items.insert("g".to_owned(), Err(refused()));
    let after = |facts: Facts| {
        planned(warning(), &needed(facts), &config(), now()).items["g"]
            .0
            .clone()
    };
    let held = || {
        let raised = with(|group| group.desired = 3);
        with_item(raised, after(facts(group())))
    };
    let not_held = || with_item(full(), after(full()));
    let looked = |facts: Facts, seconds| {
        let at = warning().time + SignedDuration::from_secs(seconds);
        plan_with(look_at_interrupted(), &facts, &config(), at)
    };
    let by = |facts: Facts, config: &Config| plan_with(warning(), &facts, config, now());
    let comes_back = |action| plan_of(notice(Signal::InterruptionWarning { action }), &facts(group()));
    vec![
        (warned, "in service", of(facts(group()))),
        (warned, "desired capacity at MaxSize", of(full())),
        (
            warned,
            "its target is one of those that have to stay",
            of(needed(facts(group()))),
        ),
        (
            warned,
            "the same, desired capacity at MaxSize",
            of(needed(full())),
        ),
        (warned, "the same, the table does not answer", of(needed(unread))),
        (
            "look at it",
            "its target still has to stay",
            looked(needed(held()), 100),
        ),
        (
            "look at it",
            "its target may leave: others carry the load, or it is the last safe moment",
            looked(held(), 100),
        ),
        (
            "look at it",
            "the same, nothing could be raised",
            looked(not_held(), 100),
        ),
        (
            warned,
            "`ReplacementStrategy=terminate`",
            by(facts(group()), &terminate),
        ),
        (
            warned,
            "`Scope=tagged`, group tagged `spot-handoff:managed`",
            by(managed, &scope_tagged),
        ),
        (
            warned,
            "`Scope=tagged`, group not tagged",
            by(facts(group()), &scope_tagged),
        ),
        (
            warned,
            "Capacity Rebalancing on, without a termination lifecycle hook",
            of(without_hook),
        ),
        (
            warned,
            "Capacity Rebalancing on, with one, or not known",
            of(rebalancing),
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
            "its exchange has raised the desired capacity",
            of(raised(Cause::Rebalance, IN_SERVICE)),
        ),
        (
            warned,
            "the same, `ReplacementStrategy=terminate`",
            by(raised(Cause::Rebalance, IN_SERVICE), &terminate),
        ),
        (
            warned,
            "its exchange was about to raise the desired capacity",
            of(not_raised),
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
    let notices = [recommendation(), warning()];
    let in_one_batch = plans(&notices, &notices, &facts(group()), &config(), now());
    let mut nowhere = facts(group());
    nowhere.found = ContainerInstances::default();
    let mut young = facts(group());
    young.found = ContainerInstances::of([ContainerInstance {
        registered_at: Some(time("2026-11-24T03:40:00Z")),
        ..registered(OLD, Status::Active)
    }]);
    let mut other_under_way = raised(Cause::Rebalance, IN_SERVICE);
    if let Some(Ok(Some(versioned))) = other_under_way.items.get_mut("g") {
        let exchange = versioned.item.under_way.remove(&id(OLD)).expect("an exchange");
        versioned.item.under_way.insert(id(OTHER), exchange);
    }
    let mut in_vain = Exchanges::none("g", now());
    in_vain.recommendation_over = Some(now());
    let risk = "rebalance recommendation";
    let of = |facts: Facts| plan_of(recommendation(), &facts);
    vec![
        (risk, "in an ECS cluster", of(facts(group()))),
        (risk, "in no ECS cluster", of(nowhere)),
        (risk, "younger than 30 minutes", of(young)),
        (
            risk,
            "another of its small group is exchanged",
            of(other_under_way),
        ),
        (
            risk,
            "no warning followed the last one in its group",
            of(with_item(facts(group()), in_vain)),
        ),
        (
            risk,
            "instance types have weights",
            of(with(|group| group.is_weighted = true)),
        ),
        (
            risk,
            "Capacity Rebalancing on",
            of(with(|group| group.capacity_rebalance = true)),
        ),
        (
            risk,
            "`RebalanceAction=ignore`",
            plan_with(recommendation(), &facts(group()), &ignore, now()),
        ),
        (risk, "desired capacity at MaxSize", of(full())),
        (risk, "process Launch suspended", of(suspended())),
        (risk, "group tagged `spot-handoff:ignore`", of(ignored())),
        (
            risk,
            "its exchange is under way",
            of(after_look(raised(Cause::Rebalance, IN_SERVICE))),
        ),
        (
            risk,
            "interruption warning in the same batch",
            in_one_batch.plans[0].clone(),
        ),
        (
            "retirement by AWS",
            "in service",
            plan_of(retirement(), &facts(group())),
        ),
        (
            "retirement by AWS",
            "desired capacity at MaxSize",
            plan_of(retirement(), &full()),
        ),
    ]
}

/// The facts after a look; the next look is still to come.
fn after_look(facts: Facts) -> Facts {
    let item = planned(look(), &facts, &config(), now()).items["g"].0.clone();
    with_item(facts, item)
}

fn steps() -> Vec<Row> {
    let came = || raised(Cause::Rebalance, IN_SERVICE);
    let lost = || at_stage(raised(Cause::Rebalance, None), Stage::Moving);
    let moving = || at_stage(came(), Stage::Moving);
    let set_by_somebody = {
        let mut facts = change_group(came(), |group| group.desired = 4);
        if let Some(Ok(Some(versioned))) = facts.items.get_mut("g")
            && let Some(ours) = &mut versioned.item.capacity
        {
            ours.doubted = Some(now() - exchange::LOOK_AGAIN);
        }
        at_stage(facts, Stage::Moving)
    };
    let gone = |facts: Facts| {
        change_group(facts, |group| {
            group.instances.remove(0);
        })
    };
    let and_another = |facts: Facts| {
        change_group(facts, |group| {
            group
                .instances
                .push(member("i-1234567890abcdef2", Lifecycle::Pending));
        })
    };
    let awaited = "replacement awaited";
    let moved = "work has moved";
    let of = |facts: Facts| plan_of(look(), &facts);
    let too_late = |notice, facts: Facts| plan_with(notice, &facts, &config(), late());
    let moves = |facts: Facts| plan_of(work_moved(), &facts);
    let unhealthy = || with_targets(came(), &[OLD]);
    let give_up = follow_up(|group| Step::GiveUp { group });
    vec![
        (
            awaited,
            "replacement pending",
            of(raised(Cause::Rebalance, Some(Lifecycle::Pending))),
        ),
        (
            awaited,
            "desired capacity not raised yet",
            of(change_group(raised(Cause::Rebalance, None), |group| {
                group.desired = 2
            })),
        ),
        (awaited, "replacement in service, healthy and ACTIVE", of(came())),
        (
            awaited,
            "replacement in service, not healthy or not ACTIVE yet",
            of(unhealthy()),
        ),
        (
            awaited,
            "the same, 15 minutes over",
            too_late(look(), unhealthy()),
        ),
        (
            awaited,
            "15 minutes over, replacement pending",
            too_late(look(), raised(Cause::Rebalance, Some(Lifecycle::Pending))),
        ),
        (
            awaited,
            "15 minutes over, nothing launched",
            too_late(look(), raised(Cause::Rebalance, None)),
        ),
        (
            awaited,
            "instance has left the group, which is short without it",
            of(gone(came())),
        ),
        (
            awaited,
            "the same, and the group has launched another",
            of(gone(and_another(came()))),
        ),
        (awaited, "no exchange in the table", of(facts(group()))),
        (moved, "its replacement serves", moves(moving())),
        (
            moved,
            "somebody has set the desired capacity",
            moves(set_by_somebody),
        ),
        (moved, "replacement lost again", moves(lost())),
        (
            moved,
            "replacement lost again, 15 minutes over",
            too_late(work_moved(), lost()),
        ),
        (
            "work cannot move, or ended by hand",
            "replacement in service",
            plan_of(give_up, &moving()),
        ),
    ]
}

/// An action in the words of the reports. The page has no clock, so it only has the length of a delay.
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
            // The look at a held target comes after 100 s.
            let later = warning().time + SignedDuration::from_secs(100);
            let from = if *at > late() {
                late()
            } else if *at > later {
                later
            } else {
                now()
            };
            match at.duration_since(from).as_secs() {
                ..=0 => "look now".to_owned(),
                seconds => format!("look again in {seconds} s"),
            }
        }
        _ => detail
            .replace(OLD, "the instance")
            .replace(NEW, "the replacement")
            .replace("i-1234567890abcdef2", "the other one"),
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
