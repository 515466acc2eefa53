//! Exchanges in a small world in which anything may happen: copies, kills, stale reads, warnings, and people who set
//! the desired capacity. In any case, the world ends with the capacity that somebody asked for last.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::notice::{Cause, InstanceId};

const BEGAN: i32 = 6;
/// Somebody who meddles sets a number that no change of ours passes through.
const FAR: [i32; 2] = [1, 14];

fn id(number: usize) -> InstanceId {
    format!("i-{number:017x}").parse().expect("an id")
}

fn at(seconds: i64) -> Timestamp {
    let begin: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
    begin + SignedDuration::from_secs(seconds)
}

#[derive(Debug, Clone, Copy)]
enum Happens {
    Begin(usize),
    Warning(usize),
    /// Its targets are still needed.
    HeldWarning(usize),
    CallOff(usize),
    /// An instance fails, and Auto Scaling replaces it.
    Dies(usize),
    Passes(i64),
    SetBySomebody(i32),
}

fn any_happening(with_people: bool) -> impl Strategy<Value = Happens> {
    let instance = 0..BEGAN as usize;
    let people = if with_people { 1 } else { 0 };
    prop_oneof![
        4 => instance.clone().prop_map(Happens::Begin),
        2 => instance.clone().prop_map(Happens::Warning),
        1 => instance.clone().prop_map(Happens::HeldWarning),
        1 => instance.clone().prop_map(Happens::CallOff),
        1 => instance.prop_map(Happens::Dies),
        6 => (1..60i64).prop_map(Happens::Passes),
        people => proptest::sample::select(FAR.to_vec()).prop_map(Happens::SetBySomebody),
    ]
}

/// What goes wrong with one decision.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    None,
    /// The invocation ends before it has written.
    KilledBefore,
    /// The invocation ends after it has written, and before it has done anything.
    KilledBetween,
    /// It has done everything, and the message comes again.
    Copied,
    /// It read the group as it was a moment ago.
    Stale,
}

fn any_trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        6 => Just(Trouble::None),
        1 => Just(Trouble::KilledBefore),
        1 => Just(Trouble::KilledBetween),
        1 => Just(Trouble::Copied),
        1 => Just(Trouble::Stale),
    ]
}

struct World {
    now: i64,
    desired: i32,
    members: BTreeMap<InstanceId, (Lifecycle, i64)>,
    drains: BTreeSet<InstanceId>,
    works: bool,
    launched: usize,
    state: Exchanges,
    messages: Vec<(i64, InstanceId, Asked)>,
    troubles: Vec<Trouble>,
    before: Group,
    asked_for: i32,
}

impl World {
    fn new(works: bool, troubles: Vec<Trouble>) -> Self {
        let members = (0..BEGAN as usize).map(|number| (id(number), (InService, -100)));
        let mut world = Self {
            now: 0,
            desired: BEGAN,
            members: members.collect(),
            drains: BTreeSet::new(),
            works,
            launched: 0,
            state: Exchanges::none("g", at(0)),
            messages: vec![],
            troubles,
            before: Group::default(),
            asked_for: BEGAN,
        };
        world.before = world.group();
        world
    }

    fn group(&self) -> Group {
        let member = |(id, (lifecycle, _)): (&InstanceId, &(Lifecycle, i64))| Member {
            id: id.clone(),
            zone: String::new(),
            lifecycle: *lifecycle,
        };
        Group {
            name: "g".to_owned(),
            desired: self.desired,
            min: 1,
            max: 20,
            instances: self.members.iter().map(member).collect(),
            ..Group::default()
        }
    }

    fn counted(&self) -> i32 {
        let there = |(lifecycle, _): &&(Lifecycle, i64)| matches!(lifecycle, Pending | InService);
        state::count(self.members.values().filter(there))
    }

    /// Auto Scaling launches what is missing, and terminates the oldest if there are too many.
    fn settle(&mut self) {
        while self.counted() < self.desired {
            self.launched += 1;
            self.members.insert(id(1000 + self.launched), (Pending, self.now));
        }
        while self.counted() > self.desired {
            let oldest = self
                .members
                .iter_mut()
                .find(|(_, one)| matches!(one.0, Pending | InService));
            if let Some((_, one)) = oldest {
                *one = (Terminating, self.now);
            }
        }
    }

    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now += 1;
            let now = self.now;
            for one in self.members.values_mut() {
                if one.0 == Pending && now - one.1 >= 20 {
                    *one = (InService, now);
                }
            }
            self.members
                .retain(|_, one| !matches!(one.0, Terminating | Detaching) || now - one.1 < 15);
            let due: Vec<_> = self.messages.extract_if(.., |message| message.0 <= now).collect();
            for (_, instance, asked) in due {
                self.turn(&instance, asked);
            }
            self.before = self.group();
        }
    }

    fn ask(&mut self, instance: usize, asked: Asked) {
        self.turn(&id(instance), asked);
    }

    fn turn(&mut self, instance: &InstanceId, asked: Asked) {
        let trouble = self.troubles.pop().unwrap_or(Trouble::None);
        let again = (self.now + 65, instance.clone(), asked);
        if trouble == Trouble::KilledBefore {
            self.messages.push(again);
            return;
        }
        let group = match trouble {
            Trouble::Stale => self.before.clone(),
            _ => self.group(),
        };
        let old_enough = |one: &&(Lifecycle, i64)| self.works && self.now - one.1 >= 10;
        let ready = self.members.iter().filter(|(_, one)| old_enough(one));
        let ready: BTreeSet<InstanceId> = ready.map(|(id, _)| id.clone()).collect();
        let asked_now = match asked {
            // A look at an instance under notice asks the same as the warning did.
            Asked::Interrupted {
                held_until: Some(moment),
                deadline,
            } if at(self.now) >= moment => Asked::Interrupted {
                held_until: None,
                deadline,
            },
            asked => asked,
        };
        let seen = Seen {
            now: at(self.now),
            instance,
            asked: asked_now,
            group: Some(&group),
            ready: &ready,
            drains: self.drains.contains(instance),
        };
        let (state, step) = next(&self.state, &seen);
        self.state = state;
        if trouble == Trouble::KilledBetween {
            self.messages.push(again);
            return;
        }
        for act in &step.acts {
            self.carry_out(instance, act);
        }
        self.settle();
        if let Some(at_time) = step.look_at {
            let seconds = at_time.duration_since(at(0)).as_secs();
            let next_asked = match asked {
                Asked::Interrupted { .. } => asked,
                _ => Asked::Look,
            };
            self.messages.push((seconds, instance.clone(), next_asked));
        }
        if trouble == Trouble::Copied {
            self.messages.push((self.now + 1, instance.clone(), asked));
        }
    }

    fn carry_out(&mut self, old: &InstanceId, act: &Act) {
        match act {
            Act::SetDesired { to } => self.desired = *to,
            Act::MoveWork { .. } => {
                self.drains.insert(old.clone());
                self.messages.push((self.now + 30, old.clone(), Asked::WorkMoved));
            }
            Act::Leave { decrement } => self.leave(old, *decrement),
            Act::Terminate { replacement } => self.leave(replacement, true),
        }
    }

    fn leave(&mut self, instance: &InstanceId, decrement: bool) {
        let now = self.now;
        if let Some(one) = self.members.get_mut(instance)
            && matches!(one.0, Pending | InService)
        {
            *one = (Terminating, now);
            if decrement {
                self.desired -= 1;
            }
        }
    }

    fn happens(&mut self, what: Happens) {
        let now = self.now;
        match what {
            Happens::Begin(instance) => {
                let serves = self
                    .members
                    .get(&id(instance))
                    .is_some_and(|one| one.0 == InService);
                if serves {
                    let limit = at(now) + LIMIT;
                    let cause = Cause::Retirement;
                    self.ask(instance, Asked::Begin { cause, limit });
                }
            }
            Happens::Warning(instance) | Happens::HeldWarning(instance) => {
                let is_held = matches!(what, Happens::HeldWarning(_));
                let serves = self
                    .members
                    .get(&id(instance))
                    .is_some_and(|one| one.0 == InService);
                if serves {
                    let deadline = at(now + 120);
                    let held_until = is_held.then(|| at(now + 110));
                    self.ask(instance, Asked::Interrupted { held_until, deadline });
                }
            }
            Happens::CallOff(instance) => self.ask(instance, Asked::CallOff),
            Happens::Dies(instance) => {
                self.leave(&id(instance), false);
                self.settle();
            }
            Happens::Passes(seconds) => self.pass(seconds),
            Happens::SetBySomebody(to) if to != self.asked_for => {
                self.desired = to;
                self.asked_for = to;
                self.settle();
            }
            // The number before our raises looks the same as a raise that has not arrived yet.
            Happens::SetBySomebody(_) => {}
        }
    }
}

use Lifecycle::{Detaching, InService, Pending, Terminating};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_exchange_ends_with_the_capacity_of_before(
        happenings in vec(any_happening(false), 1..25), troubles in vec(any_trouble(), 0..40), works: bool,
    ) {
        let mut world = World::new(works, troubles);
        for what in happenings {
            world.happens(what);
            let raises = state::count(world.state.under_way.values());
            prop_assert!(world.desired <= BEGAN + raises, "more raises than exchanges: {:?}", world.state);
            prop_assert!(world.desired >= BEGAN - raises, "lowered what is not its own: {:?}", world.state);
        }
        world.pass(2600);
        prop_assert!(world.state.under_way.is_empty(), "{:?}", world.state);
        prop_assert_eq!(world.desired, BEGAN);
        prop_assert!(world.messages.is_empty());
    }

    #[test]
    fn whoever_sets_the_desired_capacity_has_it(
        happenings in vec(any_happening(true), 1..25), works: bool,
    ) {
        let mut world = World::new(works, vec![]);
        for what in happenings {
            world.happens(what);
            // If our call and theirs happen at the same moment, nobody can tell them apart.
            if matches!(what, Happens::SetBySomebody(_)) {
                world.pass(25);
            }
        }
        world.pass(2600);
        prop_assert!(world.state.under_way.is_empty(), "{:?}", world.state);
        prop_assert_eq!(world.desired, world.asked_for);
        prop_assert_eq!(world.counted(), world.asked_for);
    }
}
