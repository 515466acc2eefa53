//! Reads and writes items of any kind.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, ReturnValuesOnConditionCheckFailure,
    WriteRequest,
};
use aws_types::SdkConfig;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::runtime::aws::{self, CallCounter, CallError};
use crate::runtime::config::{ConfigError, Env};
use crate::runtime::invocation::{Invocation, together};

/// The attributes of an item.
const OF: &str = "of";
const WHAT: &str = "what";
const BODY: &str = "body";
const VERSION: &str = "version";
const WRITER: &str = "writer";
/// DynamoDB deletes expired items by this attribute, but at times days later. So reads skip expired items as well.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html>
const EXPIRES: &str = "expires";

/// BatchWriteItem takes 25 requests.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const WRITES_PER_CALL: usize = 25;
/// BatchGetItem takes 100 keys.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const READS_PER_CALL: usize = 100;

const UNPROCESSED_BACKOFF: Duration = Duration::from_millis(100);

/// The key of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it belongs to: the partition key.
    pub of: String,
    /// Which one it is: the sort key.
    pub what: String,
}

impl Key {
    /// The key of these two parts.
    pub fn new(of: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            of: of.into(),
            what: what.into(),
        }
    }

    fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            (OF.to_owned(), AttributeValue::S(self.of.clone())),
            (WHAT.to_owned(), AttributeValue::S(self.what.clone())),
        ])
    }
}

/// A kind of item.
pub trait Item: Serialize + DeserializeOwned {
    /// Its key.
    fn key(&self) -> Key;

    /// When nobody needs it any more.
    fn expires(&self) -> Timestamp;
}

/// An item with the version that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The item.
    pub item: T,
    /// Its version. A write can expect it.
    pub version: u64,
}

/// What a write expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// No item, or an expired one.
    Nothing,
    /// This version.
    Version(u64),
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It was written, with this version.
    Yes(u64),
    /// The item was not as expected, so nothing was changed. Read again, and decide again.
    Conflict,
}

/// The table of the stack.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// The table that the environment variable `TABLE` names.
    ///
    /// # Errors
    /// If it is not set.
    pub fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError> {
        let config = aws_sdk_dynamodb::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter)
            .build();
        Ok(Self {
            client: Client::from_conf(config),
            name: env.required("TABLE")?,
        })
    }

    /// Reads one item; `None` if there is none, or if it has expired.
    ///
    /// # Errors
    /// See [`CallError`]; an item that cannot be read counts as refused.
    pub async fn get<T: Item>(
        &self,
        invocation: &Invocation,
        key: &Key,
    ) -> Result<Option<Versioned<T>>, CallError> {
        let sending = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send();
        let answer = invocation.call("GetItem", sending).await?;
        let now = invocation.clock.now();
        answer.item.and_then(|found| read(&found, now)).transpose()
    }

    /// Reads many items by their keys, in any order. Missing items are left out.
    ///
    /// # Errors
    /// As for one. Keys that DynamoDB leaves unprocessed are asked for again until the invocation's time is over.
    pub async fn get_all<T: Item>(
        &self,
        invocation: &Invocation,
        keys: &[Key],
    ) -> Result<Vec<Versioned<T>>, CallError> {
        let answers = together(
            keys.chunks(READS_PER_CALL)
                .map(|chunk| self.get_chunk::<T>(invocation, chunk)),
        )
        .await;
        let found: Result<Vec<_>, _> = answers.into_iter().collect();
        found.map(|chunks| chunks.into_iter().flatten().collect())
    }

    async fn get_chunk<T: Item>(
        &self,
        invocation: &Invocation,
        keys: &[Key],
    ) -> Result<Vec<Versioned<T>>, CallError> {
        let mut left: Vec<_> = keys.iter().map(Key::attributes).collect();
        let mut found = vec![];
        while !left.is_empty() {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(left))
                .consistent_read(true)
                .build()
                .map_err(|error| unusable("BatchGetItem", error))?;
            let sending = self
                .client
                .batch_get_item()
                .request_items(&self.name, wanted)
                .send();
            let answer = invocation.call("BatchGetItem", sending).await?;
            let now = invocation.clock.now();
            let of_table = answer.responses.unwrap_or_default().remove(&self.name);
            for item in of_table.unwrap_or_default() {
                found.extend(read(&item, now).transpose()?);
            }
            let unprocessed = answer.unprocessed_keys.unwrap_or_default().remove(&self.name);
            left = unprocessed.map(|keys| keys.keys).unwrap_or_default();
            wait_unless(left.is_empty(), invocation).await;
        }
        Ok(found)
    }

    /// Reads all items that belong to `of` and whose second key begins with `prefix`, ordered by that key.
    ///
    /// # Errors
    /// As for one.
    pub async fn all_of<T: Item>(
        &self,
        invocation: &Invocation,
        of: &str,
        prefix: &str,
    ) -> Result<Vec<Versioned<T>>, CallError> {
        let condition = match prefix {
            "" => "#of = :of",
            _ => "#of = :of AND begins_with(#what, :prefix)",
        };
        let mut query = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression(condition)
            .expression_attribute_names("#of", OF)
            .expression_attribute_values(":of", AttributeValue::S(of.to_owned()));
        if !prefix.is_empty() {
            query = query
                .expression_attribute_names("#what", WHAT)
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()));
        }
        let pages = query
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>();
        let found = invocation.call("Query", pages).await?;
        let now = invocation.clock.now();
        found.iter().filter_map(|item| read(item, now)).collect()
    }

    /// Writes one item, if the table has what was expected.
    ///
    /// If a try was carried out but its answer was lost, it counts as written: each write has its own mark, and the
    /// next try recognises it.
    ///
    /// # Errors
    /// See [`CallError`]. A conflict is not an error.
    pub async fn write<T: Item>(
        &self,
        invocation: &Invocation,
        item: &T,
        expected: Expected,
    ) -> Result<Written, CallError> {
        let version = match expected {
            Expected::Nothing => 1,
            Expected::Version(version) => version + 1,
        };
        let writer = Uuid::new_v4().to_string();
        let attributes = attributes(item, version, &writer)?;
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(attributes))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match expected {
            Expected::Nothing => put
                .condition_expression("attribute_not_exists(#of) OR #expires <= :now")
                .expression_attribute_names("#of", OF)
                .expression_attribute_names("#expires", EXPIRES)
                .expression_attribute_values(":now", seconds(invocation.clock.now())),
            Expected::Version(version) => put
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", VERSION)
                .expression_attribute_values(":version", number(version)),
        };
        let sending = async {
            match put.send().await {
                Ok(_) => Ok(Written::Yes(version)),
                Err(error) => match error.as_service_error() {
                    Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                        let there = refused.item.as_ref().and_then(|item| item.get(WRITER));
                        let is_ours = there == Some(&AttributeValue::S(writer));
                        Ok(if is_ours {
                            Written::Yes(version)
                        } else {
                            Written::Conflict
                        })
                    }
                    _ => Err(error),
                },
            }
        };
        invocation.call("PutItem", sending).await
    }

    /// Writes many items, whatever the table has. Writes that DynamoDB leaves unprocessed are sent again until the
    /// invocation's time is over.
    ///
    /// # Errors
    /// See [`CallError`]; some items may have been written by then.
    pub async fn overwrite_all<T: Item>(
        &self,
        invocation: &Invocation,
        items: &[T],
    ) -> Result<(), CallError> {
        // A call with the same key twice is refused, so only the last item for a key is written.
        let last: BTreeMap<Key, &T> = items.iter().map(|item| (item.key(), item)).collect();
        let mut requests = vec![];
        for item in last.into_values() {
            let attributes = attributes(item, 1, &Uuid::new_v4().to_string())?;
            let put = PutRequest::builder()
                .set_item(Some(attributes))
                .build()
                .map_err(|error| unusable("BatchWriteItem", error))?;
            requests.push(WriteRequest::builder().put_request(put).build());
        }
        self.batch(invocation, requests).await
    }

    /// Deletes many items, whatever the table has.
    ///
    /// # Errors
    /// See [`CallError`]; some items may have been deleted by then.
    pub async fn delete_all(&self, invocation: &Invocation, keys: &[Key]) -> Result<(), CallError> {
        let mut requests = vec![];
        for key in keys {
            let delete = DeleteRequest::builder()
                .set_key(Some(key.attributes()))
                .build()
                .map_err(|error| unusable("BatchWriteItem", error))?;
            requests.push(WriteRequest::builder().delete_request(delete).build());
        }
        self.batch(invocation, requests).await
    }

    async fn batch(&self, invocation: &Invocation, requests: Vec<WriteRequest>) -> Result<(), CallError> {
        let chunks = requests.chunks(WRITES_PER_CALL);
        let answers = together(chunks.map(|chunk| self.batch_chunk(invocation, chunk.to_vec()))).await;
        answers.into_iter().collect()
    }

    async fn batch_chunk(
        &self,
        invocation: &Invocation,
        mut requests: Vec<WriteRequest>,
    ) -> Result<(), CallError> {
        while !requests.is_empty() {
            let sending = self
                .client
                .batch_write_item()
                .request_items(&self.name, requests)
                .send();
            let answer = invocation.call("BatchWriteItem", sending).await?;
            let unprocessed = answer.unprocessed_items.unwrap_or_default();
            requests = unprocessed.into_values().flatten().collect();
            wait_unless(requests.is_empty(), invocation).await;
        }
        Ok(())
    }
}

/// DynamoDB leaves requests unprocessed if it is too busy.
async fn wait_unless(is_done: bool, invocation: &Invocation) {
    if !is_done {
        tokio::time::sleep(invocation.clock.real_duration(UNPROCESSED_BACKOFF)).await;
    }
}

fn attributes<T: Item>(
    item: &T,
    version: u64,
    writer: &str,
) -> Result<HashMap<String, AttributeValue>, CallError> {
    let body = serde_json::to_string(item).map_err(|error| unusable("PutItem", error))?;
    let mut attributes = item.key().attributes();
    attributes.extend([
        (BODY.to_owned(), AttributeValue::S(body)),
        (VERSION.to_owned(), number(version)),
        (WRITER.to_owned(), AttributeValue::S(writer.to_owned())),
        (EXPIRES.to_owned(), seconds(item.expires())),
    ]);
    Ok(attributes)
}

/// `None` if the item has expired.
fn read<T: Item>(
    found: &HashMap<String, AttributeValue>,
    now: Timestamp,
) -> Option<Result<Versioned<T>, CallError>> {
    let whole = |name: &str| {
        let text = found.get(name).and_then(|value| value.as_n().ok())?;
        text.parse::<u64>().ok()
    };
    let expires = whole(EXPIRES).unwrap_or(u64::MAX);
    if expires <= u64::try_from(now.as_second()).unwrap_or(0) {
        return None;
    }
    let body = found.get(BODY).and_then(|value| value.as_s().ok());
    let item = serde_json::from_str(body.map_or("", String::as_str));
    let version = whole(VERSION).unwrap_or(0);
    Some(
        item.map(|item| Versioned { item, version })
            .map_err(|error| unusable("GetItem", error)),
    )
}

fn seconds(moment: Timestamp) -> AttributeValue {
    AttributeValue::N(moment.as_second().to_string())
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn unusable(action: &'static str, error: impl std::fmt::Display) -> CallError {
    CallError::NoAnswer {
        action,
        message: error.to_string(),
    }
}
