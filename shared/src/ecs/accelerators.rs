//! Which accelerators a task holds.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_ecs::types::{
    ContainerDefinition, ContainerOverride, ResourceRequirement, ResourceType, Task, TaskDefinition,
};

/// An accelerator of a task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accelerator {
    /// An Amazon Elastic Inference accelerator of this type. AWS has not admitted new customers since April 2023, but
    /// tasks may still hold one.
    ElasticInference(String),
    /// This number of GPUs.
    Gpu(u32),
    /// This number of AWS Neuron devices: Inferentia or Trainium.
    Neuron(u32),
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ElasticInference(device_type) => write!(f, "elastic-inference:{device_type}"),
            Self::Gpu(count) => write!(f, "gpu:{count}"),
            Self::Neuron(count) => write!(f, "neuron:{count}"),
        }
    }
}

/// The accelerators of a task: from the task itself, its overrides and its definition.
pub fn of_task(task: &Task, definition: Option<&TaskDefinition>) -> Vec<Accelerator> {
    let mut accelerators: Vec<Accelerator> = elastic_inference(task, definition)
        .into_values()
        .map(Accelerator::ElasticInference)
        .collect();
    let containers = definition
        .map(TaskDefinition::container_definitions)
        .unwrap_or_default();
    let (mut gpus, mut neurons) = (0, 0);
    for container in containers {
        let requirements = requirements(container, overrides_of(task, container));
        gpus += count(requirements, &ResourceType::Gpu);
        let by_requirement = count(requirements, &ResourceType::NeuronDevice);
        neurons += by_requirement.max(neuron_devices(container));
    }
    accelerators.extend((gpus > 0).then_some(Accelerator::Gpu(gpus)));
    accelerators.extend((neurons > 0).then_some(Accelerator::Neuron(neurons)));
    accelerators
}

/// Device types by device name. The task's overrides win over the task, and the task wins over its definition.
#[expect(
    deprecated,
    reason = "closed to new use by AWS, and still held by the tasks this is about"
)]
fn elastic_inference(task: &Task, definition: Option<&TaskDefinition>) -> BTreeMap<String, String> {
    let of_definition = definition
        .map(TaskDefinition::inference_accelerators)
        .unwrap_or_default();
    let declared = of_definition.iter().chain(task.inference_accelerators());
    let mut devices: BTreeMap<String, String> = declared
        .map(|device| (device.device_name.clone(), device.device_type.clone()))
        .collect();
    let overrides = task
        .overrides()
        .map(|overrides| overrides.inference_accelerator_overrides())
        .unwrap_or_default();
    for device in overrides {
        if let (Some(name), Some(device_type)) = (&device.device_name, &device.device_type) {
            devices.insert(name.clone(), device_type.clone());
        }
    }
    devices
}

fn overrides_of<'a>(task: &'a Task, container: &ContainerDefinition) -> Option<&'a ContainerOverride> {
    let overrides = task.overrides()?.container_overrides();
    overrides
        .iter()
        .find(|one| one.name().is_some() && one.name() == container.name())
}

/// What a container requires. An override replaces the definition's list.
fn requirements<'a>(
    container: &'a ContainerDefinition,
    overridden: Option<&'a ContainerOverride>,
) -> &'a [ResourceRequirement] {
    match overridden.map(ContainerOverride::resource_requirements) {
        Some(requirements) if !requirements.is_empty() => requirements,
        _ => container.resource_requirements(),
    }
}

fn count(requirements: &[ResourceRequirement], kind: &ResourceType) -> u32 {
    requirements
        .iter()
        .filter(|r| r.r#type() == kind)
        .map(|r| r.value().parse().unwrap_or(1))
        .sum()
}

/// Neuron devices that are mounted by their path, as AWS documents it for Inferentia on ECS.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-inference.html>
fn neuron_devices(container: &ContainerDefinition) -> u32 {
    let devices = container
        .linux_parameters()
        .map(|linux| linux.devices())
        .unwrap_or_default();
    let neurons = devices
        .iter()
        .filter(|device| device.host_path().starts_with("/dev/neuron"))
        .count();
    u32::try_from(neurons).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[expect(deprecated, reason = "see above")]
mod tests {
    use aws_sdk_ecs::types::{
        Device, InferenceAccelerator, InferenceAcceleratorOverride, LinuxParameters, TaskOverride,
    };

    use super::*;

    fn requirement(kind: ResourceType, value: &str) -> ResourceRequirement {
        ResourceRequirement::builder()
            .r#type(kind)
            .value(value)
            .build()
            .expect("complete")
    }

    fn device(name: &str, device_type: &str) -> InferenceAccelerator {
        InferenceAccelerator::builder()
            .device_name(name)
            .device_type(device_type)
            .build()
            .expect("complete")
    }

    fn definition(container: ContainerDefinition) -> TaskDefinition {
        TaskDefinition::builder().container_definitions(container).build()
    }

    fn text(task: &Task, definition: &TaskDefinition) -> Vec<String> {
        of_task(task, Some(definition))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn elastic_inference_is_found_in_the_definition_the_task_and_its_overrides() {
        let task = Task::builder().build();
        let defined = TaskDefinition::builder()
            .inference_accelerators(device("one", "eia2.medium"))
            .build();
        assert_eq!(text(&task, &defined), ["elastic-inference:eia2.medium"]);

        let of_task_only = Task::builder()
            .inference_accelerators(device("one", "eia2.large"))
            .build();
        assert_eq!(of_task_only_text(&of_task_only), ["elastic-inference:eia2.large"]);

        let larger = InferenceAcceleratorOverride::builder()
            .device_name("one")
            .device_type("eia2.xlarge")
            .build();
        let overrides = TaskOverride::builder()
            .inference_accelerator_overrides(larger)
            .build();
        let overridden = Task::builder().overrides(overrides).build();
        assert_eq!(text(&overridden, &defined), ["elastic-inference:eia2.xlarge"]);
    }

    fn of_task_only_text(task: &Task) -> Vec<String> {
        of_task(task, None).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn gpus_are_counted_over_containers_and_overrides_win() {
        let container = ContainerDefinition::builder()
            .name("m")
            .resource_requirements(requirement(ResourceType::Gpu, "2"))
            .build();
        assert_eq!(
            text(&Task::builder().build(), &definition(container.clone())),
            ["gpu:2"]
        );
        let more = ContainerOverride::builder()
            .name("m")
            .resource_requirements(requirement(ResourceType::Gpu, "4"))
            .build();
        let task = Task::builder()
            .overrides(TaskOverride::builder().container_overrides(more).build())
            .build();
        assert_eq!(text(&task, &definition(container)), ["gpu:4"]);
    }

    #[test]
    fn neuron_devices_are_found_by_path_and_by_requirement() {
        let mounted = Device::builder()
            .host_path("/dev/neuron0")
            .build()
            .expect("complete");
        let linux = LinuxParameters::builder().devices(mounted).build();
        let container = ContainerDefinition::builder().linux_parameters(linux).build();
        assert_eq!(
            text(&Task::builder().build(), &definition(container)),
            ["neuron:1"]
        );
        let required = requirement(ResourceType::NeuronDevice, "2");
        let container = ContainerDefinition::builder()
            .resource_requirements(required)
            .build();
        assert_eq!(
            text(&Task::builder().build(), &definition(container)),
            ["neuron:2"]
        );
    }

    #[test]
    fn a_plain_task_holds_none() {
        assert!(
            text(
                &Task::builder().build(),
                &definition(ContainerDefinition::builder().build())
            )
            .is_empty()
        );
    }
}
