//! A deployed stack, and the names of its resources in the account.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use spot_handoff::lambda;

use crate::account::{self, AccountArguments};
use crate::refusal::cannot;
use crate::usage::UsageError;

/// The stack name of samconfig.toml.
pub const DEFAULT_NAME: &str = "spot-handoff";

/// The stack that a command is about.
#[derive(Debug, Args)]
pub struct StackArguments {
    /// The deployed stack
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NAME, value_parser = NonEmptyStringValueParser::new())]
    pub stack: String,

    #[command(flatten)]
    pub account: AccountArguments,
}

impl StackArguments {
    /// The options that make another command look at this stack; empty if it does so already.
    pub fn options(&self) -> String {
        let stack = match self.stack.as_str() {
            DEFAULT_NAME => String::new(),
            other => format!(" --stack {other}"),
        };
        stack + &self.account.options()
    }

    /// Finds the stack. Also returns the configuration for clients of its account.
    ///
    /// # Errors
    /// If there is no such stack, or the call fails.
    pub async fn find(&self) -> Result<(SdkConfig, Stack)> {
        let config = account::sdk_config(&self.account).await?;
        let stack = Stack::find(&config, &self.stack).await?;
        Ok((config, stack))
    }
}

/// The error for a stack name that does not exist.
pub fn no_stack(name: &str, config: &SdkConfig) -> UsageError {
    let region = config.region().map_or("this region", |region| region.as_ref());
    UsageError::new(format!(
        "there is no stack {name} in {region}; --stack and --region choose another"
    ))
}

/// The value of an output of a stack; `None` if it has no such output.
///
/// # Errors
/// If the stack cannot be read.
pub async fn output(config: &SdkConfig, stack: &str, name: &str) -> Result<Option<String>> {
    let stacks = described(config, stack).await?;
    let mut outputs = stacks.iter().flat_map(|stack| stack.outputs());
    let found = outputs.find(|output| output.output_key() == Some(name));
    Ok(found.and_then(|output| output.output_value().map(str::to_owned)))
}

/// The value of a parameter of a stack; `None` if it has no such parameter.
///
/// # Errors
/// If the stack cannot be read.
pub async fn parameter(config: &SdkConfig, stack: &str, name: &str) -> Result<Option<String>> {
    let stacks = described(config, stack).await?;
    let mut parameters = stacks.iter().flat_map(|stack| stack.parameters());
    let found = parameters.find(|parameter| parameter.parameter_key() == Some(name));
    Ok(found.and_then(|parameter| parameter.parameter_value().map(str::to_owned)))
}

async fn described(config: &SdkConfig, stack: &str) -> Result<Vec<aws_sdk_cloudformation::types::Stack>> {
    let answer = Client::new(config)
        .describe_stacks()
        .stack_name(stack)
        .send()
        .await;
    let answer = answer.map_err(|error| {
        let what = format!("read the stack {stack}");
        cannot(what, "cloudformation:DescribeStacks", &error)
    })?;
    Ok(answer.stacks.unwrap_or_default())
}

/// A deployed stack.
#[derive(Debug)]
pub struct Stack {
    /// Its account, region and name.
    pub place: String,
    /// Its functions that hand off.
    pub functions: Vec<Function>,
    /// The function that announces hand-offs.
    pub announcer: Function,
    /// URL of the queue of events that EventBridge could not deliver.
    pub undelivered: String,
    /// The table with what is under way.
    pub table: String,
}

/// A function and what belongs to it.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name in reports, for example `drain-tasks`.
    pub name: String,
    /// Its name in Lambda.
    pub deployed: String,
    /// Its log group.
    pub log_group: String,
    /// URL of its queue.
    pub queue: String,
    /// URL of its dead-letter queue.
    pub dead_letters: String,
}

impl Stack {
    /// Asks CloudFormation.
    ///
    /// # Errors
    /// If there is no stack of this name, or it is not a spot-handoff stack.
    pub async fn find(config: &SdkConfig, name: &str) -> Result<Self> {
        let client = Client::new(config);
        let mut pages = client
            .list_stack_resources()
            .stack_name(name)
            .into_paginator()
            .send();
        let mut ids = BTreeMap::new();
        let region = config.region().map_or("this region", |region| region.as_ref());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                let missing = error
                    .message()
                    .is_some_and(|text| text.contains("does not exist"));
                if missing {
                    no_stack(name, config).into()
                } else {
                    let what = format!("look the stack {name} up");
                    cannot(what, "cloudformation:ListStackResources", &error)
                }
            })?;
            for resource in page.stack_resource_summaries() {
                if let (Some(logical), Some(physical)) =
                    (resource.logical_resource_id(), resource.physical_resource_id())
                {
                    ids.insert(logical.to_owned(), physical.to_owned());
                }
            }
        }
        Self::of(name, region, &ids)
            .with_context(|| {
                format!(
                    "the stack {name} is not one of spot-handoff, or not deployed; --stack and --region choose another"
                )
            })
    }

    fn of(name: &str, region: &str, ids: &BTreeMap<String, String>) -> Result<Self> {
        let id = |logical: &str| {
            let found = ids.get(logical).cloned();
            found.with_context(|| format!("it has no resource {logical}"))
        };
        let function = |name: &str| {
            let logical = logical_id(name);
            Ok(Function {
                name: name.to_owned(),
                deployed: id(&logical)?,
                log_group: id(&format!("{logical}Logs"))?,
                queue: id(&format!("{logical}Queue"))?,
                dead_letters: id(&format!("{logical}DeadLetters"))?,
            })
        };
        let functions = lambda::FUNCTIONS.iter().chain([&lambda::RUNNER]);
        let functions = functions.map(|name| function(name));
        let functions = functions.collect::<Result<_>>()?;
        let undelivered = id("UndeliveredNotices")?;
        Ok(Self {
            place: format!(
                "account {}, region {region}, stack {name}",
                account_of(&undelivered)
            ),
            functions,
            announcer: function(lambda::ANNOUNCER)?,
            undelivered,
            table: id("Table")?,
        })
    }

    /// All functions; those that hand off come first.
    pub fn all_functions(&self) -> impl Iterator<Item = &Function> {
        self.functions.iter().chain([&self.announcer])
    }

    /// The function with this name in reports.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.all_functions().find(|function| function.name == name)
    }
}

/// `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html>
fn account_of(queue: &str) -> &str {
    queue.rsplit('/').nth(1).unwrap_or("-")
}

/// `drain-tasks` is `DrainTasks` in the template.
fn logical_id(name: &str) -> String {
    let capitalised = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_uppercase())
    });
    capitalised.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_of_something_else_is_told_by_what_it_lacks() {
        let ids = BTreeMap::from([("Bucket".to_owned(), "b".to_owned())]);
        let error = Stack::of("s", "us-east-1", &ids).unwrap_err().to_string();
        assert_eq!(error, "it has no resource DeregisterTargets");
    }
}
