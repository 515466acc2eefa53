//! Which targets may leave their target group now, and which are held until a successor serves or the last safe moment
//! comes.
//!
//! This is a pure function. deregister-targets and replace-capacity both call it with what they see. So they get the
//! same answer from the same facts.
//!
//! If an instance is under notice, its targets are doomed. A doomed target never counts as one that stays, whichever
//! invocation wrote it down. The targets that stay have to carry the load: [`Seen::keep_healthy`] percent of those that
//! served before the first notice, at least one. If too few stay, that many doomed targets are held. The others leave
//! now.
//!
//! Two invocations do not rely on each other. The batches write down a target group's doomed targets one after the
//! other, and each batch has read those of the batches before it ([`Doomed::order`]). The youngest are held first. So a
//! batch holds its own targets. It never relies on an older batch to hold one: that batch may have let it go before it
//! could know.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::autoscaling::policies::KeepHealthy;
use crate::elb::health::{Registered, State, Target};

/// The last healthy target leaves this long before its end. The load balancer still sends it requests for up to four
/// seconds. If it left earlier, there would be no target for a while, and every request would fail, not only the long
/// ones.
pub const LAST_LEAVES_BEFORE: SignedDuration = SignedDuration::from_secs(5);

/// The least time that other targets get, in which short requests end.
pub const SHORTEST_DRAINING: SignedDuration = SignedDuration::from_secs(10);

/// The most time that other targets get to let requests end: half of an interruption's notice. The default
/// deregistration delay, 300 s, does not fit into the notice, and says nothing about the requests.
pub const LONGEST_DRAINING: SignedDuration = SignedDuration::from_secs(60);

/// The load balancer that sends requests to a target group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Balancer {
    /// An Application Load Balancer. Also used if the kind is not known, since the most is held for it.
    Application,
    /// A Network Load Balancer. It sends new connections to a deregistered target for about two minutes, and the notice
    /// is no longer than that. So a target leaves at once, unless it is the last one.
    Network,
    /// A Gateway Load Balancer. Its flows stick to their target until they end.
    Gateway,
}

/// A target that is about to end, or all targets of an instance that is about to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// Instance id or IP address.
    pub id: String,
    /// The port of a task's target. `None` for an instance: all ports of the id.
    pub port: Option<i32>,
    /// When it ends: the deadline of the instance, or the moment at which its task is stopped. `None` if no moment is
    /// known, as in an exchange.
    pub serves_until: Option<Timestamp>,
    /// When the task is stopped if it is the last of its service, if that is later.
    pub as_last: Option<Timestamp>,
    /// Its place in the order in which the batches wrote: greater is younger. With only one batch, all have the same.
    pub order: u64,
}

impl Doomed {
    fn is(&self, target: &Target) -> bool {
        self.id == target.id && (self.port.is_none() || self.port == target.port)
    }
}

/// What is known about a target group when deciding.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// The kind of load balancer.
    pub balancer: Balancer,
    /// The percentage that has to stay.
    pub keep_healthy: KeepHealthy,
    /// The deregistration delay of the target group; `None` if it is not known.
    pub deregistration_delay: Option<SignedDuration>,
    /// The registered targets.
    pub registered: &'a [Registered],
    /// The doomed targets of this batch and of others.
    pub doomed: &'a [Doomed],
    /// How many served when the first notice came, if that was written down; otherwise 0.
    pub served_before: usize,
    /// Now.
    pub now: Timestamp,
}

/// The decision about a doomed target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It can be deregistered.
    LeavesNow,
    /// It stays until a successor serves.
    Held(Held),
}

/// Why a target is held, and for how long at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Held {
    /// Its last safe moment. Then it leaves in any case. `None` if no moment is known.
    pub until: Option<Timestamp>,
    /// How many serving targets are not doomed.
    pub staying: usize,
    /// How many targets have to serve.
    pub needed: usize,
}

impl Verdict {
    /// Why and how long it is held, if it is.
    pub fn held(self) -> Option<Held> {
        match self {
            Self::LeavesNow => None,
            Self::Held(held) => Some(held),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { staying, needed, .. } = self;
        match staying {
            0 => write!(f, "no other target serves")?,
            _ => write!(
                f,
                "{staying} of the {needed} targets that have to serve would stay"
            )?,
        }
        match self.until {
            Some(until) => write!(
                f,
                "; held until a successor serves, at the latest until {until:.0}"
            ),
            None => write!(f, "; held until a successor serves"),
        }
    }
}

/// Decides about every doomed target that is registered and not draining.
pub fn decide(seen: &Seen<'_>) -> BTreeMap<Target, Verdict> {
    let doom = |registered: &&Registered| Doom::of(&registered.target, seen.doomed);
    let serves = serving(seen.registered);
    let of_all = seen.registered.iter().filter(|one| serves(one.state));
    let (going, staying): (Vec<_>, Vec<_>) = of_all.partition(|one| doom(one).is_some());
    let (going, staying) = (going.len(), staying.len());
    let needed = needed(seen, going + staying);

    let mut doomed: Vec<(&Registered, Doom)> = seen
        .registered
        .iter()
        .filter(|one| one.state != State::Draining)
        .filter_map(|one| Some((one, doom(&one)?)))
        .collect();
    doomed.sort_by_key(|(one, doom)| {
        (
            Reverse(doom.order),
            doom.lives_longest_first(),
            one.target.clone(),
        )
    });
    let mut held = 0;
    let mut verdict = |one: &Registered, doom: &Doom| {
        if !serves(one.state) {
            return Verdict::LeavesNow;
        }
        let is_last = staying == 0 && held == 0;
        let until = doom.last_moment(seen, is_last);
        let has_come = until.is_some_and(|until| until <= seen.now);
        if has_come || staying + held >= needed {
            return Verdict::LeavesNow;
        }
        held += 1;
        Verdict::Held(Held {
            until,
            staying,
            needed,
        })
    };
    doomed
        .iter()
        .map(|(one, doom)| (one.target.clone(), verdict(one, doom)))
        .collect()
}

/// The targets that have passed their checks, and those of a load balancer that does not check. Requests may reach others
/// too, but nobody can say whether those answer: a target that has not passed a check may not listen yet.
pub fn healthy_targets(registered: &[Registered]) -> impl Iterator<Item = &Target> {
    registered
        .iter()
        .filter(|one| is_healthy(one.state))
        .map(|one| &one.target)
}

/// How many targets requests reach.
pub fn serving_count(registered: &[Registered]) -> usize {
    let serves = serving(registered);
    registered.iter().filter(|one| serves(one.state)).count()
}

fn is_healthy(state: State) -> bool {
    matches!(state, State::Healthy | State::Unavailable)
}

/// In which states requests reach a target. If no target of a group is healthy, requests go to all of them.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html>
fn serving(registered: &[Registered]) -> impl Fn(State) -> bool + use<> {
    let any_healthy = registered.iter().any(|one| is_healthy(one.state));
    move |state| match state {
        State::Healthy | State::Unavailable => true,
        State::Unhealthy | State::Initial => !any_healthy,
        State::Draining | State::Unused => false,
    }
}

/// How many targets have to stay if this many serve.
fn needed(seen: &Seen<'_>, serving: usize) -> usize {
    match seen.balancer {
        Balancer::Application => {
            let share = seen.keep_healthy.of(serving.max(seen.served_before));
            share.max(1)
        }
        Balancer::Network | Balancer::Gateway => 1,
    }
}

/// What is known about the end of one target: the earliest moment that anybody wrote down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Doom {
    /// When its instance ends.
    instance_ends: Option<Timestamp>,
    /// When its task is stopped, if that is known.
    task_stops: Option<Timestamp>,
    /// The same, if the task is the last of its service.
    last_task_stops: Option<Timestamp>,
    order: u64,
}

impl Doom {
    fn of(target: &Target, doomed: &[Doomed]) -> Option<Self> {
        let about = doomed.iter().filter(|doomed| doomed.is(target));
        about
            .map(|doomed| {
                let is_task = doomed.port.is_some();
                Self {
                    instance_ends: doomed.serves_until.filter(|_| !is_task),
                    task_stops: doomed.serves_until.filter(|_| is_task),
                    last_task_stops: doomed.as_last.or(doomed.serves_until).filter(|_| is_task),
                    order: doomed.order,
                }
            })
            .reduce(|one, other| Self {
                instance_ends: earlier(one.instance_ends, other.instance_ends),
                task_stops: earlier(one.task_stops, other.task_stops),
                last_task_stops: earlier(one.last_task_stops, other.last_task_stops),
                order: one.order.min(other.order),
            })
    }

    fn serves_until(&self) -> Option<Timestamp> {
        earlier(self.instance_ends, self.task_stops)
    }

    /// The last moment at which the target can leave in order.
    ///
    /// Its requests have the deregistration delay to end before the instance ends. Before the task is stopped, they
    /// need only the shortest time: a server that gets SIGTERM finishes its requests within its grace. The last target
    /// serves for as long as the instance and the task allow.
    fn last_moment(&self, seen: &Seen<'_>, is_last: bool) -> Option<Timestamp> {
        let delay = seen.deregistration_delay.unwrap_or(LONGEST_DRAINING);
        let of_instance = if is_last {
            LAST_LEAVES_BEFORE
        } else {
            delay.clamp(SHORTEST_DRAINING, LONGEST_DRAINING)
        };
        let (task_stops, of_task) = if is_last {
            (self.last_task_stops, LAST_LEAVES_BEFORE)
        } else {
            (self.task_stops, SHORTEST_DRAINING)
        };
        let before = |end: Timestamp, span| end.saturating_sub(span).unwrap_or(end);
        earlier(
            self.instance_ends.map(|end| before(end, of_instance)),
            task_stops.map(|end| before(end, of_task)),
        )
    }

    fn lives_longest_first(&self) -> (bool, Reverse<Option<Timestamp>>) {
        (self.serves_until().is_some(), Reverse(self.serves_until()))
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests;
