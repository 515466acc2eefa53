use super::*;
use crate::facts::launches::Launches;

const NO_SPOT: &str = "Could not launch Spot Instances. UnfulfillableCapacity - x";

fn at(seconds: i64) -> Timestamp {
    let begun: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
    later(begun, SignedDuration::from_secs(seconds))
}

/// A group with a desired capacity of eight: this base On-Demand, and the rest Spot.
fn group(base: u32) -> Group {
    Group {
        name: "g".to_owned(),
        desired: 8,
        distribution: Some(Distribution {
            base,
            percent_above: 0,
        }),
        ..Group::default()
    }
}

/// Launches by the second at which they began, with a message if one failed.
fn launches(list: &[(i64, Option<&str>)]) -> Launches {
    Launches::with(list.iter().map(|(seconds, failure)| (at(*seconds), *failure)))
}

struct World {
    now: i64,
    group: Group,
    short_of: u32,
    is_allowed: bool,
    launches: Launches,
}

impl World {
    fn step(&self, fallback: Option<&Fallback>) -> Step {
        next(
            fallback,
            &Seen {
                now: at(self.now),
                group: &self.group,
                short_of: self.short_of,
                is_allowed: self.is_allowed,
                bounds: FallbackBounds::new(25, SignedDuration::from_secs(60)),
                launches: &self.launches,
                since: at(0),
            },
        )
    }
}

/// Spot has failed since second 5, and one instance is missing at second 65.
fn dry() -> World {
    World {
        now: 65,
        group: group(0),
        short_of: 1,
        is_allowed: true,
        launches: launches(&[(5, Some(NO_SPOT)), (35, Some(NO_SPOT))]),
    }
}

fn seconds(moment: Option<Timestamp>) -> Option<i64> {
    moment.map(|moment| moment.duration_since(at(0)).as_secs())
}

/// After the raise from 0 to 1 at second 65.
fn raised_to_one() -> Fallback {
    dry().step(None).fallback.expect("it begins")
}

#[test]
fn the_base_goes_up_by_what_is_missing_once_spot_has_failed_for_long_enough() {
    let early = World { now: 40, ..dry() }.step(None);
    assert_eq!((early.set, seconds(early.look_at)), (None, Some(65)));
    let step = dry().step(None);
    assert_eq!(step.set, Some(SetBase { from: 0, to: 1 }));
    assert!(
        matches!(
            step.told,
            Some(Told::Filled {
                extra: 1,
                failed_for: 60,
                ..
            })
        ),
        "{step:?}"
    );
    assert_eq!(seconds(step.look_at), Some(85));
    let nothing = [
        World {
            is_allowed: false,
            ..dry()
        },
        World { short_of: 0, ..dry() },
        World {
            launches: launches(&[(5, Some("The security group 'sg-1' does not exist."))]),
            ..dry()
        },
        World {
            launches: launches(&[(5, Some(NO_SPOT)), (35, None)]),
            ..dry()
        },
    ];
    for world in nothing {
        assert_eq!(world.step(None), Step::default());
    }
    let mut no_policy = group(0);
    no_policy.distribution = None;
    let step = World {
        group: no_policy,
        ..dry()
    }
    .step(None);
    assert_eq!((step.told, step.set), (Some(Told::CannotMix), None));
}

#[test]
fn a_quarter_of_the_group_at_the_most_is_filled_and_one_at_the_least() {
    // The On-Demand part: the base, and the percentage of the rest, in favor of On-Demand.
    let table = [
        (8, 0, 0, 1, Some(1)),
        (8, 0, 0, 5, Some(2)),
        (2, 0, 0, 2, Some(1)),
        (8, 3, 0, 2, Some(5)),
        // The percentage makes 4 of 8. One more needs a base of 1 (1 + half of 7, rounded up).
        (8, 0, 50, 1, Some(1)),
        (8, 0, 50, 2, Some(3)),
        (8, 8, 0, 1, None),
        (8, 0, 100, 1, None),
    ];
    for (desired, base, percent_above, short_of, expected) in table {
        let mut group = group(base);
        group.desired = desired;
        group.distribution = Some(Distribution { base, percent_above });
        let step = World {
            group,
            short_of,
            ..dry()
        }
        .step(None);
        assert_eq!(
            step.set.map(|set| set.to),
            expected,
            "{desired} {base} {percent_above} {short_of}"
        );
    }
}

#[test]
fn what_was_not_seen_to_take_effect_is_asked_for_again() {
    let asked = raised_to_one();
    let step = World { now: 85, ..dry() }.step(Some(&asked));
    assert_eq!(step.set, Some(SetBase { from: 0, to: 1 }));
    assert_eq!(step.fallback, Some(asked.clone()));
    assert_eq!(step.told, None, "it was told");
    let late = World {
        now: 65 + 300,
        ..dry()
    }
    .step(Some(&asked));
    assert_eq!(
        (late.fallback, late.told),
        (None, Some(Told::NotTaken { set: 1 }))
    );
}

#[test]
fn somebody_elses_change_is_obeyed_and_ends_it() {
    let mut fallback = raised_to_one();
    let of = |fallback: &Fallback, base| {
        World {
            now: 85,
            group: group(base),
            ..dry()
        }
        .step(Some(fallback))
    };
    let over = |found| Step {
        told: Some(Told::Overruled { found, set: 1 }),
        ..Step::default()
    };
    assert_eq!(of(&fallback, 3), over(Some(3)));
    fallback.seen = true;
    assert_eq!(of(&fallback, 0), over(Some(0)), "set back by hand");
    let mut gone = group(0);
    gone.distribution = None;
    assert_eq!(World { group: gone, ..dry() }.step(Some(&fallback)), over(None));
}

#[test]
fn a_quarter_of_an_hour_later_spot_is_tried_and_where_it_succeeds_it_is_over() {
    let filled = World {
        now: 120,
        group: group(1),
        short_of: 0,
        launches: launches(&[(5, Some(NO_SPOT)), (70, None)]),
        ..dry()
    };
    let waiting = filled.step(Some(&raised_to_one()));
    assert_eq!((waiting.set, seconds(waiting.look_at)), (None, Some(420)));
    let fallback = waiting.fallback.expect("it goes on");
    assert!(fallback.seen);
    let trial = World {
        now: 65 + 900,
        ..filled
    }
    .step(Some(&fallback));
    assert_eq!(trial.set, Some(SetBase { from: 1, to: 0 }));
    assert_eq!(trial.told, None);
    let fallback = trial.fallback.expect("it goes on");
    let of = |now, list: &[(i64, Option<&str>)]| {
        World {
            now,
            group: group(0),
            short_of: 0,
            launches: launches(list),
            ..dry()
        }
        .step(Some(&fallback))
    };
    let nothing_yet = of(985, &[(70, None)]);
    assert_eq!(
        (nothing_yet.set, seconds(nothing_yet.look_at)),
        (None, Some(1005))
    );
    let back = of(1005, &[(70, None), (970, None)]);
    assert_eq!(back.fallback, None);
    assert_eq!(back.told, Some(Told::Back { base: 0, after: 940 }));
    let failed = of(985, &[(70, None), (970, Some(NO_SPOT))]);
    assert_eq!(failed.set, Some(SetBase { from: 0, to: 1 }));
    let fallback = failed.fallback.expect("it goes on");
    assert_eq!((fallback.before, fallback.is_trial), (0, false));
    assert_eq!(seconds(Some(fallback.next_trial)), Some(985 + 900));
    // There was nothing to replace: somebody has made the group smaller.
    assert!(matches!(
        of(965 + 300, &[(70, None)]).told,
        Some(Told::Back { .. })
    ));
}

#[test]
fn it_goes_back_by_halves_and_sooner_where_a_spot_launch_succeeds() {
    let mut fallback = Fallback {
        set: 5,
        ..raised_to_one()
    };
    fallback.before = 1;
    fallback.from = 1;
    let world = |now, base, list: &[(i64, Option<&str>)]| World {
        now,
        group: group(base),
        short_of: 0,
        launches: launches(list),
        ..dry()
    };
    let four: Vec<(i64, Option<&str>)> = (70..74).map(|seconds| (seconds, None)).collect();
    assert_eq!(
        world(120, 5, &four).step(Some(&fallback)).set,
        None,
        "those are On-Demand"
    );
    let five: Vec<(i64, Option<&str>)> = (70..75).map(|seconds| (seconds, None)).collect();
    let mut step = world(120, 5, &five).step(Some(&fallback));
    let (mut now, mut bases) = (120, vec![]);
    while let (Some(set), Some(fallback)) = (step.set, step.fallback.take()) {
        bases.push(set.to);
        now += 20;
        step = world(now, set.to, &[(now - 5, None)]).step(Some(&fallback));
    }
    assert_eq!(bases, [3, 2, 1]);
    assert!(matches!(step.told, Some(Told::Back { base: 1, .. })), "{step:?}");
}

#[test]
fn more_is_filled_when_more_is_missing_within_the_bound_and_all_goes_back_when_it_is_not_allowed_any_more() {
    let fallback = raised_to_one();
    let more = World {
        now: 200,
        group: group(1),
        short_of: 4,
        launches: launches(&[(70, None), (100, Some(NO_SPOT))]),
        ..dry()
    };
    let step = more.step(Some(&fallback));
    assert_eq!(step.set, Some(SetBase { from: 1, to: 2 }), "a quarter of eight");
    let fallback = step.fallback.expect("it goes on");
    let full = World {
        now: 300,
        group: group(2),
        launches: launches(&[(210, None), (220, Some(NO_SPOT))]),
        ..more
    };
    assert_eq!(full.step(Some(&fallback)).set, None);
    let forbidden = World {
        is_allowed: false,
        ..full
    }
    .step(Some(&fallback));
    assert_eq!(forbidden.set, Some(SetBase { from: 2, to: 0 }));
    let ending = forbidden.fallback.expect("until it is seen");
    let over = World {
        now: 320,
        group: group(0),
        is_allowed: false,
        ..dry()
    };
    assert!(matches!(
        over.step(Some(&ending)).told,
        Some(Told::Back { base: 0, .. })
    ));
}
