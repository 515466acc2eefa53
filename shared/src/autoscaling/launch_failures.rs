//! Why a launch of Auto Scaling failed, in plain words, and what to do about it.
//!
//! The input is the message of the scaling activity. It is a sentence for people, and AWS rewords it at times. If we do
//! not know the message, we quote it.
//! <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html>

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest message that we keep. It goes into the table and into reports.
const LONGEST: usize = 400;

/// What kept Auto Scaling from launching an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// Spot has no capacity for what the group asks for.
    NoSpotCapacity,
    /// The account may run no more Spot Instances.
    SpotQuota,
    /// The group's maximum Spot price is below the current Spot price.
    SpotPrice,
    /// EC2 has no On-Demand capacity for what the group asks for.
    NoCapacity,
    /// The account may run no more instances.
    Quota,
    /// A launch lifecycle hook abandoned the instance.
    LaunchHook,
    /// Something in the launch template cannot be used: the image, the key pair, a security group, a permission.
    Template,
    /// Anything else.
    Other,
}

/// Words in AWS's messages; the most specific ones first.
const WORDS: [(&str, Trouble); 14] = [
    ("lifecycle action", Trouble::LaunchHook),
    ("maxspotinstancecountexceeded", Trouble::SpotQuota),
    ("max spot instance count exceeded", Trouble::SpotQuota),
    ("spotmaxpricetoolow", Trouble::SpotPrice),
    ("vcpulimitexceeded", Trouble::Quota),
    ("instancelimitexceeded", Trouble::Quota),
    ("vcpu capacity than your current vcpu limit", Trouble::Quota),
    ("spot capacity", Trouble::NoSpotCapacity),
    ("unfulfillablecapacity", Trouble::NoCapacity),
    ("insufficientinstancecapacity", Trouble::NoCapacity),
    ("do not have sufficient", Trouble::NoCapacity),
    ("does not exist", Trouble::Template),
    ("not authorized", Trouble::Template),
    ("invalid", Trouble::Template),
];

impl Trouble {
    /// The trouble that the message of a failed activity describes.
    pub fn of(message: &str) -> Self {
        let message = message.to_lowercase();
        let said = WORDS.iter().find(|(words, _)| message.contains(words));
        let trouble = said.map_or(Self::Other, |(_, trouble)| *trouble);
        match trouble {
            Self::NoCapacity if message.contains("spot instances") => Self::NoSpotCapacity,
            Self::Quota if message.contains("spot instances") => Self::SpotQuota,
            trouble => trouble,
        }
    }

    /// Whether Auto Scaling might still launch an On-Demand Instance.
    pub fn is_of_spot(self) -> bool {
        matches!(self, Self::NoSpotCapacity | Self::SpotQuota | Self::SpotPrice)
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::NoSpotCapacity => {
                "give the group more instance types and zones, with the allocation strategy \
                 price-capacity-optimized, or a share of On-Demand"
            }
            Self::SpotQuota => "ask for a higher quota of Spot vCPUs in Service Quotas",
            Self::SpotPrice => {
                "take the highest price for Spot out of the group: the On-Demand price is the limit then"
            }
            Self::NoCapacity => "give the group more instance types and zones",
            Self::Quota => "ask for a higher quota of On-Demand vCPUs in Service Quotas",
            Self::LaunchHook => {
                "look at what completes the launch lifecycle hook, and at the user data of the instances"
            }
            Self::Template => {
                "look at the launch template of the group: the image, the key pair, the security groups, the role"
            }
            Self::Other => "look at the activity history of the group",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSpotCapacity => "Spot has no capacity for what the group asks for",
            Self::SpotQuota => "the account may run no more Spot Instances",
            Self::SpotPrice => "the group pays less for Spot than it costs now",
            Self::NoCapacity => "EC2 has no capacity for what the group asks for",
            Self::Quota => "the account may run no more On-Demand Instances",
            Self::LaunchHook => "a launch lifecycle hook abandoned the new instance",
            Self::Template => "the launch template of the group cannot be used",
            Self::Other => "the launch failed",
        })
    }
}

/// A launch that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LaunchFailure {
    /// What went wrong.
    pub trouble: Trouble,
    /// What AWS says.
    pub message: String,
}

impl LaunchFailure {
    /// The failure whose activity has this message.
    pub fn of(message: &str) -> Self {
        Self {
            trouble: Trouble::of(message),
            message: message.chars().take(LONGEST).collect(),
        }
    }
}

impl fmt::Display for LaunchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trouble, message } = self;
        match message.trim() {
            "" => write!(f, "{trouble}"),
            message => write!(f, "{trouble} ({})", message.trim_end_matches('.')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_that_people_quote_are_understood() {
        let table = [
            (
                "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request \
                 configuration. Please adjust your request and try again. Launching EC2 instance failed.",
                Trouble::NoSpotCapacity,
            ),
            (
                "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available that \
                 matches your request. Launching EC2 instance failed.",
                Trouble::NoSpotCapacity,
            ),
            (
                "Max spot instance count exceeded. Launching EC2 instance failed.",
                Trouble::SpotQuota,
            ),
            (
                "Could not launch Spot Instances. MaxSpotInstanceCountExceeded - Max spot instance count exceeded. \
                 Launching EC2 instance failed.",
                Trouble::SpotQuota,
            ),
            (
                "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more vCPU capacity than your \
                 current vCPU limit of 32 allows for the instance bucket. Launching EC2 instance failed.",
                Trouble::Quota,
            ),
            (
                "We currently do not have sufficient p3.8xlarge capacity in the Availability Zone you requested \
                 (us-east-1a). Launching EC2 instance failed.",
                Trouble::NoCapacity,
            ),
            (
                "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token x was abandoned: \
                 Lifecycle Action Completed with ABANDON Result",
                Trouble::LaunchHook,
            ),
            (
                "The security group 'sg-1' does not exist. Launching EC2 instance failed.",
                Trouble::Template,
            ),
            ("Something that AWS thinks of next year.", Trouble::Other),
            ("", Trouble::Other),
        ];
        for (message, expected) in table {
            assert_eq!(Trouble::of(message), expected, "{message}");
        }
    }

    #[test]
    fn only_what_spot_lacks_can_be_helped_by_on_demand() {
        let helped = [Trouble::NoSpotCapacity, Trouble::SpotQuota, Trouble::SpotPrice];
        for (_, trouble) in WORDS {
            assert_eq!(trouble.is_of_spot(), helped.contains(&trouble), "{trouble:?}");
        }
        assert!(!Trouble::Other.is_of_spot());
    }

    #[test]
    fn a_failure_is_told_in_plain_words_and_in_those_of_aws() {
        let told = LaunchFailure::of("Max spot instance count exceeded.").to_string();
        assert_eq!(
            told,
            "the account may run no more Spot Instances (Max spot instance count exceeded)"
        );
        assert_eq!(LaunchFailure::of("").to_string(), "the launch failed");
        let long = LaunchFailure::of(&"x".repeat(9000));
        assert_eq!(long.message.len(), LONGEST);
    }
}
