use proptest::prelude::*;
use spot_handoff::autoscaling::group::Distribution;
use spot_handoff::autoscaling::launch_failures::Trouble;
use spot_handoff::autoscaling::scope::IGNORE_TAG;
use spot_handoff::notice::InstanceId;

use super::*;

mod documented;

fn at(seconds: i64) -> Timestamp {
    let begun: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
    later(begun, SignedDuration::from_secs(seconds))
}

fn id(number: u8) -> InstanceId {
    format!("i-{number:017x}").parse().expect("an id")
}

fn notice(number: u8, seconds: i64, signal: Signal) -> Notice {
    Notice {
        event_id: format!("e-{number}"),
        instance: id(number),
        time: at(seconds),
        signal,
        ends: None,
        drill: None,
    }
}

fn warning(number: u8, seconds: i64) -> Notice {
    let action = InstanceAction::Terminate;
    notice(number, seconds, Signal::InterruptionWarning { action })
}

fn message(number: u8, seconds: i64, number_of_look: u32) -> Notice {
    let until = Some(later(at(seconds), WATCHED_FOR));
    notice(
        number,
        seconds,
        Signal::FollowUp(look("g", number_of_look, until)),
    )
}

/// A group with a desired capacity of three, and these in service.
fn group(serving: &[u8]) -> Group {
    let member = |number: &u8| Member {
        id: id(*number),
        zone: "us-east-1a".to_owned(),
        lifecycle: Lifecycle::InService,
    };
    Group {
        name: "g".to_owned(),
        desired: 3,
        max: 6,
        instances: serving.iter().map(member).collect(),
        ..Group::default()
    }
}

fn refused() -> CallError {
    CallError::Refused {
        action: "GetItem",
        code: "AccessDeniedException".to_owned(),
        message: String::new(),
    }
}

fn seen<'a>(
    group: &'a Group,
    known: Option<&'a GroupWatch>,
    launches: &'a Launches,
    seconds: i64,
) -> Seen<'a> {
    Seen {
        now: at(seconds),
        group: Ok(Some(group)),
        known: Ok(known),
        launches,
        scope: Scope::All,
        fallback: (
            SpotFallback::OnDemand,
            FallbackBounds::new(25, SignedDuration::from_secs(60)),
        ),
    }
}

fn turn(messages: &[Notice], group: &Group, known: Option<&GroupWatch>, seconds: i64) -> Turn {
    let asked = messages.iter().filter_map(Asked::of);
    let asked: Vec<Asked<'_>> = asked.map(|(_, asked)| asked).collect();
    next("g", &asked, &seen(group, known, &Launches::default(), seconds))
}

/// The number of the next look, and when it comes.
fn next_look(turn: &Turn) -> Option<(u32, i64)> {
    let (follow_up, when) = turn.next.as_ref()?;
    let Step::WatchGroup { look, .. } = follow_up.step else {
        panic!("another step: {follow_up:?}");
    };
    Some((look, when.duration_since(at(0)).as_secs()))
}

fn watched(turn: Turn) -> GroupWatch {
    turn.item.expect("it is written")
}

#[test]
fn each_interruption_of_a_group_of_ours_asks_for_a_watch() {
    let with = |change: fn(&mut Group)| {
        let mut group = group(&[1, 2, 3]);
        change(&mut group);
        Groups::of([group])
    };
    let asks = |notice: Notice, groups: &Groups| {
        let found = beginnings(&[notice], groups, Scope::All, at(1));
        found.first().map(|one| one.at.duration_since(at(0)).as_secs())
    };
    let ours = with(|_| {});
    let action = InstanceAction::Stop;
    let table = [
        (warning(1, 0), &ours, Some(20)),
        (warning(9, 0), &ours, None),
        (notice(1, 0, Signal::RebalanceRecommendation), &ours, None),
        (notice(1, 0, Signal::InterruptionWarning { action }), &ours, None),
        (
            warning(1, 0),
            &with(|group| group.capacity_rebalance = true),
            Some(20),
        ),
        (
            warning(1, 0),
            &with(|group| group.instances[0].lifecycle = Lifecycle::Detaching),
            Some(20),
        ),
        (
            warning(1, 0),
            &with(|group| group.instances[0].lifecycle = Lifecycle::Standby),
            None,
        ),
        (
            warning(1, 0),
            &with(|group| {
                group.tags.insert(IGNORE_TAG.to_owned(), String::new());
            }),
            None,
        ),
        (
            warning(1, 0),
            &with(|group| {
                group
                    .tags
                    .insert("spot-handoff:dry-run".to_owned(), "true".to_owned());
            }),
            None,
        ),
        // A notice that comes late leads to a look at once.
        (warning(1, -60), &ours, Some(1)),
    ];
    for (notice, groups, expected) in table {
        assert_eq!(asks(notice.clone(), groups), expected, "{notice:?}");
    }
}

#[test]
fn a_group_that_is_whole_at_the_first_look_is_looked_at_once() {
    let turn = turn(&[message(1, 0, 0)], &group(&[2, 3, 4]), None, 20);
    assert_eq!(turn.next, None);
    assert_eq!(turn.told, Some(Standing::Whole { after_seconds: 20 }));
    assert_eq!(watched(turn).look, 1);
}

#[test]
fn what_aws_may_still_take_does_not_make_a_group_whole() {
    let serving = group(&[1, 2, 3]);
    let begun = turn(&[message(1, 0, 0)], &serving, None, 20);
    assert_eq!(next_look(&begun), Some((1, 40)));
    let known = watched(begun);
    assert_eq!(known.standing, Standing::Looking { short_of: Some(1) });
    // It is still there a minute after its end: AWS has left it.
    let later = turn(&[message(1, 0, 1)], &serving, Some(&known), 181);
    assert_eq!(later.told, Some(Standing::Whole { after_seconds: 181 }));
    let mut unhealthy = group(&[2, 3, 4]);
    unhealthy.unhealthy.insert(id(4));
    assert_eq!(short_of(&known, &unhealthy, at(40)), 1);
}

#[test]
fn weights_count_as_much_as_the_group_says() {
    let mut group = group(&[2, 3]);
    group.desired = 8;
    group.weights = [(id(2), 4), (id(3), 2)].into();
    let known = GroupWatch::begun("g", Interruption::of(&warning(1, 0)), at(20));
    assert_eq!(short_of(&known, &group, at(20)), 2);
}

#[test]
fn looks_come_less_and_less_often_until_half_an_hour_is_over() {
    let short = group(&[2, 3]);
    let mut known = None;
    let mut moments = vec![20];
    let mut number = 0;
    loop {
        let now = *moments.last().expect("a moment");
        let turn = turn(&[message(1, 0, number)], &short, known.as_ref(), now);
        let Some((look, when)) = next_look(&turn) else {
            let Some(Standing::Short {
                short_of: 1,
                after_seconds: 1800,
                failure: None,
                advice,
            }) = &turn.told
            else {
                panic!("{turn:?}");
            };
            assert!(advice.contains("describe-scaling-activities"), "{advice}");
            break;
        };
        assert_eq!(look, number + 1);
        (number, known) = (look, turn.item);
        moments.push(when);
    }
    let each_minute = (135..1800).step_by(60);
    let expected: Vec<i64> = [20, 40, 60, 90]
        .into_iter()
        .chain(each_minute)
        .chain([1800])
        .collect();
    assert_eq!(moments, expected);
}

#[test]
fn the_reason_is_that_of_the_last_failed_launch_and_says_what_to_do() {
    let no_spot = "Could not launch Spot Instances. UnfulfillableCapacity - x";
    let launches = Launches::with([(at(30), Some(no_spot))]);
    let message = message(1, 0, 0);
    let asked = Asked::of(&message).expect("it is about a group").1;
    let short = group(&[2, 3]);
    let seen = seen(&short, None, &launches, 1800);
    let told = next("g", &[asked], &seen).told.expect("it is over");
    let Standing::Short { failure, advice, .. } = &told else {
        panic!("{told:?}");
    };
    assert_eq!(
        failure.as_ref().map(|one| one.trouble),
        Some(Trouble::NoSpotCapacity)
    );
    assert_eq!(advice, Trouble::NoSpotCapacity.advice());
    let line = line("g", &told).expect("it is told");
    assert_eq!((line.standing, line.short_of), (GroupStanding::Short, Some(1)));
    assert!(
        line.to_string()
            .starts_with("group g was still short of 1 after 30 minutes: Spot has no")
    );
    let mut suspended = group(&[2, 3]);
    suspended.suspended.insert("Launch".to_owned());
    assert!(without_failure(&suspended).contains("resume-processes"));
}

#[test]
fn a_second_interruption_joins_and_a_message_that_is_behind_changes_nothing() {
    let short = group(&[2, 3]);
    let first = watched(turn(&[message(1, 0, 0)], &short, None, 20));
    // Its own message once more: it was sent twice, or the function was killed before it could delete it.
    assert_eq!(
        turn(&[message(1, 0, 0)], &short, Some(&first), 25),
        Turn::default()
    );
    let second = turn(&[message(2, 30, 0)], &short, Some(&first), 50);
    assert_eq!(next_look(&second), Some((2, 70)), "looked at again soon");
    let second = watched(second);
    assert_eq!(second.interruptions.len(), 2);
    assert_eq!(second.standing, Standing::Looking { short_of: Some(2) });
    // The look that the first message had asked for.
    assert_eq!(
        turn(&[message(1, 0, 1)], &short, Some(&second), 50),
        Turn::default()
    );
    let whole = turn(&[message(1, 0, 2)], &group(&[4, 5, 6]), Some(&second), 70);
    assert_eq!(
        whole.told,
        Some(Standing::Whole { after_seconds: 70 }),
        "since the first notice"
    );
    let whole = watched(whole);
    assert_eq!(
        turn(&[message(2, 30, 2)], &short, Some(&whole), 71),
        Turn::default()
    );
    let anew = turn(&[message(4, 100, 0)], &group(&[5, 6]), Some(&whole), 120);
    assert_eq!(next_look(&anew), Some((4, 140)));
    assert_eq!(watched(anew).since(), at(100));
}

#[test]
fn a_storm_is_one_look() {
    let messages: Vec<Notice> = (1..=50).map(|number| message(number, 0, 0)).collect();
    let turn = turn(&messages, &group(&[]), None, 20);
    assert_eq!(next_look(&turn), Some((1, 40)));
    assert_eq!(watched(turn).interruptions.len(), 50);
}

#[test]
fn a_look_that_was_sent_and_not_written_down_counts_when_it_comes() {
    let short = group(&[2, 3]);
    let first = watched(turn(&[message(1, 0, 0)], &short, None, 20));
    // Look 1 sent look 2 and was killed before it wrote; then look 1 came again.
    let ahead = turn(&[message(1, 0, 2)], &short, Some(&first), 60);
    assert_eq!(next_look(&ahead), Some((3, 90)));
    let ahead = watched(ahead);
    assert_eq!(
        turn(&[message(1, 0, 1)], &short, Some(&ahead), 61),
        Turn::default()
    );
    assert_eq!(
        turn(&[message(1, 0, 2)], &short, Some(&ahead), 61),
        Turn::default()
    );
}

#[test]
fn without_the_table_the_watch_goes_on_and_says_so() {
    let (error, short) = (refused(), group(&[2, 3]));
    let message = message(1, 0, 3);
    let asked = Asked::of(&message).expect("it is about a group").1;
    let none = Launches::default();
    let seen = Seen {
        known: Err(&error),
        ..seen(&short, None, &none, 90)
    };
    let unknown = next("g", &[asked], &seen);
    assert_eq!(next_look(&unknown), Some((4, 135)));
    assert!(unknown.item.is_none(), "it cannot be written");
    assert!(matches!(unknown.warnings[..], [Warning::WatchUnread { .. }]));
    let late = Seen {
        now: at(1800),
        ..seen
    };
    assert!(
        next("g", &[asked], &late).told.is_some(),
        "its half hour is over all the same"
    );
}

#[test]
fn a_group_that_cannot_be_read_is_looked_at_again_and_one_that_is_gone_is_not() {
    let error = refused();
    let message = message(1, 0, 0);
    let asked = Asked::of(&message).expect("it is about a group").1;
    let (short, none) = (group(&[2, 3]), Launches::default());
    let seen = Seen {
        group: Err(&error),
        ..seen(&short, None, &none, 20)
    };
    let unread = next("g", &[asked], &seen);
    assert_eq!(next_look(&unread), Some((1, 40)));
    assert!(matches!(unread.warnings[..], [Warning::GroupUnread { .. }]));
    let late = Seen {
        now: at(1800),
        ..seen
    };
    assert!(next("g", &[asked], &late).problem.is_some());
    let gone = Seen {
        group: Ok(None),
        ..seen
    };
    assert_eq!(next("g", &[asked], &gone).told, Some(Standing::Gone));
}

#[test]
fn a_failed_launch_brings_the_next_look_forward_of_a_group_that_is_watched() {
    let short = group(&[2, 3]);
    let mut watch = watched(turn(&[message(1, 0, 0)], &short, None, 400));
    let moment = |watch: &GroupWatch, seconds| {
        let (notice, follow_up, when) = brought_forward(watch, at(seconds))?;
        assert_eq!((notice.event_id.as_str(), notice.time), ("e-1", at(0)));
        assert_eq!(follow_up.step.group(), Some("g"));
        Some(when.duration_since(at(0)).as_secs())
    };
    assert_eq!(moment(&watch, 430), Some(430));
    assert_eq!(moment(&watch, 403), Some(410), "not right after the last one");
    assert_eq!(moment(&watch, 459), None, "it comes anyway");
    let known = GroupWatch {
        failing: Launches::with([(at(30), Some("x"))]).failing(at(0)),
        ..watch.clone()
    };
    assert_eq!(moment(&known, 430), None, "it is no news");
    watch.standing = Standing::Gone;
    assert_eq!(moment(&watch, 430), None);
}

/// A group with only Spot that lacks one instance. Its launches have failed since second 25.
#[test]
fn on_demand_fills_a_group_that_spot_leaves_short_and_the_watch_goes_on_until_it_is_back() {
    let spot = |serving: &[u8], base| Group {
        distribution: Some(Distribution {
            base,
            percent_above: 0,
        }),
        ..group(serving)
    };
    let no_spot = "Could not launch Spot Instances. UnfulfillableCapacity - x";
    let dry = Launches::with([(at(25), Some(no_spot))]);
    let turn = |number, group: &Group, known: Option<&GroupWatch>, launches: &Launches, seconds| {
        let message = message(1, 0, number);
        let asked = Asked::of(&message).expect("it is about a group").1;
        next("g", &[asked], &seen(group, known, launches, seconds))
    };
    let first = turn(0, &spot(&[2, 3], 0), None, &dry, 60);
    assert_eq!(
        (first.set, next_look(&first)),
        (None, Some((1, 85))),
        "when it is due"
    );
    let raised = turn(1, &spot(&[2, 3], 0), first.item.as_ref(), &dry, 85);
    assert_eq!(raised.set, Some(SetBase { from: 0, to: 1 }));
    let line = line_of_mixture("g", raised.told_of_mixture.as_ref().expect("it is told")).expect("a line");
    assert_eq!(line.standing, GroupStanding::FilledOnDemand);
    assert!(line.detail.contains("It costs the On-Demand price"), "{line}");
    let launched = Launches::with([(at(25), Some(no_spot)), (at(90), None)]);
    let whole = turn(2, &spot(&[2, 3, 4], 1), raised.item.as_ref(), &launched, 105);
    assert_eq!(whole.told, Some(Standing::Whole { after_seconds: 105 }));
    assert!(
        next_look(&whole).is_some(),
        "something of ours is to be taken back"
    );
    // Another interruption meanwhile: a new watch, with the same change of the mixture.
    let known = watched(whole);
    let second = message(7, 200, 0);
    let asked = Asked::of(&second).expect("it is about a group").1;
    let joined = next(
        "g",
        &[asked],
        &seen(&spot(&[2, 3], 1), Some(&known), &launched, 220),
    );
    let joined = watched(joined);
    assert_eq!((joined.since(), joined.fallback.is_some()), (at(200), true));
    let trial = turn(
        known.look,
        &spot(&[2, 3, 4], 1),
        Some(&known),
        &launched,
        85 + 900,
    );
    assert_eq!((trial.set, trial.told), (Some(SetBase { from: 1, to: 0 }), None));
    let item = trial.item.expect("it is written");
    let back = Launches::with([(at(990), None)]);
    let over = turn(item.look, &spot(&[2, 3, 5], 0), Some(&item), &back, 1005);
    assert_eq!(next_look(&over), None);
    assert!(
        matches!(over.told_of_mixture, Some(Told::Back { base: 0, .. })),
        "{over:?}"
    );
    assert!(!watched(over).goes_on());
}

#[test]
fn a_group_that_on_demand_cannot_fill_says_why_with_its_outcome() {
    let no_spot = "Could not launch Spot Instances. UnfulfillableCapacity - x";
    let dry = Launches::with([(at(25), Some(no_spot))]);
    let message = message(1, 0, 0);
    let asked = Asked::of(&message).expect("it is about a group").1;
    let without_policy = group(&[2, 3]);
    let told = next("g", &[asked], &seen(&without_policy, None, &dry, 1800));
    assert!(
        matches!(told.warnings[..], [Warning::CannotMix { .. }]),
        "{told:?}"
    );
    let mut tagged = group(&[2, 3]);
    tagged
        .tags
        .insert("spot-handoff:fallback".to_owned(), "on-demand".to_owned());
    let off = Seen {
        fallback: (SpotFallback::Off, FallbackBounds::new(25, SignedDuration::ZERO)),
        ..seen(&tagged, None, &dry, 1800)
    };
    let told = next("g", &[asked], &off);
    assert!(
        matches!(told.warnings[..], [Warning::FallbackForbidden { .. }]),
        "{told:?}"
    );
    assert_eq!(told.set, None);
}

proptest! {
    /// Messages may come twice, late or in another order: there is one watch, it knows every interruption, and a turn
    /// that does not end it leads to another look.
    #[test]
    fn no_order_of_messages_loses_the_watch(
        order in proptest::collection::vec((1_u8..4, 0_u32..5, 0_i64..40), 1..30),
        serving in 0_u8..4,
    ) {
        let mut known: Option<GroupWatch> = None;
        let mut now = 20;
        let mut pending: u32 = 0;
        let members: Vec<u8> = (10..10 + serving).collect();
        for (number, look, pause) in order {
            now += pause;
            let turn = turn(&[message(number, 0, look)], &group(&members), known.as_ref(), now);
            if let Some((look, when)) = next_look(&turn) {
                prop_assert!(look > pending, "no look is asked for twice");
                prop_assert!(when > now && when <= now + 300);
                pending = look;
            } else if let Some(watch) = &turn.item {
                prop_assert!(watch.standing.is_over() && turn.told.is_some());
            }
            known = turn.item.or(known);
            let watch = known.as_ref().expect("a watch");
            let event_id = ["e-", &number.to_string()].concat();
            prop_assert!(watch.standing_of(&event_id, &id(number)).is_some());
        }
    }
}
