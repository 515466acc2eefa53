//! Re-runs that are due: one item for each task, written before the task is stopped.
//!
//! StopTask deletes the task's tags, and ECS forgets a stopped task after about an hour. Then only the table knows what
//! the new task has to be like, and whether it already runs. Writes only add to what is known, so two invocations can
//! come in any order.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Expected, Item, Key, Table, Versioned, Written};
use crate::notice::RerunOrder;
use crate::runtime::aws::CallError;
use crate::runtime::invocation::{Invocation, together};

/// A message can wait in a dead-letter queue for fourteen days; this is a day more.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(15 * 24);

/// A task that has to be stopped waits this long for the table. Then it is stopped without it.
pub const WAITS_FOR_TABLE: Duration = Duration::from_secs(1);

impl Item for RerunOrder {
    fn key(&self) -> Key {
        key_of(&self.task)
    }

    fn expires(&self) -> Timestamp {
        self.since.saturating_add(KEPT_FOR).unwrap_or(self.since)
    }
}

fn key_of(task: &str) -> Key {
    Key::new(task, "rerun")
}

/// What the table knows about the re-runs of these tasks, by their ARNs.
///
/// # Errors
/// If it does not answer in time.
pub async fn read(
    table: &Table,
    invocation: &Invocation,
    tasks: &[&str],
) -> Result<HashMap<String, RerunOrder>, CallError> {
    let keys: Vec<Key> = tasks.iter().map(|task| key_of(task)).collect();
    let invocation = invocation.for_at_most(WAITS_FOR_TABLE);
    let found: Vec<Versioned<RerunOrder>> = table.get_all(&invocation, &keys).await?;
    let by_task = found.into_iter().map(|one| (one.item.task.clone(), one.item));
    Ok(by_task.collect())
}

/// Adds these orders to what the table knows. Returns the results in the order of the orders.
pub async fn write(
    table: &Table,
    invocation: &Invocation,
    orders: &[RerunOrder],
) -> Vec<Result<(), CallError>> {
    if orders.is_empty() {
        return vec![];
    }
    let invocation = invocation.for_at_most(WAITS_FOR_TABLE);
    let keys: Vec<Key> = orders.iter().map(Item::key).collect();
    // If the table does not answer, each order is written as if it were new. If it is not new, the write changes
    // nothing and reports a conflict.
    let known: Vec<Versioned<RerunOrder>> = table.get_all(&invocation, &keys).await.unwrap_or_default();
    let known = |order: &RerunOrder| known.iter().find(|known| known.item.task == order.task).cloned();
    let writes = orders
        .iter()
        .map(|order| write_one(table, &invocation, order, known(order)));
    together(writes).await
}

async fn write_one(
    table: &Table,
    invocation: &Invocation,
    order: &RerunOrder,
    mut known: Option<Versioned<RerunOrder>>,
) -> Result<(), CallError> {
    loop {
        let (order, expected) = match known {
            Some(known) => {
                let joined = order.clone().joined(&known.item);
                if joined == known.item {
                    return Ok(());
                }
                (joined, Expected::Version(known.version))
            }
            None => (order.clone(), Expected::Nothing),
        };
        if let Written::Yes(_) = table.write(invocation, &order, expected).await? {
            return Ok(());
        }
        known = table.get_all(invocation, &[order.key()]).await?.pop();
    }
}
