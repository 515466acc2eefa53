//! Instances that stop and may be started again under the same id. Nobody would undo what we do to them.

use crate::autoscaling::groups::{Group, GroupOf, Lifecycle, Member};
use crate::notice::{InstanceState, Signal};

/// A group in which one of these processes is suspended does not replace a member that stops.
/// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html>
const REPLACING: [&str; 3] = ["HealthCheck", "ReplaceUnhealthy", "Terminate"];

/// Whether the signal says that the instance stops, but nobody will terminate it because of that.
///
/// Auto Scaling replaces a member that stops, but not one in standby or in a warm pool. An instance in no group belongs
/// to whoever stops it: a host that is stopped every night comes back every morning.
pub fn may_start_again(signal: &Signal, group: &GroupOf<'_>) -> bool {
    let stops = Signal::StateChange {
        state: InstanceState::Stopping,
    };
    *signal == stops
        && match group {
            GroupOf::None => true,
            GroupOf::Some { group, member } => !is_replaced(group, member),
            GroupOf::Unknown(_) => false,
        }
}

fn is_replaced(group: &Group, member: &Member) -> bool {
    let is_kept = matches!(member.lifecycle, Lifecycle::Standby | Lifecycle::Other);
    !is_kept && !REPLACING.iter().any(|process| group.suspended.contains(*process))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoscaling::groups::Groups;
    use crate::notice::InstanceId;
    use crate::runtime::aws::CallError;

    fn state(state: InstanceState) -> Signal {
        Signal::StateChange { state }
    }

    #[test]
    fn what_auto_scaling_replaces_does_not_start_again() {
        use Lifecycle::{InService, Other, Pending, Standby, Terminating};
        let table = [
            (InService, None, false),
            (Pending, None, false),
            (Terminating, None, false),
            (Standby, None, true),
            (Other, None, true),
            (InService, Some("ReplaceUnhealthy"), true),
            (InService, Some("Launch"), false),
        ];
        let id: InstanceId = "i-1234567890abcdef0".parse().expect("an id");
        for (lifecycle, suspended, expected) in table {
            let groups = Groups::of([Group {
                name: "g".to_owned(),
                suspended: suspended.map(str::to_owned).into_iter().collect(),
                instances: vec![Member {
                    id: id.clone(),
                    zone: "us-east-1a".to_owned(),
                    lifecycle,
                }],
                ..Group::default()
            }]);
            let group = groups.of_instance(&id);
            let stops = may_start_again(&state(InstanceState::Stopping), &group);
            assert_eq!(stops, expected, "{lifecycle:?}, suspended {suspended:?}");
            assert!(!may_start_again(&state(InstanceState::ShuttingDown), &group));
        }
    }

    #[test]
    fn an_instance_in_no_group_may_start_again_unless_it_is_being_terminated() {
        let of = |signal: &Signal| may_start_again(signal, &GroupOf::None);
        assert!(of(&state(InstanceState::Stopping)));
        assert!(!of(&state(InstanceState::ShuttingDown)));
        assert!(!of(&Signal::RebalanceRecommendation));
        let unread = CallError::Refused {
            action: "DescribeAutoScalingInstances",
            code: "Throttling".to_owned(),
            message: String::new(),
        };
        let unknown = GroupOf::Unknown(&unread);
        assert!(!may_start_again(&state(InstanceState::Stopping), &unknown));
    }
}
