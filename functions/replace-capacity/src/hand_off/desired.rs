//! After setting the desired capacity of a group, this also sets what other invocations have written meanwhile.
//!
//! Only one invocation at a time sets the desired capacity of a group, since two numbers may arrive in the wrong order.
//! It ends its turn with a write that expects the item as it last saw it. So if another invocation writes something,
//! either this one sees it here, or the other one sees that the turn is over. If the turn cannot be ended, it ends by
//! itself after some seconds, and the next look sets the number.

use spot_handoff::autoscaling::groups;
use spot_handoff::exchange::{Exchanges, capacity};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::state::{Expected, Versioned, Written};

use super::ReplaceCapacity;
use crate::effects;

/// How many more times to look for what others have written.
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
                // By now it is another invocation's turn.
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
