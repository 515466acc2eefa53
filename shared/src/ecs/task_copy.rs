//! Turns what ECS tells of a task into an order for another task like it.

use aws_sdk_ecs::Client;
use aws_sdk_ecs::operation::run_task::builders::RunTaskFluentBuilder;
use aws_sdk_ecs::types::{
    AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, EnvironmentFile, KeyValuePair,
    LaunchType, NetworkConfiguration, ResourceRequirement, Tag, Task, TaskOverride,
};

use super::standalone_tasks::{SECURITY_GROUPS_TAG, SUBNETS_TAG, own_interface, tag};
use crate::notice::{ContainerOverrides, Overrides, RerunOrder, TaskCopy};

/// ECS sets this tag if `enableECSManagedTags` was given.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-using-tags.html>
const MANAGED_TAG: &str = "aws:ecs:clusterName";

/// What a task like this one needs.
pub fn of(task: &Task) -> TaskCopy {
    let words = |key| {
        let value = tag(task, key).unwrap_or_default();
        value.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut subnets = words(SUBNETS_TAG);
    if subnets.is_empty() {
        subnets.extend(own_interface(task).and_then(|interface| {
            let mut details = interface.details().iter();
            let subnet = details.find(|detail| detail.name() == Some("subnetId"))?;
            subnet.value().map(str::to_owned)
        }));
    }
    let has_interface = own_interface(task).is_some();
    let provider = task.capacity_provider_name.clone();
    // AWS sets tags of its own on a task; they cannot be given to another task.
    let own_tags = task.tags().iter().filter_map(|tag| {
        let key = tag.key().filter(|key| !key.starts_with("aws:"))?;
        Some((key.to_owned(), tag.value().unwrap_or_default().to_owned()))
    });
    TaskCopy {
        definition: task.task_definition_arn.clone().unwrap_or_default(),
        overrides: task.overrides().map(overrides_of),
        // A capacity provider and a launch type exclude each other.
        launch_type: match provider {
            Some(_) => None,
            None => task.launch_type().map(|one| one.as_str().to_owned()),
        },
        provider,
        subnets: if has_interface { subnets } else { vec![] },
        security_groups: if has_interface {
            words(SECURITY_GROUPS_TAG)
        } else {
            vec![]
        },
        tags: own_tags.collect(),
        managed_tags: tag(task, MANAGED_TAG).is_some(),
        group: task
            .group()
            .filter(|group| !group.starts_with("family:"))
            .map(str::to_owned),
        started_by: task.started_by.clone(),
        execute_command: task.enable_execute_command,
    }
}

/// The RunTask call for the order.
pub fn ordered(client: &Client, order: &RerunOrder) -> RunTaskFluentBuilder {
    let copy = &order.copy;
    let provider = copy.provider.as_ref().and_then(|name| {
        let item = CapacityProviderStrategyItem::builder()
            .capacity_provider(name)
            .weight(1);
        item.build().ok().map(|item| vec![item])
    });
    let tag = |(key, value): &(String, String)| Tag::builder().key(key).value(value).build();
    client
        .run_task()
        .cluster(&order.cluster)
        .client_token(order.token())
        .task_definition(&copy.definition)
        .set_overrides(copy.overrides.as_ref().map(overrides))
        .set_capacity_provider_strategy(provider)
        .set_launch_type(copy.launch_type.as_deref().map(LaunchType::from))
        .set_network_configuration(network(copy))
        .set_tags(Some(copy.tags.iter().map(tag).collect()))
        .enable_ecs_managed_tags(copy.managed_tags)
        .set_group(copy.group.clone())
        .set_started_by(copy.started_by.clone())
        .enable_execute_command(copy.execute_command)
        .count(1)
}

fn network(copy: &TaskCopy) -> Option<NetworkConfiguration> {
    if copy.subnets.is_empty() {
        return None;
    }
    let configuration = AwsVpcConfiguration::builder()
        .set_subnets(Some(copy.subnets.clone()))
        .set_security_groups(Some(copy.security_groups.clone()))
        .build()
        .ok()?;
    let network = NetworkConfiguration::builder().awsvpc_configuration(configuration);
    Some(network.build())
}

fn overrides_of(task: &TaskOverride) -> Overrides {
    Overrides {
        cpu: task.cpu.clone(),
        memory: task.memory.clone(),
        task_role: task.task_role_arn.clone(),
        execution_role: task.execution_role_arn.clone(),
        containers: task.container_overrides().iter().map(container_of).collect(),
    }
}

fn container_of(container: &ContainerOverride) -> ContainerOverrides {
    let pair = |one: &KeyValuePair| (one.name.clone(), one.value.clone());
    let file = |one: &EnvironmentFile| (one.r#type.as_str().to_owned(), one.value.clone());
    let resource = |one: &ResourceRequirement| (one.r#type.as_str().to_owned(), one.value.clone());
    let environment = container.environment.as_ref();
    let files = container.environment_files.as_ref();
    let resources = container.resource_requirements.as_ref();
    ContainerOverrides {
        name: container.name.clone(),
        command: container.command.clone(),
        environment: environment.map(|all| all.iter().map(pair).collect()),
        environment_files: files.map(|all| all.iter().map(file).collect()),
        cpu: container.cpu,
        memory: container.memory,
        memory_reservation: container.memory_reservation,
        resources: resources.map(|all| all.iter().map(resource).collect()),
    }
}

fn overrides(overrides: &Overrides) -> TaskOverride {
    let containers: Vec<ContainerOverride> = overrides.containers.iter().map(container).collect();
    let containers = (!containers.is_empty()).then_some(containers);
    TaskOverride::builder()
        .set_cpu(overrides.cpu.clone())
        .set_memory(overrides.memory.clone())
        .set_task_role_arn(overrides.task_role.clone())
        .set_execution_role_arn(overrides.execution_role.clone())
        .set_container_overrides(containers)
        .build()
}

fn container(container: &ContainerOverrides) -> ContainerOverride {
    let pair = |(name, value): &(Option<String>, Option<String>)| {
        KeyValuePair::builder()
            .set_name(name.clone())
            .set_value(value.clone())
            .build()
    };
    let file = |(kind, value): &(String, String)| {
        let file = EnvironmentFile::builder()
            .r#type(kind.as_str().into())
            .value(value);
        file.build().ok()
    };
    let resource = |(kind, value): &(String, String)| {
        let resource = ResourceRequirement::builder()
            .r#type(kind.as_str().into())
            .value(value);
        resource.build().ok()
    };
    let environment = container.environment.as_ref();
    let files = container.environment_files.as_ref();
    let resources = container.resources.as_ref();
    ContainerOverride::builder()
        .set_name(container.name.clone())
        .set_command(container.command.clone())
        .set_environment(environment.map(|all| all.iter().map(pair).collect()))
        .set_environment_files(files.map(|all| all.iter().filter_map(file).collect()))
        .set_cpu(container.cpu)
        .set_memory(container.memory)
        .set_memory_reservation(container.memory_reservation)
        .set_resource_requirements(resources.map(|all| all.iter().filter_map(resource).collect()))
        .build()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{Attachment, ResourceType};

    use super::*;

    #[test]
    fn overrides_come_back_as_they_were() {
        let gpu = ResourceRequirement::builder()
            .r#type(ResourceType::Gpu)
            .value("1")
            .build()
            .expect("whole");
        let job = ContainerOverride::builder()
            .name("job")
            .command("--all")
            .environment(KeyValuePair::builder().name("A").value("b").build())
            .memory(512)
            .resource_requirements(gpu)
            .build();
        let given = TaskOverride::builder()
            .cpu("512")
            .task_role_arn("role")
            .container_overrides(job)
            .build();
        let json = serde_json::to_string(&overrides_of(&given)).expect("JSON");
        let read: Overrides = serde_json::from_str(&json).expect("the same");
        assert_eq!(overrides(&read), given);
    }

    #[test]
    fn a_copy_has_what_ecs_tells_and_the_tags_say() {
        let tags = [
            ("aws:ecs:clusterName", "c"),
            ("team", "blue"),
            (SUBNETS_TAG, "subnet-1 subnet-2"),
            (SECURITY_GROUPS_TAG, "sg-1"),
        ];
        let tags = tags.map(|(key, value)| Tag::builder().key(key).value(value).build());
        let subnet = KeyValuePair::builder().name("subnetId").value("subnet-1").build();
        let interface = Attachment::builder()
            .r#type("ElasticNetworkInterface")
            .details(subnet)
            .build();
        let task = |tags: Vec<Tag>| {
            Task::builder()
                .set_tags(Some(tags))
                .attachments(interface.clone())
                .capacity_provider_name("spot")
                .launch_type(LaunchType::Ec2)
                .group("nightly")
                .build()
        };
        let copy = of(&task(tags.to_vec()));
        assert_eq!(copy.subnets, ["subnet-1", "subnet-2"]);
        assert_eq!(copy.security_groups, ["sg-1"]);
        assert_eq!((copy.provider.as_deref(), copy.launch_type), (Some("spot"), None));
        assert_eq!(
            (copy.group.as_deref(), copy.managed_tags),
            (Some("nightly"), true)
        );
        let keys: Vec<&str> = copy.tags.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["team", SUBNETS_TAG, SECURITY_GROUPS_TAG]);
        assert_eq!(of(&task(vec![])).subnets, ["subnet-1"], "its own at least");
    }
}
