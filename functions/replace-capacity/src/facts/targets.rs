//! Which instances under notice are still needed: those with a target that has to stay for now, in a target group of
//! their Auto Scaling group. Detaching the instance would take this target out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use spot_handoff::autoscaling::groups::{Group, GroupOf, Groups, Lifecycle, Member};
use spot_handoff::autoscaling::policies::{self, DryRun, KeepHealthy};
use spot_handoff::elb::health::{self, Registered, State, Target, TargetHealth};
use spot_handoff::elb::holding::Doomed;
use spot_handoff::keeper::{self, Keeper, Known};
use spot_handoff::notice::{Cause, FollowUp, InstanceId, Notice, Signal, Step};
use spot_handoff::report::HeldLine;
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::state::under_notice::News;

use crate::config::Config;
use crate::facts::ends_in_two_minutes;

/// How long the first action of an interruption waits for the load balancers, and then again for the other facts.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The targets that have to stay for now, by instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needed {
    held: BTreeMap<InstanceId, Vec<HeldLine>>,
    /// The target groups whose targets could not be read, and why.
    unread: BTreeMap<String, String>,
}

impl Needed {
    /// Given facts, for table tests.
    #[cfg(test)]
    pub fn with(held: impl IntoIterator<Item = (InstanceId, HeldLine)>) -> Self {
        let held = held.into_iter().map(|(instance, line)| (instance, vec![line]));
        Self {
            held: held.collect(),
            ..Self::default()
        }
    }

    /// The targets of the instance that have to stay.
    pub fn of(&self, instance: &InstanceId) -> &[HeldLine] {
        self.held.get(instance).map_or(&[], Vec::as_slice)
    }

    /// When the instance may leave at the latest: at the last moment of its targets. `None` if no target has to stay.
    pub fn until(&self, instance: &InstanceId) -> Option<Timestamp> {
        self.of(instance).iter().filter_map(|held| held.until).max()
    }

    /// The target groups of the group whose targets could not be read, and why.
    pub fn unread_of<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = (&'a str, &'a str)> {
        let of_group = |arn: &'a String| Some((arn.as_str(), self.unread.get(arn)?.as_str()));
        group.target_groups.iter().filter_map(of_group)
    }
}

/// An instance under notice that serves in a group.
struct UnderNotice<'a> {
    instance: &'a InstanceId,
    ends: Timestamp,
    group: &'a Group,
}

/// Reads which of the interrupted instances are still needed. Makes no call if no group has target groups.
pub async fn read(
    keeper: &Keeper,
    config: &Config,
    invocation: &Invocation,
    notices: &[Notice],
    groups: &Groups,
) -> Needed {
    let doomed = doomed(notices, groups, config);
    let arns: BTreeSet<String> = doomed
        .iter()
        .flat_map(|one| one.group.target_groups.iter().cloned())
        .collect();
    if arns.is_empty() {
        return Needed::default();
    }
    let (mut health, known) = keeper.read(arns, &invocation.for_at_most(ANSWER_WITHIN)).await;
    let unread = assume(&mut health, &doomed);
    // What is only planned must not be written, since other invocations would count on it.
    let is_tried = |one: &UnderNotice<'_>| DryRun::of(Some(one.group)).0;
    let (tried, acted_on): (Vec<_>, Vec<_>) = doomed.into_iter().partition(is_tried);
    let invocation = invocation.for_at_most(ANSWER_WITHIN);
    let planning = invocation.planning_only();
    let (mut held, of_tried) = tokio::join!(
        decide(keeper, config, &acted_on, &health, known.clone(), &invocation),
        decide(keeper, config, &tried, &health, known, &planning),
    );
    held.extend(of_tried);
    Needed { held, unread }
}

async fn decide(
    keeper: &Keeper,
    config: &Config,
    doomed: &[UnderNotice<'_>],
    health: &TargetHealth,
    known: Known,
    invocation: &Invocation,
) -> BTreeMap<InstanceId, Vec<HeldLine>> {
    let news = news(doomed, health);
    let shares = shares(doomed, config.keep_healthy);
    // If the table does not answer, this is logged, and deregister-targets reports it.
    let (facts, _) = keeper.facts(&news, health, known, &shares, invocation).await;
    held(doomed, &facts)
}

fn doomed<'a>(notices: &'a [Notice], groups: &'a Groups, config: &Config) -> Vec<UnderNotice<'a>> {
    let doomed = |notice: &'a Notice| {
        let ends = ends(notice)?;
        let GroupOf::Some { group, member } = groups.of_instance(&notice.instance) else {
            return None;
        };
        let is_ours = config.scope.admits(Some(group)).is_ok() && !group.capacity_rebalance;
        (is_ours && member.lifecycle == Lifecycle::InService).then_some(UnderNotice {
            instance: &notice.instance,
            ends,
            group,
        })
    };
    notices.iter().filter_map(doomed).collect()
}

/// When the instance of an interruption ends. deregister-targets calculates the same end.
fn ends(notice: &Notice) -> Option<Timestamp> {
    match &notice.signal {
        Signal::FollowUp(FollowUp {
            cause: Cause::Interruption,
            deadline,
            step: Step::Look { .. },
        }) => *deadline,
        _ if ends_in_two_minutes(notice) => notice.deadline(),
        _ => None,
    }
}

/// If target health could not be read, each instance in service counts as healthy. So the last instances of a group
/// stay, and if there are many, the instance leaves at once, as without a target group.
fn assume(health: &mut TargetHealth, doomed: &[UnderNotice<'_>]) -> BTreeMap<String, String> {
    let mut unread = BTreeMap::new();
    for (arn, read) in health.iter_mut() {
        match read {
            Err(error) if !health::is_gone(error) => unread.insert(arn.clone(), error.to_string()),
            _ => continue,
        };
        let groups: BTreeMap<&str, &Group> = doomed
            .iter()
            .filter(|one| one.group.target_groups.contains(arn))
            .map(|one| (one.group.name.as_str(), one.group))
            .collect();
        let members = groups.values().flat_map(|group| &group.instances);
        let serving = members.filter(|member| member.lifecycle == Lifecycle::InService);
        *read = Ok(serving.map(as_healthy).collect());
    }
    unread
}

fn as_healthy(member: &Member) -> Registered {
    Registered {
        target: Target {
            id: member.id.to_string(),
            port: None,
        },
        state: State::Healthy,
        zone: None,
    }
}

/// What the batch has to write. deregister-targets writes the same for what it would deregister.
fn news(doomed: &[UnderNotice<'_>], health: &TargetHealth) -> Vec<News> {
    let mut by_target_group: BTreeMap<&str, Vec<Doomed>> = BTreeMap::new();
    for one in doomed {
        for (arn, _) in targets(one, health) {
            let whole = Doomed {
                as_last: None,
                id: one.instance.to_string(),
                port: None,
                serves_until: Some(one.ends),
                order: 0,
            };
            let list = by_target_group.entry(arn).or_default();
            if !list.contains(&whole) {
                list.push(whole);
            }
        }
    }
    let news = |(arn, doomed): (&str, Vec<Doomed>)| News {
        target_group: arn.to_owned(),
        doomed,
        serving: keeper::serving(health, arn),
    };
    by_target_group.into_iter().map(news).collect()
}

/// The targets of the instance that are not draining, each with its target group.
fn targets<'a>(
    one: &'a UnderNotice<'_>,
    health: &'a TargetHealth,
) -> impl Iterator<Item = (&'a str, &'a Target)> + 'a {
    let registered = |arn: &'a String| health.get(arn).and_then(|read| read.as_ref().ok());
    let all = one
        .group
        .target_groups
        .iter()
        .filter_map(move |arn| Some((arn.as_str(), registered(arn)?)));
    all.flat_map(move |(arn, registered)| {
        let own = registered
            .iter()
            .filter(|target| target.state != State::Draining && target.target.id == one.instance.as_str());
        own.map(move |registered| (arn, &registered.target))
    })
}

/// The percentage that has to stay in each target group. If it has instances of several groups, the largest one counts.
fn shares(doomed: &[UnderNotice<'_>], of_stack: KeepHealthy) -> HashMap<String, KeepHealthy> {
    let mut shares: HashMap<String, KeepHealthy> = HashMap::new();
    for one in doomed {
        // deregister-targets reports a tag that is not valid.
        let (share, _) = policies::of_group(Some(one.group), of_stack);
        for arn in &one.group.target_groups {
            let known = shares.entry(arn.clone()).or_insert(share);
            *known = share.max(*known);
        }
    }
    shares
}

fn held(doomed: &[UnderNotice<'_>], facts: &keeper::Facts<'_>) -> BTreeMap<InstanceId, Vec<HeldLine>> {
    let arns = facts.under_notice.keys();
    let verdicts: HashMap<&str, _> = arns.map(|arn| (arn.as_str(), facts.verdicts(arn))).collect();
    let mut held: BTreeMap<InstanceId, Vec<HeldLine>> = BTreeMap::new();
    for one in doomed {
        let lines = targets(one, facts.health).filter_map(|(arn, target)| {
            let verdict = verdicts.get(arn)?.get(target)?;
            Some(keeper::held_line(arn, target.to_string(), verdict.held()?))
        });
        let lines: Vec<HeldLine> = lines.collect();
        if !lines.is_empty() {
            held.insert(one.instance.clone(), lines);
        }
    }
    held
}

#[cfg(test)]
mod tests;
