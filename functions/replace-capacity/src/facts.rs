//! What Auto Scaling knows about the instances and their groups, and Elastic Load Balancing about replacements.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::Client;
use aws_sdk_elasticloadbalancingv2::types::{TargetHealthDescription, TargetHealthStateEnum as State};
use spot_handoff::autoscaling::groups::{self, Group, Groups};
use spot_handoff::notice::{FollowUp, InstanceId, Notice, Signal, Step};
use spot_handoff::runtime::invocation::{Invocation, together};

use crate::replacement_tag::exchange_of;

/// Reads the groups of the notices' instances, and those that follow-ups name: an instance that was detached meanwhile
/// is known only by the name of the group it left.
pub async fn groups_of(client: &Client, invocation: &Invocation, notices: &[Notice]) -> Groups {
    let ids: Vec<InstanceId> = notices.iter().map(|notice| notice.instance.clone()).collect();
    let named: Vec<String> = notices
        .iter()
        .filter_map(|notice| named_group(&notice.signal))
        .collect();
    groups::read(client, invocation, &ids, &named).await
}

fn named_group(signal: &Signal) -> Option<String> {
    match signal {
        Signal::FollowUp(FollowUp {
            step: Step::AwaitReplacement { group } | Step::Retire { group } | Step::GiveUp { group },
            ..
        }) => Some(group.clone()),
        _ => None,
    }
}

/// Why requests do not reach an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// Its first health checks have not passed yet.
    Initial,
    /// Its health checks fail.
    Unhealthy,
}

/// Which instances the load balancers send no requests to, by target group.
#[derive(Debug, Clone, Default)]
pub struct Health {
    not_ready: BTreeMap<String, BTreeMap<InstanceId, NotReady>>,
    unread: BTreeMap<String, String>,
}

impl Health {
    /// Facts as given: for tables of tests.
    #[cfg(test)]
    pub fn with(target_group: &str, not_ready: impl IntoIterator<Item = (InstanceId, NotReady)>) -> Self {
        let not_ready = BTreeMap::from([(target_group.to_owned(), not_ready.into_iter().collect())]);
        Self {
            not_ready,
            ..Self::default()
        }
    }

    /// Why the health of the group's instances is not known, where it is not: for tables of tests.
    #[cfg(test)]
    pub fn unread(target_group: &str) -> Self {
        Self {
            unread: BTreeMap::from([(target_group.to_owned(), "refused".to_owned())]),
            ..Self::default()
        }
    }

    /// Why requests do not reach an instance of the group, in the target groups in which they reach `old`. One in which
    /// they do not reach that one either, for example the idle half of a blue/green pair, says nothing about the other.
    pub fn why_not_ready<'a>(
        &'a self,
        group: &'a Group,
        instance: &'a InstanceId,
        old: &'a InstanceId,
    ) -> impl Iterator<Item = NotReady> + 'a {
        let read = group
            .target_groups
            .iter()
            .filter_map(|arn| self.not_ready.get(arn));
        read.filter(|not_ready| !not_ready.contains_key(old))
            .filter_map(|not_ready| not_ready.get(instance).copied())
    }

    /// Why the health of the group's instances is not known.
    pub fn problems_of<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = String> + 'a {
        let target_groups = group.target_groups.iter();
        target_groups.filter_map(|arn| self.unread.get(arn).cloned())
    }
}

/// Reads how the targets of the groups are in which a replacement is awaited.
pub async fn health_of(
    elb: &aws_sdk_elasticloadbalancingv2::Client,
    invocation: &Invocation,
    notices: &[Notice],
    groups: &Groups,
) -> Health {
    let awaiting = notices.iter().filter_map(|notice| match &notice.signal {
        Signal::FollowUp(FollowUp {
            step: Step::AwaitReplacement { group },
            ..
        }) => groups
            .by_name(group)
            .filter(|group| exchange_of(group, &notice.instance).is_some()),
        _ => None,
    });
    let arns: BTreeSet<&String> = awaiting.flat_map(|group| &group.target_groups).collect();
    let answers = together(arns.iter().map(|arn| {
        let asking = elb.describe_target_health().target_group_arn(*arn).send();
        invocation.call("DescribeTargetHealth", asking)
    }))
    .await;
    let mut health = Health::default();
    for (arn, answer) in arns.into_iter().zip(answers) {
        match answer {
            Ok(answer) => {
                let targets = answer.target_health_descriptions.unwrap_or_default();
                let not_ready = targets.into_iter().filter_map(not_ready).collect();
                health.not_ready.insert(arn.clone(), not_ready);
            }
            // A target group that was deleted has no targets.
            Err(error) if error.code() == Some("TargetGroupNotFound") => {}
            Err(error) => {
                health.unread.insert(arn.clone(), error.to_string());
            }
        }
    }
    health
}

/// The instance, where requests do not reach it. A target group that no load balancer uses has no say.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html>
fn not_ready(target: TargetHealthDescription) -> Option<(InstanceId, NotReady)> {
    let why = match target.target_health?.state? {
        State::Initial => NotReady::Initial,
        State::Unhealthy | State::UnhealthyDraining => NotReady::Unhealthy,
        _ => return None,
    };
    Some((target.target?.id?.parse().ok()?, why))
}
