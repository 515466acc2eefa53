//! The next step of an exchange: a pure function of the state in the table and the facts.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::capacity::{self, SETTLES, Standing};
use super::restraint::{self, Brake};
use super::state::{Ending, Exchange, Exchanges, Stage, count, is_coming_or_there};
use crate::autoscaling::groups::{Group, Lifecycle, Member};
use crate::notice::{Cause, InstanceId};

/// How often to look whether the replacement is there.
pub const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// How often to look while drain-tasks moves the work, in case its answer is lost.
pub const LOOK_SELDOM: SignedDuration = SignedDuration::from_secs(60);
/// The most exchanges in the item of a group. An exchange takes some 300 bytes, beside the ids of all members, and
/// DynamoDB allows 400 KB for an item. Beyond that, an instance under notice leaves at once.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const MOST_UNDER_WAY: usize = 500;
/// A delayed message comes up to this much early, since SQS takes whole seconds, and a look takes a moment.
const EARLY: SignedDuration = SignedDuration::from_secs(2);

/// What is asked about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Replace it; the replacement comes first.
    Begin {
        /// Why.
        cause: Cause,
        /// When the replacement has to be there.
        limit: Timestamp,
    },
    /// Look how far the exchange is.
    Look,
    /// The work has moved.
    WorkMoved,
    /// The work cannot move, or somebody ends the exchange by hand.
    CallOff,
    /// An interruption warning has come for it.
    Interrupted {
        /// Until when its targets are needed at the latest. `None` if they are not needed: it leaves at once.
        held_until: Option<Timestamp>,
        /// When AWS takes it.
        deadline: Timestamp,
    },
}

/// The facts at one look.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// When.
    pub now: Timestamp,
    /// The instance that is to be replaced.
    pub instance: &'a InstanceId,
    /// What is asked.
    pub asked: Asked,
    /// The group; `None` if it was deleted.
    pub group: Option<&'a Group>,
    /// The members that could take the work: ACTIVE in the cluster, and healthy in every target group in which the
    /// instance is healthy.
    pub ready: &'a BTreeSet<InstanceId>,
    /// Whether the instance is DRAINING in its cluster.
    pub drains: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// Set the desired capacity of the group. If there are several for one group, the last one counts.
    SetDesired {
        /// The desired capacity.
        to: i32,
    },
    /// Ask drain-tasks to move the work.
    MoveWork {
        /// The instance that takes the work.
        replacement: InstanceId,
    },
    /// Take the instance out of its group.
    Leave {
        /// Whether the desired capacity goes down with it.
        decrement: bool,
    },
    /// Terminate a replacement that is not needed. The desired capacity goes down with it.
    Terminate {
        /// The replacement.
        replacement: InstanceId,
    },
}

/// What the report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The exchange is under way, and its next look will come.
    UnderWay,
    /// The instance has no exchange.
    NoExchange,
    /// The exchange is over.
    Over(Ending),
    /// MaxSize has no room for a replacement beside the instance.
    NoRoom {
        /// MaxSize.
        max: i32,
    },
    /// The instance serves until its target may leave. Its replacement is launched only then.
    NotRaised(NotRaised),
    /// replace-capacity does not act on the recommendation.
    Held(Brake),
    /// The work has moved, but the replacement was lost since then.
    ReplacementLost,
}

/// Why nothing is launched beside an instance that serves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotRaised {
    /// MaxSize has no room for one more.
    NoRoom {
        /// MaxSize.
        max: i32,
    },
    /// The instance types have weights, so one unit of capacity is not one instance.
    Weighted,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// What to do once the state is written to the table.
    pub acts: Vec<Act>,
    /// When to look again. `None` if nothing is under way, or another message will come.
    pub look_at: Option<Timestamp>,
    /// What the report says.
    pub told: Vec<Told>,
}

/// Decides about one instance of the group: the state to write to the table, and what to do after that.
///
/// The acts can be repeated: a number is absolute, and an instance leaves once. If another invocation has written the
/// state first, the caller reads again and asks again.
pub fn next(state: &Exchanges, seen: &Seen<'_>) -> (Exchanges, Step) {
    let mut state = state.clone();
    let Some(group) = seen.group else {
        let was_under_way = state.under_way.remove(seen.instance).is_some();
        let told = if was_under_way {
            Told::Over(Ending::GroupGone)
        } else {
            Told::NoExchange
        };
        let step = Step {
            told: vec![told],
            ..Step::default()
        };
        return (state, step);
    };
    let standing = capacity::look(&mut state, group, seen.now);
    let mut turn = Turn {
        state,
        seen,
        group,
        standing,
        step: Step::default(),
    };
    if let Standing::OnItsWay { again: Some(to) } = standing {
        turn.step.acts.push(Act::SetDesired { to });
    }
    match seen.asked {
        Asked::Begin { cause, limit } => turn.begin(cause, limit),
        Asked::Look => turn.look(),
        Asked::WorkMoved => turn.work_moved(),
        Asked::CallOff => turn.call_off(),
        Asked::Interrupted { held_until, deadline } => turn.interrupted(held_until.is_none(), deadline),
    }
    if let Some(at) = turn.step.look_at
        && let Some(exchange) = turn.state.under_way.get_mut(seen.instance)
    {
        let at = match seen.asked {
            // Look no later than at its last moment.
            Asked::Interrupted {
                held_until: Some(moment),
                ..
            } if moment > seen.now => at.min(moment),
            _ => at,
        };
        turn.step.look_at = Some(at);
        exchange.next_look = at;
    }
    (turn.state, turn.step)
}

/// One decision, while it is made.
struct Turn<'a> {
    state: Exchanges,
    seen: &'a Seen<'a>,
    group: &'a Group,
    standing: Standing,
    step: Step,
}

impl Turn<'_> {
    fn begin(&mut self, cause: Cause, limit: Timestamp) {
        if let Some(exchange) = self.exchange() {
            if self.comes_again(exchange) {
                self.tell(Told::UnderWay);
            } else {
                self.look();
            }
            return;
        }
        if cause == Cause::Rebalance
            && let Some(brake) = restraint::of_group(&self.state, self.group, self.seen.now)
        {
            self.tell(Told::Held(brake));
            return;
        }
        self.enter(cause, limit);
    }

    /// Begins a new exchange. Raises at once, unless the desired capacity is not as we left it.
    fn enter(&mut self, cause: Cause, limit: Timestamp) {
        let now = self.seen.now;
        if self.state.under_way.is_empty() {
            let members = self.group.instances.iter();
            self.state.known = members.map(|member| member.id.clone()).collect();
        }
        let exchange = Exchange {
            cause,
            begun: now,
            limit,
            raised: false,
            already: BTreeSet::new(),
            replacement: None,
            stage: Stage::Waiting,
            next_look: now,
        };
        self.state.under_way.insert(self.seen.instance.clone(), exchange);
        self.raise();
    }

    /// Raises the desired capacity by one, if there is room and the desired capacity is as we left it.
    fn raise(&mut self) {
        if self.standing == Standing::Doubted {
            self.look_again(LOOK_AGAIN);
            return;
        }
        let is_interrupted = matches!(self.seen.asked, Asked::Interrupted { .. });
        let max = self.group.max;
        let has_no_room = capacity::meant(&self.state, self.group) >= max;
        // An instance under notice serves on in any case. There may be room at a later look.
        if is_interrupted && (has_no_room || self.group.is_weighted) {
            let why = match self.group.is_weighted {
                true => NotRaised::Weighted,
                false => NotRaised::NoRoom { max },
            };
            self.tell(Told::NotRaised(why));
            self.look_again(LOOK_AGAIN);
            return;
        }
        if has_no_room {
            self.state.under_way.remove(self.seen.instance);
            self.tidy();
            self.tell(Told::NoRoom { max });
            return;
        }
        let to = capacity::change(&mut self.state, self.group, 1, self.seen.now);
        // An instance under notice needs no newcomer of its own: any that serves will do.
        let earlier = self.state.unknown(self.group).filter(|_| !is_interrupted);
        let already: BTreeSet<InstanceId> = earlier.map(|member| member.id.clone()).collect();
        if let Some(exchange) = self.state.under_way.get_mut(self.seen.instance) {
            exchange.raised = true;
            exchange.already = already;
            exchange.stage = Stage::Awaiting;
        }
        self.set_desired(to);
        self.look_again(LOOK_AGAIN);
    }

    fn look(&mut self) {
        let Some(exchange) = self.exchange().cloned() else {
            self.tell(Told::NoExchange);
            return;
        };
        if self.seen.asked == Asked::Look && self.comes_again(&exchange) {
            self.tell(Told::UnderWay);
            return;
        }
        match exchange.stage {
            Stage::Leaving { decrement, since } => self.leaving(decrement, since),
            Stage::GivingBack { why, instance, since } => self.giving_back(why, instance, since),
            _ if !self.serves() => self.give_back(Ending::LeftMeanwhile),
            Stage::Waiting if self.is_late(&exchange) => self.over(Ending::Overruled),
            Stage::Waiting => self.raise(),
            Stage::Awaiting => self.awaiting(&exchange),
            Stage::Moving => self.moving(&exchange),
            Stage::Moved => self.moved(&exchange),
        }
    }

    fn awaiting(&mut self, exchange: &Exchange) {
        let in_service = |member: &&Member| member.lifecycle == Lifecycle::InService;
        let came: Vec<&Member> = self.state.newcomers(exchange, self.group).collect();
        let serving: Vec<&&Member> = came.iter().filter(|member| in_service(member)).collect();
        let ready = serving.iter().find(|member| self.seen.ready.contains(&member.id));
        if let Some(replacement) = ready.map(|member| member.id.clone()) {
            if let Some(exchange) = self.state.under_way.get_mut(self.seen.instance) {
                exchange.replacement = Some(replacement.clone());
                exchange.stage = Stage::Moving;
            }
            self.step.acts.push(Act::MoveWork { replacement });
            self.look_again(LOOK_SELDOM);
        } else if self.is_late(exchange) {
            let why = if serving.is_empty() {
                Ending::NeverCame
            } else {
                Ending::NeverReady
            };
            self.give_back(why);
        } else if !exchange.raised && came.is_empty() && !self.is_unfilled() {
            self.over(Ending::Overruled);
        } else {
            self.look_again(LOOK_AGAIN);
        }
    }

    /// drain-tasks says when the work has moved, and waits until the limit at most. If its answer is lost, the instance
    /// itself shows which way to go: it drains, or it does not.
    fn moving(&mut self, exchange: &Exchange) {
        let answers_by = exchange.limit.saturating_add(LOOK_SELDOM);
        if self.seen.now < answers_by.unwrap_or(exchange.limit) {
            self.look_again(LOOK_SELDOM);
        } else if self.seen.drains {
            self.moved(exchange);
        } else {
            self.give_back(Ending::CalledOff);
        }
    }

    fn work_moved(&mut self) {
        match self.exchange().cloned() {
            Some(exchange) if matches!(exchange.stage, Stage::Moving | Stage::Moved) => {
                if self.serves() {
                    self.moved(&exchange);
                } else {
                    self.give_back(Ending::LeftMeanwhile);
                }
            }
            Some(_) => self.look(),
            None => self.tell(Told::NoExchange),
        }
    }

    /// The instance leaves as soon as its replacement serves, or as many others serve as the group asks for.
    fn moved(&mut self, exchange: &Exchange) {
        let in_service = |member: &&Member| member.lifecycle == Lifecycle::InService;
        let mut members = self.group.instances.iter().filter(in_service);
        let is_replaced = members.any(|member| Some(&member.id) == exchange.replacement.as_ref());
        let members = self.group.instances.iter().filter(in_service);
        let others = count(members.filter(|member| member.id != *self.seen.instance));
        let is_covered = is_replaced || (self.group.desired > 0 && others >= self.group.desired - 1);
        let is_clear = matches!(self.standing, Standing::AsMeant | Standing::NotOurs);
        if is_clear && (is_covered || self.is_late(exchange)) {
            // The instance drains and has no work any more, so it leaves in any case. Auto Scaling launches what is
            // missing.
            if !is_covered {
                self.tell(Told::ReplacementLost);
            }
            self.leave();
            return;
        }
        self.set_stage(Stage::Moved);
        self.look_again(LOOK_AGAIN);
    }

    /// Takes the instance out. Lowers the raise with it, if the raise is in the desired capacity and MinSize allows it.
    fn leave(&mut self) {
        let is_raised = self.exchange().is_some_and(|exchange| exchange.raised);
        let decrement =
            is_raised && self.standing == Standing::AsMeant && self.group.desired > self.group.min;
        self.set_stage(Stage::Leaving {
            decrement,
            since: self.seen.now,
        });
        self.set_raised(false);
        if decrement {
            capacity::change(&mut self.state, self.group, -1, self.seen.now);
        }
        self.step.acts.push(Act::Leave { decrement });
        self.look_again(LOOK_AGAIN);
    }

    fn leaving(&mut self, decrement: bool, since: Timestamp) {
        let is_clear = matches!(self.standing, Standing::AsMeant | Standing::NotOurs);
        if !self.serves() && is_clear {
            self.over(Ending::Exchanged);
            return;
        }
        if self.serves() && is_clear && self.seen.now.duration_since(since) >= SETTLES {
            // The call was not made, or had no effect. Somebody may have set the desired capacity since then.
            let decrement =
                decrement && self.standing == Standing::AsMeant && self.group.desired > self.group.min;
            let since = self.seen.now;
            self.set_stage(Stage::Leaving { decrement, since });
            self.step.acts.push(Act::Leave { decrement });
        }
        self.look_again(LOOK_AGAIN);
    }

    fn call_off(&mut self) {
        match self.exchange().map(|exchange| exchange.stage.clone()) {
            None => self.tell(Told::NoExchange),
            Some(Stage::Leaving { .. } | Stage::GivingBack { .. }) => self.look(),
            // Its work is already moving, and ECS places no new work on it.
            Some(Stage::Moving | Stage::Moved) if self.seen.drains && self.serves() => {
                if let Some(exchange) = self.exchange().cloned() {
                    self.moved(&exchange);
                }
            }
            Some(_) => self.give_back(Ending::CalledOff),
        }
    }

    /// Begins to give back: the exchange ends without a replacement.
    fn give_back(&mut self, why: Ending) {
        let since = self.seen.now;
        self.set_stage(Stage::GivingBack {
            why,
            instance: None,
            since,
        });
        self.giving_back(why, None, since);
    }

    fn giving_back(&mut self, why: Ending, instance: Option<InstanceId>, since: Timestamp) {
        let now = self.seen.now;
        let is_clear = matches!(self.standing, Standing::AsMeant | Standing::NotOurs);
        let is_raised = self.exchange().is_some_and(|exchange| exchange.raised);
        if !is_clear {
            self.look_again(LOOK_AGAIN);
            return;
        }
        if let Some(id) = &instance
            && self.is_coming_or_there(id)
        {
            // Somebody else has set the desired capacity, so there is nothing of ours to lower, and it stays.
            if self.standing == Standing::NotOurs {
                self.over(why);
                return;
            }
            if now.duration_since(since) >= SETTLES {
                let replacement = id.clone();
                self.step.acts.push(Act::Terminate { replacement });
                self.set_stage(Stage::GivingBack {
                    why,
                    instance,
                    since: now,
                });
            }
            self.look_again(LOOK_AGAIN);
            return;
        }
        let is_ours = is_raised && self.standing == Standing::AsMeant;
        if !is_ours || self.group.desired <= self.group.min {
            self.over(why);
            return;
        }
        self.set_raised(false);
        let surplus = self.surplus();
        self.set_stage(Stage::GivingBack {
            why,
            instance: surplus.clone(),
            since: now,
        });
        let to = capacity::change(&mut self.state, self.group, -1, now);
        match surplus {
            Some(replacement) => self.step.acts.push(Act::Terminate { replacement }),
            None => self.set_desired(to),
        }
        self.look_again(LOOK_AGAIN);
    }

    /// Which instance goes with the raise. `None` if nothing came of the raise: then only the desired capacity is
    /// lowered.
    fn surplus(&self) -> Option<InstanceId> {
        let exchange = self.exchange()?;
        let is_gone = !self.serves();
        if is_gone && self.is_unfilled() {
            // Without the instance the group is short, so it needs the newcomer: Auto Scaling launches no other.
            return None;
        }
        let newcomers: Vec<&Member> = self.state.newcomers(exchange, self.group).collect();
        let pending = newcomers
            .iter()
            .find(|member| member.lifecycle == Lifecycle::Pending);
        let own = newcomers
            .iter()
            .find(|member| Some(&member.id) == exchange.replacement.as_ref());
        let other = newcomers
            .iter()
            .rfind(|member| Some(&member.id) != exchange.replacement.as_ref());
        // If the instance is gone, its replacement has its work.
        let chosen = if is_gone {
            pending.or(other).or(own)
        } else {
            own.or(pending).or(other)
        };
        chosen.map(|member| member.id.clone())
    }

    fn interrupted(&mut self, leaves: bool, deadline: Timestamp) {
        self.state.warned = Some(self.seen.now);
        let Some(exchange) = self.state.under_way.get_mut(self.seen.instance) else {
            if !self.serves() {
                self.tell(Told::NoExchange);
            } else if leaves || self.state.under_way.len() >= MOST_UNDER_WAY {
                self.step.acts.push(Act::Leave { decrement: false });
            } else {
                self.enter(Cause::Interruption, deadline);
            }
            return;
        };
        let was_interrupted = exchange.cause == Cause::Interruption;
        exchange.cause = Cause::Interruption;
        exchange.limit = exchange.limit.min(deadline);
        let exchange = exchange.clone();
        match exchange.stage {
            Stage::Leaving { decrement, since } => self.leaving(decrement, since),
            _ if !self.serves() => self.look(),
            Stage::GivingBack { why, instance, since } => {
                if leaves {
                    self.step.acts.push(Act::Leave { decrement: false });
                }
                self.giving_back(why, instance, since);
            }
            _ if !leaves && was_interrupted && self.comes_again(&exchange) => self.tell(Told::UnderWay),
            Stage::Waiting if !leaves => self.raise(),
            _ if !leaves => self.look_again(LOOK_AGAIN),
            _ if exchange.raised && self.standing != Standing::AsMeant => {
                // The next look shows whether the raise is in the desired capacity, and gives it back.
                let is_unseen = self.group.desired < capacity::meant(&self.state, self.group);
                if is_unseen && self.standing != Standing::Doubted {
                    self.set_raised(false);
                    capacity::change(&mut self.state, self.group, -1, self.seen.now);
                }
                self.set_stage(Stage::GivingBack {
                    why: Ending::LeftMeanwhile,
                    instance: None,
                    since: self.seen.now,
                });
                self.step.acts.clear();
                self.step.acts.push(Act::Leave { decrement: false });
                self.look_again(LOOK_AGAIN);
            }
            _ => self.leave(),
        }
    }

    /// The exchange is over.
    fn over(&mut self, why: Ending) {
        if let Some(exchange) = self.state.under_way.remove(self.seen.instance)
            && exchange.cause == Cause::Rebalance
        {
            self.state.recommendation_over = Some(self.seen.now);
        }
        self.tidy();
        self.step.look_at = None;
        self.tell(Told::Over(why));
    }

    fn tidy(&mut self) {
        if self.state.under_way.is_empty() {
            self.state.capacity = None;
            self.state.known.clear();
        }
    }

    fn exchange(&self) -> Option<&Exchange> {
        self.state.under_way.get(self.seen.instance)
    }

    fn set_stage(&mut self, stage: Stage) {
        if let Some(exchange) = self.state.under_way.get_mut(self.seen.instance) {
            exchange.stage = stage;
        }
    }

    fn set_raised(&mut self, raised: bool) {
        if let Some(exchange) = self.state.under_way.get_mut(self.seen.instance) {
            exchange.raised = raised;
        }
    }

    fn set_desired(&mut self, to: i32) {
        let set = |act: &Act| matches!(act, Act::SetDesired { .. });
        self.step.acts.retain(|act| !set(act));
        self.step.acts.push(Act::SetDesired { to });
    }

    fn tell(&mut self, told: Told) {
        self.step.told.push(told);
    }

    fn look_again(&mut self, after: SignedDuration) {
        let at = self.seen.now.saturating_add(after);
        self.step.look_at = Some(at.unwrap_or(self.seen.now));
    }

    /// Whether this message is a copy: the next message of the exchange is still to come.
    fn comes_again(&self, exchange: &Exchange) -> bool {
        exchange.next_look.duration_since(self.seen.now) > EARLY
    }

    fn is_late(&self, exchange: &Exchange) -> bool {
        self.seen.now >= exchange.limit
    }

    fn serves(&self) -> bool {
        let mut members = self.group.instances.iter();
        members.any(|member| member.id == *self.seen.instance && member.lifecycle == Lifecycle::InService)
    }

    fn is_coming_or_there(&self, id: &InstanceId) -> bool {
        let mut members = self.group.instances.iter();
        members.any(|member| member.id == *id && is_coming_or_there(member))
    }

    /// Whether the group has fewer instances than its desired capacity.
    fn is_unfilled(&self) -> bool {
        let there = self.group.instances.iter().filter(|one| is_coming_or_there(one));
        count(there) < self.group.desired
    }
}
