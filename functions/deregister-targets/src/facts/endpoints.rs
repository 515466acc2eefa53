//! Where the tasks of services are registered, in batched, parallel reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use aws_sdk_ecs::types::{LoadBalancer, SchedulingStrategy, Service, Task};
use jiff::SignedDuration;
use spot_handoff::ecs::accelerators;
use spot_handoff::ecs::clusters::Sizes;
use spot_handoff::ecs::container_instances::ContainerInstance;
use spot_handoff::ecs::grace;
use spot_handoff::ecs::task_definitions::TaskDefinitions;
use spot_handoff::ecs::tasks::{self, Looking, TasksOn};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};

use super::found::{Endpoint, OtherWay, Stop, TaskEndpoints};

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html>
const SERVICES_PER_CALL: usize = 10;

/// Where the service tasks on these container instances are or would be registered. `default_stop_timeout` is the grace
/// of a container without `stopTimeout`, by the ARN of its container instance.
pub async fn of_tasks(
    ecs: &aws_sdk_ecs::Client,
    invocation: &Invocation,
    definitions: &TaskDefinitions,
    container_instances: &[&ContainerInstance],
    cluster_sizes: &Sizes,
    default_stop_timeout: impl Fn(&str) -> SignedDuration,
) -> TaskEndpoints {
    let tasks = tasks::on(
        ecs,
        invocation,
        container_instances,
        cluster_sizes,
        Looking::ForRunning,
    )
    .await;
    let cluster_of: HashMap<&str, &str> = container_instances
        .iter()
        .map(|c| (c.arn.as_str(), c.cluster.as_str()))
        .collect();
    let of_services = tasks.values().flatten().flatten();
    let of_services: Vec<&Task> = of_services
        .filter(|task| tasks::service_of(task).is_some())
        .collect();
    let (services, definitions) = tokio::join!(
        services_of(ecs, invocation, &tasks, &cluster_of),
        definitions.of(ecs, invocation, &of_services),
    );

    let mut endpoints = TaskEndpoints::default();
    for (arn, tasks) in &tasks {
        let cluster = cluster_of.get(arn.as_str()).copied().unwrap_or_default();
        let on = tasks.as_ref().map_err(Clone::clone).map(|tasks| {
            let mut found = vec![];
            for task in tasks {
                let Some(name) = tasks::service_of(task) else {
                    continue;
                };
                match services.get(&(cluster.to_owned(), name.to_owned())) {
                    Some(Ok(ways)) => {
                        let definition = task.task_definition_arn().and_then(|arn| definitions.get(arn));
                        let definition = definition.map(AsRef::as_ref);
                        let stop = (!ways.is_daemon).then(|| Stop {
                            grace: grace::grace(definition, default_stop_timeout(arn)),
                            as_last: grace::of_last_server(definition, default_stop_timeout(arn)),
                            accelerators: accelerators::of_task(task, definition),
                        });
                        let own = ways.load_balancers.iter();
                        let own = own.filter_map(|balancer| endpoint(task, name, balancer));
                        found.extend(own.map(|endpoint| Endpoint {
                            stop: stop.clone(),
                            ..endpoint
                        }));
                        let other_ways = endpoints.other_ways.entry(arn.clone()).or_default();
                        other_ways.extend(ways.others.iter().map(|way| (name.to_owned(), *way)));
                    }
                    Some(Err(error)) => {
                        let unread = endpoints.unread_services.entry(arn.clone()).or_default();
                        unread.insert(name.to_owned(), error.clone());
                    }
                    None => {}
                }
            }
            found
        });
        endpoints.on.insert(arn.clone(), on);
    }
    endpoints
}

/// How requests reach services, by cluster and name, or why that could not be read.
type Services = HashMap<(String, String), Result<Ways, CallError>>;

/// How requests reach a service.
#[derive(Debug, Clone)]
struct Ways {
    is_daemon: bool,
    load_balancers: Vec<LoadBalancer>,
    others: BTreeSet<OtherWay>,
}

impl Ways {
    fn of(service: Service) -> Self {
        let mut others = BTreeSet::new();
        if !service.service_registries().is_empty() {
            others.insert(OtherWay::CloudMap);
        }
        let by_lattice = |one: &aws_sdk_ecs::types::Deployment| !one.vpc_lattice_configurations().is_empty();
        if service.deployments().iter().any(by_lattice) {
            others.insert(OtherWay::VpcLattice);
        }
        Self {
            is_daemon: service.scheduling_strategy == Some(SchedulingStrategy::Daemon),
            load_balancers: load_balancers(service),
            others,
        }
    }
}

async fn services_of(
    ecs: &aws_sdk_ecs::Client,
    invocation: &Invocation,
    tasks: &TasksOn,
    cluster_of: &HashMap<&str, &str>,
) -> Services {
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (arn, tasks) in tasks {
        let cluster = cluster_of.get(arn.as_str()).copied().unwrap_or_default();
        let of_services = tasks.iter().flatten().filter_map(tasks::service_of);
        names.entry(cluster).or_default().extend(of_services);
    }
    let mut chunks: Vec<(&str, Vec<&str>)> = vec![];
    for (cluster, names) in names {
        let names: Vec<&str> = names.into_iter().collect();
        chunks.extend(
            names
                .chunks(SERVICES_PER_CALL)
                .map(|chunk| (cluster, chunk.to_vec())),
        );
    }
    let calls = chunks.iter().map(|(cluster, names)| {
        let names = names.iter().map(ToString::to_string).collect();
        let asking = ecs
            .describe_services()
            .cluster(*cluster)
            .set_services(Some(names))
            .send();
        invocation.call("DescribeServices", asking)
    });
    let answers = together(calls).await;
    let mut services = Services::new();
    for ((cluster, names), answer) in chunks.iter().zip(answers) {
        match answer {
            Ok(described) => {
                for service in described.services.unwrap_or_default() {
                    let name = service.service_name.clone().unwrap_or_default();
                    services.insert((cluster.to_string(), name), Ok(Ways::of(service)));
                }
            }
            Err(error) => {
                let of = |name: &&str| ((cluster.to_string(), name.to_string()), Err(error.clone()));
                services.extend(names.iter().map(of));
            }
        }
    }
    services
}

/// A service's load balancers: its own, those of its task sets (for external and CodeDeploy deployments), and the
/// alternate target groups between which ECS's own blue/green deployments swap.
fn load_balancers(service: Service) -> Vec<LoadBalancer> {
    let task_sets = service.task_sets.unwrap_or_default().into_iter();
    let of_task_sets = task_sets.filter_map(|set| set.load_balancers).flatten();
    let mut balancers: Vec<LoadBalancer> = service
        .load_balancers
        .unwrap_or_default()
        .into_iter()
        .chain(of_task_sets)
        .collect();
    let alternate = |balancer: &LoadBalancer| {
        let target_group_arn = balancer
            .advanced_configuration()?
            .alternate_target_group_arn
            .clone()?;
        let mut alternate = balancer.clone();
        alternate.target_group_arn = Some(target_group_arn);
        Some(alternate)
    };
    let alternates: Vec<LoadBalancer> = balancers.iter().filter_map(alternate).collect();
    balancers.extend(alternates);
    balancers
}

/// How a task is registered with one load balancer of its service. In mode `awsvpc` by an address of its network
/// interface. In mode `bridge` by a port of the host, from the network bindings. In mode `host` ECS tells neither, so
/// by the instance.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_NetworkBinding.html>
fn endpoint(task: &Task, service: &str, balancer: &LoadBalancer) -> Option<Endpoint> {
    let host_ports = task
        .containers()
        .iter()
        .filter(|container| container.name == balancer.container_name)
        .flat_map(|container| container.network_bindings())
        .filter(|binding| binding.container_port == balancer.container_port)
        .filter_map(|binding| binding.host_port)
        .collect();
    Some(Endpoint {
        service: service.to_owned(),
        task: task.task_arn.clone()?,
        target_group: balancer.target_group_arn.clone()?,
        addresses: addresses(task),
        host_ports,
        stop: None,
    })
}

/// The addresses of a task's network interface. If it has both kinds, the attachment has the IPv4 address, and the
/// containers have both. A target group of type `ip` has addresses of one kind.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_NetworkInterface.html>
fn addresses(task: &Task) -> BTreeSet<String> {
    let attached = task
        .attachments()
        .iter()
        .filter(|attachment| attachment.r#type() == Some("ElasticNetworkInterface"))
        .flat_map(|attachment| attachment.details())
        .filter(|detail| matches!(detail.name(), Some("privateIPv4Address" | "ipv6Address")))
        .filter_map(|detail| detail.value());
    let of_containers = task
        .containers()
        .iter()
        .flat_map(|container| container.network_interfaces())
        .flat_map(|interface| [interface.private_ipv4_address(), interface.ipv6_address()])
        .flatten();
    attached.chain(of_containers).map(as_elb_writes).collect()
}

/// An IPv6 address can be written in several ways.
fn as_elb_writes(address: &str) -> String {
    let parsed: Result<IpAddr, _> = address.parse();
    parsed.map_or_else(|_| address.to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{Attachment, Container, KeyValuePair, NetworkBinding, NetworkInterface};

    use super::*;

    #[test]
    fn a_task_is_told_by_its_address_or_its_port_and_in_host_mode_by_neither() {
        let balancer = LoadBalancer::builder()
            .target_group_arn("targets")
            .container_name("web")
            .container_port(80)
            .build();
        let container = |bindings: Vec<NetworkBinding>| {
            Container::builder()
                .name("web")
                .set_network_bindings(Some(bindings))
                .build()
        };
        let task = |bindings| Task::builder().task_arn("task").containers(container(bindings));
        let bound = |port, host_port| {
            NetworkBinding::builder()
                .container_port(port)
                .host_port(host_port)
                .build()
        };
        let interface = Attachment::builder()
            .r#type("ElasticNetworkInterface")
            .details(
                KeyValuePair::builder()
                    .name("privateIPv4Address")
                    .value("10.0.0.7")
                    .build(),
            )
            .build();
        let both_kinds = Container::builder()
            .name("sidecar")
            .network_interfaces(
                NetworkInterface::builder()
                    .private_ipv4_address("10.0.0.7")
                    .ipv6_address("2001:0db8:0:0::7")
                    .build(),
            )
            .build();
        let table = [
            (
                "awsvpc",
                task(vec![]).attachments(interface.clone()),
                &["10.0.0.7"] as &[&str],
                &[] as &[i32],
            ),
            (
                "awsvpc with both kinds of addresses",
                task(vec![]).attachments(interface).containers(both_kinds),
                &["10.0.0.7", "2001:db8::7"],
                &[],
            ),
            (
                "bridge",
                task(vec![bound(80, 32768), bound(81, 32769)]),
                &[],
                &[32768],
            ),
            ("host", task(vec![]), &[], &[]),
        ];
        for (mode, task, addresses, ports) in table {
            let found = endpoint(&task.build(), "web", &balancer).expect("an endpoint");
            assert!(
                found.addresses.iter().eq(addresses),
                "{mode}: {:?}",
                found.addresses
            );
            assert!(
                found.host_ports.iter().eq(ports),
                "{mode}: {:?}",
                found.host_ports
            );
        }
    }
}
