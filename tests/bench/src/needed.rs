//! How many calls a storm needs at the least: where one invocation of each function has all notices, and none is refused.
//!
//! Nothing tells in which cluster an instance is, or which tasks are on it, so these are searched for in the cheapest way.

use crate::fleet::{Size, services};

/// Ids that one call of ECS takes, and of what it lists on a page.
const OF_ECS: usize = 100;
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateContainerInstancesState.html>
const DRAINED: usize = 10;
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html>
const SERVICES: usize = 10;
/// Targets of one call.
const TARGETS: usize = 100;
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetGroups.html>
const TARGET_GROUPS: usize = 20;
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DetachInstances.html>
const DETACHED: usize = 20;
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const WRITTEN: usize = 25;
/// Messages of one call.
const SENT: usize = 10;
/// Instances that one message looks at.
const LOOKED_AT: usize = 50;

/// The least that a function needs until the last of its work is done, reports and messages included.
pub fn of(function: &str, size: Size) -> Option<usize> {
    // Of a few instances only their own groups, clusters and services matter.
    let few = |all: usize| all.min(size.instances);
    let all_groups = size.groups.clamp(1, size.target_groups.max(1));
    let groups = few(all_groups);
    let clusters = few(size.clusters);
    let of_services = few(services(size, all_groups));
    let target_groups_of_services = few(size.target_groups - all_groups);
    let target_groups = groups + target_groups_of_services;
    // The group of an instance, and the groups.
    let membership = 2;
    let reports = size.instances.div_ceil(WRITTEN);
    let looks = size.instances.div_ceil(LOOKED_AT * SENT);
    let in_group = size.instances.div_ceil(groups);
    let in_cluster = size.instances.div_ceil(size.clusters);
    match function {
        "deregister-targets" => {
            let described = clusters * of_services.div_ceil(clusters).div_ceil(SERVICES);
            let definitions = 1;
            // How the targets are, whose they are, what is under notice there, and that these are.
            let read = target_groups + target_groups.div_ceil(TARGET_GROUPS) + 1;
            let noted = target_groups;
            let out = groups * in_group.div_ceil(TARGETS)
                + target_groups_of_services * (in_group * size.tasks).div_ceil(TARGETS);
            let searched = search(size) + tasks(size) + described + definitions;
            Some(membership + searched + read + noted + out + reports + looks)
        }
        "drain-tasks" => {
            let definitions = 2;
            let daemons = clusters;
            let drained = clusters * in_cluster.div_ceil(DRAINED);
            // The late stops of their tasks go together as looks do.
            let later = looks;
            let searched = search(size) + tasks(size) + definitions + daemons;
            Some(membership + searched + drained + later + reports + looks)
        }
        "replace-capacity" => {
            // As for deregister-targets, of the groups' target groups; and the exchanges of each group.
            let read = groups + groups.div_ceil(TARGET_GROUPS) + 1 + groups;
            let noted = groups;
            let out = groups * in_group.div_ceil(DETACHED);
            let watched = groups.div_ceil(SENT);
            Some(membership + read + noted + out + reports + watched)
        }
        _ => None,
    }
}

/// Which container instances they are.
fn search(size: Size) -> usize {
    let in_cluster = size.instances.div_ceil(size.clusters);
    let found_in = size.clusters.min(size.instances);
    let by_filter = size.clusters * size.instances.div_ceil(OF_ECS) + found_in * in_cluster.div_ceil(OF_ECS);
    let whole = size.clusters * 2 * in_cluster.div_ceil(OF_ECS);
    let (clusters, sizes) = (1, usize::from(size.instances > OF_ECS));
    clusters + sizes + by_filter.min(whole)
}

/// Which tasks are on them. Every tenth has one more.
fn tasks(size: Size) -> usize {
    let clusters = size.clusters.min(size.instances);
    let in_cluster = size.instances.div_ceil(size.clusters);
    let tasks = (in_cluster * size.tasks + in_cluster.div_ceil(10)).div_ceil(OF_ECS);
    clusters * (tasks + tasks.min(in_cluster))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_need_little_more_calls_than_a_hundred() {
        let needed = |instances| {
            let size = Size {
                instances,
                ..Size::default()
            };
            ["deregister-targets", "drain-tasks", "replace-capacity"].map(|function| of(function, size))
        };
        let thousand = needed(1_000);
        // Groups 2; clusters 2, container instances 20, tasks 30, services 5, definition 1; targets 22, table 20; out 20;
        // reports 40, looks 2.
        assert_eq!(thousand[0], Some(164));
        assert_eq!(thousand[1], Some(2 + 22 + 30 + 2 + 5 + 100 + 2 + 40 + 2));
        assert_eq!(thousand[2], Some(2 + 22 + 10 + 50 + 40 + 1));
        // Groups 2; clusters 1, container instances 6, tasks 2, service 1, definition 1; target groups 3, table 3; out 2; report,
        // look.
        assert_eq!(needed(1)[0], Some(23));
        let hundred = needed(100);
        assert!(hundred.iter().zip(&thousand).all(|(few, many)| few < many));
        assert_eq!(of("another", Size::default()), None);
    }
}
