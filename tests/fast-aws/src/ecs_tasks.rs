//! Amazon ECS: tasks, listed, described and stopped.

use serde_json::{Value, json};

use super::account::Account;
use super::ecs::{cluster, names, paged, text};
use super::error::{Answer, AwsError};
use super::record::Write;

pub(crate) fn list(account: &mut Account, request: &Value) -> Answer {
    let size = account.page_size(100);
    let cluster = cluster(account, request)?;
    // By default ECS does not list tasks that are about to stop.
    let desired = request["desiredStatus"].as_str().unwrap_or("RUNNING");
    let on = request["containerInstance"]
        .as_str()
        .map(|name| name.rsplit('/').next().unwrap_or(name));
    let arns: Vec<String> = match on {
        Some(id) => {
            let arn = format!(
                "{}/{id}",
                cluster.arn.replace(":cluster/", ":container-instance/")
            );
            cluster
                .tasks_on
                .get(&arn)
                .into_iter()
                .flatten()
                .cloned()
                .collect()
        }
        None => cluster.tasks.keys().cloned().collect(),
    };
    let wanted = |arn: &String| text(&cluster.tasks[arn], "desiredStatus") == desired;
    let arns = arns.into_iter().filter(wanted).collect();
    let (shown, token) = paged(request, arns, size)?;
    Ok(json!({ "taskArns": shown, "nextToken": token }).to_string())
}

pub(crate) fn describe(account: &mut Account, request: &Value) -> Answer {
    let with_tags = request["include"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|field| field == "TAGS");
    let cluster = cluster(account, request)?;
    let (mut found, mut failures) = (vec![], vec![]);
    for name in names(request, "tasks", 100)? {
        match cluster.tasks.get(name) {
            Some(task) => {
                let mut task = task.clone();
                if let Some(members) = task.as_object_mut().filter(|_| !with_tags) {
                    members.remove("tags");
                }
                found.push(task);
            }
            None => failures.push(json!({ "arn": name, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "tasks": found, "failures": failures }).to_string())
}

/// A stopped task is gone at once, as in the still world of the embedded AWS.
pub(crate) fn stop(account: &mut Account, request: &Value) -> Answer {
    let cluster = cluster(account, request)?;
    let named = request["task"].as_str().unwrap_or_default();
    let unknown = || AwsError::invalid("The referenced task was not found.");
    let task = cluster.tasks.get_mut(named).ok_or_else(unknown)?;
    let mut stopped = None;
    if text(task, "desiredStatus") != "STOPPED" {
        task["desiredStatus"] = json!("STOPPED");
        task["lastStatus"] = json!("STOPPED");
        task["stopCode"] = json!("UserInitiated");
        task["stoppedReason"] = json!(request["reason"].as_str().unwrap_or("Task stopped by user"));
        stopped = Some(named.to_owned());
    }
    let answer = json!({ "task": task }).to_string();
    if let Some(task) = stopped {
        account.record.write(Write::Stopped { task });
    }
    Ok(answer)
}

/// Runs one task on an ACTIVE container instance, once for each client token. The task has no ports: nothing here
/// asks for the ports of a standalone task.
pub(crate) fn run(account: &mut Account, request: &Value) -> Answer {
    let cluster = cluster(account, request)?;
    let token = text(request, "clientToken");
    let by_token = |task: &&Value| !token.is_empty() && text(task, "clientToken") == token;
    if let Some(task) = cluster.tasks.values().find(by_token) {
        return Ok(json!({ "tasks": [task], "failures": [] }).to_string());
    }
    let mut places = cluster.container_instances.values();
    let Some(place) = places.find(|one| text(one, "status") == "ACTIVE") else {
        let full = |arn: &String| json!({ "arn": arn, "reason": "RESOURCE:MEMORY" });
        let failures: Vec<Value> = cluster.container_instances.keys().map(full).collect();
        return Ok(json!({ "tasks": [], "failures": failures }).to_string());
    };
    let place = text(place, "containerInstanceArn").to_owned();
    let number = cluster.tasks.len();
    let arn = format!("{}/{number:032x}", cluster.arn.replace(":cluster/", ":task/"));
    let definition = text(request, "taskDefinition");
    let family = definition
        .rsplit('/')
        .next()
        .and_then(|name| name.split(':').next());
    let task = json!({
        "taskArn": arn,
        "clientToken": token,
        "containerInstanceArn": place,
        "taskDefinitionArn": definition,
        "group": request["group"].as_str().map_or_else(|| format!("family:{}", family.unwrap_or_default()), str::to_owned),
        "startedBy": request["startedBy"],
        "overrides": request["overrides"],
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "containers": [],
        "tags": request["tags"],
    });
    cluster.tasks_on.entry(place).or_default().insert(arn.clone());
    cluster.tasks.insert(arn, task.clone());
    Ok(json!({ "tasks": [task], "failures": [] }).to_string())
}
