//! Amazon ECS: clusters, container instances, services, task definitions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::account::Account;
use super::error::{Answer, AwsError};
use super::fleet;
use super::record::Write;

/// A cluster, with indexes for look-ups. It keeps its parts as ECS describes them.
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) arn: String,
    /// By ARN.
    pub(crate) container_instances: BTreeMap<String, Value>,
    /// ARNs by EC2 instance.
    of_instance: HashMap<String, Vec<String>>,
    /// By ARN.
    pub(crate) tasks: BTreeMap<String, Value>,
    /// ARNs by container instance.
    pub(crate) tasks_on: HashMap<String, BTreeSet<String>>,
    pub(crate) services: BTreeMap<String, Value>,
}

/// A member of a described thing, as text.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

impl Cluster {
    pub(crate) fn new(fleet: fleet::Cluster) -> Self {
        let mut cluster = Self {
            name: fleet.name,
            arn: fleet.arn,
            container_instances: BTreeMap::new(),
            of_instance: HashMap::new(),
            tasks: BTreeMap::new(),
            tasks_on: HashMap::new(),
            services: BTreeMap::new(),
        };
        for one in fleet.container_instances {
            let arn = text(&one, "containerInstanceArn").to_owned();
            cluster
                .of_instance
                .entry(text(&one, "ec2InstanceId").to_owned())
                .or_default()
                .push(arn.clone());
            cluster.container_instances.insert(arn, one);
        }
        for task in fleet.tasks {
            let (arn, on) = (
                text(&task, "taskArn").to_owned(),
                text(&task, "containerInstanceArn").to_owned(),
            );
            cluster.tasks_on.entry(on).or_default().insert(arn.clone());
            cluster.tasks.insert(arn, task);
        }
        for service in fleet.services {
            cluster
                .services
                .insert(text(&service, "serviceName").to_owned(), service);
        }
        cluster
    }
}

pub(crate) fn cluster<'a>(account: &'a mut Account, request: &Value) -> Result<&'a mut Cluster, AwsError> {
    let name = request["cluster"].as_str().unwrap_or("default");
    let name = name.rsplit('/').next().unwrap_or(name);
    let unknown = || AwsError::new("ClusterNotFoundException", "Cluster not found.");
    account.clusters.get_mut(name).ok_or_else(unknown)
}

/// A list of names that has to hold some, and not too many.
pub(crate) fn names<'a>(request: &'a Value, field: &str, most: usize) -> Result<Vec<&'a str>, AwsError> {
    let names: Vec<&str> = request[field]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match names.len() {
        0 => Err(AwsError::invalid(format!("{field} cannot be empty."))),
        n if n > most => Err(AwsError::invalid(format!(
            "{field} cannot have more than {most} items."
        ))),
        _ => Ok(names),
    }
}

/// One page of a list of ARNs. The token is the last ARN shown, so nothing shifts if an item goes away between two
/// pages.
pub(crate) fn paged(
    request: &Value,
    mut items: Vec<String>,
    size: usize,
) -> Result<(Vec<String>, Option<String>), AwsError> {
    let asked = request["maxResults"]
        .as_u64()
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(100);
    items.sort_unstable();
    if let Some(token) = request["nextToken"].as_str() {
        if !token.starts_with("arn:") {
            return Err(AwsError::invalid("Invalid token."));
        }
        items.retain(|item| item.as_str() > token);
    }
    let more = items.len() > asked.min(size);
    items.truncate(asked.min(size));
    let token = items.last().filter(|_| more).cloned();
    Ok((items, token))
}

pub(crate) fn list_clusters(account: &Account, request: &Value) -> Answer {
    let arns = account
        .clusters
        .values()
        .map(|cluster| cluster.arn.clone())
        .collect();
    let (shown, token) = paged(request, arns, account.page_size(100))?;
    Ok(json!({ "clusterArns": shown, "nextToken": token }).to_string())
}

pub(crate) fn describe_clusters(account: &Account, request: &Value) -> Answer {
    let (mut found, mut failures) = (vec![], vec![]);
    for name in names(request, "clusters", 100)? {
        match account.clusters.get(name.rsplit('/').next().unwrap_or(name)) {
            Some(cluster) => {
                let running = cluster
                    .tasks
                    .values()
                    .filter(|task| text(task, "lastStatus") == "RUNNING")
                    .count();
                found.push(json!({
                    "clusterArn": cluster.arn,
                    "clusterName": cluster.name,
                    "status": "ACTIVE",
                    "registeredContainerInstancesCount": cluster.container_instances.len(),
                    "runningTasksCount": running,
                    "pendingTasksCount": 0,
                    "activeServicesCount": cluster.services.len(),
                }));
            }
            None => failures.push(json!({ "arn": name, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "clusters": found, "failures": failures }).to_string())
}

pub(crate) fn list_container_instances(account: &mut Account, request: &Value) -> Answer {
    let ignores_filter = account.settings.ignore_container_instance_filter;
    let size = account.page_size(100);
    let cluster = cluster(account, request)?;
    let status = request["status"].as_str();
    let arns: Vec<String> = match request["filter"].as_str().filter(|_| !ignores_filter) {
        Some(filter) => {
            let ids = filtered_ids(filter)?;
            let found = ids.iter().filter_map(|id| cluster.of_instance.get(*id));
            found.flatten().cloned().collect()
        }
        None => cluster.container_instances.keys().cloned().collect(),
    };
    let has_status = |arn: &String| {
        status.is_none_or(|status| text(&cluster.container_instances[arn], "status") == status)
    };
    let arns = arns.into_iter().filter(has_status).collect();
    let (shown, token) = paged(request, arns, size)?;
    Ok(json!({ "containerInstanceArns": shown, "nextToken": token }).to_string())
}

/// The part of the cluster query language that asks for instances by their EC2 ids.
fn filtered_ids(filter: &str) -> Result<Vec<&str>, AwsError> {
    let ids = filter
        .trim()
        .strip_prefix("ec2InstanceId")
        .map(str::trim)
        .and_then(|rest| {
            let list = rest
                .strip_prefix("in")
                .map(|list| list.trim().trim_start_matches('[').trim_end_matches(']'));
            list.or_else(|| rest.strip_prefix("==").map(str::trim))
        });
    let ids = ids.ok_or_else(|| {
        AwsError::invalid(format!(
            "The filter {filter:?} is beyond the cluster query language this AWS knows"
        ))
    })?;
    Ok(ids.split(',').map(str::trim).collect())
}

/// The ARN that an id or an ARN names. An ARN also names a cluster, and it has to be this one.
fn container_instance_arn(cluster: &Cluster, name: &str) -> Result<String, Value> {
    let id = name.rsplit('/').next().unwrap_or(name);
    let prefix = cluster.arn.replace(":cluster/", ":container-instance/");
    let arn = format!("{prefix}/{id}");
    let fits = name == id || name == arn;
    if fits && cluster.container_instances.contains_key(&arn) {
        Ok(arn)
    } else {
        Err(json!({ "arn": arn, "reason": "MISSING" }))
    }
}

pub(crate) fn describe_container_instances(account: &mut Account, request: &Value) -> Answer {
    let cluster = cluster(account, request)?;
    let (mut found, mut failures) = (vec![], vec![]);
    for name in names(request, "containerInstances", 100)? {
        match container_instance_arn(cluster, name) {
            Ok(arn) => found.push(cluster.container_instances[&arn].clone()),
            Err(failure) => failures.push(failure),
        }
    }
    Ok(json!({ "containerInstances": found, "failures": failures }).to_string())
}

pub(crate) fn update_container_instances_state(account: &mut Account, request: &Value) -> Answer {
    let status = request["status"].as_str().unwrap_or_default();
    if !matches!(status, "ACTIVE" | "DRAINING") {
        return Err(AwsError::invalid(
            "Container instance status should be one of [ACTIVE, DRAINING]",
        ));
    }
    let cluster = cluster(account, request)?;
    let (mut found, mut failures, mut drained) = (vec![], vec![], vec![]);
    for name in names(request, "containerInstances", 10)? {
        match container_instance_arn(cluster, name) {
            Ok(arn) => {
                let Some(one) = cluster.container_instances.get_mut(&arn) else {
                    continue;
                };
                if text(one, "status") != "DRAINING" && status == "DRAINING" {
                    drained.push(text(one, "ec2InstanceId").to_owned());
                }
                one["status"] = json!(status);
                found.push(one.clone());
            }
            Err(failure) => failures.push(failure),
        }
    }
    for instance in drained {
        account.record.write(Write::Draining { instance });
    }
    Ok(json!({ "containerInstances": found, "failures": failures }).to_string())
}

pub(crate) fn list_services(account: &mut Account, request: &Value) -> Answer {
    let size = account.page_size(100);
    let strategy = request["schedulingStrategy"].as_str();
    let services = cluster(account, request)?.services.values();
    // A service without one is of the default.
    let has = |service: &Value| {
        service["schedulingStrategy"]
            .as_str()
            .unwrap_or("REPLICA")
            .to_owned()
    };
    let wanted = services.filter(|service| strategy.is_none_or(|wanted| has(service) == wanted));
    let arns = wanted
        .map(|service| text(service, "serviceArn").to_owned())
        .collect();
    let (shown, token) = paged(request, arns, size)?;
    Ok(json!({ "serviceArns": shown, "nextToken": token }).to_string())
}

pub(crate) fn describe_services(account: &mut Account, request: &Value) -> Answer {
    let cluster = cluster(account, request)?;
    let (mut found, mut failures) = (vec![], vec![]);
    for name in names(request, "services", 10)? {
        match cluster.services.get(name.rsplit('/').next().unwrap_or(name)) {
            Some(service) => found.push(service.clone()),
            None => failures.push(json!({ "arn": name, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "services": found, "failures": failures }).to_string())
}

pub(crate) fn describe_task_definition(account: &Account, request: &Value) -> Answer {
    let name = request["taskDefinition"].as_str().unwrap_or_default();
    let found = account.task_definitions.get(name);
    let unknown = || AwsError::new("ClientException", "Unable to describe task definition.");
    Ok(json!({ "taskDefinition": found.ok_or_else(unknown)?, "tags": [] }).to_string())
}
