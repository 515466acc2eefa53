//! The policies that a person sets: as parameters of the stack, or as tags of one group. Only policies that more than
//! one program needs are here.
//!
//! The parameters of the stack are the defaults. Only [`of_group`] reads the tags; docs/policy.md documents them.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;

use crate::autoscaling::groups::Group;
use crate::autoscaling::scope::{IGNORE_TAG, MANAGED_TAG};
use crate::ecs::grace::GRACE_OF_AGENTS;
use crate::runtime::config::{Choice, ConfigError, Env};

/// A policy that a tag of a group can set in place of the stack's parameter.
pub trait ByTag: Sized {
    /// The key of the tag.
    const TAG: &'static str;
    /// The valid values, in words for people.
    const EXPECTED: &'static str;
    /// What applies if the value of the tag is not valid.
    const INSTEAD: &'static str = "the parameter of the stack";

    /// Reads the value of the tag; `None` if it is not valid.
    fn of_tag(value: &str) -> Option<Self>;
}

/// A tag of a group whose value is not valid. Something else applies, and the report says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownValue {
    /// The group.
    pub group: String,
    /// The key of the tag.
    pub tag: &'static str,
    /// Its value.
    pub found: String,
    /// The valid values, in words.
    pub expected: &'static str,
    /// What applies instead.
    pub instead: &'static str,
}

impl fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            tag,
            found,
            expected,
            instead,
        } = self;
        write!(
            f,
            "Auto Scaling group {group}: the tag {tag} is `{found}`, expected {expected}: {instead} applies"
        )
    }
}

/// The policy for an instance of `group`: from the group's tag, otherwise from the stack. Without a group, the stack's.
pub fn of_group<P: ByTag>(group: Option<&Group>, of_stack: P) -> (P, Option<UnknownValue>) {
    let tagged = group.and_then(|group| Some((group, group.tags.get(P::TAG)?)));
    let Some((group, value)) = tagged else {
        return (of_stack, None);
    };
    match P::of_tag(value.trim()) {
        Some(policy) => (policy, None),
        None => {
            let unknown = UnknownValue {
                group: group.name.clone(),
                tag: P::TAG,
                found: value.clone(),
                expected: P::EXPECTED,
                instead: P::INSTEAD,
            };
            (of_stack, Some(unknown))
        }
    }
}

/// All tags of ours that a group can have. Any other tag that begins like ours is a typing error.
pub const KNOWN_TAGS: &[&str] = &[
    IGNORE_TAG,
    MANAGED_TAG,
    ReplacementStrategy::TAG,
    RebalanceAction::TAG,
    StandaloneTasks::TAG,
    <KeepHealthy as ByTag>::TAG,
    DefaultStopTimeout::TAG,
    MaxDrain::TAG,
    DryRun::TAG,
    StopDocument::TAG,
    StopSeconds::TAG,
    StopWhen::TAG,
    SpotFallback::TAG,
];

/// Whether the functions only plan for a group, so that its team can try them while they act on other groups.
///
/// The tag cannot allow changes: with `DryRun=true` the stack has no permission to change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DryRun(pub bool);

impl DryRun {
    /// Whether the tag of the group asks for a dry run; and the value of the tag if it is not valid.
    pub fn of(group: Option<&Group>) -> (bool, Option<UnknownValue>) {
        let (Self(dry_run), unknown) = of_group(group, Self(false));
        (dry_run, unknown)
    }
}

impl ByTag for DryRun {
    const TAG: &'static str = "spot-handoff:dry-run";
    const EXPECTED: &'static str = "`true` or `false`";

    fn of_tag(value: &str) -> Option<Self> {
        Choice::spelled(value).map(Self)
    }
}

/// How long a termination lifecycle hook waits for tasks at most, counted from the notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxDrain(pub SignedDuration);

impl MaxDrain {
    /// Auto Scaling waits for 48 hours at most.
    /// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LifecycleHook.html>
    const SECONDS: std::ops::RangeInclusive<i64> = 1..=48 * 3600;
    /// Without the tag, only the hook's own limit applies.
    pub const NONE: Self = Self(SignedDuration::MAX);
}

impl ByTag for MaxDrain {
    const TAG: &'static str = "spot-handoff:max-drain";
    const EXPECTED: &'static str = "seconds from 1 to 172800";

    fn of_tag(value: &str) -> Option<Self> {
        let seconds = value
            .parse()
            .ok()
            .filter(|seconds| Self::SECONDS.contains(seconds))?;
        Some(Self(SignedDuration::from_secs(seconds)))
    }
}

/// The grace of a container without `stopTimeout`. It has to match the agents' `ECS_CONTAINER_STOP_TIMEOUT`.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultStopTimeout(pub SignedDuration);

impl DefaultStopTimeout {
    /// The default of the agents.
    pub const OF_AGENTS: Self = Self(GRACE_OF_AGENTS);

    const VARIABLE: &'static str = "DEFAULT_STOP_TIMEOUT";
    const SECONDS: std::ops::RangeInclusive<i64> = 1..=3600;

    /// `DEFAULT_STOP_TIMEOUT`, in seconds.
    ///
    /// # Errors
    /// If it is not a number of seconds from 1 to 3600.
    pub fn of_env(env: &Env) -> Result<Self, ConfigError> {
        let Some(found) = env.get(Self::VARIABLE) else {
            return Ok(Self::OF_AGENTS);
        };
        Self::of_tag(&found).ok_or_else(|| ConfigError::new(Self::VARIABLE, Self::EXPECTED, found))
    }
}

impl ByTag for DefaultStopTimeout {
    const TAG: &'static str = "spot-handoff:default-stop-timeout";
    const EXPECTED: &'static str = "seconds from 1 to 3600";

    fn of_tag(value: &str) -> Option<Self> {
        let seconds: i64 = value.parse().ok()?;
        let is_possible = Self::SECONDS.contains(&seconds);
        is_possible.then(|| Self(SignedDuration::from_secs(seconds)))
    }
}

/// The Command document of AWS Systems Manager that runs on an instance before AWS takes it, if the group names one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopDocument(pub Option<String>);

impl ByTag for StopDocument {
    const TAG: &'static str = "spot-handoff:stop-document";
    const EXPECTED: &'static str =
        "the name or the ARN of a Command document of this account, none of AWS's own";
    const INSTEAD: &'static str = "no document";

    /// AWS's own documents take shell commands as a parameter, and a tag of a group must not decide on those. Only
    /// AWS's documents may have names that begin with these words.
    /// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CreateDocument.html>
    fn of_tag(value: &str) -> Option<Self> {
        let name = match value.strip_prefix("arn:") {
            // arn:PARTITION:ssm:REGION:ACCOUNT:document/NAME
            Some(rest) => match rest.splitn(5, ':').collect::<Vec<_>>()[..] {
                [_, "ssm", _, account, resource] if !account.is_empty() => {
                    resource.strip_prefix("document/")?
                }
                _ => return None,
            },
            None => value,
        };
        let is_name = (3..=128).contains(&name.len())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        let lower = name.to_ascii_lowercase();
        let is_of_aws = ["aws", "amazon", "amzn"]
            .iter()
            .any(|word| lower.starts_with(word));
        (is_name && !is_of_aws).then(|| Self(Some(value.to_owned())))
    }
}

impl StopDocument {
    /// Whether the group names a document that can be run.
    pub fn is_asked_for(group: &Group) -> bool {
        of_group(Some(group), Self::default()).0.0.is_some()
    }
}

/// How long the stop script of an instance may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopSeconds(pub SignedDuration);

impl Default for StopSeconds {
    fn default() -> Self {
        Self(SignedDuration::from_secs(60))
    }
}

impl ByTag for StopSeconds {
    const TAG: &'static str = "spot-handoff:stop-seconds";
    const EXPECTED: &'static str = "seconds from 5 to 3600";
    const INSTEAD: &'static str = "60";

    fn of_tag(value: &str) -> Option<Self> {
        let seconds: i64 = value.parse().ok()?;
        let is_possible = (5..=3600).contains(&seconds);
        is_possible.then(|| Self(SignedDuration::from_secs(seconds)))
    }
}

/// When the stop script of an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StopWhen {
    /// When the instance's targets are out; at the latest when the time left is just enough for the script.
    #[default]
    TargetsOut,
    /// At once.
    Now,
}

impl ByTag for StopWhen {
    const TAG: &'static str = "spot-handoff:stop-when";
    const EXPECTED: &'static str = "`now` or `targets-out`";
    const INSTEAD: &'static str = "`targets-out`";

    fn of_tag(value: &str) -> Option<Self> {
        match value {
            "now" => Some(Self::Now),
            "targets-out" => Some(Self::TargetsOut),
            _ => None,
        }
    }
}

/// What happens to standalone tasks. Draining does not stop them, and the end of the instance kills them without
/// warning.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-draining.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandaloneTasks {
    /// Stop them at the last moment that still lets their containers end in order.
    StopLate,
    /// Stop them at once.
    StopNow,
    /// Leave them alone.
    Leave,
}

impl Choice for StandaloneTasks {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("stop-late", Self::StopLate),
        ("stop-now", Self::StopNow),
        ("leave", Self::Leave),
    ];
}

impl ByTag for StandaloneTasks {
    const TAG: &'static str = "spot-handoff:standalone-tasks";
    const EXPECTED: &'static str = "`stop-late`, `stop-now` or `leave`";

    fn of_tag(value: &str) -> Option<Self> {
        Self::spelled(value)
    }
}

/// How an interrupted instance leaves its group so that the group launches the replacement at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplacementStrategy {
    /// Detach it: it keeps its two minutes. Termination lifecycle hooks do not run.
    Detach,
    /// Terminate it through Auto Scaling: termination lifecycle hooks run.
    Terminate,
    /// Terminate it if a termination lifecycle hook waits for spot-handoff, otherwise detach it.
    Auto,
}

impl Choice for ReplacementStrategy {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("detach", Self::Detach),
        ("terminate", Self::Terminate),
        ("auto", Self::Auto),
    ];
}

impl ByTag for ReplacementStrategy {
    const TAG: &'static str = "spot-handoff:strategy";
    const EXPECTED: &'static str = "`auto`, `detach` or `terminate`";

    fn of_tag(value: &str) -> Option<Self> {
        Self::spelled(value)
    }
}

/// What percentage of the serving targets of a target group has to stay when a target under notice leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeepHealthy(u8);

impl KeepHealthy {
    /// The tag with which a group sets its own percentage.
    pub const TAG: &'static str = "spot-handoff:keep-healthy";
    /// The valid values, in words.
    pub const EXPECTED: &'static str = "a whole number from 0 to 100";

    const VARIABLE: &'static str = "KEEP_HEALTHY";

    /// `KEEP_HEALTHY`, in percent.
    ///
    /// # Errors
    /// If it is not a whole number from 0 to 100.
    pub fn of_env(env: &Env) -> Result<Self, ConfigError> {
        match env.get(Self::VARIABLE) {
            None => Ok(Self::default()),
            Some(found) => found
                .parse()
                .map_err(|expected| ConfigError::new(Self::VARIABLE, expected, &found)),
        }
    }

    /// This share of `all`, rounded up.
    pub fn of(self, all: usize) -> usize {
        all.saturating_mul(usize::from(self.0)).div_ceil(100)
    }
}

impl Default for KeepHealthy {
    fn default() -> Self {
        Self(50)
    }
}

impl FromStr for KeepHealthy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text.trim().parse().ok().filter(|percent| *percent <= 100);
        percent.map(Self).ok_or(Self::EXPECTED)
    }
}

impl ByTag for KeepHealthy {
    const TAG: &'static str = Self::TAG;
    const EXPECTED: &'static str = Self::EXPECTED;

    fn of_tag(value: &str) -> Option<Self> {
        value.parse().ok()
    }
}

/// What a rebalance recommendation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebalanceAction {
    /// Launch a replacement, move the work to it, terminate the instance.
    LaunchFirst,
    /// Nothing.
    Ignore,
}

impl Choice for RebalanceAction {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("launch-first", Self::LaunchFirst), ("ignore", Self::Ignore)];
}

impl ByTag for RebalanceAction {
    const TAG: &'static str = "spot-handoff:rebalance";
    const EXPECTED: &'static str = "`launch-first` or `ignore`";

    fn of_tag(value: &str) -> Option<Self> {
        Self::spelled(value)
    }
}

/// Whether On-Demand Instances fill a group while Spot has no capacity for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpotFallback {
    /// Never, whatever a group's tag says. The stack has no permission for it.
    Off,
    /// In groups whose tag asks for it.
    Tagged,
    /// Everywhere, unless the group's tag says otherwise.
    OnDemand,
}

impl SpotFallback {
    /// Whether On-Demand fills a group: its tag decides, within what the stack allows. Also returns the tag's value if
    /// it is not valid.
    pub fn of(self, group: &Group) -> (bool, Option<UnknownValue>) {
        let (policy, unknown) = of_group(Some(group), self);
        (self != Self::Off && policy == Self::OnDemand, unknown)
    }

    /// Whether the group asks for it, but the stack does not allow it.
    pub fn is_forbidden(self, group: &Group) -> bool {
        self == Self::Off && of_group(Some(group), self).0 == Self::OnDemand
    }
}

impl Choice for SpotFallback {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("tagged", Self::Tagged),
        ("on-demand", Self::OnDemand),
    ];
}

impl ByTag for SpotFallback {
    const TAG: &'static str = "spot-handoff:fallback";
    const EXPECTED: &'static str = "`on-demand` or `off`";

    fn of_tag(value: &str) -> Option<Self> {
        Self::spelled(value).filter(|policy| *policy != Self::Tagged)
    }
}

/// How much of a group On-Demand Instances fill, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FallbackBounds {
    /// The highest percentage of the group.
    percent: u8,
    /// How long launches of Spot have to fail first.
    pub after: SignedDuration,
}

impl FallbackBounds {
    const MAX: &'static str = "SPOT_FALLBACK_MAX";
    const AFTER: &'static str = "SPOT_FALLBACK_AFTER";
    /// The watch over a group ends after half an hour.
    const SECONDS: std::ops::RangeInclusive<i64> = 0..=1500;

    /// This percentage of a group, after this time.
    pub fn new(percent: u8, after: SignedDuration) -> Self {
        Self { percent, after }
    }

    /// `SPOT_FALLBACK_MAX`, in percent, and `SPOT_FALLBACK_AFTER`, in seconds.
    ///
    /// # Errors
    /// If one of them is not a number, or out of its bounds.
    pub fn of_env(env: &Env) -> Result<Self, ConfigError> {
        let percent = match env.get(Self::MAX) {
            None => 25,
            Some(found) => {
                let percent = found.trim().parse().ok();
                let expected = "a whole number from 1 to 100";
                let percent = percent.filter(|percent| (1..=100).contains(percent));
                percent.ok_or_else(|| ConfigError::new(Self::MAX, expected, &found))?
            }
        };
        let after = match env.get(Self::AFTER) {
            None => 60,
            Some(found) => {
                let seconds = found.trim().parse().ok();
                let seconds = seconds.filter(|seconds| Self::SECONDS.contains(seconds));
                seconds.ok_or_else(|| ConfigError::new(Self::AFTER, "seconds from 0 to 1500", &found))?
            }
        };
        Ok(Self::new(percent, SignedDuration::from_secs(after)))
    }

    /// The highest number of On-Demand Instances for this desired capacity; at least one.
    pub fn most(self, desired: u32) -> u32 {
        (desired.saturating_mul(u32::from(self.percent)) / 100).max(1)
    }
}

/// Names of the lifecycle hooks that wait for this function.
///
/// Every hook of a group sends its own event. To complete a hook that waits for somebody else would take their time
/// away. So the function completes only hooks that are named here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleHooks(Vec<String>);

impl LifecycleHooks {
    /// Reads a list of names, separated by commas; `*` at the end of a name stands for any ending.
    pub fn of(list: &str) -> Self {
        Self(
            list.split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
        )
    }

    /// `LIFECYCLE_HOOKS`. If it is not set: the hooks whose names begin with `spot-handoff-`.
    pub fn of_env(env: &Env) -> Self {
        Self::of(&env.get("LIFECYCLE_HOOKS").unwrap_or("spot-handoff-*".to_owned()))
    }

    /// Whether a hook is one of them.
    pub fn include(&self, hook: &str) -> bool {
        self.0.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => hook.starts_with(beginning),
            None => hook == name,
        })
    }
}

#[cfg(test)]
mod tests;
