use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn interruption(number: u8, noticed: i64) -> Interruption {
    Interruption {
        event_id: format!("event-{number}"),
        instance: format!("i-{number:017x}").parse().expect("an id"),
        noticed: at(noticed),
    }
}

fn standing_of(watch: &GroupWatch, number: u8) -> Option<&Standing> {
    let one = interruption(number, 0);
    watch.standing_of(&one.event_id, &one.instance)
}

#[test]
fn a_second_interruption_joins_once_and_is_watched_for_as_long_as_the_first() {
    let mut watch = GroupWatch::begun("g", interruption(1, 0), at(20));
    assert_eq!(watch.until, at(1800));
    assert!(watch.join(interruption(2, 60)));
    assert!(!watch.join(interruption(2, 60)), "its message came twice");
    assert_eq!(watch.until, at(1860));
    assert_eq!(watch.since(), at(0), "it is reckoned from the first notice on");
    assert_eq!(watch.interruptions.len(), 2);
    assert_eq!(
        standing_of(&watch, 2),
        Some(&Standing::Looking { short_of: None })
    );
    assert_eq!(standing_of(&watch, 3), None);
}

#[test]
fn a_storm_is_watched_without_naming_each_instance() {
    let mut watch = GroupWatch::begun("g", interruption(1, 0), at(20));
    for number in 0..2 * MOST_NAMED {
        let one = Interruption {
            event_id: number.to_string(),
            ..interruption(2, 5)
        };
        assert!(watch.join(one));
    }
    assert_eq!(watch.interruptions.len(), MOST_NAMED);
}

#[test]
fn a_later_watch_does_not_hide_how_an_earlier_one_ended() {
    let whole = Standing::Whole { after_seconds: 62 };
    let mut first = GroupWatch::begun("g", interruption(1, 0), at(20));
    first.look = 4;
    first.standing = whole.clone();
    let second = first.anew(interruption(2, 100), at(120));
    assert_eq!(second.look, 4, "messages of the earlier one are behind it");
    assert_eq!(standing_of(&second, 1), Some(&whole));
    assert!(standing_of(&second, 2).is_some_and(|standing| !standing.is_over()));
    let third = second.anew(interruption(3, 100), at(120 + 16 * 60));
    assert_eq!(standing_of(&third, 1), None, "nobody asks any more");
    assert!(standing_of(&third, 2).is_some());
}

#[test]
fn an_item_is_read_as_it_was_written_and_kept_for_a_week() {
    let mut watch = GroupWatch::begun("g", interruption(1, 0), at(20));
    watch.standing = Standing::Short {
        short_of: 2,
        after_seconds: 1800,
        failure: Some(LaunchFailure::of("Max spot instance count exceeded.")),
        advice: "ask for more".to_owned(),
    };
    watch.failing = Some(Failing {
        since: at(30),
        last: LaunchFailure::of(""),
    });
    let json = serde_json::to_string(&watch).expect("JSON");
    assert_eq!(serde_json::from_str::<GroupWatch>(&json).expect("read"), watch);
    assert_eq!(watch.expires().duration_since(watch.until).as_hours(), 7 * 24);
    assert_eq!(watch.key(), GroupWatch::key_of("g"));
}

#[test]
fn a_standing_reads_as_the_end_of_a_sentence() {
    let short = |failure| Standing::Short {
        short_of: 2,
        after_seconds: 1800,
        failure,
        advice: "ask for more".to_owned(),
    };
    let table = [
        (
            Standing::Whole { after_seconds: 62 },
            "was whole again within 62 s of the first notice",
        ),
        (short(None), "was still short of 2 after 30 minutes; ask for more"),
        (
            short(Some(LaunchFailure::of("Max spot instance count exceeded."))),
            "was still short of 2 after 30 minutes: the account may run no more Spot Instances (Max spot instance \
             count exceeded); ask for more",
        ),
        (
            Standing::Looking { short_of: Some(1) },
            "is short of 1, and watched until it is whole",
        ),
    ];
    for (standing, expected) in table {
        assert_eq!(standing.to_string(), expected);
    }
}
