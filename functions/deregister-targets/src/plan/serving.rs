//! How many targets serve in the target groups of an instance under notice, and whether that is worth a report.

use std::collections::{BTreeMap, BTreeSet};

use spot_handoff::elb::health::{Target, TargetHealth};
use spot_handoff::elb::holding::{self, Doomed};
use spot_handoff::notice::{FollowUp, InstanceId, Notice, Serving, Signal, Step};

use super::{Deregistration, Plan, Skip, deregistrations};

/// If fewer than this serve, every change counts.
const FEW: usize = 10;

/// How many targets serve, by the ARN of the target group.
pub type Counts = BTreeMap<String, Serving>;

/// Counts what will serve in these target groups once the targets in `left` are out. Only healthy targets count, and none
/// of an instance that has `ended`: a load balancer finds that out later, by its checks.
pub fn count<'a>(
    health: &TargetHealth,
    doomed_in: impl Fn(&str) -> Vec<Doomed>,
    left: impl IntoIterator<Item = &'a Deregistration>,
    ended: &BTreeSet<InstanceId>,
) -> Counts {
    let left: BTreeSet<(&str, &Target)> = left
        .into_iter()
        .map(|one| (one.target_group.as_str(), &one.target))
        .collect();
    let mut counts = Counts::new();
    for (arn, registered) in health {
        let Ok(registered) = registered else { continue };
        let serving: Vec<&Target> = holding::healthy_targets(registered)
            .filter(|target| !left.contains(&(arn.as_str(), *target)))
            .filter(|target| !ended.iter().any(|instance| instance.as_str() == target.id))
            .collect();
        let doomed = doomed_in(arn);
        let doomed: BTreeSet<(&str, Option<i32>)> =
            doomed.iter().map(|one| (one.id.as_str(), one.port)).collect();
        let is_doomed = |target: &Target| {
            let id = target.id.as_str();
            doomed.contains(&(id, None)) || doomed.contains(&(id, target.port))
        };
        let staying = serving.iter().filter(|target| !is_doomed(target)).count();
        let seen = Serving {
            target_group: arn.clone(),
            serving: serving.len(),
            staying,
        };
        counts.insert(arn.clone(), seen);
    }
    counts
}

/// The instances of the last healthy targets, in target groups where all healthy targets are under notice. How a hand-off
/// goes depends on whether these have ended. None in a storm, in which nobody could ask for all of them.
pub fn last_ones(health: &TargetHealth, doomed_in: impl Fn(&str) -> Vec<Doomed>) -> BTreeSet<InstanceId> {
    let mut last = BTreeSet::new();
    for (arn, registered) in health {
        let Ok(registered) = registered else { continue };
        let doomed = doomed_in(arn);
        let healthy: Vec<&Target> = holding::healthy_targets(registered).collect();
        let is_doomed = |target: &&Target| doomed.iter().any(|one| one.id == target.id);
        if healthy.len() <= FEW && healthy.iter().all(is_doomed) {
            // An address does not tell its instance.
            last.extend(healthy.iter().filter_map(|target| target.id.parse().ok()));
        }
    }
    last
}

/// Adds what another wave counted. The lower count is right, since each wave knows only which targets it took out
/// itself.
pub fn join(counts: &mut Counts, more: Counts) {
    for (arn, seen) in more {
        let known = counts.entry(arn).or_insert_with(|| seen.clone());
        known.serving = known.serving.min(seen.serving);
        known.staying = known.staying.min(seen.staying);
    }
}

/// What the last look saw, or nothing.
pub fn before(notice: &Notice) -> &[Serving] {
    match &notice.signal {
        Signal::FollowUp(FollowUp {
            step: Step::Look { seen, .. },
            ..
        }) => seen,
        _ => &[],
    }
}

/// What serves now in the target groups that the instance is or was in.
pub fn of_notice(notice: &Notice, plan: &Plan, counts: &Counts) -> Vec<Serving> {
    let own = deregistrations(plan).map(|one| one.target_group.as_str());
    let held = plan.held.iter().map(|held| held.target_group.as_str());
    let draining = plan
        .skipped
        .iter()
        .filter(|skipped| skipped.reason == Skip::AlreadyDraining);
    let draining = draining.map(|skipped| skipped.what.as_str());
    let known = before(notice).iter().map(|seen| seen.target_group.as_str());
    let arns: BTreeSet<&str> = own.chain(held).chain(draining).chain(known).collect();
    arns.into_iter()
        .filter_map(|arn| counts.get(arn).cloned())
        .collect()
}

/// Whether the counts are worth a report: something has changed, and not only a little of many. In a storm, every
/// instance would report the same changes, so there only a change between none and some counts.
pub fn is_news(before: &[Serving], now: &[Serving], is_storm: bool) -> bool {
    let differs = |one: usize, other: usize| {
        let (less, more) = (one.min(other), one.max(other));
        match is_storm {
            true => less == 0 && more > 0,
            false => less != more && (less < FEW || (more - less) * FEW >= more),
        }
    };
    now.iter().any(|seen| {
        let known = before
            .iter()
            .find(|known| known.target_group == seen.target_group);
        known.is_none_or(|known| differs(known.serving, seen.serving) || differs(known.staying, seen.staying))
    })
}

#[cfg(test)]
mod tests {
    use spot_handoff::elb::health::{Registered, State};

    use super::*;

    fn registered(id: &str, state: State) -> Registered {
        Registered {
            target: Target {
                id: id.to_owned(),
                port: Some(80),
            },
            state,
            zone: None,
        }
    }

    fn seen(serving: usize, staying: usize) -> Serving {
        Serving {
            target_group: "web".to_owned(),
            serving,
            staying,
        }
    }

    #[test]
    fn what_serves_is_what_is_left_and_what_stays_is_not_under_notice() {
        let health = TargetHealth::from([(
            "web".to_owned(),
            Ok(vec![
                registered("a", State::Healthy),
                registered("b", State::Healthy),
                registered("c", State::Healthy),
                registered("d", State::Draining),
                registered("e", State::Unhealthy),
            ]),
        )]);
        let doom = |id: &str| Doomed {
            id: id.to_owned(),
            port: None,
            serves_until: None,
            as_last: None,
            order: 0,
        };
        let out = Deregistration {
            target_group: "web".to_owned(),
            target: Target {
                id: "a".to_owned(),
                port: Some(80),
            },
            of: "a".to_owned(),
        };
        for (left, expected) in [(vec![], seen(3, 1)), (vec![&out], seen(2, 1))] {
            let counts = count(&health, |_| vec![doom("a"), doom("b")], left, &BTreeSet::new());
            assert_eq!(counts["web"], expected);
        }
    }

    #[test]
    fn what_is_not_healthy_or_has_ended_does_not_serve() {
        const GOES: &str = "i-1234567890abcdef0";
        const COMES: &str = "i-1234567890abcdef1";
        let goes = || -> InstanceId { GOES.parse().expect("an id") };
        let doomed = Doomed {
            id: GOES.to_owned(),
            port: None,
            serves_until: None,
            as_last: None,
            order: 0,
        };
        for (case, states, ended, expected, asked_for) in [
            (
                "both serve",
                [State::Healthy, State::Healthy],
                false,
                seen(2, 1),
                false,
            ),
            (
                "nobody checks",
                [State::Healthy, State::Unavailable],
                false,
                seen(2, 1),
                false,
            ),
            (
                "it has not passed a check",
                [State::Healthy, State::Initial],
                false,
                seen(1, 0),
                true,
            ),
            (
                "the same, and the instance is gone",
                [State::Healthy, State::Initial],
                true,
                seen(0, 0),
                true,
            ),
            (
                "requests go to it all the same",
                [State::Draining, State::Initial],
                false,
                seen(0, 0),
                false,
            ),
            (
                "requests go to both",
                [State::Unhealthy, State::Initial],
                false,
                seen(0, 0),
                false,
            ),
            (
                "none is left",
                [State::Draining, State::Unhealthy],
                false,
                seen(0, 0),
                false,
            ),
            (
                "in time",
                [State::Draining, State::Healthy],
                true,
                seen(1, 1),
                false,
            ),
        ] {
            let registered = vec![registered(GOES, states[0]), registered(COMES, states[1])];
            let health = TargetHealth::from([("web".to_owned(), Ok(registered))]);
            let doomed_in = |_: &str| vec![doomed.clone()];
            let ends = BTreeSet::from_iter(ended.then(goes));
            assert_eq!(count(&health, doomed_in, [], &ends)["web"], expected, "{case}");
            let asked = BTreeSet::from_iter(asked_for.then(goes));
            assert_eq!(last_ones(&health, doomed_in), asked, "{case}");
        }
    }

    #[test]
    fn a_change_is_news_unless_it_is_a_little_of_much() {
        for (before, now, is_storm, expected) in [
            (vec![], seen(5, 4), false, true),
            (vec![], seen(5, 4), true, true),
            (vec![seen(5, 4)], seen(5, 4), false, false),
            (vec![seen(5, 4)], seen(4, 4), false, true),
            (vec![seen(500, 490)], seen(495, 490), false, false),
            (vec![seen(500, 490)], seen(400, 390), false, true),
            (vec![seen(5, 4)], seen(4, 4), true, false),
            (vec![seen(1, 0)], seen(0, 0), true, true),
        ] {
            let now = [now];
            assert_eq!(
                is_news(&before, &now, is_storm),
                expected,
                "{before:?} {now:?} {is_storm}"
            );
        }
    }
}
