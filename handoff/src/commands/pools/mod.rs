//! `cargo handoff pools`: which Spot capacity pools AWS took instances back from, from the reports in the stack's table.

mod output;
mod page;
pub mod rows;

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::scan::ScanError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use spot_handoff::report::Report;
use spot_handoff::runtime::clock::Clock;
use spot_handoff::runtime::config::Env;

use crate::commands::timeline;
use crate::refusal::cannot;
use crate::stack::StackArguments;
use crate::words::count;

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo handoff pools
  cargo handoff pools --since 7d --group web --format markdown > pools.md
  cargo handoff pools --html pools.html

Permissions: cloudformation:ListStackResources, dynamodb:Scan on the table.")]
pub struct Arguments {
    /// How far to look back: 12h, 30d; reports are kept for 35 days
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = timeline::span)]
    since: SignedDuration,

    /// Only instances of this Auto Scaling group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Write a page with a picture to this file instead; a browser shows it without a network
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    html: Option<PathBuf>,

    #[command(flatten)]
    stack: StackArguments,
}

/// How to print it.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For a terminal
    Text,
    /// One JSON document
    Json,
    /// For a ticket or a page
    Markdown,
}

/// Prints the table.
pub async fn run(arguments: Arguments) -> Result<bool> {
    let now = Clock::from_env(&Env::of_process())?.now();
    let since = now
        .saturating_sub(arguments.since)
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let (config, stack) = arguments.stack.find().await?;
    let mut reports = read(&config, &stack.table).await?;
    reports.retain(|report| report.notice_time >= since);
    let rows = rows::rows(&reports, arguments.group.as_deref());
    let advice = rows::advice(&rows);
    if let Some(file) = &arguments.html {
        let page = page::page(&rows, advice.as_deref(), &arguments.stack.stack, since, now);
        std::fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
        let what = count(rows.len() as u64, "pool");
        anstream::println!("{what} since {since:.0}, in {}", file.display());
        return Ok(true);
    }
    anstream::print!(
        "{}",
        match arguments.format {
            Format::Text => output::text(&rows, advice.as_deref(), since),
            Format::Json => format!("{:#}\n", serde_json::json!({ "pools": rows, "advice": advice })),
            Format::Markdown => output::markdown(&rows, advice.as_deref()),
        }
    );
    Ok(true)
}

/// The reports in the table.
async fn read(config: &SdkConfig, table: &str) -> Result<Vec<Report>> {
    let items = items(config, table).await;
    let items = items.map_err(|error| cannot(format!("read the table {table}"), "dynamodb:Scan", &error))?;
    items.iter().map(report).collect()
}

/// The items of the table that are reports.
pub async fn items(
    config: &SdkConfig,
    table: &str,
) -> Result<Vec<HashMap<String, AttributeValue>>, SdkError<ScanError, HttpResponse>> {
    let scan = aws_sdk_dynamodb::Client::new(config)
        .scan()
        .table_name(table)
        .filter_expression("begins_with(#of, :reports)")
        .expression_attribute_names("#of", "of")
        .expression_attribute_values(":reports", AttributeValue::S("hand-off#".to_owned()));
    scan.into_paginator().items().send().collect().await
}

/// The report in an item.
pub fn report(item: &HashMap<String, AttributeValue>) -> Result<Report> {
    let body = item.get("body").and_then(|body| body.as_s().ok());
    serde_json::from_str(body.map_or("", String::as_str)).context("an item of the table cannot be read")
}
