//! Events to the bus, ten a call.

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use spot_handoff::notice::{FOLLOW_UP_SOURCE, Notice};
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};

use super::Outlets;
use crate::plan::{Action, DETAIL_TYPE};

/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
const ENTRIES_PER_CALL: usize = 10;
/// It takes 256 KB a call, of which names and ids need some.
const BYTES_PER_CALL: usize = 250_000;

impl Outlets {
    /// Puts the events on the bus.
    pub async fn put_events(
        &self,
        invocation: &Invocation,
        asked: &[(&Notice, &Action)],
    ) -> Vec<(Action, Done)> {
        let event = |(_, action): &(&Notice, &Action)| match action {
            Action::PutEvent { detail, .. } => Some(((*action).clone(), detail.clone())),
            Action::Publish(_) | Action::PublishPending => None,
        };
        let events: Vec<(Action, String)> = asked.iter().filter_map(event).collect();
        let details: Vec<&str> = events.iter().map(|(_, detail)| detail.as_str()).collect();
        let calls = calls(&details, |detail| detail.len());
        let answers = together(calls.iter().map(|(_, chunk)| self.put_chunk(invocation, chunk))).await;
        let mut done = vec![];
        for ((first, chunk), answer) in calls.iter().zip(answers) {
            for offset in 0..chunk.len() {
                let became = match &answer {
                    Ok(refused) => match refused.iter().find(|(index, _)| *index == offset) {
                        Some((_, error)) => Done::failed(invocation.clock, error),
                        None => Done::now(invocation.clock),
                    },
                    Err(error) => Done::failed(invocation.clock, error),
                };
                done.push((events[first + offset].0.clone(), became));
            }
        }
        done
    }

    /// The events that EventBridge did not take, by their place in the chunk.
    async fn put_chunk(
        &self,
        invocation: &Invocation,
        details: &[&str],
    ) -> Result<Vec<(usize, CallError)>, CallError> {
        let entries = details.iter().map(|detail| {
            PutEventsRequestEntry::builder()
                .source(FOLLOW_UP_SOURCE)
                .detail_type(DETAIL_TYPE)
                .detail(*detail)
                .build()
        });
        let sending = self
            .eventbridge
            .put_events()
            .set_entries(Some(entries.collect()))
            .send();
        let answer = invocation.call("PutEvents", sending).await?;
        let answers = answer.entries.unwrap_or_default().into_iter().enumerate();
        let refusal = |(index, answer): (usize, aws_sdk_eventbridge::types::PutEventsResultEntry)| {
            let refused = CallError::Refused {
                action: "PutEvents",
                code: answer.error_code?,
                message: answer.error_message.unwrap_or_default(),
            };
            Some((index, refused))
        };
        Ok(answers.filter_map(refusal).collect())
    }
}

/// Parts of a list that fit into a call each, with the place of their first entry.
fn calls<T>(entries: &[T], bytes: impl Fn(&T) -> usize) -> Vec<(usize, &[T])> {
    let mut calls = vec![];
    let (mut first, mut size) = (0, 0);
    for (index, entry) in entries.iter().enumerate() {
        let full = index - first == ENTRIES_PER_CALL || size + bytes(entry) > BYTES_PER_CALL;
        if full && index > first {
            calls.push((first, &entries[first..index]));
            (first, size) = (index, 0);
        }
        size += bytes(entry);
    }
    if first < entries.len() {
        calls.push((first, &entries[first..]));
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_no_more_entries_and_bytes_than_aws_takes() {
        let lengths = |entries: &[usize]| -> Vec<(usize, usize)> {
            let calls = calls(entries, |bytes| *bytes);
            calls
                .into_iter()
                .map(|(first, call)| (first, call.len()))
                .collect()
        };
        assert_eq!(lengths(&[]), []);
        assert_eq!(lengths(&[1; 21]), [(0, 10), (10, 10), (20, 1)]);
        assert_eq!(lengths(&[100_000; 5]), [(0, 2), (2, 2), (4, 1)]);
        // One that is too large by itself is for AWS to refuse.
        assert_eq!(lengths(&[300_000, 1]), [(0, 1), (1, 1)]);
    }
}
