//! Where an instance in no group and no cluster is registered. No API tells, so this searches target groups, as few as
//! possible: only those of type `instance` behind a load balancer, and not those of Kubernetes, whose controllers take
//! care of their targets.
//!
//! The table records which target groups were looked at. If a try could not finish, the next one continues there.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{TagDescription, TargetGroup, TargetTypeEnum};
use spot_handoff::elb::health::{self, TargetHealth};
use spot_handoff::notice::InstanceId;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, at_most, together};
use spot_handoff::state::searches::Search;
use spot_handoff::state::{Expected, Key, Table, Versioned};

use super::found::Searched;

/// The tag of target groups that the AWS Load Balancer Controller creates for a Kubernetes cluster.
/// <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/>
const KUBERNETES: &str = "elbv2.k8s.aws/cluster";
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html>
const TAGS_PER_CALL: usize = 20;

/// How many target groups to look at for one instance, over all tries. Throttled calls are repeated, so this may take
/// up to a hundred calls.
const BUDGET: usize = 80;
/// Elastic Load Balancing takes ten reads a second after a burst of forty, for the whole account.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html>
const AT_ONCE: usize = 2;
const PACE: Duration = Duration::from_millis(200);
/// Leaves time to deregister what the search has found.
const TIME: Duration = Duration::from_secs(11);

/// Begins or continues the search for these instances. Returns what was found for each.
pub async fn search(
    elb: &Client,
    table: &Table,
    invocation: &Invocation,
    instances: &BTreeSet<InstanceId>,
) -> HashMap<InstanceId, Searched> {
    let invocation = invocation.for_at_most(TIME);
    let (mut searches, versions) = known(table, &invocation, instances).await;
    let under_way: Vec<InstanceId> = searches
        .values()
        .filter(|search| !search.is_over)
        .map(|search| search.instance.clone())
        .collect();
    let mut problem = None;
    let mut read = TargetHealth::new();
    if !under_way.is_empty() {
        match candidates(elb, &invocation).await {
            Ok(all) => problem = go_on(elb, &invocation, &all, &mut searches, &mut read).await,
            Err(error) => problem = Some(error.to_string()),
        }
        if !invocation.dry_run {
            keep(table, &invocation, &searches, &versions, &under_way).await;
        }
    }
    // What an earlier try found is read again, since it may have changed.
    let found = searches.values().flat_map(|search| &search.found);
    let unread: BTreeSet<String> = found.filter(|arn| !read.contains_key(*arn)).cloned().collect();
    read.extend(health::read(elb, &invocation, unread).await);
    let searched = |search: Search| {
        let health = |arn: &String| Some((arn.clone(), read.get(arn)?.clone()));
        let searched = Searched {
            found: search.found.iter().filter_map(health).collect(),
            looked_at: search.looked_at.len(),
            rest: search.rest,
            problem: problem.clone().filter(|_| !search.is_over),
        };
        (search.instance, searched)
    };
    searches.into_values().map(searched).collect()
}

async fn known(
    table: &Table,
    invocation: &Invocation,
    instances: &BTreeSet<InstanceId>,
) -> (HashMap<InstanceId, Search>, HashMap<InstanceId, u64>) {
    let keys: Vec<Key> = instances.iter().map(Search::key_of).collect();
    let known = table.get_all::<Search>(&invocation.briefly(), &keys).await;
    let known = known.unwrap_or_else(|error| {
        tracing::warn!("cannot tell how far the search has come, it begins anew: {error}");
        vec![]
    });
    let version = |known: &Versioned<Search>| (known.item.instance.clone(), known.version);
    let versions = known.iter().map(version).collect();
    let mut searches: HashMap<InstanceId, Search> = known
        .into_iter()
        .map(|known| (known.item.instance.clone(), known.item))
        .collect();
    for instance in instances {
        let begun = || Search::begun(instance, invocation.clock.now());
        searches.entry(instance.clone()).or_insert_with(begun);
    }
    (searches, versions)
}

async fn keep(
    table: &Table,
    invocation: &Invocation,
    searches: &HashMap<InstanceId, Search>,
    versions: &HashMap<InstanceId, u64>,
    under_way: &[InstanceId],
) {
    let invocation = invocation.briefly();
    let items = under_way.iter().filter_map(|id| searches.get(id));
    let writing = items.map(|item| {
        let version = versions.get(&item.instance).copied();
        let expected = version.map_or(Expected::Nothing, Expected::Version);
        table.write(&invocation, item, expected)
    });
    for answer in together(writing).await {
        // If another invocation has got further meanwhile, its record stays.
        if let Err(error) = answer {
            tracing::warn!("cannot keep how far the search has come: {error}");
        }
    }
}

/// The target groups that an instance in no group and no cluster can be in.
async fn candidates(elb: &Client, invocation: &Invocation) -> Result<Vec<String>, CallError> {
    let pages = elb
        .describe_target_groups()
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>();
    let all = invocation.call("DescribeTargetGroups", pages).await?;
    let mut arns: Vec<String> = all.into_iter().filter_map(candidate).collect();
    arns.sort_unstable();
    Ok(arns)
}

/// Nobody sends requests to a target group without a load balancer.
fn candidate(target_group: TargetGroup) -> Option<String> {
    let is_of_instances = target_group.target_type == Some(TargetTypeEnum::Instance);
    let is_used = !target_group.load_balancer_arns().is_empty();
    target_group
        .target_group_arn
        .filter(|_| is_of_instances && is_used)
}

/// Looks at more target groups, within the budget of each instance. Returns the error if it could not finish.
async fn go_on(
    elb: &Client,
    invocation: &Invocation,
    all: &[String],
    searches: &mut HashMap<InstanceId, Search>,
    read: &mut TargetHealth,
) -> Option<String> {
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    for search in searches.values().filter(|search| !search.is_over) {
        let left = all.iter().filter(|arn| !search.looked_at.contains(*arn));
        let budget = BUDGET.saturating_sub(search.asked);
        // More than the budget: some turn out to belong to Kubernetes, and those do not count.
        wanted.extend(left.take(2 * budget).cloned());
    }
    let of_kubernetes = match of_kubernetes(elb, invocation, &wanted).await {
        Ok(theirs) => theirs,
        Err(error) => return Some(error.to_string()),
    };
    let mut to_read: BTreeSet<String> = BTreeSet::new();
    for search in searches.values_mut().filter(|search| !search.is_over) {
        search.looked_at.extend(of_kubernetes.iter().cloned());
        let left = all.iter().filter(|arn| !search.looked_at.contains(*arn));
        let budget = BUDGET.saturating_sub(search.asked);
        let in_budget = left.filter(|arn| wanted.contains(*arn)).take(budget);
        to_read.extend(in_budget.cloned());
    }
    let calls = to_read.into_iter().map(|arn| async move {
        let answer = health::read(elb, invocation, [arn].into()).await;
        tokio::time::sleep(invocation.clock.real_duration(PACE)).await;
        answer
    });
    read.extend(at_most(AT_ONCE, calls).await.into_iter().flatten());
    let mut problem = None;
    for (arn, answer) in read.iter() {
        match answer {
            Err(error) if !health::is_gone(error) => problem = Some(format!("{arn}: {error}")),
            _ => {}
        }
    }
    for search in searches.values_mut().filter(|search| !search.is_over) {
        search.learn(all, read, BUDGET);
    }
    problem
}

async fn of_kubernetes(
    elb: &Client,
    invocation: &Invocation,
    arns: &BTreeSet<String>,
) -> Result<BTreeSet<String>, CallError> {
    let arns: Vec<String> = arns.iter().cloned().collect();
    let answers = together(arns.chunks(TAGS_PER_CALL).map(|chunk| {
        let asking = elb.describe_tags().set_resource_arns(Some(chunk.to_vec())).send();
        invocation.call("DescribeTags", asking)
    }))
    .await;
    let mut theirs = BTreeSet::new();
    for answer in answers {
        let described = answer?.tag_descriptions.unwrap_or_default();
        theirs.extend(described.into_iter().filter_map(owned_by_kubernetes));
    }
    Ok(theirs)
}

fn owned_by_kubernetes(described: TagDescription) -> Option<String> {
    let is_theirs = described.tags().iter().any(|tag| tag.key() == Some(KUBERNETES));
    described.resource_arn.filter(|_| is_theirs)
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancingv2::types::Tag;

    use super::*;

    #[test]
    fn only_target_groups_of_instances_behind_a_load_balancer_are_looked_at() {
        let target_group = |target_type, balancers: &[&str]| {
            TargetGroup::builder()
                .target_group_arn("tg")
                .target_type(target_type)
                .set_load_balancer_arns(Some(balancers.iter().map(ToString::to_string).collect()))
                .build()
        };
        let table = [
            (TargetTypeEnum::Instance, &["balancer"][..], true),
            (TargetTypeEnum::Instance, &[], false),
            (TargetTypeEnum::Ip, &["balancer"], false),
        ];
        for (target_type, balancers, expected) in table {
            let found = candidate(target_group(target_type.clone(), balancers));
            assert_eq!(found.is_some(), expected, "{target_type}, {balancers:?}");
        }
    }

    #[test]
    fn target_groups_of_kubernetes_are_left_to_it() {
        let described = |key: &str| {
            let tag = Tag::builder().key(key).value("cluster").build();
            let tags = TagDescription::builder().resource_arn("tg");
            tags.tags(tag).build()
        };
        assert_eq!(owned_by_kubernetes(described(KUBERNETES)).as_deref(), Some("tg"));
        assert_eq!(owned_by_kubernetes(described("team")), None);
    }
}
