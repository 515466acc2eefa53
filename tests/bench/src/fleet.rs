//! The fleet that a storm hits. All groups are alike, and so are all clusters. Each instance has a target of its
//! group and one of its service. There are as many other targets that stay.

use std::collections::{BTreeMap, BTreeSet};

use fast_aws::{ACCOUNT, Cluster, Fleet, Group, Instance, Member, REGION, TargetGroup};
use serde_json::{Value, json};

const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];
/// The host ports that ECS gives tasks of services begin here.
const FIRST_PORT: u16 = 32_768;

/// How large the fleet is, and how much of it the storm hits. One thing grows at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Instances, all of which are interrupted.
    pub instances: usize,
    /// Auto Scaling groups over which they are spread.
    pub groups: usize,
    /// ECS clusters over which the groups are spread.
    pub clusters: usize,
    /// Target groups: one for each group. The others are for the services of the groups.
    pub target_groups: usize,
    /// Service tasks on each instance. Every tenth instance has a standalone task, too.
    pub tasks: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            instances: 1_000,
            groups: 10,
            clusters: 5,
            target_groups: 20,
            tasks: 1,
        }
    }
}

/// The id of the n-th instance.
pub fn instance_id(n: usize) -> String {
    format!("i-{n:017x}")
}

/// Builds the fleet.
pub fn build(size: Size) -> Fleet {
    let groups = size.groups.clamp(1, size.target_groups.max(1));
    let services = services(size, groups);
    let mut fleet = Fleet {
        task_definitions: vec![definition("service"), definition("standalone")],
        clusters: (0..size.clusters).map(cluster).collect(),
        target_groups: (0..size.target_groups).map(|n| target_group(n, groups)).collect(),
        groups: (0..groups).map(|n| group(n, size.target_groups)).collect(),
        ..Fleet::default()
    };
    for n in 0..services {
        let arn = fleet.target_groups.get(groups + n).map(|group| group.arn.clone());
        let (service, cluster) = (service(n, size.clusters, arn), n % size.clusters);
        fleet.clusters[cluster].services.push(service);
    }
    for n in 0..size.instances {
        add_instance(&mut fleet, size, n);
    }
    for target_group in &mut fleet.target_groups {
        add_staying_targets(target_group);
    }
    for group in &mut fleet.groups {
        group.desired = group.members.len() as i64;
        group.max = group.desired * 2;
    }
    fleet
}

/// At least one for each group and each cluster.
pub(crate) fn services(size: Size, groups: usize) -> usize {
    (size.target_groups - groups).max(groups).max(size.clusters)
}

fn target_group_arn(n: usize) -> String {
    format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/storm-{n:04}/{n:016x}")
}

fn target_group(n: usize, groups: usize) -> TargetGroup {
    TargetGroup {
        arn: target_group_arn(n),
        name: format!("storm-{n:04}"),
        target_type: "instance".to_owned(),
        port: if n < groups { 80 } else { 8080 },
        delay: 60,
        targets: BTreeSet::new(),
    }
}

/// As many On-Demand instances serve as Spot instances. So the half that has to stay is there, no target is held, and
/// a storm shows how fast the functions are.
fn add_staying_targets(target_group: &mut TargetGroup) {
    let staying = 0..target_group.targets.len();
    let target = |n| (format!("i-0d{n:015x}"), target_group.port);
    target_group.targets.extend(staying.map(target));
}

fn group(n: usize, target_groups: usize) -> Group {
    Group {
        name: format!("storm-{n:04}"),
        zones: ZONES.map(str::to_owned).to_vec(),
        target_groups: (n < target_groups)
            .then(|| target_group_arn(n))
            .into_iter()
            .collect(),
        launch_template: Some("storm".to_owned()),
        // All Spot.
        distribution: Some((0, 0)),
        ..Group::default()
    }
}

fn cluster(n: usize) -> Cluster {
    let name = format!("storm-{n:04}");
    Cluster {
        arn: format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{name}"),
        name,
        ..Cluster::default()
    }
}

fn definition(name: &str) -> Value {
    json!({
        "taskDefinitionArn": definition_arn(name),
        "family": name,
        "revision": 1,
        "networkMode": "bridge",
        "status": "ACTIVE",
        "containerDefinitions": [{ "name": "main", "image": "main", "stopTimeout": 60, "essential": true }],
    })
}

fn definition_arn(name: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{name}:1")
}

fn service_name(n: usize) -> String {
    format!("service-{n:04}")
}

fn service(n: usize, clusters: usize, target_group: Option<String>) -> Value {
    let cluster = cluster(n % clusters).name;
    let balancer = |arn| json!({ "targetGroupArn": arn, "containerName": "main", "containerPort": 8080 });
    json!({
        "serviceName": service_name(n),
        "serviceArn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service/{cluster}/{}", service_name(n)),
        "clusterArn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{cluster}"),
        "status": "ACTIVE",
        "loadBalancers": target_group.map(balancer).into_iter().collect::<Vec<_>>(),
    })
}

/// Puts an instance into a group, a cluster and the target groups of both, with its tasks.
fn add_instance(fleet: &mut Fleet, size: Size, n: usize) {
    let (id, zone) = (instance_id(n), ZONES[n % ZONES.len()].to_owned());
    let (groups, clusters) = (fleet.groups.len(), fleet.clusters.len());
    let group = n % groups;
    fleet.instances.push(Instance {
        id: id.clone(),
        zone: zone.clone(),
        state: "running".to_owned(),
        private_ip: None,
        tags: BTreeMap::new(),
    });
    fleet.groups[group].members.push(Member {
        id: id.clone(),
        zone,
        lifecycle: "InService".to_owned(),
    });
    if let Some(target_group) = fleet.target_groups.get_mut(group) {
        target_group.targets.insert((id.clone(), 80));
    }

    // A group belongs to the cluster whose number is the remainder of the group's number. The same holds for
    // services.
    let cluster = group % clusters.min(groups);
    let cluster = if clusters > groups { n % clusters } else { cluster };
    let of_cluster: Vec<usize> = (cluster..services(size, groups)).step_by(clusters).collect();
    let arn = |kind: &str, id: &str| {
        format!(
            "arn:aws:ecs:{REGION}:{ACCOUNT}:{kind}/{}/{id}",
            fleet.clusters[cluster].name
        )
    };
    let container_instance = arn("container-instance", &format!("{n:032x}"));
    let has_standalone = n.is_multiple_of(10);
    let described = json!({
        "containerInstanceArn": container_instance,
        "ec2InstanceId": id,
        "status": "ACTIVE",
        "agentConnected": true,
        "runningTasksCount": size.tasks + usize::from(has_standalone),
        "pendingTasksCount": 0,
    });
    let mut tasks = vec![];
    for t in 0..size.tasks {
        // Instances of a group run the same services, if there are enough services.
        let service = of_cluster[(n / groups + t) % of_cluster.len()];
        let port = FIRST_PORT + t as u16;
        tasks.push(task(
            &arn("task", &format!("{n:024x}{t:08x}")),
            &container_instance,
            service,
            port,
        ));
        if let Some(target_group) = fleet.target_groups.get_mut(groups + service) {
            target_group.targets.insert((id.clone(), port));
        }
    }
    if has_standalone {
        let mut alone = task(
            &arn("task", &format!("{n:024x}{:08x}", u32::MAX)),
            &container_instance,
            0,
            0,
        );
        alone["group"] = json!("family:standalone");
        alone["taskDefinitionArn"] = json!(definition_arn("standalone"));
        tasks.push(alone);
    }
    let cluster = &mut fleet.clusters[cluster];
    cluster.container_instances.push(described);
    cluster.tasks.extend(tasks);
}

fn task(arn: &str, on: &str, service: usize, port: u16) -> Value {
    json!({
        "taskArn": arn,
        "containerInstanceArn": on,
        "taskDefinitionArn": definition_arn("service"),
        "group": format!("service:{}", service_name(service)),
        "launchType": "EC2",
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "containers": [{
            "name": "main",
            "networkBindings": [{ "containerPort": 8080, "hostPort": port, "protocol": "tcp" }],
        }],
        "tags": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_is_a_target_of_its_group_and_of_its_service() {
        let fleet = build(Size {
            instances: 100,
            ..Size::default()
        });
        assert_eq!(
            (
                fleet.groups.len(),
                fleet.clusters.len(),
                fleet.target_groups.len()
            ),
            (10, 5, 20)
        );
        let targets: usize = fleet.target_groups.iter().map(|group| group.targets.len()).sum();
        assert_eq!(targets, 400, "and beside each of them is one that stays");
        let tasks: usize = fleet.clusters.iter().map(|cluster| cluster.tasks.len()).sum();
        assert_eq!(
            tasks, 110,
            "a service task each, and a standalone one on every tenth"
        );
    }

    #[test]
    fn each_size_can_grow_alone() {
        for size in [
            Size {
                instances: 10,
                clusters: 100,
                ..Size::default()
            },
            Size {
                instances: 10,
                target_groups: 1,
                ..Size::default()
            },
            Size {
                instances: 10,
                target_groups: 100,
                ..Size::default()
            },
            Size {
                instances: 10,
                tasks: 100,
                ..Size::default()
            },
        ] {
            let fleet = build(size);
            assert_eq!(fleet.instances.len(), 10);
            assert_eq!(
                (fleet.clusters.len(), fleet.target_groups.len()),
                (size.clusters, size.target_groups)
            );
        }
    }
}
