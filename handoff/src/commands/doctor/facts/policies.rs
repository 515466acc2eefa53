//! The policies of a group: from its tags, otherwise from the parameters of the stack.

use spot_handoff::autoscaling::policies::{
    ByTag, DefaultStopTimeout, DryRun, KNOWN_TAGS, KeepHealthy, MaxDrain, RebalanceAction,
    ReplacementStrategy, SpotFallback, StandaloneTasks, UnknownValue, of_group,
};
use spot_handoff::runtime::config::Choice;

use super::{Group, Settings};

/// How every tag of ours begins.
const PREFIX: &str = "spot-handoff:";

/// The policies of a group, or of an instance in no group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// How an interrupted instance leaves.
    pub strategy: ReplacementStrategy,
    /// What a rebalance recommendation leads to.
    pub rebalance: RebalanceAction,
    /// What happens to standalone tasks.
    pub standalone_tasks: StandaloneTasks,
    /// What percentage has to stay in a target group.
    pub keep_healthy: KeepHealthy,
    /// The grace of a container without `stopTimeout`.
    pub default_stop_timeout: DefaultStopTimeout,
    /// How long a hook waits.
    pub max_drain: MaxDrain,
    /// Whether On-Demand fills it while Spot has no capacity.
    pub fallback: bool,
    /// Whether the functions only plan.
    pub dry_run: bool,
    /// Tags with values that are not valid.
    pub unknown: Vec<UnknownValue>,
}

impl Policies {
    /// The policies of a group, for a stack with these parameters.
    pub fn of(group: Option<&Group>, settings: &Settings) -> Self {
        let group = group.map(|group| &group.core);
        let mut unknown = vec![];
        let mut note = |found: Option<UnknownValue>| unknown.extend(found);
        let (strategy, found) = of_group(group, settings.replacement);
        note(found);
        let (rebalance, found) = of_group(group, settings.rebalance);
        note(found);
        let (standalone_tasks, found) = of_group(group, settings.standalone_tasks);
        note(found);
        let (keep_healthy, found) = of_group(group, settings.keep_healthy);
        note(found);
        let (default_stop_timeout, found) = of_group(group, settings.default_stop_timeout);
        note(found);
        let (max_drain, found) = of_group(group, MaxDrain::NONE);
        note(found);
        let filled = group.map(|group| settings.fallback.of(group));
        let (fallback, found) = filled.unwrap_or_default();
        note(found);
        let (dry_run, found) = DryRun::of(group);
        note(found);
        Self {
            strategy,
            rebalance,
            standalone_tasks,
            keep_healthy,
            default_stop_timeout,
            max_drain,
            fallback,
            dry_run: dry_run || settings.dry_run,
            unknown,
        }
    }

    /// Each policy by the key of its tag, in words for people.
    fn values(&self) -> [(&'static str, String); 8] {
        let max_drain = match self.max_drain {
            MaxDrain::NONE => "that of the hook".to_owned(),
            MaxDrain(limit) => limit.as_secs().to_string(),
        };
        let fallback = match self.fallback {
            true => SpotFallback::OnDemand,
            false => SpotFallback::Off,
        };
        [
            (ReplacementStrategy::TAG, self.strategy.spelling().to_owned()),
            (RebalanceAction::TAG, self.rebalance.spelling().to_owned()),
            (StandaloneTasks::TAG, self.standalone_tasks.spelling().to_owned()),
            // Of a hundred targets, this many have to stay.
            (<KeepHealthy as ByTag>::TAG, self.keep_healthy.of(100).to_string()),
            (
                DefaultStopTimeout::TAG,
                self.default_stop_timeout.0.as_secs().to_string(),
            ),
            (MaxDrain::TAG, max_drain),
            (SpotFallback::TAG, fallback.spelling().to_owned()),
            (DryRun::TAG, self.dry_run.spelling().to_owned()),
        ]
    }

    /// All of them in one line; values from the group's tags are marked.
    pub fn words(&self, group: &Group) -> String {
        let is_by_tag = |tag: &str| {
            let is_unknown = self.unknown.iter().any(|unknown| unknown.tag == tag);
            group.core.tags.contains_key(tag) && !is_unknown
        };
        let word = |(tag, value): (&'static str, String)| {
            let name = tag.strip_prefix(PREFIX).unwrap_or(tag);
            let by = if is_by_tag(tag) { " (tag)" } else { "" };
            format!("{name} {value}{by}")
        };
        self.values().map(word).join(", ")
    }
}

/// Tags that look like ours, but that nothing reads.
pub fn misspelled(group: &Group) -> impl Iterator<Item = &str> {
    let keys = group.core.tags.keys().map(String::as_str);
    keys.filter(|key| key.starts_with(PREFIX) && !KNOWN_TAGS.contains(key))
}
