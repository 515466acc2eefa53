//! Turns the stack into what runs here: how Lambda would run each function, and under which name SQS is called.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};

use crate::clock::Clock;
use crate::environment::FunctionSpec;
use crate::functions;
use crate::logs::LOG_STREAM;
use crate::options::Options;
use crate::stack::{Function, Queue};
use crate::workspace::Workspace;
use crate::world::World;

/// Region and account, which every ARN of a stack shares.
struct Place<'a> {
    region: &'a str,
    account: &'a str,
}

impl<'a> Place<'a> {
    fn of(arn: &'a str) -> Self {
        // arn:PARTITION:SERVICE:REGION:ACCOUNT:NAME
        let mut parts = arn.split(':').skip(3);
        let region = parts.next().unwrap_or_default();
        let account = parts.next().unwrap_or_default();
        Self { region, account }
    }
}

/// How Lambda would run the function that a queue feeds in this world.
pub(crate) fn specification(
    name: &str,
    function: &Function,
    queue: &Queue,
    world: &World,
    workspace: &Workspace,
    options: &Options,
) -> FunctionSpec {
    let Place { region, account } = Place::of(&queue.arn);
    let mut environment = function.environment.clone();
    let mut set = |name: &str, value: &str| environment.insert(name.to_owned(), value.to_owned());
    set("AWS_LAMBDA_FUNCTION_NAME", &function.name);
    set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &function.memory_mb.to_string());
    set("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
    set("AWS_LAMBDA_LOG_GROUP_NAME", &function.log_group);
    set("AWS_LAMBDA_LOG_STREAM_NAME", LOG_STREAM);
    set("AWS_REGION", region);
    set("AWS_ENDPOINT_URL", world.url());
    // The embedded AWS counts and limits calls by this name.
    set("AWS_ACCESS_KEY_ID", name);
    set("AWS_SECRET_ACCESS_KEY", "not-a-secret");
    set("PATH", &std::env::var("PATH").unwrap_or_default());
    if let Some(setting) = world.clock().setting() {
        set(Clock::VARIABLE, &setting);
    }
    let own = || (functions::binary(workspace, name), Vec::new());
    let (program, arguments) = options.stand_in.clone().unwrap_or_else(own);
    FunctionSpec {
        name: name.to_owned(),
        program,
        arguments,
        environment,
        arn: format!("arn:aws:lambda:{region}:{account}:function:{}", function.name),
        timeout: options
            .timeout
            .unwrap_or(Duration::from_secs(function.timeout_seconds)),
        concurrency: options.concurrency,
    }
}

/// The client that puts the functions' lines into their log groups.
pub(crate) fn logs_client(world: &World, queue: &Queue) -> aws_sdk_cloudwatchlogs::Client {
    let config = aws_sdk_cloudwatchlogs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(world.url())
        .region(Region::new(Place::of(&queue.arn).region.to_owned()))
        .credentials_provider(Credentials::new(
            "lambda-logs",
            "not-a-secret",
            None,
            None,
            "testbed",
        ))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_cloudwatchlogs::Client::from_conf(config)
}

/// A client whose calls the embedded AWS counts as calls of this caller.
pub(crate) fn sqs_client(world: &World, queue: &Queue, caller: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(world.url())
        .region(Region::new(Place::of(&queue.arn).region.to_owned()))
        .credentials_provider(Credentials::new(caller, "not-a-secret", None, None, "testbed"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        // A long poll is silent for its whole length. That does not mean that the stream stalled.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    Client::from_conf(config)
}
