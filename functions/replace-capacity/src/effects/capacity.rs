//! Setting the desired capacity of a group.
//!
//! SetDesiredCapacity has no token, and is not conditional. A busy group answers with HTTP 500, and SDKs repeat the
//! call; by then the number may be out of date. So the call is made once, and the group is read before another try.
//! <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SetDesiredCapacity.html>

use std::collections::BTreeMap;
use std::time::Duration;

use spot_handoff::autoscaling::groups;
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};

use super::{Asked, Aws};
use crate::clients::Clients;
use crate::plan::Action;

const TRIES: usize = 4;
/// How long a group is busy with another change.
const BUSY: Duration = Duration::from_secs(1);

/// A group whose desired capacity is set. The last of its notices gives the number.
#[derive(Debug, Clone, Copy)]
struct Order {
    from: i32,
    to: i32,
}

/// Sets the desired capacity of each group once.
pub async fn all(aws: Aws<'_>, distinct: &[Asked<'_>]) -> Vec<(Action, Done)> {
    let mut orders: BTreeMap<&str, Order> = BTreeMap::new();
    for (_, action) in distinct {
        if let Action::SetDesired { group, from, to, .. } = action {
            orders.insert(group, Order { from: *from, to: *to });
        }
    }
    let calls = orders.iter().map(|(group, order)| set(aws, group, *order));
    let answers = together(calls).await;
    let done: BTreeMap<&str, Done> = orders.into_keys().zip(answers).collect();
    let of = |action: &Action| match action {
        Action::SetDesired { group, .. } => Some((action.clone(), done.get(group.as_str())?.clone())),
        _ => None,
    };
    distinct.iter().filter_map(|(_, action)| of(action)).collect()
}

async fn set(aws: Aws<'_>, group: &str, order: Order) -> Done {
    let clock = aws.invocation.clock;
    let mut last = None;
    for _ in 0..TRIES {
        match set_desired(aws.clients, aws.invocation, group, order.to).await {
            Ok(()) => return Done::now(clock),
            Err(error) if error.is_passing() => last = Some(error),
            Err(error) => return Done::failed(clock, error),
        }
        tokio::time::sleep(clock.real_duration(BUSY)).await;
        let names = [group.to_owned()];
        let read = groups::read(&aws.clients.autoscaling, aws.invocation, &[], &names).await;
        match read.by_name(group).map(|group| group.desired) {
            Some(desired) if desired == order.to => return Done::now(clock),
            Some(desired) if desired == order.from => {}
            // Unknown, or somebody else was faster: the message comes back and finds out.
            _ => break,
        }
    }
    match last {
        Some(error) => Done::failed(clock, error),
        None => Done::failed(clock, "not tried"),
    }
}

/// Sets the desired capacity of a group with one call.
///
/// # Errors
/// See [`CallError`].
pub async fn set_desired(
    clients: &Clients,
    invocation: &Invocation,
    group: &str,
    to: i32,
) -> Result<(), CallError> {
    let asking = clients
        .autoscaling_once
        .set_desired_capacity()
        .auto_scaling_group_name(group)
        .desired_capacity(to)
        .honor_cooldown(false)
        .send();
    invocation.call("SetDesiredCapacity", asking).await.map(|_| ())
}
