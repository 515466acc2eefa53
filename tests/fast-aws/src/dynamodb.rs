//! Amazon DynamoDB: items by their keys, conditional writes, queries and batches.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde_json::{Map, Value, json};

use super::account::Account;
use super::error::{Answer, AwsError, too_long};
use super::expressions::{equal_to, holds};

/// The most writes and the most keys of one batch.
const WRITES: usize = 25;
const READS: usize = 100;

/// A table. Items are ordered by their keys, which are texts in all tables of the stack.
pub(crate) struct Table {
    key: Vec<String>,
    items: BTreeMap<Key, Value>,
}

type Key = Vec<String>;

impl Table {
    pub(crate) fn new(key: Vec<String>) -> Self {
        Self {
            key,
            items: BTreeMap::new(),
        }
    }

    /// The key of an item, or of a request that names just the key.
    fn key(&self, of: &Value) -> Result<Key, AwsError> {
        let part = |name: &String| of[name]["S"].as_str().map(str::to_owned);
        let found: Option<Key> = self.key.iter().map(part).collect();
        found.ok_or_else(|| invalid("The provided key element does not match the schema"))
    }

    /// The attributes of an item's key.
    fn key_of(&self, item: &Value) -> Value {
        let part = |name: &String| (name.clone(), item[name].clone());
        Value::Object(self.key.iter().map(part).collect::<Map<_, _>>())
    }
}

/// How much of a table's capacity a call takes: a unit for each item.
pub(crate) fn units(body: &[u8]) -> f64 {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let tables = request["RequestItems"].as_object().into_iter().flatten();
    let items = tables.map(|(_, one)| one.as_array().or(one["Keys"].as_array()).map_or(0, Vec::len));
    u32::try_from(items.sum::<usize>().max(1)).map_or(f64::MAX, f64::from)
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationException", message)
}

fn table<'a>(account: &'a mut Account, name: &str) -> Result<&'a mut Table, AwsError> {
    // A table can be named by its ARN.
    let name = name.rsplit('/').next().unwrap_or_default();
    let unknown = || AwsError::new("ResourceNotFoundException", "Requested resource not found");
    account.tables.get_mut(name).ok_or_else(unknown)
}

fn named<'a>(account: &'a mut Account, request: &Value) -> Result<&'a mut Table, AwsError> {
    table(account, request["TableName"].as_str().unwrap_or_default())
}

pub(crate) fn get(account: &mut Account, request: &Value) -> Answer {
    let table = named(account, request)?;
    let found = table.items.get(&table.key(&request["Key"])?);
    let found = found.map_or(json!({}), |item| json!({ "Item": item }));
    Ok(found.to_string())
}

pub(crate) fn put(account: &mut Account, request: &Value) -> Answer {
    let item = request["Item"].clone();
    change(account, request, &item, Some(item.clone()))
}

pub(crate) fn delete(account: &mut Account, request: &Value) -> Answer {
    change(account, request, &request["Key"], None)
}

/// A write of one item, if its condition holds.
fn change(account: &mut Account, request: &Value, key: &Value, to: Option<Value>) -> Answer {
    let table = named(account, request)?;
    let key = table.key(key)?;
    let there = table.items.get(&key).cloned();
    let nothing = json!({});
    if !holds(request, "ConditionExpression", there.as_ref().unwrap_or(&nothing))? {
        let tells = request["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD";
        let code = "ConditionalCheckFailedException";
        let refusal = AwsError::new(code, "The conditional request failed");
        return Err(refusal.with_item(there.filter(|_| tells)));
    }
    match to {
        Some(item) => table.items.insert(key, item),
        None => table.items.remove(&key),
    };
    let old = there.filter(|_| request["ReturnValues"] == "ALL_OLD");
    Ok(old
        .map_or(json!({}), |old| json!({ "Attributes": old }))
        .to_string())
}

pub(crate) fn query(account: &mut Account, request: &Value) -> Answer {
    let size = request["Limit"]
        .as_u64()
        .and_then(|limit| usize::try_from(limit).ok());
    let size = account.page_size(size.unwrap_or(usize::MAX));
    let table = named(account, request)?;
    let partition = equal_to(request, "KeyConditionExpression", &table.key[0])
        .ok_or_else(|| invalid("Query condition missed key schema element"))?;
    let from = match &request["ExclusiveStartKey"] {
        Value::Null => Bound::Included(vec![partition.clone()]),
        key => Bound::Excluded(table.key(key)?),
    };
    let of_partition = table
        .items
        .range((from, Bound::Unbounded))
        .take_while(|(key, _)| key[0] == partition);
    let mut found = vec![];
    for (_, item) in of_partition {
        if holds(request, "KeyConditionExpression", item)? {
            found.push(item);
        }
    }
    let more = found.len() > size;
    found.truncate(size);
    let mut answer = json!({ "Items": found, "Count": found.len(), "ScannedCount": found.len() });
    if let Some(last) = found.last().filter(|_| more) {
        answer["LastEvaluatedKey"] = table.key_of(last);
    }
    Ok(answer.to_string())
}

pub(crate) fn get_batch(account: &mut Account, request: &Value) -> Answer {
    let tables = request["RequestItems"].as_object().cloned().unwrap_or_default();
    let mut responses = Map::new();
    let mut number = 0;
    for (name, wanted) in tables {
        let table = table(account, &name)?;
        let mut found = vec![];
        let mut seen = BTreeSet::new();
        for key in wanted["Keys"].as_array().into_iter().flatten() {
            let key = table.key(key)?;
            found.extend(table.items.get(&key).cloned());
            once(&mut seen, key)?;
        }
        number += seen.len();
        responses.insert(name, found.into());
    }
    within(number, READS)?;
    Ok(json!({ "Responses": responses, "UnprocessedKeys": {} }).to_string())
}

pub(crate) fn write_batch(account: &mut Account, request: &Value) -> Answer {
    let tables = request["RequestItems"].as_object().cloned().unwrap_or_default();
    let mut writes = vec![];
    // All are looked at before any is carried out.
    for (name, requests) in tables {
        let table = table(account, &name)?;
        let mut seen = BTreeSet::new();
        for request in requests.as_array().into_iter().flatten() {
            let item = request.get("PutRequest").map(|put| put["Item"].clone());
            let key = table.key(item.as_ref().unwrap_or(&request["DeleteRequest"]["Key"]))?;
            once(&mut seen, key.clone())?;
            writes.push((name.clone(), key, item));
        }
    }
    within(writes.len(), WRITES)?;
    for (name, key, item) in writes {
        let table = table(account, &name)?;
        match item {
            Some(item) => table.items.insert(key, item),
            None => table.items.remove(&key),
        };
    }
    Ok(json!({ "UnprocessedItems": {} }).to_string())
}

fn once(seen: &mut BTreeSet<Key>, key: Key) -> Result<(), AwsError> {
    if seen.insert(key) {
        Ok(())
    } else {
        Err(invalid("Provided list of item keys contains duplicates"))
    }
}

fn within(number: usize, most: usize) -> Result<(), AwsError> {
    if (1..=most).contains(&number) {
        Ok(())
    } else {
        Err(invalid(too_long("requestItems", most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Fleet;
    use crate::limits::{Limits, Throttle};
    use testbed::Clock;
    use testbed::stack;

    fn account() -> Account {
        let table = stack::Table {
            logical_id: "Table".to_owned(),
            name: "memory".to_owned(),
            arn: "arn:aws:dynamodb:us-east-1:123456789012:table/memory".to_owned(),
            key: vec!["of".to_owned(), "what".to_owned()],
            expires_by: Some("expires".to_owned()),
        };
        let stack = json!({ "functions": [], "queues": [], "event_source_mappings": [], "tables": [table] });
        let stack = serde_json::from_value(stack).expect("a stack");
        Account::new(
            Fleet::default(),
            stack,
            Throttle::new(&Limits::default()),
            Clock::real(),
        )
    }

    fn ask(account: &mut Account, action: &str, request: &Value) -> Result<Value, AwsError> {
        let answer = account.answer("dynamodb", action, request.to_string().as_bytes())?;
        Ok(serde_json::from_str(&answer).expect("JSON"))
    }

    fn item(what: &str, version: u64) -> Value {
        json!({ "of": { "S": "group" }, "what": { "S": what }, "version": { "N": version.to_string() } })
    }

    fn put_request(what: &str, version: u64, condition: &str) -> Value {
        json!({
            "TableName": "memory",
            "Item": item(what, version),
            "ConditionExpression": condition,
            "ExpressionAttributeNames": { "#of": "of", "#version": "version" },
            "ExpressionAttributeValues": { ":version": { "N": (version - 1).to_string() } },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        })
    }

    #[test]
    fn of_two_writers_the_second_is_told_what_is_there() {
        let mut account = account();
        let first = put_request("a", 1, "attribute_not_exists(#of)");
        ask(&mut account, "PutItem", &first).expect("written");
        let refused = ask(&mut account, "PutItem", &first).expect_err("a conflict");
        assert_eq!(refused.code, "ConditionalCheckFailedException");
        ask(
            &mut account,
            "PutItem",
            &put_request("a", 2, "#version = :version"),
        )
        .expect("written");
        let key = json!({ "of": { "S": "group" }, "what": { "S": "a" } });
        let read = json!({ "TableName": "memory", "Key": key, "ConsistentRead": true });
        let found = ask(&mut account, "GetItem", &read).expect("an answer");
        assert_eq!(found["Item"], item("a", 2));
    }

    #[test]
    fn a_query_finds_a_prefix_in_order_and_in_pages() {
        let mut account = account();
        let elsewhere = json!({ "of": { "S": "other" }, "what": { "S": "a#0" } });
        let elsewhere = json!({ "TableName": "memory", "Item": elsewhere });
        ask(&mut account, "PutItem", &elsewhere).expect("written");
        let writes: Vec<_> = ["b#1", "a#2", "a#1", "a#3"]
            .iter()
            .map(|what| json!({ "PutRequest": { "Item": item(what, 1) } }))
            .collect();
        let write = json!({ "RequestItems": { "memory": writes } });
        ask(&mut account, "BatchWriteItem", &write).expect("written");
        let mut request = json!({
            "TableName": "memory",
            "KeyConditionExpression": "#of = :of AND begins_with(#what, :prefix)",
            "ExpressionAttributeNames": { "#of": "of", "#what": "what" },
            "ExpressionAttributeValues": { ":of": { "S": "group" }, ":prefix": { "S": "a#" } },
            "Limit": 2,
        });
        let first = ask(&mut account, "Query", &request).expect("a page");
        assert_eq!(first["Items"], json!([item("a#1", 1), item("a#2", 1)]));
        request["ExclusiveStartKey"] = first["LastEvaluatedKey"].clone();
        let rest = ask(&mut account, "Query", &request).expect("a page");
        assert_eq!(rest["Items"], json!([item("a#3", 1)]));
        assert!(rest["LastEvaluatedKey"].is_null());
    }

    #[test]
    fn a_batch_has_no_key_twice_and_no_more_than_fit() {
        let mut account = account();
        let put = |what: &str| json!({ "PutRequest": { "Item": item(what, 1) } });
        let batch = |puts: Vec<Value>| json!({ "RequestItems": { "memory": puts } });
        let twice = batch(vec![put("a"), put("a")]);
        ask(&mut account, "BatchWriteItem", &twice).expect_err("duplicates");
        let many = batch((0..26).map(|n| put(&n.to_string())).collect());
        ask(&mut account, "BatchWriteItem", &many).expect_err("too many");
        assert!(
            account.tables["memory"].items.is_empty(),
            "nothing of a refused batch is written"
        );
    }
}
