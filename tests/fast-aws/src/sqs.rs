//! Amazon SQS: hidden, delayed and dead messages, and long polling.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::account::Account;
use super::error::{Answer, AwsError};
use testbed::stack;

/// The most messages of one call.
const BATCH: usize = 10;

/// A queue. Messages are ordered by the moment from which they can be received.
pub(crate) struct Queue {
    pub(crate) of: stack::Queue,
    messages: BTreeMap<(Timestamp, u64), Message>,
    receipts: HashMap<String, (Timestamp, u64)>,
}

struct Message {
    id: String,
    body: String,
    sent_at: Timestamp,
    received: u64,
    first_received_at: Option<Timestamp>,
    receipt: Option<String>,
}

/// How many messages of a queue are in which state.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) visible: u64,
    pub(crate) in_flight: u64,
    pub(crate) delayed: u64,
}

impl Queue {
    pub(crate) fn new(of: stack::Queue) -> Self {
        Self {
            of,
            messages: BTreeMap::new(),
            receipts: HashMap::new(),
        }
    }

    pub(crate) fn counts(&self, now: Timestamp) -> Counts {
        let mut counts = Counts::default();
        for ((visible_at, _), message) in &self.messages {
            match (*visible_at <= now, &message.receipt) {
                (true, _) => counts.visible += 1,
                (false, Some(_)) => counts.in_flight += 1,
                (false, None) => counts.delayed += 1,
            }
        }
        counts
    }

    pub(crate) fn bodies(&self) -> Vec<&str> {
        self.messages
            .values()
            .map(|message| message.body.as_str())
            .collect()
    }

    /// When a message can be received, of those that are here now.
    pub(crate) fn next_visible_at(&self) -> Option<Timestamp> {
        self.messages.keys().next().map(|(visible_at, _)| *visible_at)
    }

    fn hide(&mut self, receipt: &str, until: Timestamp) -> Result<(), AwsError> {
        let invalid = || AwsError::new("ReceiptHandleIsInvalid", "The input receipt handle is invalid.");
        let key = self.receipts.get(receipt).copied().ok_or_else(invalid)?;
        let message = self.messages.remove(&key).ok_or_else(invalid)?;
        let key = (until, key.1);
        self.messages.insert(key, message);
        self.receipts.insert(receipt.to_owned(), key);
        Ok(())
    }

    /// A receipt that is not valid any more is no error in a standard queue.
    fn delete(&mut self, receipt: &str) {
        if let Some(key) = self.receipts.remove(receipt) {
            self.messages.remove(&key);
        }
    }
}

/// The name of a queue, from its URL.
pub(crate) fn name(request: &Value) -> String {
    let url = request["QueueUrl"].as_str().unwrap_or_default();
    url.rsplit('/').next().unwrap_or_default().to_owned()
}

fn queue<'a>(account: &'a mut Account, request: &Value) -> Result<&'a mut Queue, AwsError> {
    let unknown = || {
        AwsError::new(
            "com.amazonaws.sqs#QueueDoesNotExist",
            "The specified queue does not exist.",
        )
    };
    account.queues.get_mut(&name(request)).ok_or_else(unknown)
}

fn entries(request: &Value) -> Result<&[Value], AwsError> {
    let entries = request["Entries"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    match entries.len() {
        0 => Err(AwsError::new(
            "EmptyBatchRequest",
            "There should be at least one entry in the request.",
        )),
        n if n > BATCH => Err(AwsError::new(
            "TooManyEntriesInBatchRequest",
            format!("Maximum number of entries per request are 10. You have sent {n}."),
        )),
        _ => Ok(entries),
    }
}

fn after(now: Timestamp, seconds: u64) -> Timestamp {
    let span = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0));
    now.saturating_add(span).unwrap_or(now)
}

/// Puts a message on a queue; answers its id.
pub(crate) fn put(account: &mut Account, queue: &str, body: &str, delay: u64) -> Option<String> {
    let now = account.now();
    account.messages += 1;
    let number = account.messages;
    let id = format!("00000000-0000-4000-8000-{number:012x}");
    let message = Message {
        id: id.clone(),
        body: body.to_owned(),
        sent_at: now,
        received: 0,
        first_received_at: None,
        receipt: None,
    };
    account
        .queues
        .get_mut(queue)?
        .messages
        .insert((after(now, delay), number), message);
    Some(id)
}

/// The messages to hand out now; those received too often go to the dead-letter queue instead.
pub(crate) fn receive(account: &mut Account, request: &Value) -> Result<Vec<Value>, AwsError> {
    let most = request["MaxNumberOfMessages"].as_u64().unwrap_or(1);
    if !(1..=10).contains(&most) {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!(
                "Value {most} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
            ),
        ));
    }
    let now = account.now();
    let queue = queue(account, request)?;
    let hidden_until = after(
        now,
        request["VisibilityTimeout"]
            .as_u64()
            .unwrap_or(queue.of.visibility_timeout),
    );
    let (mut out, mut dead, mut again) = (vec![], vec![], 0);
    while (out.len() as u64) < most {
        let Some(key) = queue
            .messages
            .keys()
            .next()
            .copied()
            .filter(|(visible_at, _)| *visible_at <= now)
        else {
            break;
        };
        let Some(mut message) = queue.messages.remove(&key) else {
            break;
        };
        if let Some(receipt) = message.receipt.take() {
            queue.receipts.remove(&receipt);
        }
        if queue
            .of
            .max_receive_count
            .is_some_and(|most| message.received >= most)
        {
            dead.push(message.body);
            continue;
        }
        message.received += 1;
        again += u64::from(message.received == 2);
        message.first_received_at.get_or_insert(now);
        let receipt = format!("{}#{}", message.id, message.received);
        out.push(json!({
            "MessageId": message.id,
            "ReceiptHandle": receipt,
            "Body": message.body,
            "Attributes": {
                "ApproximateReceiveCount": message.received.to_string(),
                "SentTimestamp": message.sent_at.as_millisecond().to_string(),
                "ApproximateFirstReceiveTimestamp": message.first_received_at.unwrap_or(now).as_millisecond().to_string(),
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            },
        }));
        let key = (hidden_until, key.1);
        queue.receipts.insert(receipt.clone(), key);
        message.receipt = Some(receipt);
        queue.messages.insert(key, message);
    }
    let dead_letters = queue
        .of
        .dead_letter_arn
        .as_deref()
        .and_then(|arn| arn.rsplit(':').next())
        .map(str::to_owned);
    let name = queue.of.name.clone();
    if again > 0 {
        *account.record.came_back.entry(name).or_default() += again;
    }
    for body in dead {
        if let Some(queue) = &dead_letters {
            put(account, queue, &body, 0);
        }
    }
    Ok(out)
}

pub(crate) fn send(account: &mut Account, request: &Value) -> Answer {
    queue(account, request)?;
    let body = request["MessageBody"].as_str().unwrap_or_default();
    let id = put(
        account,
        &name(request),
        body,
        request["DelaySeconds"].as_u64().unwrap_or(0),
    );
    Ok(json!({ "MessageId": id }).to_string())
}

pub(crate) fn send_batch(account: &mut Account, request: &Value) -> Answer {
    queue(account, request)?;
    let mut sent = vec![];
    for entry in entries(request)? {
        let body = entry["MessageBody"].as_str().unwrap_or_default();
        let id = put(
            account,
            &name(request),
            body,
            entry["DelaySeconds"].as_u64().unwrap_or(0),
        );
        sent.push(json!({ "Id": entry["Id"], "MessageId": id, "MD5OfMessageBody": "" }));
    }
    Ok(json!({ "Successful": sent, "Failed": [] }).to_string())
}

pub(crate) fn delete(account: &mut Account, request: &Value) -> Answer {
    queue(account, request)?.delete(request["ReceiptHandle"].as_str().unwrap_or_default());
    Ok("{}".to_owned())
}

pub(crate) fn delete_batch(account: &mut Account, request: &Value) -> Answer {
    let entries = entries(request)?;
    let queue = queue(account, request)?;
    let mut done = vec![];
    for entry in entries {
        queue.delete(entry["ReceiptHandle"].as_str().unwrap_or_default());
        done.push(json!({ "Id": entry["Id"] }));
    }
    Ok(json!({ "Successful": done, "Failed": [] }).to_string())
}

pub(crate) fn change_visibility(account: &mut Account, request: &Value) -> Answer {
    let until = after(account.now(), request["VisibilityTimeout"].as_u64().unwrap_or(0));
    queue(account, request)?.hide(request["ReceiptHandle"].as_str().unwrap_or_default(), until)?;
    Ok("{}".to_owned())
}

pub(crate) fn change_visibility_batch(account: &mut Account, request: &Value) -> Answer {
    let now = account.now();
    let entries = entries(request)?;
    let queue = queue(account, request)?;
    let (mut done, mut failed) = (vec![], vec![]);
    for entry in entries {
        let until = after(now, entry["VisibilityTimeout"].as_u64().unwrap_or(0));
        match queue.hide(entry["ReceiptHandle"].as_str().unwrap_or_default(), until) {
            Ok(()) => done.push(json!({ "Id": entry["Id"] })),
            Err(error) => failed.push(json!({ "Id": entry["Id"], "Code": error.code, "SenderFault": true })),
        }
    }
    Ok(json!({ "Successful": done, "Failed": failed }).to_string())
}

pub(crate) fn attributes(account: &mut Account, request: &Value) -> Answer {
    let now = account.now();
    let queue = queue(account, request)?;
    let Counts {
        visible,
        in_flight,
        delayed,
    } = queue.counts(now);
    let attributes = json!({
        "QueueArn": queue.of.arn,
        "VisibilityTimeout": queue.of.visibility_timeout.to_string(),
        "ApproximateNumberOfMessages": visible.to_string(),
        "ApproximateNumberOfMessagesNotVisible": in_flight.to_string(),
        "ApproximateNumberOfMessagesDelayed": delayed.to_string(),
    });
    Ok(json!({ "Attributes": attributes }).to_string())
}
