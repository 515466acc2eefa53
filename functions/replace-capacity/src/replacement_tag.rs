//! The tag on a group that says what is under way for one of its instances.
//!
//! Auto Scaling has no transaction that launches one instance and retires another, and SetDesiredCapacity has no token.
//! The tag is what makes the exchange happen once: it is written before anything is launched and says what, so that a
//! repeated message resumes, and an interruption warning in between knows whether a replacement is there already.
//!
//! An exchange holds the desired capacity one higher than it was, and that one has to be given back once. Whoever takes
//! the instance out of the group *with* decrement gives it back, and says so beforehand by a second tag: a warning that
//! knew of the exchange, or the exchange itself. A step that finds the instance gone and no such tag gives it back:
//! the warning came in the same moment and did not know, or somebody else took the instance away.
//!
//! A group can carry 50 tags. An exchange needs one of them, and two while its instance leaves.
//! <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html>

use jiff::Timestamp;
use spot_handoff::exchanges::{instance_of, tag_of};
use spot_handoff::groups::Group;
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
            _ => None,
        }
    }
}

/// What is under way for an instance of the group. A value that nobody here wrote counts as nothing.
pub fn exchange_of(group: &Group, instance: &InstanceId) -> Option<Exchange> {
    Exchange::of_value(group.tags.get(&tag_of(instance))?)
}

/// The instances whose exchanges count on the desired capacity having been raised from this value, in the order of
/// their ids. Where MaxSize leaves no room for all, the first ones have it.
pub fn raised_from(group: &Group, from: i32) -> Vec<&str> {
    let counts_on_it = |value: &str| matches!(Exchange::of_value(value), Some(Exchange::Raising { from: f } | Exchange::Raised { from: f }) if f == from);
    // The tag of an instance that has left says nothing any more.
    let is_member = |id: &&str| group.instances.iter().any(|member| member.id.as_str() == *id);
    let tags = group.tags.iter().filter(|(_, value)| counts_on_it(value));
    tags.filter_map(|(key, _)| instance_of(key))
        .filter(is_member)
        .collect()
}

#[cfg(test)]
mod tests {
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
}
