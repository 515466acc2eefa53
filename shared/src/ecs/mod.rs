//! ECS: clusters, container instances, tasks, how long tasks take to end, accelerators.

pub mod accelerators;
pub mod aws_batch;
pub mod clusters;
pub mod container_instances;
pub mod grace;
pub mod managed_instances;
pub mod rerun_roles;
pub mod standalone_tasks;
pub mod task_copy;
pub mod task_definitions;
pub mod tasks;
