//! Finds the Auto Scaling groups of instances, with batched reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_autoscaling::Client;

use crate::notice::InstanceId;
use crate::runtime::aws::CallError;
use crate::runtime::invocation::{Invocation, together};

pub use super::group::{Group, Lifecycle, Member};
use crate::report::Pool;

/// DescribeAutoScalingInstances takes 50 ids, and leaves out ids that it does not know.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingInstances.html>
const INSTANCES_PER_CALL: usize = 50;
/// DescribeAutoScalingGroups returns 50 groups by default, and up to 100 if asked.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html>
const GROUPS_PER_CALL: usize = 50;
/// The group of one instance, as far as AWS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupOf<'a> {
    /// Auto Scaling knows no group for it: it was never in one, or is detached by now.
    None,
    /// It is in this group.
    Some {
        /// The group.
        group: &'a Group,
        /// The instance in it.
        member: Member,
    },
    /// The call to AWS failed.
    Unknown(&'a CallError),
}

/// What Auto Scaling said about a batch of instances.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    members: HashMap<InstanceId, (String, Member)>,
    pools: HashMap<InstanceId, Pool>,
    groups: HashMap<String, Group>,
    unread_instances: HashMap<InstanceId, CallError>,
    unread_groups: HashMap<String, CallError>,
}

impl Groups {
    /// Given facts, for table tests.
    pub fn of(groups: impl IntoIterator<Item = Group>) -> Self {
        let mut facts = Self::default();
        for group in groups {
            for member in &group.instances {
                facts
                    .members
                    .insert(member.id.clone(), (group.name.clone(), member.clone()));
            }
            facts.groups.insert(group.name.clone(), group);
        }
        facts
    }

    /// The group of an instance.
    pub fn of_instance(&self, id: &InstanceId) -> GroupOf<'_> {
        if let Some(error) = self.unread_instances.get(id) {
            return GroupOf::Unknown(error);
        }
        let Some((name, member)) = self.members.get(id) else {
            return GroupOf::None;
        };
        match (self.groups.get(name), self.unread_groups.get(name)) {
            (Some(group), _) => GroupOf::Some {
                group,
                member: member.clone(),
            },
            (None, Some(error)) => GroupOf::Unknown(error),
            // The group was deleted between the two calls.
            (None, None) => GroupOf::None,
        }
    }

    /// The pool of an instance that is in a group.
    pub fn pool_of(&self, id: &InstanceId) -> Option<&Pool> {
        let of_group = || {
            let (name, _) = self.members.get(id)?;
            self.groups.get(name)?.pools.get(id)
        };
        self.pools.get(id).or_else(of_group)
    }

    /// A group by its name.
    pub fn by_name(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Why a group could not be read.
    pub fn why_unread(&self, name: &str) -> Option<&CallError> {
        self.unread_groups.get(name)
    }

    /// The target groups attached to any of the groups of these instances.
    pub fn target_groups(&self) -> BTreeSet<String> {
        self.groups
            .values()
            .flat_map(|group| group.target_groups.iter().cloned())
            .collect()
    }
}

impl Groups {
    /// Finds out which of these instances are in the groups that are already known.
    fn add_members_of_groups(&mut self, ids: &[InstanceId]) {
        let wanted: BTreeSet<&InstanceId> = ids.iter().collect();
        for group in self.groups.values() {
            let members = group
                .instances
                .iter()
                .filter(|member| wanted.contains(&member.id));
            self.members
                .extend(members.map(|member| (member.id.clone(), (group.name.clone(), member.clone()))));
        }
    }

    /// Reads these instances. Then reads their groups and those in `named`, as far as they are not known yet.
    async fn look_up(
        &mut self,
        client: &Client,
        invocation: &Invocation,
        ids: &[InstanceId],
        named: &[String],
    ) {
        let chunks = ids.chunks(INSTANCES_PER_CALL);
        let answers = together(
            chunks
                .clone()
                .map(|chunk| describe_instances(client, invocation, chunk)),
        )
        .await;
        for (chunk, answer) in chunks.zip(answers) {
            match answer {
                // AWS answers with what it was asked for. A member that nobody asked for must not be acted on.
                Ok(found) => {
                    let asked_for = found.into_iter().filter(|found| chunk.contains(&found.member.id));
                    for Found { group, member, pool } in asked_for {
                        self.pools.extend(pool.map(|pool| (member.id.clone(), pool)));
                        self.members.insert(member.id.clone(), (group, member));
                    }
                }
                Err(error) => self
                    .unread_instances
                    .extend(chunk.iter().map(|id| (id.clone(), error.clone()))),
            }
        }

        let names: BTreeSet<&String> = self.members.values().map(|(name, _)| name).chain(named).collect();
        let names: Vec<String> = names
            .into_iter()
            .filter(|name| !self.groups.contains_key(*name) && !self.unread_groups.contains_key(*name))
            .cloned()
            .collect();
        let chunks = names.chunks(GROUPS_PER_CALL);
        let answers = together(
            chunks
                .clone()
                .map(|chunk| describe_groups(client, invocation, chunk)),
        )
        .await;
        for (chunk, answer) in chunks.zip(answers) {
            match answer {
                Ok(groups) => self
                    .groups
                    .extend(groups.into_iter().map(|group| (group.name.clone(), group))),
                Err(error) => self
                    .unread_groups
                    .extend(chunk.iter().map(|name| (name.clone(), error.clone()))),
            }
        }
    }
}

/// Reads the groups of many instances: one round of calls for the instances, one for their groups.
///
/// If there are more instances than one call takes, it first asks only for the first ones. Their groups contain most of
/// the others, since the instances of a storm share few groups.
///
/// It also reads the groups in `named`, whether they contain one of the instances or not.
pub async fn read(client: &Client, invocation: &Invocation, ids: &[InstanceId], named: &[String]) -> Groups {
    let mut facts = Groups::default();
    let ids: BTreeSet<&InstanceId> = ids.iter().collect();
    let ids: Vec<InstanceId> = ids.into_iter().cloned().collect();
    let (first, others) = ids.split_at(ids.len().min(INSTANCES_PER_CALL));
    facts.look_up(client, invocation, first, named).await;
    facts.add_members_of_groups(others);
    let untold = others.iter().filter(|id| !facts.members.contains_key(id));
    let untold: Vec<InstanceId> = untold.cloned().collect();
    if !untold.is_empty() {
        facts.look_up(client, invocation, &untold, &[]).await;
    }
    facts
}

/// Reads the groups of instances. If a message names the group, the group itself shows whether the instance is still in
/// it, so this makes no call about the instance.
pub async fn of_instances<'a>(
    client: &Client,
    invocation: &Invocation,
    instances: impl IntoIterator<Item = (&'a InstanceId, Option<&'a str>)>,
) -> Groups {
    let (mut unnamed, mut named): (Vec<InstanceId>, BTreeMap<&str, Vec<InstanceId>>) = Default::default();
    for (id, group) in instances {
        match group {
            Some(group) => named.entry(group).or_default().push(id.clone()),
            None => unnamed.push(id.clone()),
        }
    }
    let names: Vec<String> = named.keys().map(ToString::to_string).collect();
    let mut facts = read(client, invocation, &unnamed, &names).await;
    for (name, ids) in named {
        match facts.unread_groups.get(name) {
            Some(error) => {
                let unread = ids.into_iter().map(|id| (id, error.clone()));
                facts.unread_instances.extend(unread);
            }
            None => facts.add_members_of_groups(&ids),
        }
    }
    facts
}

/// What Auto Scaling says of one instance.
struct Found {
    group: String,
    member: Member,
    pool: Option<Pool>,
}

async fn describe_instances(
    client: &Client,
    invocation: &Invocation,
    ids: &[InstanceId],
) -> Result<Vec<Found>, CallError> {
    let pages = client
        .describe_auto_scaling_instances()
        .set_instance_ids(Some(ids.iter().map(ToString::to_string).collect()))
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>();
    let found = invocation.call("DescribeAutoScalingInstances", pages).await?;
    let member = |details: aws_sdk_autoscaling::types::AutoScalingInstanceDetails| {
        let pool = Pool::of(
            details.instance_type(),
            details.availability_zone(),
            details.availability_zone_id(),
        );
        let member = Member {
            id: details.instance_id?.parse().ok()?,
            zone: details.availability_zone.unwrap_or_default(),
            lifecycle: Lifecycle::of(&details.lifecycle_state.unwrap_or_default()),
        };
        let group = details.auto_scaling_group_name?;
        Some(Found { group, member, pool })
    };
    Ok(found.into_iter().filter_map(member).collect())
}

async fn describe_groups(
    client: &Client,
    invocation: &Invocation,
    names: &[String],
) -> Result<Vec<Group>, CallError> {
    let pages = client
        .describe_auto_scaling_groups()
        .set_auto_scaling_group_names(Some(names.to_vec()))
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>();
    let groups = invocation.call("DescribeAutoScalingGroups", pages).await?;
    Ok(groups
        .into_iter()
        .map(Group::from)
        .filter(|group| names.contains(&group.name))
        .collect())
}
