//! What AWS Batch manages: its ECS clusters and Auto Scaling groups are told by their names.
//!
//! AWS advises against changes to them by anybody else. Batch sees by itself that an instance goes, and its retry
//! strategies tell by the reason of a stopped task (`Host EC2*`) whether a job is tried again.
//! <https://docs.aws.amazon.com/batch/latest/userguide/managed_compute_environments.html>

use crate::report::names::is_generated;

/// The names that the managed policy of Batch's service-linked role lets it manage begin so.
/// <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/BatchServiceRolePolicy.html>
const PREFIX: &str = "AWSBatch-";
/// Clusters of compute environments with a service role of their own: environment, this, a UUID.
const OLDER: &str = "_Batch_";

/// Whether a cluster, by its name or ARN, or a group of this name is one of AWS Batch.
pub fn manages(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    let is_older = name.rsplit_once(OLDER).is_some_and(|(_, id)| is_generated(id));
    name.starts_with(PREFIX) || is_older
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_and_groups_of_batch_are_told_by_their_names() {
        let table = [
            ("AWSBatch-training-2b9d1f6e-7108-3c4e-99f7-2fd92e1a8941", true),
            (
                "arn:aws:ecs:us-east-1:123456789012:cluster/AWSBatch-training-2b9d1f6e-7108-3c4e-99f7-2fd92e1a8941",
                true,
            ),
            ("training_Batch_2b9d1f6e-7108-3c4e-99f7-2fd92e1a8941", true),
            ("Nightly_Batch_Jobs", false),
            ("batch", false),
            ("arn:aws:ecs:us-east-1:123456789012:cluster/inference", false),
        ];
        for (name, expected) in table {
            assert_eq!(manages(name), expected, "{name}");
        }
    }
}
