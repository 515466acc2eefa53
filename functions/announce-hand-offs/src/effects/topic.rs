//! Publishes messages to the topic: those of some seconds in one message.
//!
//! New announcements go into the table. One delayed message then publishes everything that is in the table when it
//! comes. The table records that such a message is under way, so that a storm sends only one. An invocation that
//! publishes first deletes this record. So what comes in between is published by the next message.

use aws_sdk_sns::types::MessageAttributeValue;
use jiff::SignedDuration;
use spot_handoff::lambda::outbox::{self, Outgoing};
use spot_handoff::notice::{Advice, Cause, FollowUp, Notice, Step};
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::state::announcements::{PENDING, Pending, Telling};
use spot_handoff::state::{Expected, Item, Written};

use super::Outlets;
use crate::plan::digest::{Digest, digest};
use crate::plan::{Action, Outcome, for_mail};

/// How long announcements gather. One message in ten seconds is far below the rate that SNS allows.
const GATHERING: SignedDuration = SignedDuration::from_secs(10);

impl Outlets {
    /// Has messages published: they go into the table, and one message for all is under way.
    pub async fn gather(&self, invocation: &Invocation, asked: &[(&Notice, &Action)]) -> Vec<(Action, Done)> {
        let now = invocation.clock.now();
        let mut notices = vec![];
        let mut actions = vec![];
        let mut pending = vec![];
        for (notice, action) in asked {
            if let Action::Publish(message) = action {
                notices.push(*notice);
                actions.push((*action).clone());
                pending.push(Pending {
                    event_id: notice.event_id.clone(),
                    instance: notice.instance.to_string(),
                    runs_on: message.runs_on,
                    group: message.group.clone(),
                    subject: message.subject.clone(),
                    text: message.text.clone(),
                    outcome: message.outcome.name().to_owned(),
                    is_bad: message.outcome.is_bad(),
                    drill: message.drill,
                    since: now,
                });
            }
        }
        if pending.is_empty() {
            return vec![];
        }
        let written = self.table.overwrite_all(&invocation.briefly(), &pending).await;
        let done = match written {
            Ok(()) => match self.have_told(invocation, &notices).await {
                Ok(()) => Done::later(invocation.clock),
                Err(error) => Done::failed(invocation.clock, error),
            },
            // People get them all the same, and this batch is one message.
            Err(error) => {
                tracing::warn!("messages cannot gather in the table, so they go out at once: {error}");
                match self.publish(invocation, digest(&pending)).await {
                    Ok(()) => Done::now(invocation.clock),
                    Err(error) => Done::failed(invocation.clock, error),
                }
            }
        };
        actions.into_iter().map(|action| (action, done.clone())).collect()
    }

    /// Makes sure that a message is under way that publishes everything.
    async fn have_told(&self, invocation: &Invocation, notices: &[&Notice]) -> Result<(), CallError> {
        let Some(first) = notices.first() else {
            return Ok(());
        };
        let now = invocation.clock.now();
        let at = now.saturating_add(GATHERING).unwrap_or(now);
        let names: Vec<String> = notices.iter().map(|notice| Telling::name_of(notice)).collect();
        let by = Telling::name_of(first);
        loop {
            match self
                .table
                .write(invocation, &Telling { by: by.clone(), at }, Expected::Nothing)
                .await?
            {
                Written::Yes(_) => break,
                Written::Conflict => {
                    let key = Telling::key();
                    let there = self
                        .table
                        .all_of::<Telling>(invocation, &key.of, &key.what)
                        .await?;
                    match there.first() {
                        // An earlier try for one of these ended before it had sent the message.
                        Some(there) if names.contains(&there.item.by) => break,
                        Some(_) => return Ok(()),
                        // It was published just now.
                        None => {}
                    }
                }
            }
        }
        let follow_up = FollowUp {
            cause: Cause::Interruption,
            deadline: None,
            step: Step::Tell,
        };
        let message = Outgoing::new(&self.own_queue_url, first, &follow_up, at, now);
        let sent = outbox::send(&self.sqs, invocation, &[message]).await;
        sent.into_iter().collect()
    }

    /// Publishes everything that is pending, if asked to.
    pub async fn publish_pending(
        &self,
        invocation: &Invocation,
        asked: &[(&Notice, &Action)],
    ) -> Vec<(Action, Done)> {
        if !asked
            .iter()
            .any(|(_, action)| matches!(action, Action::PublishPending))
        {
            return vec![];
        }
        let done = match self.publish_all(invocation).await {
            Ok(0) => Done::already(invocation.clock, "nothing is left to tell"),
            Ok(_) => Done::now(invocation.clock),
            Err(error) => Done::failed(invocation.clock, error),
        };
        vec![(Action::PublishPending, done)]
    }

    async fn publish_all(&self, invocation: &Invocation) -> Result<usize, CallError> {
        self.table.delete_all(invocation, &[Telling::key()]).await?;
        let found = self.table.all_of::<Pending>(invocation, PENDING, "").await?;
        let pending: Vec<Pending> = found.into_iter().map(|found| found.item).collect();
        if pending.is_empty() {
            return Ok(0);
        }
        self.publish(invocation, digest(&pending)).await?;
        let keys: Vec<_> = pending.iter().map(Item::key).collect();
        if let Err(error) = self.table.delete_all(invocation, &keys).await {
            // To fail here would publish it again for sure. Without failing, the next message may publish it again.
            tracing::error!("cannot strike out what was told: {error}");
        }
        Ok(pending.len())
    }

    /// Publishes at once what people have to know and on which no function acts.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn advise(&self, invocation: &Invocation, advice: &Advice) -> Result<(), CallError> {
        let message = Digest {
            subject: for_mail(&advice.subject()),
            text: advice.to_string(),
            outcome: Outcome::NothingToDo.name().to_owned(),
            drill: advice.drill,
        };
        self.publish(invocation, message).await
    }

    async fn publish(&self, invocation: &Invocation, digest: Digest) -> Result<(), CallError> {
        let attribute = |value: &str| {
            MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .ok()
        };
        let mut publish = self
            .sns
            .publish()
            .topic_arn(&self.topic_arn)
            .subject(&digest.subject)
            .message(&digest.text);
        let is_drill = if digest.drill { "true" } else { "false" };
        for (name, value) in [("outcome", digest.outcome.as_str()), ("drill", is_drill)] {
            if let Some(value) = attribute(value) {
                publish = publish.message_attributes(name, value);
            }
        }
        invocation.call("Publish", publish.send()).await.map(|_| ())
    }
}
