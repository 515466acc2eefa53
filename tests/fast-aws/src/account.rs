//! Everything in one account and region, and which action does what to it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::autoscaling::{self, Groups};
use super::dynamodb::{self, Table};
use super::ecs::{self, Cluster};
use super::elbv2::{self, TargetGroup};
use super::error::{Answer, AwsError};
use super::faults::Faults;
use super::fleet::{Fleet, Instance};
use super::form::Form;
use super::limits::Throttle;
use super::record::Record;
use super::sqs::{self, Queue};
use super::{ec2, ecs_tasks};
use testbed::Clock;
use testbed::Stack;

/// The account.
pub(crate) struct Account {
    clock: Clock,
    pub(crate) stack: Stack,
    pub(crate) settings: Settings,
    pub(crate) throttle: Throttle,
    pub(crate) faults: Faults,
    pub(crate) record: Record,
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) groups: Groups,
    pub(crate) target_groups: BTreeMap<String, TargetGroup>,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    pub(crate) task_definitions: BTreeMap<String, Value>,
    pub(crate) queues: BTreeMap<String, Queue>,
    pub(crate) tables: BTreeMap<String, Table>,
    /// How many messages have been sent.
    pub(crate) messages: u64,
}

/// How a test wants it to behave.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) ignore_container_instance_filter: bool,
    pub(crate) page_size: Option<usize>,
}

impl Account {
    pub(crate) fn new(fleet: Fleet, stack: Stack, throttle: Throttle, clock: Clock) -> Self {
        let definition = |one: Value| (ecs::text(&one, "taskDefinitionArn").to_owned(), one);
        Self {
            clock,
            settings: Settings::default(),
            throttle,
            faults: Faults::default(),
            record: Record::default(),
            instances: fleet
                .instances
                .into_iter()
                .map(|one| (one.id.clone(), one))
                .collect(),
            groups: Groups::new(fleet.groups),
            target_groups: fleet
                .target_groups
                .into_iter()
                .map(|one| (one.arn.clone(), TargetGroup::new(one)))
                .collect(),
            clusters: fleet
                .clusters
                .into_iter()
                .map(|one| (one.name.clone(), Cluster::new(one)))
                .collect(),
            task_definitions: fleet.task_definitions.into_iter().map(definition).collect(),
            queues: stack
                .queues
                .iter()
                .map(|one| (one.name.clone(), Queue::new(one.clone())))
                .collect(),
            tables: stack
                .tables
                .iter()
                .map(|one| (one.name.clone(), Table::new(one.key.clone())))
                .collect(),
            messages: 0,
            stack,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The size of a page that would have this many items.
    pub(crate) fn page_size(&self, usual: usize) -> usize {
        self.settings.page_size.map_or(usual, |size| size.min(usual))
    }

    /// Carries a call out. ReceiveMessage waits and is elsewhere.
    pub(crate) fn answer(&mut self, service: &str, action: &str, body: &[u8]) -> Answer {
        match service {
            "autoscaling" | "elasticloadbalancing" | "ec2" => {
                self.answer_query(service, action, &Form::parse(body))
            }
            _ => {
                let request: Value = serde_json::from_slice(body)
                    .map_err(|error| AwsError::new("SerializationException", error.to_string()))?;
                self.answer_json(service, action, &request)
            }
        }
    }

    fn answer_query(&mut self, service: &str, action: &str, form: &Form) -> Answer {
        match (service, action) {
            ("autoscaling", "DescribeAutoScalingInstances") => autoscaling::describe_instances(self, form),
            ("autoscaling", "DescribeAutoScalingGroups") => autoscaling::describe_groups(self, form),
            ("autoscaling", "DescribeScalingActivities") => Ok(autoscaling::describe_activities()),
            ("autoscaling", "DetachInstances") => autoscaling::detach(self, form),
            ("autoscaling", "SetDesiredCapacity") => autoscaling::set_desired(self, form),
            ("autoscaling", "TerminateInstanceInAutoScalingGroup") => autoscaling::terminate(self, form),
            ("autoscaling", "CreateOrUpdateTags") => autoscaling::put_tags(self, form),
            ("elasticloadbalancing", "DescribeTargetHealth") => elbv2::describe_health(self, form),
            ("elasticloadbalancing", "DescribeTargetGroups") => elbv2::describe_groups(self, form),
            ("elasticloadbalancing", "DescribeTargetGroupAttributes") => {
                elbv2::describe_attributes(self, form)
            }
            ("elasticloadbalancing", "DescribeTags") => elbv2::describe_tags(self, form),
            ("elasticloadbalancing", "DeregisterTargets") => elbv2::deregister_targets(self, form),
            ("ec2", "DescribeInstances") => ec2::describe_instances(self, form),
            _ => Err(not_served(service, action)),
        }
    }

    fn answer_json(&mut self, service: &str, action: &str, request: &Value) -> Answer {
        match (service, action) {
            ("ecs", "ListClusters") => ecs::list_clusters(self, request),
            ("ecs", "DescribeClusters") => ecs::describe_clusters(self, request),
            ("ecs", "ListContainerInstances") => ecs::list_container_instances(self, request),
            ("ecs", "DescribeContainerInstances") => ecs::describe_container_instances(self, request),
            ("ecs", "UpdateContainerInstancesState") => ecs::update_container_instances_state(self, request),
            ("ecs", "ListServices") => ecs::list_services(self, request),
            ("ecs", "DescribeServices") => ecs::describe_services(self, request),
            ("ecs", "DescribeTaskDefinition") => ecs::describe_task_definition(self, request),
            ("ecs", "ListTasks") => ecs_tasks::list(self, request),
            ("ecs", "DescribeTasks") => ecs_tasks::describe(self, request),
            ("ecs", "RunTask") => ecs_tasks::run(self, request),
            ("ecs", "StopTask") => ecs_tasks::stop(self, request),
            ("dynamodb", "GetItem") => dynamodb::get(self, request),
            ("dynamodb", "BatchGetItem") => dynamodb::get_batch(self, request),
            ("dynamodb", "Query") => dynamodb::query(self, request),
            ("dynamodb", "PutItem") => dynamodb::put(self, request),
            ("dynamodb", "DeleteItem") => dynamodb::delete(self, request),
            ("dynamodb", "BatchWriteItem") => dynamodb::write_batch(self, request),
            ("sqs", "SendMessage") => sqs::send(self, request),
            ("sqs", "SendMessageBatch") => sqs::send_batch(self, request),
            ("sqs", "DeleteMessage") => sqs::delete(self, request),
            ("sqs", "DeleteMessageBatch") => sqs::delete_batch(self, request),
            ("sqs", "ChangeMessageVisibility") => sqs::change_visibility(self, request),
            ("sqs", "ChangeMessageVisibilityBatch") => sqs::change_visibility_batch(self, request),
            ("sqs", "GetQueueAttributes") => sqs::attributes(self, request),
            _ => Err(not_served(service, action)),
        }
    }
}

fn not_served(service: &str, action: &str) -> AwsError {
    AwsError::new(
        "InternalFailure",
        format!("the fast AWS does not serve {action} of {service}"),
    )
    .with_status(500)
}
