//! How the functions call AWS: clients for Lambda, the time a call may take, and errors that a person can act on.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls;
use aws_smithy_runtime::client::retries::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::context::{
    FinalizerInterceptorContextRef, InterceptorContext,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use thiserror::Error;
use tokio::time::Instant;

use crate::runtime::clock::Clock;
use crate::runtime::config::{ConfigError, Env};

/// Connecting takes milliseconds inside a region. After a second without an answer, another try is better.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The slowest call, DetachInstances for twenty instances, answers well within this time.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// As many attempts as fit into an invocation; the end of the invocation ends them. If a call gave up earlier, its
/// message would go back and wait for another twenty seconds. And AWS throttles a storm for longer than a few tries.
const MAX_ATTEMPTS: u32 = 100;
const INITIAL_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// The configuration for all clients.
///
/// Region and credentials come from the environment. Lambda sets them for the lifetime of the process:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>. The crate `aws-config` would also look
/// into profiles, STS and instance metadata; without it, a function is smaller. `AWS_ENDPOINT_URL` replaces the
/// endpoints of all services.
///
/// The wait between two tries runs on `clock`. The timeouts of a call are real time, since the network does not get
/// faster with the clock. For everything else (sleeping, the time, the cache of credentials), the clients use their
/// defaults.
///
/// # Errors
/// If the environment has no region or no credentials.
pub fn sdk_config(env: &Env, clock: Clock) -> Result<SdkConfig, ConfigError> {
    let credentials = Credentials::new(
        env.required("AWS_ACCESS_KEY_ID")?,
        env.required("AWS_SECRET_ACCESS_KEY")?,
        env.get("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client())
        .region(Region::new(env.required("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        )
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(MAX_ATTEMPTS)
                .with_initial_backoff(clock.real_duration(INITIAL_BACKOFF))
                .with_max_backoff(clock.real_duration(MAX_BACKOFF)),
        );
    config.set_endpoint_url(env.get("AWS_ENDPOINT_URL"));
    Ok(config.build())
}

/// Retries without a quota, for the clients of the functions that race a notice.
///
/// The SDK's quota (a hundred retries for all calls of a service) protects services from clients that retry for ever.
/// Here the end of the invocation does that, and a throttled storm needs more than a hundred retries.
pub fn retry_partition() -> RetryPartition {
    RetryPartition::custom("spot-handoff")
        .token_bucket(TokenBucket::unlimited())
        .build()
}

/// The HTTP client of every AWS client. TLS is rustls with ring, which is smaller and loads faster.
pub fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

tokio::task_local! {
    /// How the last try of the current call ended, in case no other try is in time.
    static LAST_ERROR: RefCell<Option<String>>;
}

/// An error and its causes in one line for people.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// When AWS last throttled a call of this process.
static LAST_THROTTLED: Mutex<Option<Instant>> = Mutex::new(None);

pub(crate) fn last_throttled() -> Option<Instant> {
    *LAST_THROTTLED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts requests, retries included, and remembers how a call's last try ended.
#[derive(Debug, Clone, Default)]
pub struct CallCounter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    throttled: AtomicU64,
}

impl CallCounter {
    /// How many calls have been made, and how many of them AWS throttled.
    pub fn totals(&self) -> (u64, u64) {
        (
            self.0.calls.load(Ordering::Relaxed),
            self.0.throttled.load(Ordering::Relaxed),
        )
    }
}

#[dyn_dispatch_hint]
impl Intercept for CallCounter {
    fn name(&self) -> &'static str {
        "CallCounter"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        if context.response().is_some_and(is_throttled) {
            self.0.throttled.fetch_add(1, Ordering::Relaxed);
            *LAST_THROTTLED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        if let Some(Err(error)) = context.output_or_error() {
            let told = match error.as_operation_error() {
                Some(refusal) => chain(refusal),
                None => chain(error),
            };
            // Calls without a time limit, such as those of tests, have no place for it.
            let _ = LAST_ERROR.try_with(|last| last.replace(Some(told)));
        }
        Ok(())
    }
}

/// Retries calls that Auto Scaling refuses only because it is busy with the same group.
///
/// The SDK does not treat these errors as transient; within two minutes they are.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DetachInstances.html>
#[derive(Debug, Clone, Copy)]
pub struct RetryBusyGroups;

/// What the error codes of throttled calls have in common.
const THROTTLED: &[&str] = &["Throttl", "RequestLimit"];

const BUSY: &[&str] = &[
    "ResourceContention",
    "ScalingActivityInProgress",
    "IdempotentCallInProgress",
];

impl ClassifyRetry for RetryBusyGroups {
    fn name(&self) -> &'static str {
        "RetryBusyGroups"
    }

    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response() {
            Some(response) if refused_with(response, BUSY) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }
}

/// Whether AWS throttled a call.
pub(crate) fn is_throttled(response: &HttpResponse) -> bool {
    refused_with(response, THROTTLED)
}

/// Whether the answer is an error whose body contains one of these words.
fn refused_with(response: &HttpResponse, words: &[&str]) -> bool {
    if response.status().is_success() {
        return false;
    }
    let body = response
        .body()
        .bytes()
        .map(String::from_utf8_lossy)
        .unwrap_or_default();
    words.iter().any(|word| body.contains(word))
}

/// Why a call to AWS failed.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum CallError {
    /// AWS answered with an error.
    #[error("{action} refused: {code}: {message}{}", advice(code, action))]
    Refused {
        /// The action, for example `DetachInstances`.
        action: &'static str,
        /// AWS's error code.
        code: String,
        /// AWS's message.
        message: String,
    },
    /// There was no usable answer: no connection, a broken connection, or an unreadable body.
    #[error("{action} got no answer: {message}")]
    NoAnswer {
        /// The action.
        action: &'static str,
        /// What happened on the wire.
        message: String,
    },
    /// The function's time was over before AWS answered.
    #[error("{action} did not succeed in the time the function has{}", last_try(last))]
    OutOfTime {
        /// The action.
        action: &'static str,
        /// How the last try ended, if there was one.
        last: Option<String>,
    },
}

impl CallError {
    /// AWS's error code, if AWS answered.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::NoAnswer { .. } | Self::OutOfTime { .. } => None,
        }
    }

    /// Whether the caller lacks the permission.
    pub fn is_denied(&self) -> bool {
        self.code().is_some_and(is_denial)
    }

    /// Whether AWS throttled the call: it has not been carried out.
    pub fn is_throttled(&self) -> bool {
        self.code()
            .is_some_and(|code| THROTTLED.iter().any(|word| code.contains(word)))
    }

    /// Whether AWS may answer differently in a moment: it was busy, had a fault, or did not answer.
    pub fn is_passing(&self) -> bool {
        let passing = |code: &str| {
            let words = ["Internal", "Unavailable", "ServiceFailure"];
            BUSY.contains(&code) || words.iter().any(|word| code.contains(word))
        };
        self.is_throttled() || self.code().is_none_or(passing)
    }

    /// AWS's message, if AWS answered.
    pub fn message(&self) -> &str {
        match self {
            Self::Refused { message, .. } => message,
            Self::NoAnswer { .. } | Self::OutOfTime { .. } => "",
        }
    }

    fn from_sdk<E>(action: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error.as_service_error() {
            Some(refusal) if refusal.code().is_some() => Self::Refused {
                action,
                code: refusal.code().unwrap_or_default().to_owned(),
                message: refusal.message().unwrap_or_default().to_owned(),
            },
            _ => Self::NoAnswer {
                action,
                message: chain(&error),
            },
        }
    }
}

fn last_try(last: &Option<String>) -> String {
    last.as_ref()
        .map(|error| format!("; its last try: {error}"))
        .unwrap_or_default()
}

/// Whether a code says that the caller lacks the permission. Every service has its own codes.
pub fn is_denial(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "UnauthorizedOperation"
    )
}

fn advice(code: &str, action: &str) -> String {
    if is_denial(code) {
        // A batch call needs the permission for the single call.
        let action = action.strip_suffix("Batch").unwrap_or(action);
        format!(" (allow {action} in the function's role; the template does)")
    } else {
        String::new()
    }
}

/// Makes one call, retries included, until `stop_at`. When that moment comes, it calls `stop_at` again, since there may
/// be more time by now.
///
/// # Errors
/// If AWS refuses the call, gives no usable answer, or `stop_at` comes first.
pub async fn call<T, E>(
    stop_at: impl Fn() -> Instant,
    action: &'static str,
    sending: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<T, CallError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let in_time = async {
        let mut sending = pin!(sending);
        let mut until = stop_at();
        let outcome = loop {
            match tokio::time::timeout_at(until, &mut sending).await {
                Err(_) if stop_at() > until => until = stop_at(),
                outcome => break outcome,
            }
        };
        (outcome, LAST_ERROR.with(RefCell::take))
    };
    match LAST_ERROR.scope(RefCell::default(), in_time).await {
        (Ok(Ok(answer)), _) => Ok(answer),
        (Ok(Err(error)), _) => Err(CallError::from_sdk(action, error)),
        (Err(_), last) => Err(CallError::OutOfTime { action, last }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_LAMBDA: [(&str, &str); 4] = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "access"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session"),
    ];

    #[tokio::test]
    async fn region_credentials_and_endpoint_are_those_of_the_environment() {
        use aws_credential_types::provider::ProvideCredentials;
        let config = sdk_config(&Env::of(&OF_LAMBDA), Clock::real()).expect("complete");
        assert_eq!(config.region().map(Region::as_ref), Some("eu-central-1"));
        assert_eq!(config.endpoint_url(), None);
        let provider = config.credentials_provider().expect("provider");
        let credentials = provider.provide_credentials().await.expect("credentials");
        assert_eq!(credentials.access_key_id(), "access");
        assert_eq!(credentials.secret_access_key(), "secret");
        assert_eq!(credentials.session_token(), Some("session"));

        let elsewhere = [&OF_LAMBDA[..], &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")]].concat();
        let config = sdk_config(&Env::of(&elsewhere), Clock::real()).expect("complete");
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:1"));
    }

    #[test]
    fn what_the_environment_lacks_is_named() {
        for missing in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let others = OF_LAMBDA.into_iter().filter(|(name, _)| *name != missing);
            let error = sdk_config(&Env::of(&others.collect::<Vec<_>>()), Clock::real()).expect_err(missing);
            assert!(error.to_string().contains(missing), "{error}");
        }
    }
}
