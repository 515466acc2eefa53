//! Recognises the ECS clusters and Auto Scaling groups of AWS Batch by their names.
//!
//! AWS advises others not to change them. Batch notices by itself that an instance goes. Its retry strategies decide by
//! the reason of the stopped task (`Host EC2*`) whether to retry a job.
//! <https://docs.aws.amazon.com/batch/latest/userguide/managed_compute_environments.html>

use crate::report::names::is_generated;

/// The managed policy of Batch's service-linked role covers names that begin like this.
/// <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/BatchServiceRolePolicy.html>
const PREFIX: &str = "AWSBatch-";
/// Clusters of compute environments with their own service role: the name of the environment, this, a UUID.
const OLDER: &str = "_Batch_";

/// Whether a cluster (by name or ARN) or a group with this name belongs to AWS Batch.
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
