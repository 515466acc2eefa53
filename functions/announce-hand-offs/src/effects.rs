//! Publishes: events to the bus at once, messages to the topic after gathering for some seconds.

mod bus;
mod topic;

use spot_handoff::lambda::outbox;

use spot_handoff::notice::Notice;
use spot_handoff::report::plan::{Done, Results};
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::state::Table;

use crate::plan::Action;

/// Where to publish.
pub struct Outlets {
    /// The topic.
    pub topic_arn: String,
    /// URL of this function's own queue.
    pub own_queue_url: String,
    /// SNS.
    pub sns: aws_sdk_sns::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// EventBridge. Its default bus gets the events.
    pub eventbridge: aws_sdk_eventbridge::Client,
    /// The table, in which messages gather.
    pub table: Table,
}

impl Outlets {
    /// Carries out the actions, and returns how each went.
    pub async fn tell(&self, invocation: &Invocation, asked: &[(&Notice, &Action)]) -> Results<Action> {
        let (put, gathered, published, awaited) = tokio::join!(
            self.put_events(invocation, asked),
            self.gather(invocation, asked),
            self.publish_pending(invocation, asked),
            self.look_again(invocation, asked),
        );
        let told = put.into_iter().chain(gathered).chain(published);
        told.chain(awaited).collect()
    }

    /// Sends the messages for further looks.
    async fn look_again(&self, invocation: &Invocation, asked: &[(&Notice, &Action)]) -> Vec<(Action, Done)> {
        let awaited: Vec<(&Notice, &Action, _, _)> = asked
            .iter()
            .filter_map(|(notice, action)| match action {
                Action::Await { at, follow_up, .. } => Some((*notice, *action, follow_up, *at)),
                _ => None,
            })
            .collect();
        let follow_ups: Vec<_> = awaited
            .iter()
            .map(|(notice, _, follow_up, at)| (*notice, *follow_up, *at))
            .collect();
        let sent = outbox::send_together(&self.sqs, invocation, &self.own_queue_url, &follow_ups).await;
        let done = |answer| match answer {
            Ok(()) => Done::later(invocation.clock),
            Err(error) => Done::failed(invocation.clock, error),
        };
        awaited
            .iter()
            .zip(sent)
            .map(|((_, action, ..), answer)| ((*action).clone(), done(answer)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
