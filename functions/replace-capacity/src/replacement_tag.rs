//! The tag on a group that says what is under way for one of its instances.
//!
//! Auto Scaling has no transaction that launches one instance and retires another, and SetDesiredCapacity has no token.
//! The tag is what makes the exchange happen once: it is written before anything is launched and says what, so that a
//! repeated message resumes, and an interruption warning in between knows whether a replacement is there already.
//!
//! An exchange holds the desired capacity one higher than it was, and that one has to be given back once. Whoever takes
//! the instance out of the group *with* decrement gives it back, and says so beforehand by a second tag: a warning that
//! knew of the exchange, or the exchange itself. A step that finds the instance gone and no such tag gives it back:
//! the warning came in the same moment and did not know, or somebody else took the instance away. An exchange that gives
//! back what it raised says in its own tag first what that is, so that a repetition sees whether it is done.
//!
//! A group can carry 50 tags. An exchange needs one of them, and two while its instance leaves.
//! <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html>

use jiff::Timestamp;
use spot_handoff::autoscaling::groups::{Group, Lifecycle};
use spot_handoff::exchange::{instance_of, tag_of};
use spot_handoff::notice::InstanceId;

const LEFT_KEY: &str = "spot-handoff:left:";

/// How far the exchange of an instance has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// LaunchInstances is, or was, called.
    Launching(Attempt),
    /// The replacement is launched.
    Launched {
        /// The replacement.
        replacement: InstanceId,
    },
    /// The desired capacity is, or was, being raised by one, counted from this value.
    Raising {
        /// The desired capacity before.
        from: i32,
    },
    /// The desired capacity has been raised by one, counted from this value.
    Raised {
        /// The desired capacity before.
        from: i32,
    },
    /// It ends without its purpose, and this is being given back, or has been.
    GivingBack(Surplus),
}

/// What an exchange has raised, and how it is given back. Whether it has been can be seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Surplus {
    /// This instance is terminated, and the desired capacity goes down with it.
    Instance(InstanceId),
    /// The desired capacity goes down by one from this value.
    Capacity {
        /// The value.
        from: i32,
    },
}

/// What tells one call of LaunchInstances for an instance from another: the client token is made of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The Availability Zone.
    pub zone: String,
    /// When its exchange was asked for, to the minute. Auto Scaling remembers a token for eight hours, in which an instance
    /// whose exchange was given up may be exchanged again; messages of the same moment have the same token.
    /// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/launch-instances-synchronously.html>
    pub begun: Timestamp,
}

/// The key of the tag that says that an instance leaves with decrement.
pub fn left_key(instance: &InstanceId) -> String {
    format!("{LEFT_KEY}{instance}")
}

/// Whether whoever took the instance out of the group has given back what its exchange had raised.
pub fn left_with_decrement(group: &Group, instance: &InstanceId) -> bool {
    group.tags.contains_key(&left_key(instance))
}

impl Exchange {
    /// The value of the tag.
    pub fn to_value(&self) -> String {
        match self {
            Self::Launching(Attempt { zone, begun }) => format!("launching {zone} {begun}"),
            Self::Launched { replacement } => format!("launched {replacement}"),
            Self::Raising { from } => format!("raising {from}"),
            Self::Raised { from } => format!("raised {from}"),
            Self::GivingBack(Surplus::Instance(replacement)) => format!("terminating {replacement}"),
            Self::GivingBack(Surplus::Capacity { from }) => format!("lowering {from}"),
        }
    }

    fn of_value(value: &str) -> Option<Self> {
        match value.split_once(' ')? {
            ("launching", attempt) => {
                let (zone, begun) = attempt.split_once(' ')?;
                Some(Self::Launching(Attempt {
                    zone: zone.to_owned(),
                    begun: begun.parse().ok()?,
                }))
            }
            ("launched", id) => Some(Self::Launched {
                replacement: id.parse().ok()?,
            }),
            ("raising", from) => Some(Self::Raising {
                from: from.parse().ok()?,
            }),
            ("raised", from) => Some(Self::Raised {
                from: from.parse().ok()?,
            }),
            ("terminating", id) => Some(Self::GivingBack(Surplus::Instance(id.parse().ok()?))),
            ("lowering", from) => Some(Self::GivingBack(Surplus::Capacity {
                from: from.parse().ok()?,
            })),
            _ => None,
        }
    }
}

/// What is under way for an instance of the group. A value that nobody here wrote counts as nothing.
pub fn exchange_of(group: &Group, instance: &InstanceId) -> Option<Exchange> {
    Exchange::of_value(group.tags.get(&tag_of(instance))?)
}

/// The raises of the desired capacity of a group that began at one value.
#[derive(Debug, PartialEq, Eq)]
pub struct Raises<'a> {
    /// How many of them are done and are in the desired capacity.
    pub done: i32,
    /// The instances of those that may not be in it yet, in the order of their ids. Where MaxSize leaves no room for all,
    /// the first ones have it.
    pub under_way: Vec<&'a str>,
}

impl<'a> Raises<'a> {
    /// Those from this value.
    ///
    /// One that is done counts only as far as the desired capacity is higher than the value: else a raise of before has
    /// been given back since, and the value, which was read later, is without it.
    pub fn from(group: &'a Group, from: i32) -> Self {
        let of = |wanted: &Exchange| -> Vec<&'a str> {
            let is_it = |value: &str| Exchange::of_value(value).is_some_and(|exchange| exchange == *wanted);
            // The tag of an instance that leaves says nothing any more.
            let serves = |id: &&str| {
                let mut members = group.instances.iter();
                members.any(|member| member.id.as_str() == *id && member.lifecycle == Lifecycle::InService)
            };
            let tags = group.tags.iter().filter(|(_, value)| is_it(value));
            tags.filter_map(|(key, _)| instance_of(key))
                .filter(serves)
                .collect()
        };
        let done = i32::try_from(of(&Exchange::Raised { from }).len()).unwrap_or(i32::MAX);
        Self {
            done: done.min(group.desired.saturating_sub(from)).max(0),
            under_way: of(&Exchange::Raising { from }),
        }
    }

    /// The desired capacity that they count on, as far as MaxSize allows.
    pub fn wanted(group: &Group, from: i32) -> i32 {
        let Raises { done, under_way } = Raises::from(group, from);
        let under_way = i32::try_from(under_way.len()).unwrap_or(i32::MAX);
        from.saturating_add(done).saturating_add(under_way).min(group.max)
    }

    /// Whether MaxSize has room for the raise of this instance.
    pub fn has_room(group: &Group, from: i32, instance: &InstanceId) -> bool {
        let Raises { done, under_way } = Raises::from(group, from);
        let rank = under_way.iter().position(|id| *id == instance.as_str());
        let before = i32::try_from(rank.unwrap_or(0)).unwrap_or(i32::MAX);
        from.saturating_add(done).saturating_add(before) < group.max
    }
}

#[cfg(test)]
mod tests {
    use spot_handoff::autoscaling::groups::Member;

    use super::*;

    #[test]
    fn every_state_of_an_exchange_survives_the_tag() {
        let id: InstanceId = "i-1234567890abcdef0".parse().expect("an id");
        for exchange in [
            Exchange::Launching(Attempt {
                zone: "us-east-1a".to_owned(),
                begun: "2026-11-24T04:00:00Z".parse().expect("a time"),
            }),
            Exchange::Launched {
                replacement: id.clone(),
            },
            Exchange::Raising { from: 6 },
            Exchange::Raised { from: 6 },
            Exchange::GivingBack(Surplus::Instance(id.clone())),
            Exchange::GivingBack(Surplus::Capacity { from: 7 }),
        ] {
            let mut group = Group::default();
            group.tags.insert(tag_of(&id), exchange.to_value());
            assert_eq!(exchange_of(&group, &id), Some(exchange));
        }
    }

    #[test]
    fn a_value_nobody_here_wrote_counts_as_nothing() {
        for value in [
            "",
            "launching",
            "launching us-east-1a",
            "launching us-east-1a soon",
            "launched soon",
            "raising x",
            "done i-1234567890abcdef0",
        ] {
            assert_eq!(Exchange::of_value(value), None, "{value}");
        }
    }

    /// A group with instances 0, 1, 2 … that have these tags.
    fn tagged(desired: i32, tags: &[&str]) -> Group {
        let mut group = Group {
            desired,
            max: 10,
            ..Group::default()
        };
        for (number, tag) in tags.iter().enumerate() {
            let id: InstanceId = format!("i-{number:017}").parse().expect("an id");
            group.tags.insert(tag_of(&id), (*tag).to_owned());
            group.instances.push(Member {
                id,
                zone: "us-east-1a".to_owned(),
                lifecycle: Lifecycle::InService,
            });
        }
        group
    }

    #[test]
    fn raises_that_begin_at_the_same_value_are_counted_once_each() {
        let table = [
            ("alone", 5, 5, &["raising 5"][..], 6),
            ("two at once", 5, 5, &["raising 5", "raising 5"], 7),
            (
                "the other is quicker, and knew of this one",
                7,
                5,
                &["raising 5", "raised 5"],
                7,
            ),
            (
                "the other is quicker, and did not",
                6,
                5,
                &["raising 5", "raised 5"],
                7,
            ),
            (
                "the other has written the capacity only",
                6,
                5,
                &["raising 5", "raising 5"],
                7,
            ),
            ("a later one", 6, 6, &["raised 5", "raising 6"], 7),
            (
                "one of before, and another given back since",
                6,
                6,
                &["raised 6", "raising 6"],
                7,
            ),
            ("one that gives back", 5, 5, &["lowering 5", "raising 5"], 6),
        ];
        for (what, desired, from, tags, wanted) in table {
            assert_eq!(Raises::wanted(&tagged(desired, tags), from), wanted, "{what}");
        }
        let mut leaves = tagged(5, &["raised 5", "raising 5"]);
        leaves.desired = 6;
        leaves.instances[0].lifecycle = Lifecycle::Terminating;
        assert_eq!(
            Raises::wanted(&leaves, 5),
            6,
            "the raise of an instance that leaves"
        );
    }

    #[test]
    fn where_max_size_has_no_room_for_all_the_first_ones_have_it() {
        let mut group = tagged(9, &["raising 9", "raising 9"]);
        let room = |group: &Group| {
            let members = group.instances.iter();
            members
                .map(|member| Raises::has_room(group, 9, &member.id))
                .collect::<Vec<_>>()
        };
        assert_eq!(room(&group), [true, false]);
        assert_eq!(Raises::wanted(&group, 9), 10);
        group.max = 11;
        assert_eq!(room(&group), [true, true]);
    }
}
