//! The AWS account that a command looks at: the caller's own, or one on this machine.

use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::region::Region;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use spot_handoff::runtime::aws::{chain, http_client};

use crate::usage::UsageError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// Throttled calls are retried, since people prefer to wait: ten tries with these pauses take more than a minute.
const MAX_ATTEMPTS: u32 = 10;
const MAX_BACKOFF: Duration = Duration::from_secs(20);

/// Which account and region to use. The defaults are those of the AWS CLI.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Account")]
pub struct AccountArguments {
    /// Profile of ~/.aws/config to use [default: AWS_PROFILE, or `default`]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub profile: Option<String>,

    /// Region to look at [default: AWS_REGION, or that of the profile]
    #[arg(long, value_name = "REGION", value_parser = NonEmptyStringValueParser::new())]
    pub region: Option<String>,
}

impl AccountArguments {
    /// The profile in use, from `--profile` or from `AWS_PROFILE`.
    fn profile_in_use(&self) -> Option<String> {
        let of_environment = || std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
        self.profile.clone().or_else(of_environment)
    }

    /// The shell command that makes the AWS CLI use the same account; `None` if it does so already.
    pub fn export(&self) -> Option<String> {
        let given = [("AWS_PROFILE", &self.profile), ("AWS_REGION", &self.region)];
        let given = given
            .iter()
            .filter_map(|(name, value)| Some(format!(" {name}={}", value.as_ref()?)));
        let variables: String = given.collect();
        // Keys in the environment win over AWS_PROFILE.
        let keys = self.profile.is_some() && std::env::var_os("AWS_ACCESS_KEY_ID").is_some();
        let unset = if keys {
            "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN; "
        } else {
            ""
        };
        (!variables.is_empty()).then(|| format!("{unset}export{variables}"))
    }

    /// The options that make another command look at this account; empty if it does so already.
    pub fn options(&self) -> String {
        let given = [("--profile", &self.profile), ("--region", &self.region)];
        let given = given
            .iter()
            .filter_map(|(name, value)| Some(format!(" {name} {}", value.as_ref()?)));
        given.collect()
    }
}

/// The configuration for clients of a person's account.
///
/// Region, credentials, profiles, IAM Identity Center, instance metadata and `AWS_ENDPOINT_URL` work as in the AWS CLI:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>. As in the AWS CLI, `--profile` wins
/// over keys in the environment, keys in the environment win over `AWS_PROFILE`, and a missing profile is an error.
/// Throttled calls are retried for about a minute.
///
/// # Errors
/// A [`UsageError`] with what to do next, if there is no region or there are no credentials.
pub async fn sdk_config(arguments: &AccountArguments) -> Result<SdkConfig, UsageError> {
    let profile = arguments.profile_in_use();
    if let Some(profile) = &profile {
        check_profile(profile).await?;
    }
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
    if let Some(profile) = &profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &arguments.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let mut config = loader.load().await;
    let Some(region) = config.region().cloned() else {
        return Err(UsageError::new(
            "no AWS region is set: give --region, set AWS_REGION, or set `region` in the profile (`aws configure`)",
        ));
    };
    if let Some(profile) = &arguments.profile {
        let of_profile = SharedCredentialsProvider::new(credentials_of(profile, region));
        config = config.into_builder().credentials_provider(of_profile).build();
    }
    check_credentials(&config, profile.as_deref()).await?;
    Ok(config)
}

/// The AWS CLI's chain for `--profile`. It does not include the environment.
fn credentials_of(profile: &str, region: Region) -> CredentialsProviderChain {
    let provider = ProviderConfig::without_region()
        .with_http_client(http_client())
        .with_region(Some(region));
    let of_profile = ProfileFileCredentialsProvider::builder()
        .configure(&provider)
        .profile_name(profile);
    let of_container = EcsCredentialsProvider::builder().configure(&provider);
    let of_instance = ImdsCredentialsProvider::builder().configure(&provider);
    CredentialsProviderChain::first_try("Profile", of_profile.build())
        .or_else("EcsContainer", of_container.build())
        .or_else("Ec2InstanceMetadata", of_instance.build())
}

/// # Errors
/// If neither file of the AWS CLI has the profile, or one of them cannot be read.
async fn check_profile(name: &str) -> Result<(), UsageError> {
    let files = aws_config::profile::load(&Fs::real(), &Env::real(), &Default::default(), None).await;
    let files = files.map_err(|error| {
        UsageError::new(format!(
            "cannot read the profiles of the AWS CLI: {}",
            chain(&error)
        ))
    })?;
    if files.get_profile(name).is_some() {
        return Ok(());
    }
    Err(UsageError::new(format!(
        "there is no profile {name} in the files of the AWS CLI, ~/.aws/config and ~/.aws/credentials; \
         `aws configure list-profiles` lists those there are"
    )))
}

async fn check_credentials(config: &SdkConfig, profile: Option<&str>) -> Result<(), UsageError> {
    let found = match config.credentials_provider() {
        Some(provider) => provider.provide_credentials().await.map(drop).map_err(Some),
        None => Err(None),
    };
    found.map_err(|error| {
        let reason = error.map(|error| format!("\n  reason: {}", chain(&error))).unwrap_or_default();
        let profile = profile.map(|profile| format!(" for the profile {profile}")).unwrap_or_default();
        UsageError::new(format!(
            "no usable AWS credentials{profile}: choose a profile with --profile or AWS_PROFILE,\n\
             sign in with `aws sso login` or `aws login`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY;\n\
             `aws sts get-caller-identity` must work{reason}"
        ))
    })
}
