//! The parameters of the deployed stack.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;

use super::reading::Reader;

/// The parameters of the stack with this name; empty if they cannot be read; `None` if there is no such stack.
pub async fn read(config: &SdkConfig, reader: &Reader, stack: &str) -> Option<BTreeMap<String, String>> {
    let asking = async {
        let answer = Client::new(config)
            .describe_stacks()
            .stack_name(stack)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(Some(answer.stacks.unwrap_or_default())),
            // The rules on the event bus tell whether anything is deployed.
            Err(error)
                if error
                    .message()
                    .is_some_and(|text| text.contains("does not exist")) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    };
    let stacks = reader
        .call("", "DescribeStacks", asking)
        .await
        .unwrap_or_else(|| Some(vec![]));
    let parameters = stacks?
        .into_iter()
        .flat_map(|stack| stack.parameters.unwrap_or_default());
    let named =
        parameters.filter_map(|parameter| Some((parameter.parameter_key?, parameter.parameter_value?)));
    Some(named.collect())
}
