use std::collections::BTreeSet;

use jiff::Timestamp;

use super::*;
use crate::autoscaling::groups::Groups;
use crate::notice::{Cause, InstanceId};

const OLD: &str = "i-00000000000000001";
const OTHER: &str = "i-00000000000000002";
const NEW: &str = "i-0000000000000000a";
const NEWER: &str = "i-0000000000000000b";

fn id(text: &str) -> InstanceId {
    text.parse().expect("an id")
}

fn at(seconds: i64) -> Timestamp {
    let begin: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
    begin + SignedDuration::from_secs(seconds)
}

fn member(id_text: &str, lifecycle: Lifecycle) -> Member {
    Member {
        id: id(id_text),
        zone: "us-east-1a".to_owned(),
        lifecycle,
    }
}

/// Two instances serve; there is room for two more.
fn group(desired: i32, members: &[(&str, Lifecycle)]) -> Group {
    Group {
        name: "g".to_owned(),
        desired,
        min: 1,
        max: 4,
        instances: members
            .iter()
            .map(|(id, lifecycle)| member(id, *lifecycle))
            .collect(),
        ..Group::default()
    }
}

use Lifecycle::{InService, Pending, Terminating};

const TWO: [(&str, Lifecycle); 2] = [(OLD, InService), (OTHER, InService)];

/// A story: one look after the other, beginning with an empty table.
struct Story {
    state: Exchanges,
    ready: BTreeSet<InstanceId>,
    drains: bool,
}

impl Story {
    fn new() -> Self {
        Self {
            state: Exchanges::none("g", at(0)),
            ready: BTreeSet::new(),
            drains: false,
        }
    }

    fn ask(&mut self, seconds: i64, instance: &str, asked: Asked, group: &Group) -> Step {
        let instance = id(instance);
        let seen = Seen {
            now: at(seconds),
            instance: &instance,
            asked,
            group: Some(group),
            ready: &self.ready,
            drains: self.drains,
        };
        let (state, step) = next(&self.state, &seen);
        self.state = state;
        step
    }

    fn begin(&mut self, seconds: i64, group: &Group) -> Step {
        let cause = Cause::Retirement;
        let limit = at(seconds) + LIMIT;
        self.ask(seconds, OLD, Asked::Begin { cause, limit }, group)
    }

    fn look(&mut self, seconds: i64, group: &Group) -> Step {
        self.ask(seconds, OLD, Asked::Look, group)
    }

    fn interrupted(&mut self, seconds: i64, group: &Group) -> Step {
        let asked = Asked::Interrupted {
            held_until: None,
            deadline: at(seconds + 120),
        };
        self.ask(seconds, OLD, asked, group)
    }

    /// The capacity is raised, and the replacement is ready.
    fn raised() -> Self {
        let mut story = Self::new();
        assert_eq!(story.begin(0, &group(2, &TWO)).acts, [Act::SetDesired { to: 3 }]);
        story.ready = [id(NEW), id(OTHER)].into();
        story
    }
}

fn with_new(desired: i32, new: Lifecycle) -> Group {
    group(desired, &[TWO[0], TWO[1], (NEW, new)])
}

fn over(step: &Step, why: Ending) -> bool {
    step.acts.is_empty() && step.look_at.is_none() && step.told == [Told::Over(why)]
}

#[test]
fn an_exchange_raises_moves_the_work_and_leaves_with_decrement() {
    let mut story = Story::raised();
    assert_eq!(story.look(10, &with_new(3, Pending)).acts, []);
    let replacement = id(NEW);
    assert_eq!(
        story.look(20, &with_new(3, InService)).acts,
        [Act::MoveWork { replacement }]
    );
    let step = story.ask(50, OLD, Asked::WorkMoved, &with_new(3, InService));
    assert_eq!(step.acts, [Act::Leave { decrement: true }]);
    let leaving = group(2, &[(OLD, Terminating), TWO[1], (NEW, InService)]);
    assert!(over(&story.look(60, &leaving), Ending::Exchanged));
    assert_eq!(story.state.capacity, None);
    assert!(story.state.under_way.is_empty());
}

#[test]
fn a_member_that_was_there_before_is_no_replacement() {
    let mut story = Story::raised();
    assert_eq!(
        story.look(10, &group(3, &TWO)).acts,
        [],
        "OTHER is ready, and was there"
    );
}

#[test]
fn a_replacement_that_no_requests_reach_goes_and_the_old_one_stays() {
    let mut story = Story::raised();
    story.ready.clear();
    assert_eq!(story.look(20, &with_new(3, InService)).acts, []);
    let replacement = id(NEW);
    let step = story.look(900, &with_new(3, InService));
    assert_eq!(step.acts, [Act::Terminate { replacement }]);
    let gone = group(2, &[TWO[0], TWO[1], (NEW, Terminating)]);
    assert!(over(&story.look(910, &gone), Ending::NeverReady));
}

#[test]
fn where_nothing_came_the_desired_capacity_is_lowered() {
    let mut story = Story::raised();
    let _ = story.look(10, &group(3, &TWO));
    assert_eq!(story.look(900, &group(3, &TWO)).acts, [Act::SetDesired { to: 2 }]);
    assert!(over(&story.look(910, &group(2, &TWO)), Ending::NeverCame));
}

#[test]
fn whoever_sets_the_desired_capacity_is_obeyed() {
    for set in [1, 2, 4] {
        let mut story = Story::raised();
        let _ = story.look(10, &with_new(3, Pending));
        let _ = story.look(20, &with_new(set, Pending));
        let _ = story.look(30, &with_new(set, Pending));
        assert_eq!(story.state.capacity, None, "{set}");
        let _ = story.look(40, &with_new(set, InService));
        let step = story.ask(60, OLD, Asked::WorkMoved, &with_new(set, InService));
        assert_eq!(step.acts, [Act::Leave { decrement: false }], "{set}");
    }
}

#[test]
fn one_stale_read_is_not_believed() {
    let mut story = Story::raised();
    let _ = story.look(10, &with_new(3, Pending));
    let stale = story.look(20, &group(2, &TWO));
    assert_eq!(stale.acts, []);
    let _ = story.look(30, &with_new(3, InService));
    let step = story.ask(60, OLD, Asked::WorkMoved, &with_new(3, InService));
    assert_eq!(step.acts, [Act::Leave { decrement: true }]);
}

#[test]
fn a_raise_that_was_lost_is_made_again_with_the_same_number() {
    let mut story = Story::raised();
    assert_eq!(story.look(10, &group(2, &TWO)).acts, [Act::SetDesired { to: 3 }]);
}

#[test]
fn two_exchanges_raise_by_two_and_each_has_its_own_replacement() {
    let mut story = Story::raised();
    let limit = at(900);
    let cause = Cause::Retirement;
    let step = story.ask(1, OTHER, Asked::Begin { cause, limit }, &group(2, &TWO));
    assert_eq!(step.acts, [Act::SetDesired { to: 4 }]);
    story.ready = [id(NEW), id(NEWER)].into();
    let both = group(4, &[TWO[0], TWO[1], (NEW, InService), (NEWER, InService)]);
    assert_eq!(
        story.look(11, &both).acts,
        [Act::MoveWork { replacement: id(NEW) }]
    );
    assert_eq!(
        story.ask(11, OTHER, Asked::Look, &both).acts,
        [Act::MoveWork {
            replacement: id(NEWER)
        }]
    );
    assert_eq!(
        story.ask(12, OTHER, Asked::Begin { cause, limit }, &both).told,
        [Told::UnderWay]
    );
}

#[test]
fn a_warning_takes_the_raise_with_it_or_leaves_it_to_the_next_look() {
    let mut story = Story::raised();
    assert_eq!(
        story.interrupted(5, &with_new(3, Pending)).acts,
        [Act::Leave { decrement: true }]
    );
    let left = group(2, &[TWO[1], (NEW, InService)]);
    assert!(over(&story.look(15, &left), Ending::Exchanged));

    let mut unseen = Story::raised();
    assert_eq!(
        unseen.interrupted(1, &group(2, &TWO)).acts,
        [Act::Leave { decrement: false }]
    );
    let landed_late = group(3, &[TWO[1], (NEW, Pending), (NEWER, Pending)]);
    assert_eq!(unseen.look(11, &landed_late).acts, [Act::SetDesired { to: 2 }]);
    let settled = group(2, &[TWO[1], (NEW, InService)]);
    assert!(over(&unseen.look(21, &settled), Ending::LeftMeanwhile));
}

#[test]
fn an_instance_that_is_gone_gives_its_raise_back() {
    let unfilled = group(3, &[TWO[1], (NEW, InService)]);
    let mut story = Story::raised();
    assert_eq!(story.look(10, &unfilled).acts, [Act::SetDesired { to: 2 }]);
    let filled = group(3, &[TWO[1], (NEW, InService), (NEWER, Pending)]);
    let mut story = Story::raised();
    let replacement = id(NEWER);
    assert_eq!(story.look(10, &filled).acts, [Act::Terminate { replacement }]);
}

#[test]
fn max_size_without_room_is_told_and_min_size_is_never_gone_below() {
    let mut story = Story::new();
    let mut full = group(2, &TWO);
    full.max = 2;
    let step = story.begin(0, &full);
    assert_eq!(
        (step.acts.as_slice(), step.told.as_slice()),
        (&[][..], &[Told::NoRoom { max: 2 }][..])
    );
    assert!(story.state.under_way.is_empty());
    let mut story = Story::raised();
    let _ = story.look(20, &with_new(3, InService));
    let mut raised_min = with_new(3, InService);
    raised_min.min = 3;
    let step = story.ask(60, OLD, Asked::WorkMoved, &raised_min);
    assert_eq!(step.acts, [Act::Leave { decrement: false }]);
}

#[test]
fn a_termination_is_repeated_only_where_the_instance_still_serves() {
    let mut story = Story::raised();
    let _ = story.look(20, &with_new(3, InService));
    let _ = story.ask(50, OLD, Asked::WorkMoved, &with_new(3, InService));
    assert_eq!(
        story.look(60, &with_new(3, InService)).acts,
        [Act::Leave { decrement: true }]
    );
    let leaving = group(2, &[(OLD, Terminating), TWO[1], (NEW, InService)]);
    assert!(over(&story.look(70, &leaving), Ending::Exchanged));
}

#[test]
fn an_answer_of_drain_tasks_that_is_lost_is_made_up_for() {
    for (drains, act) in [
        (true, Act::Leave { decrement: true }),
        (false, Act::Terminate { replacement: id(NEW) }),
    ] {
        let mut story = Story::raised();
        let _ = story.look(20, &with_new(3, InService));
        story.drains = drains;
        assert_eq!(story.look(80, &with_new(3, InService)).acts, []);
        assert_eq!(story.look(960, &with_new(3, InService)).acts, [act]);
    }
}

#[test]
fn recommendations_are_held_back() {
    let recommended = |story: &mut Story, seconds, instance: &str, group: &Group| {
        let limit = at(seconds) + LIMIT;
        let cause = Cause::Rebalance;
        story
            .ask(seconds, instance, Asked::Begin { cause, limit }, group)
            .told
    };
    let mut story = Story::new();
    assert_eq!(recommended(&mut story, 0, OLD, &group(2, &TWO)), []);
    assert_eq!(
        recommended(&mut story, 1, OTHER, &group(3, &TWO)),
        [Told::Held(Brake::Enough { under_way: 1 })]
    );
    let _ = story.look(900, &group(3, &TWO));
    let _ = story.look(910, &group(2, &TWO));
    let until = at(910) + restraint::REST;
    let held = [Told::Held(Brake::InVain { until })];
    assert_eq!(recommended(&mut story, 920, OTHER, &group(2, &TWO)), held);
    let mut followed = Story {
        state: story.state.clone(),
        ..Story::new()
    };
    let leaves = Asked::Interrupted {
        held_until: None,
        deadline: at(1100),
    };
    let _ = followed.ask(980, OLD, leaves, &group(2, &TWO));
    assert_eq!(recommended(&mut followed, 990, OTHER, &group(2, &TWO)), []);
    assert_eq!(recommended(&mut story, 910 + 1800, OTHER, &group(2, &TWO)), []);
}

fn waits(starts: &str, change: impl FnOnce(&mut Group)) -> bool {
    let instance = id(OLD);
    let mut group = group(2, &TWO);
    change(&mut group);
    let notice = Notice {
        event_id: "e".to_owned(),
        instance: instance.clone(),
        time: at(0),
        signal: Signal::ScheduledRetirement {
            starts: starts.parse().expect("a time"),
        },
        ends: None,
        drill: None,
    };
    replacement_comes_first(&notice, &Groups::of([group]).of_instance(&instance))
}

#[test]
fn nothing_is_taken_out_of_service_for_a_retirement_before_its_last_hour() {
    let in_a_week = "2026-12-01T00:00:00Z";
    assert!(waits(in_a_week, |_| {}));
    assert!(waits(in_a_week, |group| group.max = 2), "no room: reported");
    assert!(
        waits(in_a_week, |group| group.instances.clear()),
        "no group: reported"
    );
    let soon = "2026-11-24T04:50:00Z";
    assert!(waits(soon, |_| {}));
    assert!(!waits("2026-11-24T04:15:00Z", |_| {}), "no time");
    assert!(!waits(soon, |group| group.max = 2), "no room");
    assert!(!waits(soon, |group| group.is_weighted = true), "weights");
    assert!(!waits(soon, |group| group.instances.clear()), "no group");
    let standby = |group: &mut Group| group.instances[0].lifecycle = Lifecycle::Standby;
    assert!(!waits(soon, standby), "not replaced");
    let suspended = |group: &mut Group| group.suspended = ["Launch".to_owned()].into();
    assert!(!waits(soon, suspended), "no launch");
}

fn held(story: &mut Story, seconds: i64, group: &Group) -> Step {
    let asked = Asked::Interrupted {
        held_until: (seconds < 110).then(|| at(110)),
        deadline: at(120),
    };
    story.ask(seconds, OLD, asked, group)
}

#[test]
fn an_instance_that_is_still_needed_is_replaced_first_and_leaves_at_its_last_moment() {
    let mut story = Story::new();
    let step = held(&mut story, 0, &group(2, &TWO));
    assert_eq!(step.acts, [Act::SetDesired { to: 3 }]);
    assert_eq!(step.look_at, Some(at(10)));
    for seconds in [10, 20, 104] {
        assert_eq!(held(&mut story, seconds, &with_new(3, Pending)).acts, []);
    }
    let copy = held(&mut story, 105, &with_new(3, Pending));
    assert_eq!((copy.told, copy.look_at), (vec![Told::UnderWay], None));
    let step = held(&mut story, 110, &with_new(3, Pending));
    assert_eq!(step.acts, [Act::Leave { decrement: true }]);
    let gone = group(2, &[TWO[1], (NEW, Pending)]);
    assert!(over(&held(&mut story, 121, &gone), Ending::Exchanged));
    assert_eq!(story.state.capacity, None);
}

#[test]
fn the_last_look_before_its_last_moment_comes_back_at_that_moment() {
    let mut story = Story::new();
    held(&mut story, 0, &group(2, &TWO));
    assert_eq!(
        held(&mut story, 104, &with_new(3, Pending)).look_at,
        Some(at(110))
    );
}

#[test]
fn where_nothing_can_be_raised_it_is_kept_all_the_same_and_raised_when_there_is_room() {
    let full = Group {
        max: 2,
        ..group(2, &TWO)
    };
    let mut story = Story::new();
    let step = held(&mut story, 0, &full);
    assert_eq!(step.acts, []);
    assert_eq!(step.told, [Told::NotRaised(NotRaised::NoRoom { max: 2 })]);
    assert_eq!(step.look_at, Some(at(10)));
    let mut to_the_end = Story {
        state: story.state.clone(),
        ..Story::new()
    };
    assert_eq!(
        held(&mut to_the_end, 110, &full).acts,
        [Act::Leave { decrement: false }]
    );
    assert_eq!(
        held(&mut story, 20, &group(2, &TWO)).acts,
        [Act::SetDesired { to: 3 }]
    );

    let weighted = Group {
        is_weighted: true,
        ..group(2, &TWO)
    };
    let step = held(&mut Story::new(), 0, &weighted);
    assert_eq!(step.acts, []);
    assert_eq!(step.told, [Told::NotRaised(NotRaised::Weighted)]);
}

#[test]
fn a_warning_in_the_middle_of_an_exchange_brings_its_next_look_forward() {
    let mut story = Story::raised();
    let moves = story.look(20, &with_new(3, InService));
    assert_eq!(moves.look_at, Some(at(80)));
    assert_eq!(
        held(&mut story, 30, &with_new(3, InService)).look_at,
        Some(at(40))
    );
}

#[test]
fn no_more_are_held_than_the_item_can_take() {
    let mut story = Story::new();
    held(&mut story, 0, &group(2, &TWO));
    let one = story.state.under_way[&id(OLD)].clone();
    story.state.under_way.clear();
    let others = (0..500).map(|number| (id(&format!("i-{number:017x}")), one.clone()));
    story.state.under_way.extend(others);
    story.state.under_way.remove(&id(OLD));
    story.state.under_way.insert(id("i-0000000000000ffff"), one);
    let step = held(&mut story, 0, &group(2, &TWO));
    assert_eq!(step.acts, [Act::Leave { decrement: false }]);
}
