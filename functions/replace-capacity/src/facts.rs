//! What Auto Scaling knows about the instances and their groups.

use aws_sdk_autoscaling::Client;
use spot_handoff::groups::{self, Groups};
use spot_handoff::invocation::Invocation;
use spot_handoff::notice::{FollowUp, InstanceId, Notice, Signal, Step};

/// Reads the groups of the notices' instances, and those that follow-ups name: an instance that was detached meanwhile
/// is known only by the name of the group it left.
pub async fn groups_of(client: &Client, invocation: &Invocation, notices: &[Notice]) -> Groups {
    let ids: Vec<InstanceId> = notices.iter().map(|notice| notice.instance.clone()).collect();
    let named: Vec<String> = notices
        .iter()
        .filter_map(|notice| named_group(&notice.signal))
        .collect();
    groups::read(client, invocation, &ids, &named).await
}

fn named_group(signal: &Signal) -> Option<String> {
    match signal {
        Signal::FollowUp(FollowUp {
            step: Step::AwaitReplacement { group } | Step::Retire { group } | Step::GiveUp { group },
            ..
        }) => Some(group.clone()),
        _ => None,
    }
}
