//! `cargo handoff exchange`: which exchanges are under way, and how to end one by hand.

use std::collections::HashMap;

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use spot_handoff::exchange::{Exchange, Exchanges, Stage, messages};
use spot_handoff::notice::{FollowUp, InstanceId, Notice, Signal};
use spot_handoff::runtime::clock::Clock;
use spot_handoff::runtime::config::Env;
use uuid::Uuid;

use crate::refusal::cannot;
use crate::stack::{Stack, StackArguments};
use crate::words::{count, span};
use crate::{style, terminal};

#[derive(Args)]
#[command(after_help = "\
Permissions: cloudformation:ListStackResources, dynamodb:Scan on the table; to end also sqs:SendMessage on the queue of \
replace-capacity.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One line for each exchange that is under way
    List {
        /// Only those of this Auto Scaling group
        #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        group: Option<String>,
        #[command(flatten)]
        stack: StackArguments,
    },
    /// Ends exchanges: an instance whose work has moved goes, any other serves on and its raise is lowered
    End {
        /// The Auto Scaling group
        #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        group: String,
        /// Only that of this instance
        #[arg(long, value_name = "ID")]
        instance: Option<InstanceId>,
        #[command(flatten)]
        stack: StackArguments,
    },
}

/// Runs the subcommand. Returns whether it went well.
pub async fn run(arguments: Arguments) -> Result<bool> {
    let now = Clock::from_env(&Env::of_process())?.now();
    match arguments.command {
        Command::List { group, stack } => {
            let (config, stack) = stack.find().await?;
            let found = read(&config, &stack, group.as_deref()).await?;
            for exchanges in &found {
                for (instance, exchange) in &exchanges.under_way {
                    anstream::println!("{}", line(&exchanges.group, instance, exchange, now));
                }
            }
            let all: usize = found.iter().map(|exchanges| exchanges.under_way.len()).sum();
            anstream::println!("{} under way", count(all as u64, "exchange"));
            Ok(true)
        }
        Command::End {
            group,
            instance,
            stack,
        } => {
            let (config, stack) = stack.find().await?;
            anstream::println!("{}", style::dim(&stack.place));
            let found = read(&config, &stack, Some(&group)).await?;
            end(&config, &stack, &found, instance.as_ref(), now).await
        }
    }
}

fn line(group: &str, instance: &InstanceId, exchange: &Exchange, now: Timestamp) -> String {
    let stage = match &exchange.stage {
        Stage::Waiting => "waits for the desired capacity to be as it was left",
        Stage::Awaiting => "awaits its replacement",
        Stage::Moving => "its work moves",
        Stage::Moved => "its work has moved",
        Stage::Leaving { .. } => "leaves its group",
        Stage::GivingBack { .. } => "ends, and what it raised is given back",
    };
    let replacement = exchange.replacement.as_ref();
    let replacement = replacement.map_or(String::new(), |id| format!(", replaced by {id}"));
    let age = span(now.duration_since(exchange.begun));
    terminal::hang(
        &format!("{group}  {instance}  "),
        &format!("{stage}{replacement}; begun {age} ago"),
    )
}

async fn end(
    config: &SdkConfig,
    stack: &Stack,
    found: &[Exchanges],
    instance: Option<&InstanceId>,
    now: Timestamp,
) -> Result<bool> {
    let function = stack
        .function("replace-capacity")
        .context("the stack has no replace-capacity")?;
    let sqs = aws_sdk_sqs::Client::new(config);
    let mut ended = 0;
    for exchanges in found {
        let chosen = exchanges.under_way.iter();
        for (id, exchange) in chosen.filter(|(id, _)| instance.is_none_or(|wanted| wanted == *id)) {
            let body = message(&exchanges.group, id, exchange, now);
            let sending = sqs.send_message().queue_url(&function.queue).message_body(body);
            sending
                .send()
                .await
                .map_err(|error| cannot(format!("send to {}", function.queue), "sqs:SendMessage", &error))?;
            anstream::println!(
                "{} {id}  replace-capacity is asked to end its exchange",
                style::good("✓")
            );
            ended += 1;
        }
    }
    if ended == 0 {
        anstream::println!("{} there is no such exchange", style::warning("!"));
    }
    Ok(ended > 0)
}

/// The same message that drain-tasks sends if the work cannot move.
fn message(group: &str, instance: &InstanceId, exchange: &Exchange, now: Timestamp) -> String {
    let follow_up: FollowUp = messages::call_off(group, exchange.cause, exchange.limit);
    let notice = Notice {
        event_id: Uuid::new_v4().to_string(),
        instance: instance.clone(),
        time: now,
        signal: Signal::FollowUp(follow_up.clone()),
        ends: None,
        drill: None,
    };
    follow_up.to_body(&notice)
}

/// The items for exchanges in the table, of one group or of all.
async fn read(config: &SdkConfig, stack: &Stack, group: Option<&str>) -> Result<Vec<Exchanges>> {
    let client = aws_sdk_dynamodb::Client::new(config);
    let mut pages = client
        .scan()
        .table_name(&stack.table)
        .consistent_read(true)
        .filter_expression("#what = :what")
        .expression_attribute_names("#what", "what")
        .expression_attribute_values(":what", AttributeValue::S("exchanges".to_owned()))
        .into_paginator()
        .items()
        .send();
    let mut found = vec![];
    while let Some(item) = pages.next().await {
        let item =
            item.map_err(|error| cannot(format!("read the table {}", stack.table), "dynamodb:Scan", &error))?;
        found.push(exchanges(&item)?);
    }
    found.retain(|exchanges| group.is_none_or(|group| exchanges.group == group));
    found.sort_by(|one, other| one.group.cmp(&other.group));
    Ok(found)
}

fn exchanges(item: &HashMap<String, AttributeValue>) -> Result<Exchanges> {
    let body = item.get("body").and_then(|body| body.as_s().ok());
    serde_json::from_str(body.map_or("", String::as_str)).context("an item of the table cannot be read")
}
