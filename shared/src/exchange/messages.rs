//! The messages of an exchange. They only say "look now"; the facts are in the table.

use jiff::Timestamp;

use super::state::Exchange;
use crate::notice::{Cause, FollowUp, InstanceId, Step};

/// replace-capacity to itself: look how far the exchange is. For an instance under notice: look whether it may leave.
pub fn look(group: &str, cause: Cause, limit: Timestamp) -> FollowUp {
    let group = group.to_owned();
    FollowUp {
        cause,
        deadline: Some(limit),
        step: match cause {
            Cause::Interruption | Cause::StateChange => Step::Look {
                group: Some(group),
                registered: vec![],
                seen: vec![],
            },
            Cause::Rebalance | Cause::Retirement | Cause::Termination | Cause::Restart => {
                Step::AwaitReplacement { group }
            }
        },
    }
}

/// replace-capacity to drain-tasks, which also has the targets deregistered: move the work to the replacement.
pub fn move_work(group: &str, exchange: &Exchange, replacement: InstanceId) -> FollowUp {
    FollowUp {
        cause: exchange.cause,
        deadline: Some(exchange.limit),
        step: Step::MoveWork {
            group: group.to_owned(),
            replacement: Some(replacement),
        },
    }
}

/// To replace-capacity: end the exchange, although the work has not moved. drain-tasks sends it, or a person by hand.
pub fn call_off(group: &str, cause: Cause, limit: Timestamp) -> FollowUp {
    FollowUp {
        cause,
        deadline: Some(limit),
        step: Step::GiveUp {
            group: group.to_owned(),
        },
    }
}
