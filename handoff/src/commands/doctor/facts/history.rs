//! What happened to the groups' instances: the reports that the deployed stack's table keeps for 35 days.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;

use super::reading::Reader;
use crate::commands::pools;
use crate::commands::pools::rows::{Row, rows};

/// The table's logical id in template.yaml.
const TABLE: &str = "Table";

/// The history of each pool, by group, the worst first.
pub async fn read(config: &SdkConfig, reader: &Reader, stack: &str) -> BTreeMap<String, Vec<Row>> {
    let Some(table) = table_of(config, reader, stack).await else {
        return BTreeMap::new();
    };
    let found = reader.call(&table, "Scan", pools::items(config, &table)).await;
    let items = found.unwrap_or_default();
    // A report that cannot be read comes from another version.
    let reports: Vec<_> = items.iter().filter_map(|item| pools::report(item).ok()).collect();
    let groups: BTreeSet<&str> = reports
        .iter()
        .filter_map(|report| report.group.as_deref())
        .collect();
    let of = |group: &str| (group.to_owned(), rows(&reports, Some(group)));
    groups.into_iter().map(of).collect()
}

async fn table_of(config: &SdkConfig, reader: &Reader, stack: &str) -> Option<String> {
    let client = Client::new(config);
    let mut next = None;
    loop {
        let asking = client
            .list_stack_resources()
            .stack_name(stack)
            .set_next_token(next)
            .send();
        let answer = reader.call(stack, "ListStackResources", asking).await?;
        let mut found = answer.stack_resource_summaries().iter();
        let table = found.find(|one| one.logical_resource_id() == Some(TABLE));
        if let Some(table) = table {
            return table.physical_resource_id().map(str::to_owned);
        }
        next = answer.next_token;
        next.as_ref()?;
    }
}
