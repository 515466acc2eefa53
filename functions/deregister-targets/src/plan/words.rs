//! The texts of a plan: the reasons to leave something alone, and the warnings.

use std::fmt;

use spot_handoff::autoscaling::policies::UnknownValue;
use spot_handoff::autoscaling::scope::OutOfScope;
use spot_handoff::elb::holding::LONGEST_DRAINING;

use crate::facts::found::OtherWay;

/// Why something is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// The instance is not ours to act on.
    OutOfScope(OutOfScope),
    /// A rebalance recommendation or a retirement: the replacement comes first.
    WaitsForReplacement,
    /// The instance is being stopped, but nobody will terminate it because of that.
    MayStartAgain,
    /// It is a Managed Instance of ECS.
    ManagedByEcs,
    /// The instance is in a group, but not, or no longer, in this target group of the group.
    NotRegistered,
    /// The target is deregistered, and already drains its connections.
    AlreadyDraining,
    /// Nothing was taken from the instance, so there is nothing to give back.
    NothingTaken,
    /// The target is registered again.
    RegisteredAgain,
    /// The target group has been deleted.
    TargetGroupGone,
    /// The instance is in no group and no cluster, and registered in no target group.
    RegisteredNowhere,
    /// The instance is in no group and no cluster, and the function does not search for such instances.
    NotSearched,
    /// The instance is in no group and no cluster, and not all target groups could be looked at.
    SearchEnded {
        /// How many were looked at.
        looked_at: usize,
        /// How many were not looked at.
        rest: usize,
    },
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfScope(why) => why.fmt(f),
            Self::WaitsForReplacement => write!(f, "its targets stay until a replacement is in service"),
            Self::MayStartAgain => write!(
                f,
                "it may be started again: the load balancers find out by themselves that it is stopped"
            ),
            Self::ManagedByEcs => write!(
                f,
                "it is a Managed Instance of ECS, which takes its targets out itself"
            ),
            Self::NotRegistered => write!(f, "the instance is not registered in this target group"),
            Self::AlreadyDraining => write!(f, "already deregistered; its connections are draining"),
            Self::NothingTaken => write!(f, "it runs, and was not deregistered before"),
            Self::RegisteredAgain => write!(f, "registered again already"),
            Self::TargetGroupGone => write!(f, "the target group has been deleted"),
            Self::RegisteredNowhere => {
                write!(
                    f,
                    "in no Auto Scaling group, no ECS cluster and no target group: nothing to deregister"
                )
            }
            Self::NotSearched => write!(
                f,
                "in no Auto Scaling group and no ECS cluster; LoneInstances is `leave`, so no target group is searched"
            ),
            Self::SearchEnded { looked_at, rest } => write!(
                f,
                "in no Auto Scaling group and no ECS cluster: {looked_at} target groups were searched for it, {rest} were \
                 not, to leave AWS's request rate to others"
            ),
        }
    }
}

/// A setting that causes trouble, or something that nobody handles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The deregistration delay is longer than the notice.
    LongDeregistrationDelay {
        /// ARN of the target group.
        target_group: String,
        /// The delay in seconds.
        seconds: i64,
    },
    /// A tag of the group has a value that is not valid.
    UnknownPolicy(UnknownValue),
    /// The deregistrations could not be recorded, so the targets stay out when the instance is back.
    NotRemembered {
        /// Why.
        why: String,
    },
    /// The table did not answer.
    TableUnread {
        /// ARN of the target group.
        target_group: String,
        /// Why.
        why: String,
    },
    /// A Gateway Load Balancer keeps its flows on a target.
    FlowsStay {
        /// ARN of the target group.
        target_group: String,
    },
    /// Requests reach the service in other ways than through target groups.
    OtherWay {
        /// The service or the group.
        of: String,
        /// The way.
        way: OtherWay,
    },
    /// A target is held, and has no end at which it leaves by itself.
    HeldWithoutEnd {
        /// ARN of the target group.
        target_group: String,
    },
}

impl Warning {
    /// Whether it can come up between two looks. The report on the notice itself has the others.
    pub fn is_news_in_a_look(&self) -> bool {
        matches!(self, Self::TableUnread { .. } | Self::HeldWithoutEnd { .. })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongDeregistrationDelay {
                target_group,
                seconds,
            } => write!(
                f,
                "{target_group}: deregistration delay is {seconds} s, longer than the 120 s that an interruption leaves; \
                 set deregistration_delay.timeout_seconds to {} or less",
                LONGEST_DRAINING.as_secs()
            ),
            Self::UnknownPolicy(unknown) => unknown.fmt(f),
            Self::NotRemembered { why } => write!(
                f,
                "the table could not record what was deregistered, so it stays out of its target groups when the instance is \
                 back: register it then: {why}"
            ),
            Self::TableUnread { target_group, why } => write!(
                f,
                "{target_group}: it is not known what other invocations take away, so only this one's facts decided: {why}"
            ),
            Self::FlowsStay { target_group } => write!(
                f,
                "{target_group}: a Gateway Load Balancer keeps flows on their target until they end; no call moves them"
            ),
            Self::OtherWay { of, way } => match way {
                OtherWay::CloudMap => write!(
                    f,
                    "{of} is registered in AWS Cloud Map: ECS takes a task out when it stops, and nobody does so earlier"
                ),
                OtherWay::VpcLattice => write!(
                    f,
                    "{of} is reached by VPC Lattice, whose targets spot-handoff does not deregister"
                ),
            },
            Self::HeldWithoutEnd { target_group } => write!(
                f,
                "{target_group}: no other target serves and none came; nobody looks again until the instance stops"
            ),
        }
    }
}
