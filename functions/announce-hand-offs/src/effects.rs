//! Telling: events to the bus at once, messages to the topic when some seconds' worth has gathered.

mod bus;
mod topic;

use spot_handoff::notice::Notice;
use spot_handoff::report::plan::Results;
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::state::Table;

use crate::plan::Action;

/// Where is told.
pub struct Outlets {
    /// The topic.
    pub topic_arn: String,
    /// URL of this function's own queue.
    pub own_queue_url: String,
    /// SNS.
    pub sns: aws_sdk_sns::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// EventBridge, whose default bus gets the events.
    pub eventbridge: aws_sdk_eventbridge::Client,
    /// The table, in which messages gather.
    pub table: Table,
}

impl Outlets {
    /// Carries the actions out and tells how each went.
    pub async fn tell(&self, invocation: &Invocation, asked: &[(&Notice, &Action)]) -> Results<Action> {
        let (put, gathered, published) = tokio::join!(
            self.put_events(invocation, asked),
            self.gather(invocation, asked),
            self.publish_pending(invocation, asked),
        );
        put.into_iter().chain(gathered).chain(published).collect()
    }
}

#[cfg(test)]
mod tests;
