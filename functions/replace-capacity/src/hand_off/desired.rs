//! After the desired capacity of a group was set: what other invocations have written meanwhile is set as well.
//!
//! One invocation at a time sets the desired capacity of a group, since two numbers may arrive in the other order. It ends
//! its turn by a write that expects the item as it was last seen. So whatever another has written is either seen here, or
//! written by one who sees that the turn is over. Where this cannot be said, the turn ends by itself after some seconds, and
//! the next look sets the number.

use spot_handoff::autoscaling::groups;
use spot_handoff::exchange::{Exchanges, capacity};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::state::{Expected, Versioned, Written};

use super::ReplaceCapacity;
use crate::effects;

/// How many times more it is looked what others have written.
const MOST_ROUNDS: usize = 4;

impl ReplaceCapacity {
    /// Ends the turn of this invocation, which has written `item` as `version`.
    pub(super) async fn end_turn(&self, item: Exchanges, version: u64, invocation: &Invocation) {
        let invocation = invocation.briefly();
        let group = item.group.clone();
        if let Err(error) = self.hand_over(Versioned { item, version }, &invocation).await {
            tracing::warn!("{group}: what others ask for meanwhile waits for their next look: {error}");
        }
    }

    async fn hand_over(
        &self,
        mut seen: Versioned<Exchanges>,
        invocation: &Invocation,
    ) -> Result<(), CallError> {
        let key = Exchanges::key_of(&seen.item.group);
        let turn = seen.item.setting_until;
        for _ in 0..MOST_ROUNDS {
            seen.item.setting_until = None;
            let expected = Expected::Version(seen.version);
            if let Written::Yes(_) = self.clients.table.write(invocation, &seen.item, expected).await? {
                return Ok(());
            }
            match self.clients.table.get::<Exchanges>(invocation, &key).await? {
                Some(anew) if anew.item.setting_until == turn => seen = anew,
                // It is another's turn by now.
                _ => return Ok(()),
            }
            self.set_what_is_missing(&seen.item, invocation).await?;
        }
        Ok(())
    }

    async fn set_what_is_missing(&self, item: &Exchanges, invocation: &Invocation) -> Result<(), CallError> {
        let names = [item.group.clone()];
        let read = groups::read(&self.clients.autoscaling, invocation, &[], &names).await;
        let group = read.by_name(&item.group);
        match group.and_then(|group| capacity::to_set(item, group)) {
            Some(to) => effects::set_desired(&self.clients, invocation, &item.group, to).await,
            None => Ok(()),
        }
    }
}
