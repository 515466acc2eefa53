//! Which Auto Scaling group an instance is in, what that group is like, and whether it is ours to act on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::AutoScalingGroup;

use crate::ecs::aws_batch;
use crate::notice::InstanceId;
use crate::runtime::aws::CallError;
use crate::runtime::config::Scope;
use crate::runtime::invocation::{Invocation, together};

/// DescribeAutoScalingInstances takes 50 ids and leaves out the ones it does not know.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingInstances.html>
const INSTANCES_PER_CALL: usize = 50;
/// DescribeAutoScalingGroups answers with 50 groups unless asked for up to 100.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html>
const GROUPS_PER_CALL: usize = 50;

/// A group with this tag is left alone.
pub const IGNORE_TAG: &str = "spot-handoff:ignore";
/// With `SCOPE=tagged`, only groups with this tag are acted on.
pub const MANAGED_TAG: &str = "spot-handoff:managed";

/// What the plans need to know of an Auto Scaling group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Desired capacity.
    pub desired: i32,
    /// Minimum size.
    pub min: i32,
    /// Maximum size.
    pub max: i32,
    /// ARNs of the target groups attached to it.
    pub target_groups: BTreeSet<String>,
    /// Whether Capacity Rebalancing is on.
    pub capacity_rebalance: bool,
    /// Names of suspended processes, for example `Launch`.
    pub suspended: BTreeSet<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its Availability Zones.
    pub zones: Vec<String>,
    /// Its instances.
    pub instances: Vec<Member>,
    /// Whether it launches from a launch template, and not from a launch configuration.
    pub has_launch_template: bool,
    /// Whether it mixes On-Demand and Spot Instances.
    pub mixes_purchase_options: bool,
    /// Whether it takes its instances from a warm pool.
    pub has_warm_pool: bool,
    /// Whether its instance types have weights, or it counts processors or memory, so that capacities are not numbers of
    /// instances.
    /// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-mixed-instances-groups-instance-weighting.html>
    pub is_weighted: bool,
}

/// An instance of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: InstanceId,
    /// Its Availability Zone.
    pub zone: String,
    /// Where it is in its lifecycle.
    pub lifecycle: Lifecycle,
}

/// Where an instance is in its lifecycle.
/// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// Launching, or waiting for a launch hook.
    Pending,
    /// In service.
    InService,
    /// Entering or in standby.
    Standby,
    /// On its way to be terminated, or already terminated.
    Terminating,
    /// On its way out of the group.
    Detaching,
    /// Anything else, for example in a warm pool.
    Other,
}

impl Lifecycle {
    fn of(state: &str) -> Self {
        match state.split(':').next().unwrap_or_default() {
            "InService" => Self::InService,
            "Pending" => Self::Pending,
            "EnteringStandby" | "Standby" => Self::Standby,
            "Terminating" | "Terminated" => Self::Terminating,
            "Detaching" | "Detached" => Self::Detaching,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "Pending",
            Self::InService => "InService",
            Self::Standby => "Standby",
            Self::Terminating => "Terminating",
            Self::Detaching => "Detaching",
            Self::Other => "not in service",
        })
    }
}

/// The group of one instance, as far as AWS told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupOf<'a> {
    /// Auto Scaling knows no group for it: never in one, or detached by now.
    None,
    /// It is in this group.
    Some {
        /// The group.
        group: &'a Group,
        /// The instance in it.
        member: Member,
    },
    /// AWS could not be asked.
    Unknown(&'a CallError),
}

/// What Auto Scaling said about a batch of instances.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    members: HashMap<InstanceId, (String, Member)>,
    groups: HashMap<String, Group>,
    unread_instances: HashMap<InstanceId, CallError>,
    unread_groups: HashMap<String, CallError>,
}

impl Groups {
    /// Facts as given: for tables of tests.
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
    /// Takes from the groups that are known which of these instances are in them.
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

    /// Asks for these instances, and then for those of their groups, and of `named`, that are not known yet.
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
                // AWS answers with what was asked for; a member nobody asked for is not to be acted on.
                Ok(found) => self
                    .members
                    .extend(found.into_iter().filter(|(id, _)| chunk.contains(id))),
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
/// Of more instances than one call takes, only the first are asked for at first: their groups tell of most of the
/// others, since the instances of a storm share few groups.
///
/// `named` are groups to read as well, whether an instance is found in them or not.
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

async fn describe_instances(
    client: &Client,
    invocation: &Invocation,
    ids: &[InstanceId],
) -> Result<Vec<(InstanceId, (String, Member))>, CallError> {
    let pages = client
        .describe_auto_scaling_instances()
        .set_instance_ids(Some(ids.iter().map(ToString::to_string).collect()))
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>();
    let found = invocation.call("DescribeAutoScalingInstances", pages).await?;
    let member = |details: aws_sdk_autoscaling::types::AutoScalingInstanceDetails| {
        let id: InstanceId = details.instance_id?.parse().ok()?;
        let member = Member {
            id: id.clone(),
            zone: details.availability_zone.unwrap_or_default(),
            lifecycle: Lifecycle::of(&details.lifecycle_state.unwrap_or_default()),
        };
        Some((id, (details.auto_scaling_group_name?, member)))
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

impl From<AutoScalingGroup> for Group {
    fn from(group: AutoScalingGroup) -> Self {
        let distribution = group
            .mixed_instances_policy
            .as_ref()
            .and_then(|policy| policy.instances_distribution.clone());
        // <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html>: the base is 0 and
        // the percentage above it 100 unless set.
        let mixes_purchase_options = distribution.is_some_and(|distribution| {
            let base = distribution.on_demand_base_capacity.unwrap_or(0);
            let percentage = distribution
                .on_demand_percentage_above_base_capacity
                .unwrap_or(100);
            percentage < 100 && (base > 0 || percentage > 0)
        });
        let overrides = group
            .mixed_instances_policy
            .as_ref()
            .and_then(|policy| policy.launch_template.as_ref())
            .map_or(&[][..], |template| template.overrides());
        let has_weights = overrides
            .iter()
            .any(|one| one.weighted_capacity().is_some_and(|weight| weight != "1"));
        let unit = group.desired_capacity_type.as_deref().unwrap_or("units");
        let is_weighted = has_weights || unit != "units";
        let attached = group.target_group_arns.clone().unwrap_or_default();
        let traffic_sources = group.traffic_sources.clone().unwrap_or_default();
        let target_groups = attached
            .into_iter()
            .chain(traffic_sources.into_iter().filter_map(|source| source.identifier))
            .filter(|identifier| is_target_group(identifier))
            .collect();
        let member = |instance: aws_sdk_autoscaling::types::Instance| {
            Some(Member {
                id: instance.instance_id?.parse().ok()?,
                zone: instance.availability_zone.unwrap_or_default(),
                lifecycle: Lifecycle::of(
                    instance
                        .lifecycle_state
                        .as_ref()
                        .map_or("", |state| state.as_str()),
                ),
            })
        };
        let tag =
            |tag: aws_sdk_autoscaling::types::TagDescription| Some((tag.key?, tag.value.unwrap_or_default()));
        Self {
            name: group.auto_scaling_group_name.unwrap_or_default(),
            desired: group.desired_capacity.unwrap_or_default(),
            min: group.min_size.unwrap_or_default(),
            max: group.max_size.unwrap_or_default(),
            target_groups,
            capacity_rebalance: group.capacity_rebalance.unwrap_or(false),
            suspended: group
                .suspended_processes
                .unwrap_or_default()
                .into_iter()
                .filter_map(|p| p.process_name)
                .collect(),
            tags: group
                .tags
                .unwrap_or_default()
                .into_iter()
                .filter_map(tag)
                .collect(),
            zones: group.availability_zones.unwrap_or_default(),
            instances: group
                .instances
                .unwrap_or_default()
                .into_iter()
                .filter_map(member)
                .collect(),
            has_launch_template: group.launch_configuration_name.is_none(),
            mixes_purchase_options,
            has_warm_pool: group.warm_pool_configuration.is_some(),
            is_weighted,
        }
    }
}

/// Whether a traffic source is a target group of Elastic Load Balancing: a Classic Load Balancer has a name, and a target
/// group of VPC Lattice an ARN of another service.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TrafficSourceIdentifier.html>
fn is_target_group(identifier: &str) -> bool {
    identifier.contains(":elasticloadbalancing:") && identifier.contains(":targetgroup/")
}

/// Why a group, or an instance in no group, is not ours to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutOfScope {
    /// The group carries [`IGNORE_TAG`].
    Ignored {
        /// The group.
        group: String,
    },
    /// `SCOPE=tagged`, and the group does not carry [`MANAGED_TAG`].
    NotTagged {
        /// The group.
        group: String,
    },
    /// `SCOPE=tagged`, and the instance is in no group.
    InNoGroup,
    /// The group is one of AWS Batch.
    OfAwsBatch {
        /// The group.
        group: String,
    },
}

impl fmt::Display for OutOfScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored { group } => write!(f, "Auto Scaling group {group} is tagged {IGNORE_TAG}"),
            Self::NotTagged { group } => {
                write!(
                    f,
                    "Scope is `tagged` and Auto Scaling group {group} has no tag {MANAGED_TAG}"
                )
            }
            Self::InNoGroup => write!(
                f,
                "Scope is `tagged` and the instance is in no Auto Scaling group"
            ),
            Self::OfAwsBatch { group } => {
                write!(
                    f,
                    "Auto Scaling group {group} is managed by AWS Batch, which sees to its jobs itself"
                )
            }
        }
    }
}

impl Scope {
    /// Whether a group, or an instance in no group, is ours to act on.
    ///
    /// # Errors
    /// Where it is not: the reason. A tag counts as set unless its value is `false`.
    pub fn admits(self, group: Option<&Group>) -> Result<(), OutOfScope> {
        let tagged = |group: &Group, tag: &str| group.tags.get(tag).is_some_and(|value| value != "false");
        match (self, group) {
            (_, Some(group)) if aws_batch::manages(&group.name) => Err(OutOfScope::OfAwsBatch {
                group: group.name.clone(),
            }),
            (_, Some(group)) if tagged(group, IGNORE_TAG) => Err(OutOfScope::Ignored {
                group: group.name.clone(),
            }),
            (Self::Tagged, Some(group)) if !tagged(group, MANAGED_TAG) => Err(OutOfScope::NotTagged {
                group: group.name.clone(),
            }),
            (Self::Tagged, None) => Err(OutOfScope::InNoGroup),
            (Self::All | Self::Tagged, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(tags: &[(&str, &str)]) -> Group {
        let tags = tags.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Group {
            name: "g".to_owned(),
            tags,
            ..Group::default()
        }
    }

    #[test]
    fn tags_decide_which_groups_are_ours() {
        let ignored = || {
            Err(OutOfScope::Ignored {
                group: "g".to_owned(),
            })
        };
        let not_tagged = || {
            Err(OutOfScope::NotTagged {
                group: "g".to_owned(),
            })
        };
        let table = [
            (Scope::All, vec![], Ok(())),
            (Scope::All, vec![(IGNORE_TAG, "true")], ignored()),
            (Scope::All, vec![(IGNORE_TAG, "")], ignored()),
            (Scope::All, vec![(IGNORE_TAG, "false")], Ok(())),
            (Scope::Tagged, vec![], not_tagged()),
            (Scope::Tagged, vec![(MANAGED_TAG, "false")], not_tagged()),
            (Scope::Tagged, vec![(MANAGED_TAG, "true")], Ok(())),
            (
                Scope::Tagged,
                vec![(MANAGED_TAG, "true"), (IGNORE_TAG, "true")],
                ignored(),
            ),
        ];
        for (scope, tags, expected) in table {
            assert_eq!(scope.admits(Some(&group(&tags))), expected, "{scope:?} {tags:?}");
        }
        let of_batch = Group {
            name: "AWSBatch-training-asg".to_owned(),
            ..group(&[(MANAGED_TAG, "true")])
        };
        let left = OutOfScope::OfAwsBatch {
            group: of_batch.name.clone(),
        };
        assert_eq!(Scope::Tagged.admits(Some(&of_batch)), Err(left));
        assert_eq!(Scope::All.admits(None), Ok(()));
        assert_eq!(Scope::Tagged.admits(None), Err(OutOfScope::InNoGroup));
    }

    #[test]
    fn lifecycle_states_with_a_hook_count_as_the_state_they_belong_to() {
        assert_eq!(Lifecycle::of("Terminating:Wait"), Lifecycle::Terminating);
        assert_eq!(Lifecycle::of("Pending:Proceed"), Lifecycle::Pending);
        assert_eq!(Lifecycle::of("Warmed:Stopped"), Lifecycle::Other);
    }

    #[test]
    fn only_target_groups_of_elastic_load_balancing_are_looked_into() {
        let attached = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a/1";
        let source = "arn:aws-cn:elasticloadbalancing:cn-north-1:123456789012:targetgroup/b/2";
        let others = [
            "arn:aws:vpc-lattice:us-east-1:123456789012:targetgroup/tg-0123456789abcdef0",
            "classic",
        ];
        let sources = [source].into_iter().chain(others).map(|identifier| {
            let source = aws_sdk_autoscaling::types::TrafficSourceIdentifier::builder();
            source.identifier(identifier).build()
        });
        let group = AutoScalingGroup::builder()
            .target_group_arns(attached)
            .set_traffic_sources(Some(sources.collect()))
            .build();
        assert!(Group::from(group).target_groups.iter().eq([source, attached]));
    }

    #[test]
    fn only_a_true_mixture_counts_as_mixing_purchase_options() {
        let mixes = |base: Option<i32>, percentage: Option<i32>| {
            let distribution = aws_sdk_autoscaling::types::InstancesDistribution::builder()
                .set_on_demand_base_capacity(base)
                .set_on_demand_percentage_above_base_capacity(percentage)
                .build();
            let policy = aws_sdk_autoscaling::types::MixedInstancesPolicy::builder()
                .instances_distribution(distribution)
                .build();
            Group::from(AutoScalingGroup::builder().mixed_instances_policy(policy).build())
                .mixes_purchase_options
        };
        assert!(!mixes(None, None), "all On-Demand by default");
        assert!(!mixes(Some(0), Some(0)), "all Spot");
        assert!(mixes(Some(1), Some(0)));
        assert!(mixes(Some(0), Some(50)));
    }
}
