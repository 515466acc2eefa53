//! Which services run a task on every instance: those with the scheduling strategy DAEMON. Tasks do not tell this.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::SchedulingStrategy;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListServices.html>
const LISTED_PER_PAGE: i32 = 100;

/// The service of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// How ECS places its tasks.
    pub scheduling: Scheduling,
}

/// How ECS places the tasks of a service.
#[derive(Debug, Clone, PartialEq)]
pub enum Scheduling {
    /// A number of tasks, wherever there is room.
    Replica,
    /// One task on every instance. These tasks leave a draining instance last, and carry logs and the like for the
    /// others until then.
    Daemon,
    /// It could not be read.
    Unread(CallError),
}

/// The names of the DAEMON services of each cluster.
#[derive(Debug, Default)]
pub struct Daemons(HashMap<String, Result<BTreeSet<String>, CallError>>);

impl Daemons {
    /// Reads the DAEMON services of these clusters: one call for each cluster, however many services it has.
    pub async fn of(client: &Client, invocation: &Invocation, clusters: &BTreeSet<&str>) -> Self {
        let calls = clusters.iter().map(|cluster| list(client, invocation, cluster));
        let names = clusters.iter().map(ToString::to_string);
        Self(names.zip(together(calls).await).collect())
    }

    /// The service of this name.
    pub fn service(&self, cluster: &str, name: &str) -> Service {
        let scheduling = match self.0.get(cluster) {
            Some(Ok(daemons)) if daemons.contains(name) => Scheduling::Daemon,
            Some(Err(error)) => Scheduling::Unread(error.clone()),
            Some(Ok(_)) | None => Scheduling::Replica,
        };
        Service {
            name: name.to_owned(),
            scheduling,
        }
    }
}

async fn list(
    client: &Client,
    invocation: &Invocation,
    cluster: &str,
) -> Result<BTreeSet<String>, CallError> {
    let pages = client
        .list_services()
        .cluster(cluster)
        .scheduling_strategy(SchedulingStrategy::Daemon)
        .into_paginator()
        .page_size(LISTED_PER_PAGE)
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>();
    let arns = invocation
        .call("ListServices", pages)
        .await
        .inspect_err(|error| tracing::warn!("cannot list the DAEMON services of {cluster}: {error}"))?;
    let name = |arn: &String| arn.rsplit('/').next().unwrap_or(arn).to_owned();
    Ok(arns.iter().map(name).collect())
}
