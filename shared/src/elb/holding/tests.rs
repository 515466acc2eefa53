use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const NOW: &str = "2026-11-24T04:00:00Z";

fn at(seconds: i64) -> Timestamp {
    let now: Timestamp = NOW.parse().expect("a time");
    now + SignedDuration::from_secs(seconds)
}

fn target(id: &str) -> Target {
    Target {
        id: id.to_owned(),
        port: Some(80),
    }
}

fn registered(states: &[(&str, State)]) -> Vec<Registered> {
    let one = |(id, state): &(&str, State)| Registered {
        target: target(id),
        state: *state,
        zone: None,
    };
    states.iter().map(one).collect()
}

fn doomed(id: &str, seconds_left: i64, order: u64) -> Doomed {
    Doomed {
        as_last: None,
        id: id.to_owned(),
        port: None,
        serves_until: Some(at(seconds_left)),
        order,
    }
}

fn seen<'a>(registered: &'a [Registered], doomed: &'a [Doomed]) -> Seen<'a> {
    Seen {
        balancer: Balancer::Application,
        keep_healthy: KeepHealthy::default(),
        deregistration_delay: Some(SignedDuration::from_secs(20)),
        registered,
        doomed,
        served_before: 0,
        now: at(0),
    }
}

/// The held targets, each with the seconds it has.
fn held(seen: &Seen<'_>) -> Vec<(String, Option<i64>)> {
    let seconds = |held: Held| held.until.map(|until| until.duration_since(seen.now).as_secs());
    let held = |(target, verdict): (Target, Verdict)| Some((target.id, seconds(verdict.held()?)));
    decide(seen).into_iter().filter_map(held).collect()
}

#[test]
fn as_many_are_held_as_are_missing_of_the_share_that_has_to_stay() {
    use State::{Draining, Healthy, Initial, Unavailable, Unhealthy, Unused};
    type Case<'a> = (
        &'a str,
        &'a [(&'a str, State)],
        &'a [&'a str],
        &'a [(&'a str, i64)],
    );
    let table: [Case<'_>; 13] = [
        ("one of two", &[("a", Healthy), ("b", Healthy)], &["a"], &[]),
        (
            "the only one leaves as late as possible",
            &[("a", Healthy)],
            &["a"],
            &[("a", 115)],
        ),
        (
            "a successor that is not healthy yet frees nothing",
            &[("a", Healthy), ("b", Initial), ("c", Unhealthy), ("d", Draining)],
            &["a"],
            &[("a", 115)],
        ),
        (
            "both of two: one leaves, the other is the last",
            &[("a", Healthy), ("b", Healthy)],
            &["a", "b"],
            &[("a", 115)],
        ),
        (
            "three of four: two have to stay, and others leave with the time that their requests need",
            &[("a", Healthy), ("b", Healthy), ("c", Healthy), ("d", Healthy)],
            &["a", "b", "c"],
            &[("a", 100)],
        ),
        (
            "two of three: the share is rounded up",
            &[("a", Healthy), ("b", Healthy), ("c", Healthy)],
            &["a", "b"],
            &[("a", 100)],
        ),
        (
            "what is not healthy itself leaves at once",
            &[("a", Unhealthy), ("b", Healthy), ("c", Initial)],
            &["a", "b", "c"],
            &[("b", 115)],
        ),
        (
            "where none is healthy, requests go to all",
            &[("a", Unhealthy), ("b", Initial)],
            &["a"],
            &[],
        ),
        (
            "where none is healthy, one of all stays",
            &[("a", Unhealthy), ("b", Initial)],
            &["a", "b"],
            &[("a", 115)],
        ),
        (
            "nobody checks them, so requests go to them",
            &[("a", Unavailable), ("b", Unavailable)],
            &["a"],
            &[],
        ),
        (
            "no load balancer sends requests",
            &[("a", Unused), ("b", Unused)],
            &["a", "b"],
            &[],
        ),
        (
            "what is draining has left",
            &[("a", Draining), ("b", Healthy)],
            &["a", "b"],
            &[("b", 115)],
        ),
        (
            "what is not registered is nobody's concern",
            &[("b", Healthy)],
            &["a"],
            &[],
        ),
    ];
    for (case, states, ids, expected) in table {
        let registered = registered(states);
        let doomed: Vec<Doomed> = ids.iter().map(|id| doomed(id, 120, 0)).collect();
        let found = held(&seen(&registered, &doomed));
        let found: Vec<(&str, i64)> = found
            .iter()
            .map(|(id, seconds)| (id.as_str(), seconds.expect("a moment")))
            .collect();
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn a_share_is_that_of_what_served_before_the_first_notice() {
    let registered = registered(&[("a", State::Healthy), ("b", State::Healthy)]);
    let doomed = [doomed("a", 120, 0)];
    let mut seen = seen(&registered, &doomed);
    seen.served_before = 4;
    assert_eq!(held(&seen), [("a".to_owned(), Some(100))], "2 of 4 have to stay");
    seen.keep_healthy = "25".parse().expect("a share");
    assert_eq!(held(&seen), [], "1 of 4");
    seen.keep_healthy = "0".parse().expect("a share");
    assert_eq!(held(&seen), [], "one at least");
    seen.keep_healthy = "100".parse().expect("a share");
    assert_eq!(held(&seen), [("a".to_owned(), Some(100))], "all");
}

#[test]
fn behind_a_network_load_balancer_only_the_last_is_held() {
    let registered = registered(&[
        ("a", State::Healthy),
        ("b", State::Healthy),
        ("c", State::Healthy),
    ]);
    let two = [doomed("a", 120, 0), doomed("b", 120, 0)];
    let all = [doomed("a", 120, 0), doomed("b", 120, 0), doomed("c", 120, 0)];
    for balancer in [Balancer::Network, Balancer::Gateway] {
        let with = |doomed| Seen {
            balancer,
            ..seen(&registered, doomed)
        };
        assert_eq!(held(&with(&two)), [], "{balancer:?}");
        assert_eq!(held(&with(&all)), [("a".to_owned(), Some(115))], "{balancer:?}");
    }
}

#[test]
fn the_last_moment_leaves_the_time_that_requests_need_as_far_as_it_fits() {
    let registered = registered(&[("a", State::Healthy), ("b", State::Healthy)]);
    let doomed = [doomed("a", 120, 0)];
    let share = "100".parse().expect("a share");
    for (delay, left) in [
        (Some(0), 110),
        (Some(45), 75),
        (Some(90), 60),
        (Some(300), 60),
        (None, 60),
    ] {
        let seen = Seen {
            keep_healthy: share,
            deregistration_delay: delay.map(SignedDuration::from_secs),
            ..seen(&registered, &doomed)
        };
        assert_eq!(
            held(&seen),
            [("a".to_owned(), Some(left))],
            "a delay of {delay:?} s"
        );
    }
}

#[test]
fn the_last_safe_moment_ends_every_hold() {
    let registered = registered(&[("a", State::Healthy), ("b", State::Healthy)]);
    let all = [doomed("a", 120, 0), doomed("b", 115, 0)];
    let later = |seconds| Seen {
        now: at(seconds),
        ..seen(&registered, &all)
    };
    assert_eq!(held(&later(114)), [("a".to_owned(), Some(1))]);
    assert_eq!(held(&later(115)), []);
    // Without a known moment, there is no last moment.
    let unknown = [Doomed {
        serves_until: None,
        ..doomed("a", 0, 0)
    }];
    assert_eq!(held(&seen(&registered[..1], &unknown)), [("a".to_owned(), None)]);
}

#[test]
fn those_that_live_longest_are_held_and_the_youngest_batch_holds_its_own() {
    let registered = registered(&[
        ("a", State::Healthy),
        ("b", State::Healthy),
        ("c", State::Healthy),
    ]);
    let by_deadline = [doomed("a", 100, 1), doomed("b", 120, 1), doomed("c", 110, 1)];
    let share = "50".parse().expect("a share");
    let held_of = |doomed: &[Doomed]| {
        let seen = Seen {
            keep_healthy: share,
            ..seen(&registered, doomed)
        };
        let ids = held(&seen).into_iter().map(|(id, _)| id);
        ids.collect::<Vec<_>>()
    };
    assert_eq!(held_of(&by_deadline), ["b", "c"]);
    let by_batch = [doomed("a", 100, 3), doomed("b", 120, 1), doomed("c", 110, 2)];
    assert_eq!(held_of(&by_batch), ["a", "c"]);
}

#[test]
fn ports_of_an_instance_are_targets_of_their_own() {
    let registered: Vec<Registered> = [80, 81]
        .map(|port| Registered {
            target: Target {
                id: "a".to_owned(),
                port: Some(port),
            },
            state: State::Healthy,
            zone: None,
        })
        .into();
    let one_port = [Doomed {
        port: Some(80),
        ..doomed("a", 120, 0)
    }];
    let verdicts = decide(&seen(&registered, &one_port));
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[&target("a")], Verdict::LeavesNow);
    let every_port = decide(&seen(&registered, &[doomed("a", 120, 0)]));
    let held = every_port.values().filter(|verdict| verdict.held().is_some());
    assert_eq!((every_port.len(), held.count()), (2, 1));
    // A task that stops earlier than its instance ends.
    let both = [
        doomed("a", 120, 0),
        Doomed {
            port: Some(80),
            ..doomed("a", 90, 0)
        },
    ];
    let of_80 = decide(&seen(&registered[..1], &both))[&target("a")];
    assert_eq!(
        of_80.held().and_then(|held| held.until),
        Some(at(85)),
        "the last one serves until SIGTERM"
    );
    // It is stopped later if nothing else of its service serves.
    let [instance, task] = both.clone();
    let serves_on = [
        instance,
        Doomed {
            as_last: Some(at(100)),
            ..task
        },
    ];
    let of_80 = decide(&seen(&registered[..1], &serves_on))[&target("a")];
    assert_eq!(of_80.held().and_then(|held| held.until), Some(at(95)));
    // A target that is not the last has its deregistration delay before the instance ends, not before its task is
    // stopped.
    for (stops, until) in [(90, 80), (115, 100)] {
        let task = |port| Doomed {
            port: Some(port),
            ..doomed("a", stops, 0)
        };
        let all = [doomed("a", 120, 0), task(80), task(81)];
        let both_needed = Seen {
            keep_healthy: "100".parse().expect("a share"),
            ..seen(&registered, &all)
        };
        let verdicts = decide(&both_needed);
        let untils: Vec<_> = verdicts
            .values()
            .filter_map(|verdict| verdict.held()?.until)
            .collect();
        assert!(untils.contains(&at(until)), "{untils:?}");
    }
}

#[test]
fn why_a_target_is_held_reads_as_a_sentence() {
    let mut held = Held {
        until: Some(at(110)),
        staying: 0,
        needed: 1,
    };
    assert_eq!(
        held.to_string(),
        "no other target serves; held until a successor serves, at the latest until 2026-11-24T04:01:50Z"
    );
    held.staying = 1;
    held.needed = 2;
    held.until = None;
    assert_eq!(
        held.to_string(),
        "1 of the 2 targets that have to serve would stay; held until a successor serves"
    );
}

/// A target group of up to eight targets. Two batches have doomed some of them.
#[derive(Debug, Clone)]
struct Group {
    registered: Vec<Registered>,
    first: Vec<Doomed>,
    second: Vec<Doomed>,
    keep_healthy: KeepHealthy,
    now: Timestamp,
}

fn groups() -> impl Strategy<Value = Group> {
    use State::{Draining, Healthy, Initial, Unavailable, Unhealthy, Unused};
    let states = vec![
        Healthy,
        Healthy,
        Healthy,
        Unhealthy,
        Initial,
        Draining,
        Unused,
        Unavailable,
    ];
    let one = (
        proptest::sample::select(states),
        0..3_u8,
        60..180_i64,
        proptest::bool::ANY,
    );
    let share = (0..=100_u8).prop_map(|percent| percent.to_string().parse().expect("a share"));
    (proptest::collection::vec(one, 1..8), share, 0..200_i64).prop_map(|(ones, keep_healthy, now)| {
        let mut group = Group {
            registered: vec![],
            first: vec![],
            second: vec![],
            keep_healthy,
            now: at(now),
        };
        for (index, (state, batch, seconds, has_end)) in ones.into_iter().enumerate() {
            let id = format!("i-{index}");
            group.registered.extend(registered(&[(&id, state)]));
            let doomed = |order| Doomed {
                serves_until: has_end.then(|| at(seconds)),
                ..doomed(&id, 0, order)
            };
            match batch {
                1 => group.first.push(doomed(1)),
                2 => group.second.push(doomed(2)),
                _ => {}
            }
        }
        group
    })
}

impl Group {
    fn decide(&self, doomed: &[Doomed]) -> BTreeMap<Target, Verdict> {
        decide(&Seen {
            keep_healthy: self.keep_healthy,
            now: self.now,
            ..seen(&self.registered, doomed)
        })
    }

    fn leave(verdicts: &BTreeMap<Target, Verdict>) -> BTreeSet<&str> {
        let leave = verdicts
            .iter()
            .filter(|(_, verdict)| **verdict == Verdict::LeavesNow);
        leave.map(|(target, _)| target.id.as_str()).collect()
    }

    /// What serves after these have left.
    fn serving_without(&self, left: &BTreeSet<&str>) -> usize {
        let serves = serving(&self.registered);
        let stay = self.registered.iter().filter(|one| serves(one.state));
        stay.filter(|one| !left.contains(one.target.id.as_str())).count()
    }

    /// Whether any doomed target that serves has time left.
    fn has_time(&self, doomed: &Doomed) -> bool {
        let serves = serving(&self.registered);
        let is_it = |one: &&Registered| doomed.is(&one.target) && serves(one.state);
        let in_time = |end: Timestamp| end - LONGEST_DRAINING > self.now;
        self.registered.iter().any(|one| is_it(&one)) && doomed.serves_until.is_none_or(in_time)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn while_there_is_time_one_target_serves(group in groups()) {
        let all: Vec<Doomed> = [&group.first[..], &group.second[..]].concat();
        let verdicts = group.decide(&all);
        let stays = group.serving_without(&all.iter().map(|doomed| doomed.id.as_str()).collect()) > 0;
        if stays || all.iter().any(|doomed| group.has_time(doomed)) {
            prop_assert!(group.serving_without(&Group::leave(&verdicts)) > 0);
        }
    }

    #[test]
    fn the_order_in_which_facts_come_changes_nothing(group in groups(), by in 0..8_usize) {
        let all: Vec<Doomed> = [&group.first[..], &group.second[..]].concat();
        let mut other = group.clone();
        let turns = by % other.registered.len();
        other.registered.rotate_left(turns);
        let mut turned = all.clone();
        turned.reverse();
        prop_assert_eq!(group.decide(&all), other.decide(&turned));
    }

    /// The first batch decides before it can know of the second; the second knows the first. Each takes away its own
    /// targets.
    #[test]
    fn two_batches_never_both_take_the_last_one(group in groups()) {
        let all: Vec<Doomed> = [&group.first[..], &group.second[..]].concat();
        let of_first = group.decide(&group.first);
        let of_second = group.decide(&all);
        let mut left = Group::leave(&of_first);
        let own = |id: &&str| group.second.iter().any(|doomed| doomed.id == *id);
        left.extend(Group::leave(&of_second).into_iter().filter(own));
        let is_doomed = |id: &str| all.iter().any(|doomed| doomed.id == id);
        let stays = group.serving_without(&all.iter().map(|doomed| doomed.id.as_str()).collect()) > 0;
        // The held targets of the first batch have been told to stay, or count as serving for the second batch.
        if stays || group.second.iter().any(|doomed| group.has_time(doomed)) {
            prop_assert!(group.serving_without(&left) > 0, "left: {left:?}");
        }
        // More knowledge never makes a target leave that nobody named.
        prop_assert!(left.iter().all(|id| is_doomed(id)));
    }
}
