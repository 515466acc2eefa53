//! Puts events on the bus, ten a call.

use std::time::Duration;

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use spot_handoff::notice::{FOLLOW_UP_SOURCE, Notice};
use spot_handoff::report::plan::Done;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::claims::{Claim, Event};
use spot_handoff::state::{Expected, Item, Written};

use super::Outlets;
use crate::plan::{Action, DETAIL_TYPE, START_DETAIL_TYPE};

/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
const ENTRIES_PER_CALL: usize = 10;
/// A call takes 256 KB, and names and ids need some of that.
const BYTES_PER_CALL: usize = 250_000;
/// How long another invocation has to put the event that it claimed. An attempt of its call takes at most four seconds.
const PUT_WITHIN: Duration = Duration::from_secs(5);
/// How soon to look again whether another invocation has put the event that it claimed.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A requested event.
struct Asked<'a> {
    action: &'a Action,
    detail_type: &'static str,
    detail: &'a str,
    claim: Claim,
}

impl Outlets {
    /// Puts those events on the bus that nobody has put before.
    pub async fn put_events<'a>(
        &self,
        invocation: &Invocation,
        asked: &[(&Notice, &'a Action)],
    ) -> Vec<(Action, Done)> {
        let since = invocation.clock.now();
        let event = |(notice, action): &(&Notice, &'a Action)| {
            let (of, detail_type, detail) = match action {
                Action::PutEvent { of, detail, .. } => (*of, DETAIL_TYPE, detail),
                Action::PutStartEvent { detail, .. } => (Event::Started, START_DETAIL_TYPE, detail),
                Action::Publish(_) | Action::PublishPending | Action::Await { .. } => return None,
            };
            Some(Asked {
                action,
                detail_type,
                detail,
                claim: Claim {
                    event_id: notice.event_id.clone(),
                    instance: notice.instance.to_string(),
                    of,
                    since,
                    put: false,
                },
            })
        };
        let events: Vec<Asked<'a>> = asked.iter().filter_map(event).collect();
        if events.is_empty() {
            return vec![];
        }
        let claiming = events.iter().map(|event| self.claim(invocation, &event.claim));
        let claimed = together(claiming).await;
        let (mut done, mut ours) = (vec![], vec![]);
        for (event, is_ours) in events.into_iter().zip(claimed) {
            if is_ours {
                ours.push(event);
            } else {
                let already = Done::already(invocation.clock, "it was put on the bus before");
                done.push((event.action.clone(), already));
            }
        }
        let calls = calls(&ours, |event| event.detail.len());
        let answers = together(calls.iter().map(|(_, chunk)| self.put_chunk(invocation, chunk))).await;
        let (mut put, mut free) = (vec![], vec![]);
        for ((_, chunk), answer) in calls.iter().zip(answers) {
            for (offset, event) in chunk.iter().enumerate() {
                let error = match &answer {
                    Ok(refused) => refused
                        .iter()
                        .find(|(index, _)| *index == offset)
                        .map(|(_, error)| error),
                    Err(error) => Some(error),
                };
                match error {
                    None => {
                        put.push(Claim {
                            put: true,
                            ..event.claim.clone()
                        });
                        done.push((event.action.clone(), Done::now(invocation.clock)));
                    }
                    Some(error) => {
                        free.push(event.claim.key());
                        done.push((event.action.clone(), Done::failed(invocation.clock, error)));
                    }
                }
            }
        }
        let briefly = invocation.briefly();
        let (kept, freed) = tokio::join!(
            self.table.overwrite_all(&briefly, &put),
            self.table.delete_all(&briefly, &free),
        );
        for error in [kept, freed].into_iter().filter_map(Result::err) {
            // A copy of the message may put the event again.
            tracing::warn!("cannot write down which events are on the bus: {error}");
        }
        done
    }

    /// Whether this invocation should put an event. Also yes if the table does not answer, or if another invocation has
    /// claimed the event but does not put it: twice is better than never.
    async fn claim(&self, invocation: &Invocation, claim: &Claim) -> bool {
        let brief = invocation.for_at_most(PUT_WITHIN);
        self.try_to_claim(&brief, claim).await.unwrap_or_else(|error| {
            tracing::warn!(
                instance = claim.instance,
                "whether the event was put before is not known, so it is put: {error}"
            );
            true
        })
    }

    async fn try_to_claim(&self, invocation: &Invocation, claim: &Claim) -> Result<bool, CallError> {
        let mut expected = Expected::Nothing;
        loop {
            if let Written::Yes(_) = self.table.write(invocation, claim, expected).await? {
                return Ok(true);
            }
            let key = claim.key();
            let there = self.table.all_of::<Claim>(invocation, &key.of, &key.what).await?;
            expected = match there.first() {
                Some(there) if there.item.put => return Ok(false),
                Some(there) if there.item.is_abandoned(claim.since) => Expected::Version(there.version),
                // The other invocation may still fail, and then nobody would put it.
                Some(_) => {
                    invocation.pause(LOOK_AGAIN).await;
                    Expected::Nothing
                }
                None => Expected::Nothing,
            };
        }
    }

    /// The events that EventBridge refused, by their index in the chunk.
    async fn put_chunk(
        &self,
        invocation: &Invocation,
        events: &[Asked<'_>],
    ) -> Result<Vec<(usize, CallError)>, CallError> {
        let entries = events.iter().map(|event| {
            PutEventsRequestEntry::builder()
                .source(FOLLOW_UP_SOURCE)
                .detail_type(event.detail_type)
                .detail(event.detail)
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

/// Parts of a list that each fit into a call, with the index of their first entry.
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
        // If a single entry is too large, AWS refuses it.
        assert_eq!(lengths(&[300_000, 1]), [(0, 1), (1, 1)]);
    }
}
