//! How far the stop scripts are of those instances for which somebody waits.

use std::collections::HashMap;

use jiff::Timestamp;
use spot_handoff::autoscaling::groups::Group;
use spot_handoff::autoscaling::policies::{self, StopDocument, StopSeconds};
use spot_handoff::notice::{Cause, FollowUp, InstanceId, Notice, Signal, Step};
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::state::stop_scripts::{self, Stage};
use spot_handoff::state::{Key, Table};

/// How far the stop script of an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopScript {
    /// It has ended.
    Over,
    /// It is still running, or has not begun.
    Awaited {
        /// It is over by then in any case.
        until: Timestamp,
    },
    /// The table does not answer.
    Unknown {
        /// Why.
        error: String,
        /// It is over by then in any case.
        until: Timestamp,
    },
}

/// Reads how far the scripts are, for instances for which somebody waits and whose group has a script.
pub async fn read<'a>(
    table: &Table,
    invocation: &Invocation,
    notices: &[Notice],
    group_of: impl Fn(&Notice) -> Option<&'a Group>,
) -> HashMap<InstanceId, StopScript> {
    let asked = |notice: &&Notice| group_of(notice).is_some_and(StopDocument::is_asked_for);
    let awaited: Vec<&Notice> = notices
        .iter()
        .filter(|notice| is_waited_with(notice))
        .filter(asked)
        .collect();
    if awaited.is_empty() {
        return HashMap::new();
    }
    let keys: Vec<Key> = awaited
        .iter()
        .map(|notice| stop_scripts::StopScript::key_of(&notice.instance))
        .collect();
    let found = table
        .get_all::<stop_scripts::StopScript>(&invocation.briefly(), &keys)
        .await;
    let until = |notice: &Notice| {
        let (takes, _) = policies::of_group(group_of(notice), StopSeconds::default());
        stop_scripts::over_by(notice.time, notice.deadline(), takes.0)
    };
    let state = |notice: &Notice| match &found {
        Err(error) => StopScript::Unknown {
            error: error.to_string(),
            until: until(notice),
        },
        Ok(found) => {
            let is_over = |item: &stop_scripts::StopScript| {
                item.instance == notice.instance && item.stage == Stage::Over
            };
            if found.iter().any(|found| is_over(&found.item)) {
                return StopScript::Over;
            }
            StopScript::Awaited { until: until(notice) }
        }
    };
    awaited
        .into_iter()
        .map(|notice| (notice.instance.clone(), state(notice)))
        .collect()
}

/// Whether somebody waits before terminating the instance: Auto Scaling in a hook, or replace-capacity.
fn is_waited_with(notice: &Notice) -> bool {
    match &notice.signal {
        Signal::TerminateLifecycleAction(_) => true,
        Signal::FollowUp(FollowUp { step, cause, .. }) => match step {
            Step::AwaitTasks { .. } => true,
            Step::MoveWork { .. } => *cause != Cause::Interruption,
            _ => false,
        },
        _ => false,
    }
}
