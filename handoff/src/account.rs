//! The AWS account that a command looks at: the caller's own, or one that runs on this machine.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_types::region::Region;
use clap::Args;
use spot_handoff::runtime::aws::{chain, http_client};

use crate::usage::UsageError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// A person waits rather than reads of throttling: ten tries, with these pauses, last for more than a minute.
const MAX_ATTEMPTS: u32 = 10;
const MAX_BACKOFF: Duration = Duration::from_secs(20);

/// Which account and region to use. The defaults are those of the AWS CLI.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Account")]
pub struct AccountArguments {
    /// Profile of ~/.aws/config to use [default: AWS_PROFILE, or `default`]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,

    /// Region to look at [default: AWS_REGION, or that of the profile]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

impl AccountArguments {
    /// What has the AWS CLI use the same account; `None` where it does so by itself.
    pub fn export(&self) -> Option<String> {
        let given = [("AWS_PROFILE", &self.profile), ("AWS_REGION", &self.region)];
        let given = given
            .iter()
            .filter_map(|(name, value)| Some(format!(" {name}={}", value.as_ref()?)));
        let variables: String = given.collect();
        (!variables.is_empty()).then(|| format!("export{variables}"))
    }
}

/// The configuration for clients of a person's account.
///
/// Region, credentials, profiles, IAM Identity Center, instance metadata and `AWS_ENDPOINT_URL` work as in the AWS CLI:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>. Throttled calls are tried again
/// for about a minute.
///
/// # Errors
/// A [`UsageError`] with what to do next, where there is no region or there are no credentials.
pub async fn sdk_config(arguments: &AccountArguments) -> Result<SdkConfig, UsageError> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        )
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(MAX_ATTEMPTS)
                .with_max_backoff(MAX_BACKOFF),
        );
    if let Some(profile) = &arguments.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &arguments.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(UsageError::new(
            "no AWS region is set: give --region, set AWS_REGION, or set `region` in the profile (`aws configure`)",
        ));
    }
    check_credentials(&config, arguments.profile.as_deref()).await?;
    Ok(config)
}

async fn check_credentials(config: &SdkConfig, profile: Option<&str>) -> Result<(), UsageError> {
    let found = match config.credentials_provider() {
        Some(provider) => provider.provide_credentials().await.map(drop).map_err(Some),
        None => Err(None),
    };
    found.map_err(|error| {
        let reason = error.map(|error| format!("\n  reason: {}", chain(&error))).unwrap_or_default();
        let profile = profile
            .map(|profile| format!(" for the profile {profile} (`aws configure list-profiles` lists them)"))
            .unwrap_or_default();
        UsageError::new(format!(
            "no usable AWS credentials{profile}: choose a profile with --profile or AWS_PROFILE,\n\
             sign in with `aws sso login` or `aws login`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY;\n\
             `aws sts get-caller-identity` must work{reason}"
        ))
    })
}
